#pragma once

// Pooling on the model: lanes are samples.
//
// Forward: one output at a time over the cells of its window, row by row. Backward: one input cell
// at a time over the windows that hold it, from the first on, so that every sum has one order and
// one rounding. ops/pool.hpp has the meanings.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/product.hpp>  // image_view
#include <tessera/backends/accelerator/vector.hpp>
#include <tessera/machine/machine.hpp>

namespace tessera::accelerator {

/// A pooling operation's sizes and images.
struct pooling {
  pool_sizes n;
  image_view x;
  image_view y;

  explicit pooling(const signature& s)
      : n(pool_sizes::of(s)),
        x(image_view::of(s.batch_last, n.batch, n.channels, n.in_height, n.in_width)),
        y(image_view::of(s.batch_last, n.batch, n.channels, n.out_height, n.out_width)) {}

  i32 row(i32 p, i32 r) const { return p * n.stride_height + r * n.dilation_height - n.pad_top; }
  i32 column(i32 q, i32 s) const { return q * n.stride_width + s * n.dilation_width - n.pad_left; }
  bool inside(i32 h, i32 w) const { return h >= 0 && h < n.in_height && w >= 0 && w < n.in_width; }

  /// What an average of window (p, q) divides by; at least 1.
  float divisor(i32 p, i32 q) const {
    const i32 bottom = n.in_height + (n.count_include_pad != 0 ? n.pad_bottom : 0);
    const i32 right = n.in_width + (n.count_include_pad != 0 ? n.pad_right : 0);
    const i32 first = n.count_include_pad != 0 ? -n.pad_top : 0;
    const i32 left = n.count_include_pad != 0 ? -n.pad_left : 0;
    i32 rows = 0;
    i32 columns = 0;
    for (i32 r = 0; r < n.kernel_height; ++r) {
      rows += row(p, r) >= first && row(p, r) < bottom ? 1 : 0;
    }
    for (i32 s = 0; s < n.kernel_width; ++s) {
      columns += column(q, s) >= left && column(q, s) < right ? 1 : 0;
    }
    return rows * columns > 0 ? static_cast<float>(rows * columns) : 1.0f;
  }

  /// visit(p, q, place) for every window that holds cell (h, w), the first window first.
  template <class Visit>
  void windows_on(i32 h, i32 w, const Visit& visit) const {
    for (i32 r = n.kernel_height - 1; r >= 0; --r) {
      const i32 top = h + n.pad_top - r * n.dilation_height;
      if (top < 0 || top % n.stride_height != 0 || top / n.stride_height >= n.out_height) continue;
      for (i32 s = n.kernel_width - 1; s >= 0; --s) {
        const i32 left = w + n.pad_left - s * n.dilation_width;
        if (left < 0 || left % n.stride_width != 0) continue;
        if (left / n.stride_width >= n.out_width) continue;
        visit(top / n.stride_height, left / n.stride_width, r * n.kernel_width + s);
      }
    }
  }
};

/// Samples in f32 at a time.
inline constexpr i32 pool_strip = 64;

/// Runs the vertices of a pooling operation: work(channel, h, w, first sample, samples), with at
/// most `pool_strip` samples that lie side by side.
template <class Work>
void for_positions(const machine& m, const call& c, const Work& work) {
  execution run(m, c);
  const mapping& map = run.blocks();
  const bool last_layout = c.sizes->batch_last;
  run.run(map.vertices(), [&](i64 first, i64 last, recorder& r) {
    for (i64 i = first; i < last; ++i) {
      vertex v;
      i64 rest = i;
      for (const i32 a : {axis_b, axis_w, axis_h, axis_o, axis_c, axis_g}) {
        v.place(map, a, static_cast<i32>(rest % map.count(a)));
        rest /= map.count(a);
      }
      r.add(v, true);
      const i32 step = last_layout ? pool_strip : 1;
      const i32 end_b = v.begin[axis_b] + v.size[axis_b];
      for (i32 o = v.begin[axis_o]; o < v.begin[axis_o] + v.size[axis_o]; ++o) {
        for (i32 h = v.begin[axis_h]; h < v.begin[axis_h] + v.size[axis_h]; ++h) {
          for (i32 w = v.begin[axis_w]; w < v.begin[axis_w] + v.size[axis_w]; ++w) {
            for (i32 b = v.begin[axis_b]; b < end_b; b += step) {
              work(o, h, w, b, end_b - b < step ? end_b - b : step);
            }
          }
        }
      }
    }
  });
}

/// Places in windows as they are stored: u8, i32 for windows of more than 256 cells.
template <class Index>
void store_places(const float* places, Index* to, i32 n) {
  for (i32 i = 0; i < n; ++i) to[i] = static_cast<Index>(places[i]);
}

template <class T>
void run_max_pool(const machine& m, const call& c) {
  const pooling pool(*c.sizes);
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  const bool indexed = c.sizes->has_output(1);
  const bool bytes = indexed && c.sizes->output_type(1) == element::uint8;
  for_positions(m, c, [&](i32 channel, i32 p, i32 q, i32 b, i32 samples) {
    alignas(64) float best[pool_strip];
    alignas(64) float place[pool_strip];
    alignas(64) float value[pool_strip];
    for (i32 j = 0; j < samples; j += lane_count) {
      store(best + j, set(-__builtin_inff()));
      store(place + j, set(0.0f));
    }
    bool first = true;  // the first cell inside wins even if it is NaN or -infinity
    for (i32 r = 0; r < pool.n.kernel_height; ++r) {
      for (i32 s = 0; s < pool.n.kernel_width; ++s) {
        const i32 h = pool.row(p, r);
        const i32 w = pool.column(q, s);
        if (!pool.inside(h, w)) continue;
        fetch(x + channel * pool.x.channel + h * pool.x.row + w * pool.x.column + b * pool.x.sample,
              value, samples);
        const lanes here = set(static_cast<float>(r * pool.n.kernel_width + s));
        for (i32 j = 0; j < samples; j += lane_count) {
          const lanes v = load(value + j);
          const lanes so_far = load(best + j);
          const whole_lanes wins = first ? whole_lanes{} - 1 : v > so_far;
          store(best + j, select(wins, v, so_far));
          store(place + j, select(wins, here, load(place + j)));
        }
        first = false;
      }
    }
    const i64 at =
        channel * pool.y.channel + p * pool.y.row + q * pool.y.column + b * pool.y.sample;
    put(storing(m, c), best, y + at, samples);
    if (!indexed) return;
    if (bytes) {
      store_places(place, c.output<u8>(1) + at, samples);
    } else {
      store_places(place, c.output<i32>(1) + at, samples);
    }
  });
}

template <class T>
void run_max_pool_gradient(const machine& m, const call& c) {
  const pooling pool(*c.sizes);
  const T* dy = c.input<T>(0);
  T* dx = c.output<T>(0);
  const bool bytes = c.sizes->input_type(1) == element::uint8;
  for_positions(m, c, [&](i32 channel, i32 h, i32 w, i32 b, i32 samples) {
    alignas(64) float sum[pool_strip];
    alignas(64) float value[pool_strip];
    alignas(64) i32 place[pool_strip];
    for (i32 j = 0; j < samples; j += lane_count) store(sum + j, set(0.0f));
    pool.windows_on(h, w, [&](i32 p, i32 q, i32 here) {
      const i64 at =
          channel * pool.y.channel + p * pool.y.row + q * pool.y.column + b * pool.y.sample;
      fetch(dy + at, value, samples);
      if (bytes) {
        const u8* index = c.input<u8>(1) + at;
        for (i32 j = 0; j < samples; ++j) place[j] = index[j];
      } else {
        std::memcpy(place, c.input<i32>(1) + at, static_cast<std::size_t>(samples) * sizeof(i32));
      }
      for (i32 j = 0; j < samples; j += lane_count) {
        whole_lanes index;
        std::memcpy(&index, place + j, sizeof index);
        const lanes so_far = load(sum + j);
        store(sum + j, select(index == here, so_far + load(value + j), so_far));
      }
    });
    put(storing(m, c), sum,
        dx + channel * pool.x.channel + h * pool.x.row + w * pool.x.column + b * pool.x.sample,
        samples);
  });
}

template <class T>
void run_avg_pool(const machine& m, const call& c) {
  const pooling pool(*c.sizes);
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  for_positions(m, c, [&](i32 channel, i32 p, i32 q, i32 b, i32 samples) {
    alignas(64) float sum[pool_strip];
    alignas(64) float value[pool_strip];
    for (i32 j = 0; j < samples; j += lane_count) store(sum + j, set(0.0f));
    for (i32 r = 0; r < pool.n.kernel_height; ++r) {
      for (i32 s = 0; s < pool.n.kernel_width; ++s) {
        const i32 h = pool.row(p, r);
        const i32 w = pool.column(q, s);
        if (!pool.inside(h, w)) continue;
        fetch(x + channel * pool.x.channel + h * pool.x.row + w * pool.x.column + b * pool.x.sample,
              value, samples);
        for (i32 j = 0; j < samples; j += lane_count) {
          store(sum + j, load(sum + j) + load(value + j));
        }
      }
    }
    const lanes divisor = set(pool.divisor(p, q));
    for (i32 j = 0; j < samples; j += lane_count) store(sum + j, load(sum + j) / divisor);
    put(storing(m, c), sum,
        y + channel * pool.y.channel + p * pool.y.row + q * pool.y.column + b * pool.y.sample,
        samples);
  });
}

template <class T>
void run_avg_pool_gradient(const machine& m, const call& c) {
  const pooling pool(*c.sizes);
  const T* dy = c.input<T>(0);
  T* dx = c.output<T>(0);
  for_positions(m, c, [&](i32 channel, i32 h, i32 w, i32 b, i32 samples) {
    alignas(64) float sum[pool_strip];
    alignas(64) float value[pool_strip];
    for (i32 j = 0; j < samples; j += lane_count) store(sum + j, set(0.0f));
    pool.windows_on(h, w, [&](i32 p, i32 q, i32) {
      fetch(dy + channel * pool.y.channel + p * pool.y.row + q * pool.y.column + b * pool.y.sample,
            value, samples);
      const lanes divisor = set(pool.divisor(p, q));
      for (i32 j = 0; j < samples; j += lane_count) {
        store(sum + j, load(sum + j) + load(value + j) / divisor);
      }
    });
    put(storing(m, c), sum,
        dx + channel * pool.x.channel + h * pool.x.row + w * pool.x.column + b * pool.x.sample,
        samples);
  });
}

}  // namespace tessera::accelerator
