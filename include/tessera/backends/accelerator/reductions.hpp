#pragma once

// Sums of a bias' gradient on the model's vector unit.
//
// A vertex sums one block of samples and positions of some channels: 16 accumulators take turns,
// element i (as it lies in memory) going to i mod 16, and are folded in halves. The partial sums of
// a channel's vertices are added in the order of their blocks. 16 is six workers with two f32 lanes
// each, rounded up so that halves fold; a choice of ours, no source states the order.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/vector.hpp>

namespace tessera::accelerator {

/// Adds `n` values to 16 accumulators in turn, from the first on.
inline void add_in_turn(const float* x, i64 n, float* acc) {
  constexpr i32 parts = 16 / lane_count;
  lanes sum[parts];
  for (i32 p = 0; p < parts; ++p) sum[p] = load(acc + p * lane_count);
  i64 i = 0;
  for (; i + 16 <= n; i += 16) {
    for (i32 p = 0; p < parts; ++p) sum[p] += load(x + i + p * lane_count);
  }
  for (i32 p = 0; p < parts; ++p) store(acc + p * lane_count, sum[p]);
  for (i32 j = 0; i < n; ++i, ++j) acc[j] += x[i];
}

/// The accumulators folded in halves.
inline float fold(float* acc) {
  for (i32 width = 8; width > 0; width /= 2) {
    for (i32 j = 0; j < width; ++j) acc[j] += acc[j + width];
  }
  return acc[0];
}

/// Element e of (samples, positions), as they lie in memory, of a channel.
struct bias_order {
  bool batch_last;
  bias_sizes n;

  /// How many elements lie side by side from `e` on, at most `most`; `at` is the place of the
  /// first.
  i64 side_by_side(i64 channel, i64 e, i64 most, i64& at) const {
    if (batch_last) {
      at = channel * n.inner * n.batch + e;
      return most;
    }
    const i64 sample = e / n.inner;
    const i64 position = e % n.inner;
    at = (sample * n.channels + channel) * n.inner + position;
    return most < n.inner - position ? most : n.inner - position;
  }
};

/// bias_gradient: (-, dy) -> db.
template <class T>
void run_bias_gradient(const machine& m, const call& c, T* out) {
  execution run(m, c);
  const mapping& map = run.blocks();
  const bias_order order{c.sizes->batch_last, bias_sizes::of(*c.sizes)};
  const T* dy = c.input<T>(1);
  run.run(map.output_blocks(), [&](i64 first, i64 last, recorder& r) {
    constexpr i64 piece = 1024;  // a multiple of 16: accumulators keep their turns
    for (i64 block = first; block < last; ++block) {
      vertex v;
      for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
      v.place(map, axis_o, static_cast<i32>(block));
      const i32 partials = map.count(axis_b);
      for (i32 i = 0; i < partials; ++i) {
        v.place(map, axis_b, i);
        r.add(v, i + 1 == partials);
      }
      for (i32 o = v.begin[axis_o]; o < v.begin[axis_o] + v.size[axis_o]; ++o) {
        float total = 0;
        for (i32 i = 0; i < partials; ++i) {
          v.place(map, axis_b, i);
          float acc[16] = {};
          for (i64 done = 0; done < v.size[axis_b]; done += piece) {
            float x[piece];
            const i64 n = v.size[axis_b] - done < piece ? v.size[axis_b] - done : piece;
            for (i64 j = 0; j < n;) {
              i64 at = 0;
              const i64 length = order.side_by_side(o, v.begin[axis_b] + done + j, n - j, at);
              fetch(dy + at, x + j, length);
              j += length;
            }
            add_in_turn(x, n, acc);
          }
          const float partial = fold(acc);
          total = i == 0 ? partial : total + partial;
        }
        put(m.matrix.round, &total, out + o, 1);
      }
    }
  });
}

}  // namespace tessera::accelerator
