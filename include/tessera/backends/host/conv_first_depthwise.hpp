#pragma once

// conv2d and its data gradient, batch first, of groups of one input channel (depthwise): every
// output channel is one plane of a sum over the taps.
//
// A strip of the channel lies in the workspace as floats with zeros around (depthwise_plane.hpp).
// Sums of 7 rows x 1 vector of columns stay in registers over all taps; where neither stride nor
// dilation keeps rows apart, a vector of cells serves 3 rows of the kernel: 9 loads for 21
// multiply-adds. The data gradient is the same sum for each remainder of positions by the stride.
//
// Sums are floats, one chain for each output: bias, then three kernel rows at a time, column by
// column. Neither strips nor threads, who share out planes or their strips, change it.
//
// Cost: a multiply-add for each tap and vector of positions; packing is a load and a store for each
// vector of cells, which fit beside the multiply-adds of 3 x 3 taps.

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/depthwise_plane.hpp>
#include <tessera/backends/parallel.hpp>

namespace tessera::host {

/// What rows of positions of one plane are summed from.
template <class T>
struct depthwise_sum {
  const float* x;  // of position 0 and the first tap
  i64 x_row, position_row, tap_row;
  bool shares_rows;
  i32 tap_rows, tap_columns;
  const i32* columns;   // of the taps, behind x
  const float* weight;  // [tap row][tap column]
  float start;
  T* y;
  i64 y_row;
  i32 y_step;
  i32 width;  // positions
};

/// Rows [row, row + Rows).
template <i32 Rows, class T>
[[gnu::noinline]] void depthwise_rows(const depthwise_sum<T>& p, i32 row) {
  using namespace simd;
  constexpr i32 shared = 3;
  for (i32 j = 0; j < p.width; j += lanes) {
    vec sum[Rows];
    TESSERA_UNROLL
    for (i32 i = 0; i < Rows; ++i) sum[i] = set(p.start);
    const float* x = p.x + row * p.position_row + j;
    const float* weight = p.weight;
    i32 r = 0;
    if (p.shares_rows) {
      for (; r + shared <= p.tap_rows; r += shared, x += shared * p.x_row) {
        for (i32 s = 0; s < p.tap_columns; ++s) {
          vec w[shared];
          TESSERA_UNROLL
          for (i32 k = 0; k < shared; ++k) w[k] = keep(set(weight[k * p.tap_columns + s]));
          const float* at = x + p.columns[s];
          TESSERA_UNROLL
          for (i32 h = 0; h < Rows + shared - 1; ++h, at += p.x_row) {
            const vec cells = keep(load(at));
            TESSERA_UNROLL
            for (i32 k = 0; k < shared; ++k) {
              if (h >= k && h - k < Rows) sum[h - k] = fma(w[k], cells, sum[h - k]);
            }
          }
        }
        weight += shared * p.tap_columns;
      }
    }
    for (; r < p.tap_rows; ++r, x += p.tap_row, weight += p.tap_columns) {
      for (i32 s = 0; s < p.tap_columns; ++s) {
        const vec w = keep(set(weight[s]));
        const float* at = x + p.columns[s];
        TESSERA_UNROLL
        for (i32 i = 0; i < Rows; ++i, at += p.position_row) sum[i] = fma(w, load(at), sum[i]);
      }
    }
    T* y = p.y + row * p.y_row + i64{j} * p.y_step;
    const i32 n = p.width - j < lanes ? p.width - j : lanes;
    if (p.y_step != 1) [[unlikely]] {
      float kept[Rows * lanes];
      TESSERA_UNROLL
      for (i32 i = 0; i < Rows; ++i) store(kept + i * lanes, sum[i]);
      for (i32 i = 0; i < Rows; ++i, y += p.y_row) {
        store_apart(y, p.y_step, load(kept + i * lanes), n);
      }
    } else if (n == lanes) {
      TESSERA_UNROLL
      for (i32 i = 0; i < Rows; ++i, y += p.y_row) store(y, sum[i]);
    } else {
      TESSERA_UNROLL
      for (i32 i = 0; i < Rows; ++i, y += p.y_row) store_partial(y, sum[i], n);
    }
  }
}

template <class T>
void run_depthwise(const depthwise_sum<T>& p, i32 rows) {
  static_assert(depthwise_plane::block == 7);
  i32 row = 0;
  for (; row + 7 <= rows; row += 7) depthwise_rows<7>(p, row);
  if (rows - row >= 4) {
    depthwise_rows<4>(p, row);
    row += 4;
  }
  if (rows - row >= 2) {
    depthwise_rows<2>(p, row);
    row += 2;
  }
  if (row < rows) depthwise_rows<1>(p, row);
}

/// Planes of one remainder of positions by the stride: all of them, forward.
template <class T>
class depthwise_convolution {
 public:
  depthwise_convolution(const conv_view<T>& v, const gather_axis& height, const gather_axis& width)
      : v_(v), height_(height), width_(width), plane_(height, width), strips_(plane_.strips()) {
    for (i32 s = 0; s < width.taps; ++s) columns_[s] = plane_.column(s);
    i32* weight = weights_;
    for (i32 r = 0; r < height.taps; ++r) {
      const i32 row = plane_.kernel_row(r) * v.width.kernel;
      for (i32 s = 0; s < width.taps; ++s) *weight++ = row + plane_.kernel_column(s);
    }
  }

  void run(threads workers) const {
    const i64 all = i64{v_.batch} * v_.groups * strips_;
    const i32 pieces = workers.count < all ? workers.count : static_cast<i32>(all);
    parallel_for(workers, pieces,
                 [&](i32 piece) { run_strips(all * piece / pieces, all * (piece + 1) / pieces); });
  }

 private:
  /// A strip of a channel of a sample.
  struct place {
    i32 image, group, strip;
  };
  place place_of(i64 item) const {
    const i32 image = static_cast<i32>(item / strips_);
    return {image, image % v_.groups, static_cast<i32>(item % strips_)};
  }
  void advance(place& at) const {
    if (++at.strip < strips_) return;
    at.strip = 0;
    ++at.image;
    if (++at.group == v_.groups) at.group = 0;
  }

  i32 first_row(const place& at) const { return at.strip * plane_.strip_rows(); }
  i32 rows(const place& at) const {
    const i32 rest = height_.to - first_row(at);
    return rest < plane_.strip_rows() ? rest : plane_.strip_rows();
  }

  void run_strips(i64 first, i64 last) const {
    float weights[depthwise_plane::most_taps];
    float* const cells = workspace::floats();
    plane_.clear(cells);
    depthwise_sum<T> p;
    p.x = plane_.cells(cells);
    p.x_row = plane_.row();
    p.position_row = plane_.position_row();
    p.tap_row = plane_.tap_row();
    p.shares_rows = plane_.shares_rows();
    p.tap_rows = height_.taps;
    p.tap_columns = width_.taps;
    p.columns = columns_;
    p.weight = weights;
    p.y_row = i64{height_.to_step} * v_.width.to;
    p.y_step = width_.to_step;
    p.width = width_.to;
    place at = place_of(first);
    for (i64 item = first; item < last; ++item, advance(at)) {
      plane_.fill(v_.from + at.image * v_.from_plane(), first_row(at), rows(at), cells);
      for (i32 o = 0; o < v_.rows; ++o) {
        const T* const weight = v_.weight + at.group * v_.weight_group + o * v_.weight_row;
        for (i32 t = 0; t < p.tap_rows * p.tap_columns; ++t) {
          weights[t] = simd::as_float(weight[weights_[t]]);
        }
        p.start = v_.bias == nullptr ? 0.0f : simd::as_float(v_.bias[i64{at.group} * v_.rows + o]);
        p.y = v_.to + (i64{at.image} * v_.rows + o) * v_.to_plane() +
              (height_.to_first + i64{first_row(at)} * height_.to_step) * v_.width.to +
              width_.to_first;
        run_depthwise(p, rows(at));
      }
    }
  }

  const conv_view<T>& v_;
  gather_axis height_, width_;
  depthwise_plane plane_;
  i32 strips_;
  i32 columns_[depthwise_plane::most_columns];
  i32 weights_[depthwise_plane::most_taps];  // of the taps, in the order of cells
};

/// One channel to sum over, and so few to write that cells are not worth sharing between them.
template <class T>
constexpr bool depthwise_pays(const conv_view<T>& v) {
  if (v.depth != 1 || v.rows > 2 || v.height.kernel > depthwise_plane::most_taps ||
      v.width.kernel > depthwise_plane::most_columns) {
    return false;
  }
  for (i32 i = 0; i < gather_axis::phases(v.height); ++i) {
    for (i32 j = 0; j < gather_axis::phases(v.width); ++j) {
      const gather_axis height = gather_axis::of(v.height, i);
      const gather_axis width = gather_axis::of(v.width, j);
      if (!depthwise_plane(height, width).fits()) return false;
    }
  }
  return true;
}

template <class T>
void conv_depthwise(const call& c, const conv_view<T>& v) {
  for (i32 i = 0; i < gather_axis::phases(v.height); ++i) {
    for (i32 j = 0; j < gather_axis::phases(v.width); ++j) {
      depthwise_convolution<T>(v, gather_axis::of(v.height, i), gather_axis::of(v.width, j))
          .run(c.step->threads);
    }
  }
}

}  // namespace tessera::host
