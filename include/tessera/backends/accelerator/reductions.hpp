#pragma once

// Sums over samples and positions, one a channel, on the model's vector unit.
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
  for (i32 j = 0; j < 16 && i < n; ++i, ++j) acc[j] += x[i];
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

/// Elements that are in f32 at a time: a multiple of 16, so that accumulators keep their turns.
inline constexpr i64 sum_piece = 1024;

/// One sum for each channel. `make_piece()` gives what reads some elements in their order,
/// `read(place, number, count)`, and adds the first of them to accumulators, `add(count, acc)`.
template <class T, class Make>
void run_channel_sums(const machine& m, const call& c, const bias_order& order, T* out,
                      const Make& make_piece) {
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.output_blocks(), [&](i64 first, i64 last, recorder& r) {
    auto piece = make_piece();
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
          for (i64 done = 0; done < v.size[axis_b]; done += sum_piece) {
            const i64 n = v.size[axis_b] - done < sum_piece ? v.size[axis_b] - done : sum_piece;
            for (i64 j = 0; j < n;) {
              i64 at = 0;
              const i64 length = order.side_by_side(o, v.begin[axis_b] + done + j, n - j, at);
              piece.read(at, j, length);
              j += length;
            }
            piece.add(n, acc);
          }
          const float partial = fold(acc);
          total = i == 0 ? partial : total + partial;
        }
        put_at(storing(m, c), &total, out + o, 1, o);
      }
    }
  });
}

/// Elements of one operand in f32.
template <class T>
struct sum_of_elements {
  const T* x;
  float a[sum_piece];

  void read(i64 from, i64 to, i64 n) { fetch(x + from, a + to, n); }
  void add(i64 n, float* acc) const { add_in_turn(a, n, acc); }
};

/// bias_gradient: (-, dy) -> db.
template <class T>
void run_bias_gradient(const machine& m, const call& c, T* out) {
  const bias_order order{c.sizes->batch_last, bias_sizes::of(*c.sizes)};
  run_channel_sums(m, c, order, out, [&] {
    sum_of_elements<T> piece;
    piece.x = c.input<T>(1);
    return piece;
  });
}

}  // namespace tessera::accelerator
