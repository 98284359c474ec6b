#pragma once

// The weight gradient of conv2d, batch first, of groups of one input channel (depthwise):
// dw[o][tap] = sum over samples and positions of dy[o][position] x[cell of position and tap].
//
// x lies in the workspace as in the forward pass (depthwise_plane.hpp). Sums of 3 x 3 taps stay in
// registers over a strip. Where neither stride nor dilation keeps rows apart, 4 rows of dy go
// together, so that a vector of cells serves 3 rows of taps: 22 loads for 36 multiply-adds, else 10
// for 9. Kernels of other heights and widths are cut into such blocks and single rows and columns.
//
// Sums are floats, a chain for each lane: samples, strips, rows and columns in order; lanes are
// added up at the end. Threads share out channels.
//
// Cost: a multiply-add for each tap and vector of positions, packing as forward, and about 40
// cycles for the sums of as many taps as a vector has lanes.

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/depthwise_plane.hpp>
#include <tessera/backends/host/simd_across.hpp>
#include <tessera/backends/host/update_rule.hpp>  // gradient_sink
#include <tessera/backends/parallel.hpp>

namespace tessera::host {

/// Rows of positions of one plane, for a block of taps.
template <class T>
struct depthwise_products {
  const T* dy;
  i64 dy_row;
  const float* x;  // of position 0 and the first row of the block
  i64 tap_row, position_row;
  bool shares_rows;    // of cells: the two are the same
  const i32* columns;  // of the taps of the block, behind x
  i32 rows, width;
  float* sums;  // vectors: [tap row][tap column]
  i64 sums_row;
};

template <i32 Rows, i32 TapRows, i32 TapColumns, class T>
[[gnu::always_inline]] inline void multiply_rows(const depthwise_products<T>& p, i32 row,
                                                 simd::vec (&sum)[TapRows][TapColumns]) {
  using namespace simd;
  for (i32 j = 0; j < p.width; j += lanes) {
    const i32 n = p.width - j < lanes ? p.width - j : lanes;
    const T* dy = p.dy + row * p.dy_row + j;
    vec gradient[Rows];
    TESSERA_UNROLL
    for (i32 i = 0; i < Rows; ++i, dy += p.dy_row) gradient[i] = keep(load_partial(dy, n));
    TESSERA_UNROLL
    for (i32 s = 0; s < TapColumns; ++s) {
      const float* x = p.x + row * p.position_row + j + p.columns[s];
      TESSERA_UNROLL
      for (i32 h = 0; h < Rows + TapRows - 1; ++h, x += p.tap_row) {
        const vec cells = keep(load(x));
        TESSERA_UNROLL
        for (i32 k = 0; k < TapRows; ++k) {
          if (h >= k && h - k < Rows) sum[k][s] = fma(gradient[h - k], cells, sum[k][s]);
        }
      }
    }
  }
}

/// Adds to the sums.
template <i32 TapRows, i32 TapColumns, class T>
[[gnu::noinline]] void multiply_taps(const depthwise_products<T>& p) {
  using namespace simd;
  vec sum[TapRows][TapColumns];
  TESSERA_UNROLL
  for (i32 r = 0; r < TapRows; ++r) {
    TESSERA_UNROLL
    for (i32 s = 0; s < TapColumns; ++s) sum[r][s] = load(p.sums + r * p.sums_row + s * lanes);
  }
  i32 row = 0;
  if (TapRows > 1 && p.shares_rows) {
    for (; row + 4 <= p.rows; row += 4) multiply_rows<4>(p, row, sum);
    if (row + 2 <= p.rows) {
      multiply_rows<2>(p, row, sum);
      row += 2;
    }
  }
  for (; row < p.rows; ++row) multiply_rows<1>(p, row, sum);
  TESSERA_UNROLL
  for (i32 r = 0; r < TapRows; ++r) {
    TESSERA_UNROLL
    for (i32 s = 0; s < TapColumns; ++s) store(p.sums + r * p.sums_row + s * lanes, sum[r][s]);
  }
}

template <class T>
class depthwise_weight_gradient {
 public:
  depthwise_weight_gradient(const conv_weight_view<T>& v, gradient_sink& sink)
      : v_(v),
        sink_(sink),
        plane_(gather_axis::of(v.height, 0), gather_axis::of(v.width, 0)),
        taps_(static_cast<i32>(v.kernel())) {
    for (i32 s = 0; s < v.n.kernel_width; ++s) columns_[s] = plane_.column(s);
  }

  void run(threads workers) const {
    const i32 groups = v_.n.groups;
    const i32 pieces = workers.count < groups ? workers.count : groups;
    parallel_for(workers, pieces, [&](i32 piece) {
      run_groups(static_cast<i32>(i64{groups} * piece / pieces),
                 static_cast<i32>(i64{groups} * (piece + 1) / pieces));
    });
  }

  static constexpr i32 most_outputs = 2;  // of a group

 private:
  static constexpr i32 rounded_taps(i32 taps) {
    return (taps + simd::lanes - 1) / simd::lanes * simd::lanes;
  }

  void run_groups(i32 first, i32 last) const {
    constexpr i32 waiting_floats = 1024;  // gradients that are handed on together
    alignas(64) float sums[most_outputs * depthwise_plane::most_taps * simd::lanes];
    float gradient[waiting_floats + simd::lanes];
    const i32 outputs = v_.n.group_out();
    const i64 vectors = rounded_taps(taps_);
    float* const cells = workspace::floats();
    plane_.clear(cells);
    i64 at = i64{first} * outputs * taps_;
    i32 waiting = 0;
    for (i32 group = first; group < last; ++group) {
      std::memset(sums, 0, static_cast<std::size_t>(outputs * vectors * simd::lanes) * 4);
      for (i32 sample = 0; sample < v_.n.batch; ++sample) add_sample(sample, group, cells, sums);
      for (i32 o = 0; o < outputs; ++o) {
        if (waiting + taps_ > waiting_floats) {
          sink_.take(gradient, at, waiting);
          at += waiting;
          waiting = 0;
        }
        add_lanes(sums + o * vectors * simd::lanes, gradient + waiting);
        waiting += taps_;
      }
    }
    sink_.take(gradient, at, waiting);
  }

  void add_lanes(const float* sums, float* to) const {
    using namespace simd;
    for (i32 t = 0; t < taps_; t += lanes) {
      vec all[lanes];
      TESSERA_UNROLL
      for (i32 i = 0; i < lanes; ++i) all[i] = load(sums + i64{t + i} * lanes);
      store(to + t, sums_of_lanes(all));
    }
  }

  void add_sample(i32 sample, i32 group, float* cells, float* sums) const {
    const conv_sizes& n = v_.n;
    const i64 x_plane = i64{n.in_height} * n.in_width;
    const i64 dy_plane = i64{n.out_height} * n.out_width;
    const i64 image = i64{sample} * n.groups + group;
    depthwise_products<T> p;
    p.dy_row = n.out_width;
    p.tap_row = plane_.tap_row();
    p.position_row = plane_.position_row();
    p.shares_rows = plane_.shares_rows();
    p.width = n.out_width;
    p.sums_row = i64{n.kernel_width} * simd::lanes;
    for (i32 row0 = 0; row0 < n.out_height; row0 += plane_.strip_rows()) {
      const i32 rest = n.out_height - row0;
      p.rows = rest < plane_.strip_rows() ? rest : plane_.strip_rows();
      plane_.fill(v_.x + image * x_plane, row0, p.rows, cells);
      for (i32 o = 0; o < n.group_out(); ++o) {
        p.dy = v_.dy + (image * n.group_out() + o) * dy_plane + i64{row0} * n.out_width;
        add_strip(p, plane_.cells(cells), sums + o * i64{rounded_taps(taps_)} * simd::lanes);
      }
    }
  }

  void add_strip(depthwise_products<T>& p, const float* x, float* sums) const {
    constexpr i32 high = 3;
    constexpr i32 wide = 3;
    const i32 tap_rows = v_.n.kernel_height;
    const i32 tap_columns = v_.n.kernel_width;
    for (i32 r = 0; r < tap_rows;) {
      const bool block = r + high <= tap_rows;
      p.x = x + r * plane_.tap_row();
      for (i32 s = 0; s < tap_columns;) {
        const bool three = s + wide <= tap_columns;
        p.columns = columns_ + s;
        p.sums = sums + (i64{r} * tap_columns + s) * simd::lanes;
        if (block) {
          three ? multiply_taps<high, wide>(p) : multiply_taps<high, 1>(p);
        } else {
          three ? multiply_taps<1, wide>(p) : multiply_taps<1, 1>(p);
        }
        s += three ? wide : 1;
      }
      r += block ? high : 1;
    }
  }

  const conv_weight_view<T>& v_;
  gradient_sink& sink_;
  depthwise_plane plane_;
  i32 taps_;
  i32 columns_[depthwise_plane::most_columns];
};

template <class T>
constexpr bool depthwise_weight_pays(const conv_weight_view<T>& v) {
  if (v.n.group_in() != 1 || v.n.group_out() > depthwise_weight_gradient<T>::most_outputs) {
    return false;
  }
  return depthwise_plane(gather_axis::of(v.height, 0), gather_axis::of(v.width, 0)).fits();
}

}  // namespace tessera::host
