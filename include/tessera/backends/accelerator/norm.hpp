#pragma once

// Batch normalization and its gradient on the model, all in f32 (ops/norm.hpp has the formulas).
//
// A vertex has a block of a channel's elements, as they lie in memory. Sums have the order of
// bias gradients: 16 accumulators take turns, element i of those that count going to i mod 16, and
// are folded in halves. A block's mean is its sum divided by its count, its squares are summed
// about that mean, and the blocks of a channel are merged in their order (Chan, Golub, LeVeque
// 1979); the sums of a gradient are added in that order.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/reductions.hpp>
#include <cmath>

namespace tessera::accelerator {

/// Elements in f32 at a time: a multiple of 16, so that accumulators keep their turns.
inline constexpr i64 norm_piece = 512;

/// Adds n products to 16 accumulators in turn, from the first on.
inline void multiply_in_turn(const float* a, const float* b, i64 n, float* acc) {
  i64 i = 0;
  for (; i + 16 <= n; i += 16) {
    for (i64 j = 0; j < 16; j += lane_count) {
      store(acc + j, fma(load(a + i + j), load(b + i + j), load(acc + j)));
    }
  }
  for (i32 j = 0; j < 16 && i < n; ++i, ++j) acc[j] = std::fma(a[i], b[i], acc[j]);
}

/// x[i] - mean for a piece; whole lanes are written.
inline void centre(float* x, i64 n, float mean) {
  for (i64 i = 0; i < n; i += lane_count) store(x + i, load(x + i) - set(mean));
}

inline float scale_or(const float* scales, i64 i, float otherwise) {
  return scales != nullptr ? scales[i] : otherwise;
}

/// Count, mean and squares about it, of a block or of several merged.
struct norm_moments {
  float count = 0;
  float mean = 0;
  float squares = 0;

  void merge(const norm_moments& b) {
    if (b.count == 0) return;
    const float all = count + b.count;
    const float share = b.count / all;
    const float apart = b.mean - mean;
    squares += std::fma(apart * apart, count * share, b.squares);
    mean = std::fma(apart, share, mean);
    count = all;
  }
  float inverse_deviation(float epsilon) const {
    return 1.0f / std::sqrt(squares / count + epsilon);
  }
};

/// Elements of a channel, numbered as they lie in memory.
struct channel_elements {
  norm_sizes n;
  bool batch_last;
  i32 valid;  // samples that count

  /// visit(address, elements side by side, do they count) for elements begin to begin + count.
  template <class Visit>
  void runs(i64 channel, i64 begin, i64 count, const Visit& visit) const {
    const i64 end = begin + count;
    for (i64 e = begin; e < end;) {
      i64 at = 0;
      i64 next = end;
      bool counts = true;
      if (batch_last) {
        at = channel * n.inner * n.batch + e;
        if (valid < n.batch) {
          const i64 sample = e % n.batch;
          counts = sample < valid;
          next = e - sample + (counts ? valid : n.batch);
        }
      } else {
        const i64 sample = e / n.inner;
        at = (sample * n.features + channel) * n.inner + e % n.inner;
        counts = sample < valid;
        next = (sample + 1) * n.inner;
      }
      if (next > end) next = end;
      visit(at, next - e, counts);
      e = next;
    }
  }

  /// visit(count) with up to norm_piece of the elements that count fetched from each of `from` into
  /// `to`.
  template <i32 Arrays, class T, class Visit>
  void pieces(i64 channel, i64 begin, i64 count, const T* const (&from)[Arrays],
              float (&to)[Arrays][norm_piece], const Visit& visit) const {
    i64 filled = 0;
    runs(channel, begin, count, [&](i64 at, i64 length, bool counts) {
      for (i64 done = 0; counts && done < length;) {
        const i64 room = norm_piece - filled;
        const i64 here = length - done < room ? length - done : room;
        for (i32 k = 0; k < Arrays; ++k) fetch(from[k] + at + done, to[k] + filled, here);
        done += here;
        filled += here;
        if (filled == norm_piece) {
          visit(filled);
          filled = 0;
        }
      }
    });
    if (filled > 0) visit(filled);
  }
};

inline channel_elements channel_elements_of(const call& c, bool all_count) {
  const auto n = norm_sizes::of(*c.sizes);
  return {n, c.sizes->batch_last, all_count ? n.batch : c.step->valid};
}

/// Moments of elements begin to begin + count of a channel.
template <class T>
norm_moments block_moments(const channel_elements& elements, i64 channel, i64 begin, i64 count,
                           const T* x) {
  alignas(64) float values[1][norm_piece];
  const T* const from[1] = {x};
  norm_moments m;
  alignas(64) float acc[16] = {};
  i64 n = 0;
  elements.pieces(channel, begin, count, from, values, [&](i64 here) {
    add_in_turn(values[0], here, acc);
    n += here;
  });
  if (n == 0) return m;
  m.count = static_cast<float>(n);
  m.mean = fold(acc) / m.count;
  for (float& a : acc) a = 0;
  elements.pieces(channel, begin, count, from, values, [&](i64 here) {
    centre(values[0], here, m.mean);
    multiply_in_turn(values[0], values[0], here, acc);
  });
  m.squares = fold(acc);
  return m;
}

/// y = (x - mean) scale + shift for a whole channel.
template <class T>
void write_normalized(const storing& how, const channel_elements& elements, i64 channel, const T* x,
                      T* y, float mean, float scale, float shift) {
  alignas(64) float values[norm_piece];
  const i64 count = i64{elements.n.batch} * elements.n.inner;
  elements.runs(channel, 0, count, [&](i64 at, i64 length, bool) {
    for (i64 i = 0; i < length; i += norm_piece) {
      const i64 here = length - i < norm_piece ? length - i : norm_piece;
      fetch(x + at + i, values, here);
      centre(values, here, mean);
      for (i64 j = 0; j < here; j += lane_count) {
        store(values + j, fma(load(values + j), set(scale), set(shift)));
      }
      put(how, values, y + at + i, here);
    }
  });
}

/// Runs work(o, mapping) for every channel, or group of channels, and records all vertices.
template <class Work>
void for_norm_outputs(const machine& m, const call& c, const Work& work) {
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.count(axis_o), [&](i64 first, i64 last, recorder& r) {
    for (i64 block = first; block < last; ++block) {
      vertex v;
      for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
      v.place(map, axis_o, static_cast<i32>(block));
      const i32 blocks = map.count(axis_b);
      for (i32 i = 0; i < blocks; ++i) {
        v.place(map, axis_b, i);
        r.add(v, !map.of.reduced[axis_b] || i + 1 == blocks);
      }
      for (i32 o = v.begin[axis_o]; o < v.begin[axis_o] + v.size[axis_o]; ++o) work(o, map);
    }
  });
}

template <class T>
void run_batch_norm(const machine& m, const call& c) {
  const channel_elements elements = channel_elements_of(c, false);
  const T* const x = c.input<T>(0);
  const norm_attributes& attr = c.attr->norm;
  const auto mix = [&](float* running, i64 channel, float batch) {
    if (running == nullptr) return;
    running[channel] = std::fma(attr.momentum, batch, (1.0f - attr.momentum) * running[channel]);
  };
  for_norm_outputs(m, c, [&](i64 channel, const mapping& map) {
    norm_moments all;
    for (i32 i = 0; i < map.count(axis_b); ++i) {
      all.merge(block_moments(elements, channel, map.begin(axis_b, i), map.size(axis_b, i), x));
    }
    const float inverse = all.inverse_deviation(attr.epsilon);
    mix(c.output<float>(1), channel, all.mean);
    mix(c.output<float>(2), channel, all.squares / (all.count > 1 ? all.count - 1 : 1));
    if (c.sizes->has_output(3)) c.output<float>(3)[channel] = all.mean;
    if (c.sizes->has_output(4)) c.output<float>(4)[channel] = inverse;
    write_normalized({m, c}, elements, channel, x, c.output<T>(0), all.mean,
                     inverse * scale_or(c.input<float>(1), channel, 1),
                     scale_or(c.input<float>(2), channel, 0));
  });
}

template <class T>
void run_batch_norm_inference(const machine& m, const call& c) {
  const channel_elements elements = channel_elements_of(c, true);
  for_norm_outputs(m, c, [&](i64 channel, const mapping&) {
    const float spread = scale_or(c.input<float>(4), channel, 1) + c.attr->norm.epsilon;
    write_normalized({m, c}, elements, channel, c.input<T>(0), c.output<T>(0),
                     scale_or(c.input<float>(3), channel, 0),
                     scale_or(c.input<float>(1), channel, 1) / std::sqrt(spread),
                     scale_or(c.input<float>(2), channel, 0));
  });
}

/// batch_norm_gradient and, with given statistics, batch_norm_inference_gradient.
template <class T>
void run_batch_norm_gradient(const machine& m, const call& c) {
  const bool running = c.sizes->what == kind::batch_norm_inference_gradient;
  const channel_elements elements = channel_elements_of(c, running);
  const T* const x = c.input<T>(0);
  const T* const dy = c.input<T>(1);
  T* const dx = c.output<T>(0);
  const i64 whole = i64{elements.n.batch} * elements.n.inner;
  for_norm_outputs(m, c, [&](i64 channel, const mapping& map) {
    alignas(64) float values[2][norm_piece];
    const T* const from[2] = {x, dy};
    const float mean = scale_or(c.input<float>(3), channel, 0);
    float inverse = scale_or(c.input<float>(4), channel, 1);
    if (running) inverse = 1.0f / std::sqrt(inverse + c.attr->norm.epsilon);
    float sum = 0;
    float sum_off = 0;  // of dy (x - mean)
    for (i32 i = 0; map.of.reduced[axis_b] && i < map.count(axis_b); ++i) {
      alignas(64) float acc[16] = {};
      alignas(64) float acc_off[16] = {};
      elements.pieces(channel, map.begin(axis_b, i), map.size(axis_b, i), from, values,
                      [&](i64 here) {
                        centre(values[0], here, mean);
                        add_in_turn(values[1], here, acc);
                        multiply_in_turn(values[1], values[0], here, acc_off);
                      });
      const float part = fold(acc);
      const float part_off = fold(acc_off);
      sum = i == 0 ? part : sum + part;
      sum_off = i == 0 ? part_off : sum_off + part_off;
    }
    const float sum_h = sum_off * inverse;
    if (c.sizes->has_output(1)) c.output<float>(1)[channel] = sum_h;
    if (c.sizes->has_output(2)) c.output<float>(2)[channel] = sum;
    if (dx == nullptr) return;
    const i64 counted = i64{elements.valid} * elements.n.inner;
    const float a = inverse * scale_or(c.input<float>(2), channel, 1);
    const float share = running ? 0.0f : a / static_cast<float>(counted);
    const float b = -(share * sum_h) * inverse;
    const float d = -(share * sum);
    elements.runs(channel, 0, whole, [&](i64 at, i64 length, bool counts) {
      for (i64 i = 0; i < length; i += norm_piece) {
        const i64 here = length - i < norm_piece ? length - i : norm_piece;
        fetch(x + at + i, values[0], here);
        fetch(dy + at + i, values[1], here);
        centre(values[0], here, mean);
        for (i64 j = 0; j < here; j += lane_count) {
          const lanes through = fma(load(values[0] + j), set(b), set(d));
          const lanes g = fma(load(values[1] + j), set(a), through);
          store(values[1] + j, counts ? g : set(0.0f));
        }
        put(storing(m, c), values[1], dx + at + i, here);
      }
    });
  });
}

}  // namespace tessera::accelerator
