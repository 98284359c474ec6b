#pragma once

// Operations over axes on the model: what broadcasts, expand, glu, permute.
//
// Every tile works on consecutive elements of the output (of glu's gradient: of dy). What has all
// axes lies there; of an operand that lacks some a tile receives the values that so many elements
// can need at most, of glu's x both halves. permute is all exchange. The meanings stand in
// ops/broadcast.hpp, reduce.hpp, glu.hpp and permute.hpp.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/ops/broadcast.hpp>

namespace tessera::accelerator {

/// Where the values of one operand lie that belong to elements of the whole, one after another.
class operand_walk {
 public:
  operand_walk(const axes_sizes& n, i32 operand, i64 first) : axes_(n.axes) {
    for (i32 axis = axes_ - 1; axis >= 0; --axis) {
      extent_[axis] = n.extent[axis];
      step_[axis] = n.step(operand, axis);
      at_[axis] = first % n.extent[axis];
      first /= n.extent[axis];
      place_ += at_[axis] * step_[axis];
    }
  }

  i64 next() {
    const i64 place = place_;
    for (i32 axis = axes_ - 1; axis >= 0; --axis) {
      place_ += step_[axis];
      if (++at_[axis] < extent_[axis]) break;
      at_[axis] = 0;
      place_ -= extent_[axis] * step_[axis];
    }
    return place;
  }

 private:
  i32 axes_;
  i64 extent_[axes_sizes::max_axes] = {};
  i64 step_[axes_sizes::max_axes] = {};
  i64 at_[axes_sizes::max_axes] = {};
  i64 place_ = 0;
};

/// One lane or all of them: f(a, b, dy).
template <kind What>
lanes broadcast_formula(lanes a, lanes b, lanes dy) {
  if constexpr (What == kind::broadcast_add) return a + b;
  if constexpr (What == kind::broadcast_subtract) return a - b;
  if constexpr (What == kind::broadcast_multiply) return a * b;
  if constexpr (What == kind::divide) return a / b;
  if constexpr (What == kind::maximum) return select((a > b) | (a != a), a, b);
  if constexpr (What == kind::minimum) return select((a < b) | (a != a), a, b);
  if constexpr (What == kind::divide_gradient) return -(dy * a) / (b * b);
  const lanes half_dy = dy * set(0.5f);
  const lanes tie = select(a == b, half_dy, set(0.0f));
  if constexpr (What == kind::maximum_gradient) return select(a > b, dy, tie);
  return select(a < b, dy, tie);
}

template <class T, kind What>
void run_broadcast(const machine& m, const call& c) {
  constexpr bool gradient = ops::is_broadcast_gradient(What);
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const T* const a = c.input<T>(0);
  const T* const b = c.input<T>(1);
  const T* const dy = gradient ? c.input<T>(2) : nullptr;
  T* const y = c.output<T>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float x0[strip] = {};
    alignas(64) float x1[strip] = {};
    alignas(64) float x2[strip] = {};
    operand_walk walk_a(n, 0, first);
    operand_walk walk_b(n, 1, first);
    for (i64 i = first; i < first + count; i += strip) {
      const i64 here = first + count - i < strip ? first + count - i : strip;
      for (i64 j = 0; j < here; ++j) x0[j] = fetch(a[walk_a.next()]);
      for (i64 j = 0; j < here; ++j) x1[j] = fetch(b[walk_b.next()]);
      if (gradient) fetch(dy + i, x2, here);
      for (i64 j = 0; j < here; j += lane_count) {
        store(x0 + j, broadcast_formula<What>(load(x0 + j), load(x1 + j), load(x2 + j)));
      }
      put(storing(m, c), x0, y + i, here);
    }
  });
}

/// expand and reduce_mean_gradient, which divides by the number of elements that share a value.
template <class T>
void run_expand(const machine& m, const call& c) {
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  const bool mean = c.sizes->what == kind::reduce_mean_gradient;
  const float over = mean ? static_cast<float>(n.times(0)) : 1.0f;
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float a[strip] = {};
    operand_walk walk(n, 0, first);
    for (i64 i = first; i < first + count; i += strip) {
      const i64 here = first + count - i < strip ? first + count - i : strip;
      for (i64 j = 0; j < here; ++j) a[j] = fetch(x[walk.next()]) / over;
      put(storing(m, c), a, y + i, here);
    }
  });
}

/// body(place of a in x, element of y, how many): pieces of rows, at most a strip.
template <class Body>
void for_gates(const machine& m, const call& c, const Body& body) {
  const i64 run = gate_sizes::of(*c.sizes).run;
  for_elements(m, c, [&](i64 first, i64 count) {
    for (i64 i = first; i < first + count;) {
      const i64 row = i / run;
      i64 here = (row + 1) * run - i;
      if (here > first + count - i) here = first + count - i;
      if (here > strip) here = strip;
      body(row * run + i, i, here);
      i += here;
    }
  });
}

template <class T>
void run_glu(const machine& m, const call& c) {
  const i64 run = gate_sizes::of(*c.sizes).run;
  const T* const x = c.input<T>(0);
  for_gates(m, c, [&](i64 at, i64 i, i64 n) {
    alignas(64) float a[strip] = {};
    alignas(64) float b[strip] = {};
    fetch(x + at, a, n);
    fetch(x + at + run, b, n);
    for (i64 j = 0; j < n; j += lane_count) store(a + j, load(a + j) * sigmoid(load(b + j)));
    put(storing(m, c), a, c.output<T>(0) + i, n);
  });
}

template <class T>
void run_glu_gradient(const machine& m, const call& c) {
  const i64 run = gate_sizes::of(*c.sizes).run;
  const T* const x = c.input<T>(0);
  T* const dx = c.output<T>(0);
  for_gates(m, c, [&](i64 at, i64 i, i64 n) {
    alignas(64) float a[strip] = {};
    alignas(64) float b[strip] = {};
    alignas(64) float dy[strip] = {};
    fetch(x + at, a, n);
    fetch(x + at + run, b, n);
    fetch(c.input<T>(1) + i, dy, n);
    for (i64 j = 0; j < n; j += lane_count) {
      const lanes s = sigmoid(load(b + j));
      const lanes passed = load(dy + j) * s;
      store(b + j, (passed * load(a + j)) * (set(1.0f) - s));
      store(a + j, passed);
    }
    put(storing(m, c), a, dx + at, n);
    put(storing(m, c), b, dx + at + run, n);
  });
}

/// Elements of any type, in the order of the output.
inline void run_permute(const machine& m, const call& c) {
  const permute_sizes sizes = permute_sizes::of(*c.sizes);
  const i64 bytes = bytes_of(c.sizes->output_type(0));
  for_elements(m, c, [&](i64 first, i64 count) {
    i64 at[permute_sizes::max_axes] = {};
    i64 place = 0;
    i64 rest = first;
    for (i32 axis = sizes.axes - 1; axis >= 0; --axis) {
      at[axis] = rest % sizes.extent[axis];
      rest /= sizes.extent[axis];
      place += at[axis] * sizes.step[axis];
    }
    for (i64 i = first; i < first + count; ++i) {
      std::memcpy(c.out[0] + i * bytes, c.in[0] + place * bytes, static_cast<std::size_t>(bytes));
      for (i32 axis = sizes.axes - 1; axis >= 0; --axis) {
        place += sizes.step[axis];
        if (++at[axis] < sizes.extent[axis]) break;
        at[axis] = 0;
        place -= i64{sizes.extent[axis]} * sizes.step[axis];
      }
    }
  });
}

}  // namespace tessera::accelerator
