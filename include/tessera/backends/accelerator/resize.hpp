#pragma once

// Adaptive pooling, up-sampling and unpooling on the model: lanes are samples (ops/resize.hpp has
// the meanings).
//
// Forward, a position sums its cells column by column; backward, a cell sums the positions that
// read it, row by row: one order and one rounding for every sum. A vertex of unpooling has whole
// planes, because a value may go anywhere in its own.

#include <tessera/backends/accelerator/pool.hpp>
#include <tessera/backends/accelerator/recurrent.hpp>  // for_vertices
#include <tessera/ops/resize.hpp>

namespace tessera::accelerator {

/// A resizing's sizes, axes and images.
struct resizing {
  resize_sizes n;
  ops::resized_axis rows;
  ops::resized_axis columns;
  image_view x;
  image_view y;

  explicit resizing(const signature& s)
      : n(resize_sizes::of(s)),
        rows(ops::axis_of(s.what, n, 0)),
        columns(ops::axis_of(s.what, n, 1)),
        x(image_view::of(s.batch_last, n.batch, n.channels, n.in_height, n.in_width)),
        y(image_view::of(s.batch_last, n.batch, n.channels, n.out_height, n.out_width)) {}

  static i64 place(const image_view& v, i64 channel, i64 row, i64 column, i64 sample) {
    return channel * v.channel + row * v.row + column * v.column + sample * v.sample;
  }
};

/// One call's strips of samples in f32.
struct resize_strip {
  alignas(64) float value[pool_strip];
  alignas(64) float column[pool_strip];
  alignas(64) float sum[pool_strip];

  static void clear(float* to, i32 samples) {
    for (i32 j = 0; j < samples; j += lane_count) store(to + j, set(0.0f));
  }
  /// to += weight from
  static void add(float* to, float weight, const float* from, i32 samples) {
    for (i32 j = 0; j < samples; j += lane_count) {
      store(to + j, accelerator::fma(set(weight), load(from + j), load(to + j)));
    }
  }
};

/// adaptive_avg_pool2d, upsample_nearest, upsample_bilinear.
template <class T>
void run_resize(const machine& m, const call& c) {
  const resizing r(*c.sizes);
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  for_positions(m, c, [&](i32 channel, i32 p, i32 q, i32 b, i32 samples) {
    const ops::axis_span down = r.rows.cells_of(p);
    const ops::axis_span across = r.columns.cells_of(q);
    resize_strip s;
    s.clear(s.sum, samples);
    for (i32 w = across.begin; w < across.end(); ++w) {
      s.clear(s.column, samples);
      for (i32 h = down.begin; h < down.end(); ++h) {
        fetch(x + r.place(r.x, channel, h, w, b), s.value, samples);
        s.add(s.column, r.rows.blends() ? down.weight<float>(h) : 1.0f, s.value, samples);
      }
      s.add(s.sum, r.columns.blends() ? across.weight<float>(w) : 1.0f, s.column, samples);
    }
    if (r.rows.pools()) {
      const lanes divisor = set(static_cast<float>(down.count * across.count));
      for (i32 j = 0; j < samples; j += lane_count) store(s.sum + j, load(s.sum + j) / divisor);
    }
    put(storing(m, c), s.sum, y + r.place(r.y, channel, p, q, b), samples);
  });
}

template <class T>
void run_resize_gradient(const machine& m, const call& c) {
  const resizing r(*c.sizes);
  const T* dy = c.input<T>(0);
  T* dx = c.output<T>(0);
  const auto weight = [](const ops::resized_axis& axis, i32 position, i32 cell) {
    const ops::axis_span span = axis.cells_of(position);
    if (axis.pools()) return 1.0f / static_cast<float>(span.count);
    return axis.blends() ? span.weight<float>(cell) : 1.0f;
  };
  for_positions(m, c, [&](i32 channel, i32 h, i32 w, i32 b, i32 samples) {
    const ops::axis_span down = r.rows.readers_of(h);
    const ops::axis_span across = r.columns.readers_of(w);
    resize_strip s;
    s.clear(s.sum, samples);
    for (i32 p = down.begin; p < down.end(); ++p) {
      const float below = weight(r.rows, p, h);
      for (i32 q = across.begin; q < across.end(); ++q) {
        fetch(dy + r.place(r.y, channel, p, q, b), s.value, samples);
        s.add(s.sum, below * weight(r.columns, q, w), s.value, samples);
      }
    }
    put(storing(m, c), s.sum, dx + r.place(r.x, channel, h, w, b), samples);
  });
}

template <class T>
void run_adaptive_max_pool(const machine& m, const call& c) {
  const resizing r(*c.sizes);
  const i32 widest = r.columns.most_cells();
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  const bool indexed = c.sizes->has_output(1);
  const bool bytes = indexed && c.sizes->output_type(1) == element::uint8;
  for_positions(m, c, [&](i32 channel, i32 p, i32 q, i32 b, i32 samples) {
    const ops::axis_span down = r.rows.cells_of(p);
    const ops::axis_span across = r.columns.cells_of(q);
    resize_strip s;
    alignas(64) float winner[pool_strip];
    fetch(x + r.place(r.x, channel, down.begin, across.begin, b), s.sum, samples);
    s.clear(winner, samples);
    for (i32 h = down.begin; h < down.end(); ++h) {
      for (i32 w = across.begin; w < across.end(); ++w) {
        fetch(x + r.place(r.x, channel, h, w, b), s.value, samples);
        const lanes here = set(static_cast<float>((h - down.begin) * widest + w - across.begin));
        for (i32 j = 0; j < samples; j += lane_count) {
          const lanes best = load(s.sum + j);
          const whole_lanes wins = load(s.value + j) > best;
          store(s.sum + j, select(wins, load(s.value + j), best));
          store(winner + j, select(wins, here, load(winner + j)));
        }
      }
    }
    const i64 at = r.place(r.y, channel, p, q, b);
    put(storing(m, c), s.sum, y + at, samples);
    if (!indexed) return;
    if (bytes) {
      store_places(winner, c.output<u8>(1) + at, samples);
    } else {
      store_places(winner, c.output<i32>(1) + at, samples);
    }
  });
}

template <class T>
void run_adaptive_max_pool_gradient(const machine& m, const call& c) {
  const resizing r(*c.sizes);
  const i32 widest = r.columns.most_cells();
  const T* dy = c.input<T>(0);
  T* dx = c.output<T>(0);
  const bool bytes = c.sizes->input_type(1) == element::uint8;
  for_positions(m, c, [&](i32 channel, i32 h, i32 w, i32 b, i32 samples) {
    const ops::axis_span down = r.rows.readers_of(h);
    const ops::axis_span across = r.columns.readers_of(w);
    resize_strip s;
    s.clear(s.sum, samples);
    for (i32 p = down.begin; p < down.end(); ++p) {
      for (i32 q = across.begin; q < across.end(); ++q) {
        const i64 at = r.place(r.y, channel, p, q, b);
        const i32 here = (h - r.rows.cells_of(p).begin) * widest + w - r.columns.cells_of(q).begin;
        fetch(dy + at, s.value, samples);
        for (i32 j = 0; j < samples; ++j) {
          const i32 winner = bytes ? c.input<u8>(1)[at + j] : c.input<i32>(1)[at + j];
          if (winner == here) s.sum[j] += s.value[j];
        }
      }
    }
    put(storing(m, c), s.sum, dx + r.place(r.x, channel, h, w, b), samples);
  });
}

/// The planes of unpooling: visit(value's place, place of its cell or -1) in row-major order, after
/// begin(channel, sample).
template <class Index, class Begin, class Visit>
void for_unpooled(const machine& m, const call& c, const Begin& begin, const Visit& visit) {
  const pool_sizes n = pool_sizes::of(*c.sizes);
  const bool last = c.sizes->batch_last;
  const image_view small = image_view::of(last, n.batch, n.channels, n.out_height, n.out_width);
  const image_view large = image_view::of(last, n.batch, n.channels, n.in_height, n.in_width);
  const Index* indices = c.input<Index>(1);
  for_vertices(m, c, [&](const vertex& v) {
    for (i32 o = v.begin[axis_o]; o < v.begin[axis_o] + v.size[axis_o]; ++o) {
      for (i32 b = v.begin[axis_b]; b < v.begin[axis_b] + v.size[axis_b]; ++b) {
        begin(n, large, o, b);
        for (i32 p = 0; p < n.out_height; ++p) {
          for (i32 q = 0; q < n.out_width; ++q) {
            const i64 at = resizing::place(small, o, p, q, b);
            const i64 place = unpooled_place(n, p, q, static_cast<i64>(indices[at]));
            visit(at, place < 0
                          ? place
                          : resizing::place(large, o, place / n.in_width, place % n.in_width, b));
          }
        }
      }
    }
  });
}

/// max_unpool2d with flat places.
template <class T>
void run_max_unpool(const machine& m, const call& c) {
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  const auto clear = [&](const pool_sizes& n, const image_view& large, i32 o, i32 b) {
    for (i32 h = 0; h < n.in_height; ++h) {
      for (i32 w = 0; w < n.in_width; ++w) y[resizing::place(large, o, h, w, b)] = T{};
    }
  };
  for_unpooled<i32>(m, c, clear, [&](i64 at, i64 to) {
    if (to < 0) return;
    const float sum = fetch(y[to]) + fetch(x[at]);
    put(storing(m, c), &sum, y + to, 1);
  });
}

template <class T>
void run_max_unpool_gradient(const machine& m, const call& c) {
  const T* dy = c.input<T>(0);
  T* dx = c.output<T>(0);
  const auto begin = [](const pool_sizes&, const image_view&, i32, i32) {};
  const auto visit = [&](i64 at, i64 from) { dx[at] = from < 0 ? T{} : dy[from]; };
  if (c.sizes->input_type(1) == element::uint8) return for_unpooled<u8>(m, c, begin, visit);
  for_unpooled<i32>(m, c, begin, visit);
}

}  // namespace tessera::accelerator
