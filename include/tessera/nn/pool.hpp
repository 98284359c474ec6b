#pragma once

// Pooling layers.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera {

namespace detail {

template <i32 Kernel, layer_option... Options>
constexpr value build_pool(builder& b, value x, kind what, const char* spelled) {
  if (!b.usable(x)) return {};
  const shape in = b.sample(x);
  layer_options o = read_options<Options...>(Kernel, Kernel);
  if (!o.stride_given) o.win.stride[0] = o.win.stride[1] = Kernel;
  o.win.count_include_pad = true;
  const text<64> where = spell_all<64>(spelled, "<", Kernel, ">");
  if (in.rank != 3) {
    return b.fail({where, "a rank-3 input (channels x height x width)", spell_all<64>(in),
                   "put it before flatten"});
  }
  if (ops::pool_count(o.win, 0, in[1]) < 1 || ops::pool_count(o.win, 1, in[2]) < 1) {
    return b.fail({where, spell_all("height and width of at least ", Kernel),
                   spell_all<64>(shape(in[1], in[2])), "use a smaller window"});
  }
  if (2 * o.win.pad_begin[0] > Kernel || 2 * o.win.pad_begin[1] > Kernel) {
    return b.fail({where, spell_all("padding of at most half the window, ", Kernel / 2),
                   spell_all<64>(shape(o.win.pad_begin[0], o.win.pad_begin[1])), "pad less"});
  }
  return {ops::pool2d(b.network(), what, x.id, o.win, b.begin_layer(spelled))};
}

}  // namespace detail

/// The largest value of each Kernel x Kernel window; windows side by side unless `stride` says
/// otherwise. The first of equal values gets the gradient.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, height', width')
/// Options  stride, pad, dilation, ceil_mode
/// Memory   keeps one byte per output for the backward pass
/// Errors   rank, a window larger than the image, padding over half a window
template <i32 Kernel, layer_option... Options>
struct max_pool {
  static_assert(Kernel > 0, "max_pool: expected a window of at least 1 cell");
  static constexpr value build(builder& b, value x) {
    return detail::build_pool<Kernel, Options...>(b, x, kind::max_pool2d, "max_pool");
  }
};

/// The mean of each Kernel x Kernel window; padded cells count as zeros.
///
/// Shapes   as max_pool
/// Options  stride, pad, ceil_mode
/// Memory   keeps nothing
/// Errors   as max_pool
template <i32 Kernel, layer_option... Options>
struct avg_pool {
  static_assert(Kernel > 0, "avg_pool: expected a window of at least 1 cell");
  static constexpr value build(builder& b, value x) {
    return detail::build_pool<Kernel, Options...>(b, x, kind::avg_pool2d, "avg_pool");
  }
};

/// The mean of all cells of each channel, whatever the size of the image.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, 1, 1); flatten goes behind it
/// Memory   keeps nothing
/// Errors   rank
/// Source   Lin, Chen, Yan 2014, Network in Network
struct global_avg_pool {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const shape in = b.sample(x);
    if (in.rank != 3) {
      return b.fail({"global_avg_pool", "a rank-3 input (channels x height x width)",
                     spell_all<64>(in), "put it before flatten"});
    }
    window win;
    for (i32 axis = 0; axis < 2; ++axis) win.kernel[axis] = win.stride[axis] = in[1 + axis];
    return {ops::pool2d(b.network(), kind::avg_pool2d, x.id, win, b.begin_layer("avg_pool"))};
  }
};

static_assert(layer<max_pool<2>> && layer<avg_pool<2>> && layer<global_avg_pool>);

}  // namespace tessera
