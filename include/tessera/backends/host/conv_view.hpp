#pragma once

// The operands of conv2d, its data gradient and its weight gradient, as kernels of both layouts see
// them.

#include <tessera/backends/host/conv_places.hpp>
#include <tessera/ir/call.hpp>

namespace tessera::host {

/// Which of its forms a convolution takes: `any` asks its sizes when it runs, the others are what
/// they said of a signature known while compiling, so that one form is compiled. Batch first conv2d
/// and its data gradient have two forms besides Winograd's and products, `in_place` and
/// `depthwise`.
enum class conv_form : u8 { any, winograd, packed, in_place, product, depthwise };

/// The operands of conv2d or its data gradient, seen as the same gathering sum.
template <class T>
struct conv_view {
  i32 batch, groups;
  i32 rows, depth;  // channels a group writes and sums over
  conv_axis height, width;
  const T* from;
  T* to;
  const T* weight;
  const T* bias;
  i64 weight_row, weight_depth, weight_group;

  /// What sizes say: without operands.
  static constexpr conv_view forward(const conv_sizes& n) {
    const i64 kernel = i64{n.kernel_height} * n.kernel_width;
    return {n.batch,
            n.groups,
            n.group_out(),
            n.group_in(),
            conv_axis::height(n, false),
            conv_axis::width(n, false),
            nullptr,
            nullptr,
            nullptr,
            nullptr,
            n.group_in() * kernel,
            kernel,
            i64{n.group_out()} * n.group_in() * kernel};
  }
  static constexpr conv_view backward(const conv_sizes& n) {
    const i64 kernel = i64{n.kernel_height} * n.kernel_width;
    return {n.batch,
            n.groups,
            n.group_in(),
            n.group_out(),
            conv_axis::height(n, true),
            conv_axis::width(n, true),
            nullptr,
            nullptr,
            nullptr,
            nullptr,
            kernel,
            n.group_in() * kernel,
            i64{n.group_out()} * n.group_in() * kernel};
  }
  static conv_view forward(const call& c, const conv_sizes& n) {
    conv_view v = forward(n);
    v.take(c);
    v.bias = c.input<T>(2);
    return v;
  }
  static conv_view backward(const call& c, const conv_sizes& n) {
    conv_view v = backward(n);
    v.take(c);
    return v;
  }

  constexpr i64 kernel() const { return i64{height.kernel} * width.kernel; }
  i64 from_plane() const { return i64{height.from} * width.from; }
  i64 to_plane() const { return i64{height.to} * width.to; }

 private:
  void take(const call& c) {
    from = c.input<T>(0);
    to = c.output<T>(0);
    weight = c.input<T>(1);
  }
};

/// What the weight gradient reads.
template <class T>
struct conv_weight_view {
  conv_sizes n;
  conv_axis height, width;
  const T* x = nullptr;
  const T* dy = nullptr;

  /// What sizes say: without operands.
  constexpr explicit conv_weight_view(const conv_sizes& sizes)
      : n(sizes), height(conv_axis::height(sizes, false)), width(conv_axis::width(sizes, false)) {}
  conv_weight_view(const call& c, const conv_sizes& sizes) : conv_weight_view(sizes) {
    x = c.input<T>(0);
    dy = c.input<T>(1);
  }

  constexpr i64 kernel() const { return i64{n.kernel_height} * n.kernel_width; }
};

}  // namespace tessera::host
