#pragma once

// Reductions over axes on the model (ops/reduce.hpp states what they mean).
//
// A vertex reduces a block of the elements, as they lie in memory, of some outputs, in the order of
// a bias' gradient (reductions.hpp): 16 accumulators take turns and are folded in halves, partial
// results of an output's vertices are joined in the order of their blocks. A mean is divided at the
// end, in f32. The gradient of amax goes by outputs: a vertex has all elements of its own.

#include <tessera/backends/accelerator/broadcast.hpp>

namespace tessera::accelerator {

/// Where elements of the whole lie that belong to one value of operand 0.
class group_walk {
 public:
  explicit group_walk(const axes_sizes& n) {
    i64 step = 1;
    for (i32 axis = n.axes - 1; axis >= 0; --axis) {
      const i32 of = n.has_axis(0, axis) ? 0 : 1;
      extent_[of][axes_[of]] = n.extent[axis];
      step_[of][axes_[of]++] = step;
      step *= n.extent[axis];
    }
  }

  /// Element `e` of those that belong to value `o`.
  i64 at(i64 o, i64 e) const { return part(0, o) + part(1, e); }

 private:
  i64 part(i32 of, i64 i) const {
    i64 place = 0;
    for (i32 k = 0; k < axes_[of]; ++k) {
      place += i % extent_[of][k] * step_[of][k];
      i /= extent_[of][k];
    }
    return place;
  }

  i32 axes_[2] = {};
  i64 extent_[2][axes_sizes::max_axes] = {};
  i64 step_[2][axes_sizes::max_axes] = {};
};

inline float larger_of(float all, float x) { return x > all || x != x ? x : all; }

/// reduce_sum, reduce_mean, reduce_amax.
template <class T, kind What>
void run_reduce(const machine& m, const call& c) {
  constexpr bool largest = What == kind::reduce_amax;
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const group_walk walk(n);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  const float first_value = largest ? -__builtin_inff() : 0.0f;
  const auto join = [](float all, float v) { return largest ? larger_of(all, v) : all + v; };
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.output_blocks(), [&](i64 first, i64 last, recorder& r) {
    for (i64 block = first; block < last; ++block) {
      vertex v;
      for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
      v.place(map, axis_o, static_cast<i32>(block));
      const i32 partials = map.count(axis_b);
      for (i32 i = 0; i < partials; ++i) {
        v.place(map, axis_b, i);
        r.add(v, i + 1 == partials);
      }
      for (i64 o = v.begin[axis_o]; o < v.begin[axis_o] + v.size[axis_o]; ++o) {
        float total = first_value;
        for (i32 i = 0; i < partials; ++i) {
          v.place(map, axis_b, i);
          float acc[16];
          for (float& a : acc) a = first_value;
          for (i64 e = 0; e < v.size[axis_b]; ++e) {
            acc[e % 16] = join(acc[e % 16], fetch(x[walk.at(o, v.begin[axis_b] + e)]));
          }
          for (i32 width = 8; width > 0; width /= 2) {
            for (i32 j = 0; j < width; ++j) acc[j] = join(acc[j], acc[j + width]);
          }
          total = i == 0 ? acc[0] : join(total, acc[0]);
        }
        if (What == kind::reduce_mean) total /= static_cast<float>(n.times(0));
        put(storing(m, c), &total, y + o, 1);
      }
    }
  });
}

/// reduce_amax_gradient: (x, y, dy) -> dx, dy shared by the elements that equal y.
template <class T>
void run_reduce_amax_gradient(const machine& m, const call& c) {
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const group_walk walk(n);
  const T* const x = c.input<T>(0);
  const T* const y = c.input<T>(1);
  const T* const dy = c.input<T>(2);
  T* const dx = c.output<T>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    for (i64 o = first; o < first + count; ++o) {
      const float largest = fetch(y[o]);
      float ties = 0;
      for (i64 e = 0; e < n.times(0); ++e) ties += fetch(x[walk.at(o, e)]) == largest ? 1.0f : 0.0f;
      const float share = fetch(dy[o]) / ties;
      for (i64 e = 0; e < n.times(0); ++e) {
        const i64 at = walk.at(o, e);
        const float passed = fetch(x[at]) == largest ? share : 0.0f;
        put(storing(m, c), &passed, dx + at, 1);
      }
    }
  });
}

}  // namespace tessera::accelerator
