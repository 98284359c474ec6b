#pragma once

// Elementwise operations on the model: every tile works on consecutive elements where they lie.
//
// Arithmetic is f32, with one rounding per stored element. ops/elementwise.hpp has the meanings.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/lanes_math.hpp>
#include <tessera/backends/activation_formulas.hpp>
#include <tessera/ops/elementwise.hpp>  // dropout_words

namespace tessera::accelerator {

/// Elements that are in f32 at a time: a multiple of all vector widths.
inline constexpr i32 strip = 256;

/// Calls `work(first, count)` for the elements of every vertex.
template <class Work>
void for_elements(const machine& m, const call& c, const Work& work) {
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.vertices(), [&](i64 first, i64 last, recorder& r) {
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
    for (i64 i = first; i < last; ++i) {
      v.place(map, axis_b, static_cast<i32>(i));
      r.add(v, true);
    }
    if (first == last) return;
    // The ranges of consecutive tiles join: one loop does what each tile does with its own.
    const i64 begin = map.begin(axis_b, static_cast<i32>(first));
    work(begin, v.begin[axis_b] + v.size[axis_b] - begin);
  });
}

/// Output 0 at [first, first + count) = f(input 0) with `f` on lanes.
template <class T, class F>
void map_elements(const machine& m, const call& c, i64 first, i64 count, const F& f) {
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  alignas(64) float a[strip] = {};
  for (i64 i = first; i < first + count; i += strip) {
    const i64 n = first + count - i < strip ? first + count - i : strip;
    fetch(x + i, a, n);
    for (i64 j = 0; j < n; j += lane_count) store(a + j, f(load(a + j)));
    put(storing(m, c), a, y + i, n);
  }
}

/// Output 0 at [first, first + count) = f(input a, input b) with `f` on lanes.
template <class T, class F>
void map_pairs(const machine& m, const call& c, i32 slot_a, i32 slot_b, i64 first, i64 count,
               const F& f) {
  const T* x0 = c.input<T>(slot_a);
  const T* x1 = c.input<T>(slot_b);
  T* y = c.output<T>(0);
  alignas(64) float a[strip] = {};
  alignas(64) float b[strip] = {};
  for (i64 i = first; i < first + count; i += strip) {
    const i64 n = first + count - i < strip ? first + count - i : strip;
    fetch(x0 + i, a, n);
    fetch(x1 + i, b, n);
    for (i64 j = 0; j < n; j += lane_count) store(a + j, f(load(a + j), load(b + j)));
    put(storing(m, c), a, y + i, n);
  }
}

/// The same for operands of the type that the call says: for codelets of users.
template <class F>
void map_values(const machine& m, const call& c, i64 first, i64 count, const F& f) {
  switch (c.sizes->output_type(0)) {
    case element::f16: return map_elements<half>(m, c, first, count, f);
    case element::bf16: return map_elements<bfloat16>(m, c, first, count, f);
    default: return map_elements<float>(m, c, first, count, f);
  }
}
template <class F>
void map_value_pairs(const machine& m, const call& c, i32 slot_a, i32 slot_b, i64 first, i64 count,
                     const F& f) {
  switch (c.sizes->output_type(0)) {
    case element::f16: return map_pairs<half>(m, c, slot_a, slot_b, first, count, f);
    case element::bf16: return map_pairs<bfloat16>(m, c, slot_a, slot_b, first, count, f);
    default: return map_pairs<float>(m, c, slot_a, slot_b, first, count, f);
  }
}

/// to[i] = f(x[i]) with `f` on lanes.
template <class T, class F>
void run_unary(const machine& m, const call& c, const F& f) {
  for_elements(m, c, [&](i64 first, i64 count) { map_elements<T>(m, c, first, count, f); });
}

/// to[i] = f(a[i], b[i]) with `f` on lanes.
template <class T, class F>
void run_binary(const machine& m, const call& c, const F& f) {
  for_elements(m, c, [&](i64 first, i64 count) { map_pairs<T>(m, c, 0, 1, first, count, f); });
}

/// The activation `What` (backends/activation_formulas.hpp).
template <class T, kind What>
void run_activation(const machine& m, const call& c) {
  const formulas::activation_formula<What, lanes_math> f(c.attr->activation);
  run_unary<T>(m, c, [f](lanes x) { return f.value(x); });
}

/// The gradient of the activation `What`.
template <class T, kind What>
void run_activation_gradient(const machine& m, const call& c) {
  const formulas::activation_formula<What, lanes_math> f(c.attr->activation);
  run_binary<T>(m, c, [f](lanes saved, lanes dy) { return f.gradient(saved, dy); });
}

template <class T>
void run_add(const machine& m, const call& c) {
  run_binary<T>(m, c, [](lanes a, lanes b) { return a + b; });
}

template <class T>
void run_subtract(const machine& m, const call& c) {
  run_binary<T>(m, c, [](lanes a, lanes b) { return a - b; });
}

template <class T>
void run_multiply(const machine& m, const call& c) {
  run_binary<T>(m, c, [](lanes a, lanes b) { return a * b; });
}

/// cast: From to To, one rounding.
template <class From, class To>
void run_cast(const machine& m, const call& c) {
  const From* x = c.input<From>(0);
  To* y = c.output<To>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float a[strip];
    for (i64 i = first; i < first + count; i += strip) {
      const i64 n = first + count - i < strip ? first + count - i : strip;
      fetch(x + i, a, n);
      put(storing(m, c), a, y + i, n);
    }
  });
}

/// dropout, forward and backward: the mask depends on seed, step, salt, trip and element only.
template <class T>
void run_dropout(const machine& m, const call& c) {
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  const float rate = c.attr->rate;
  const float kept = 1.0f - rate;
  const ops::dropout_words random(c);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float a[strip];
    for (i64 i = first; i < first + count; i += strip) {
      const i64 n = first + count - i < strip ? first + count - i : strip;
      fetch(x + i, a, n);
      random_block words;
      for (i64 j = 0; j < n; ++j) {
        const i64 e = i + j;
        if (j == 0 || e % 4 == 0) words = random(e / 4);
        a[j] = uniform(words[static_cast<i32>(e % 4)]) < rate ? 0.0f : a[j] / kept;
      }
      put(storing(m, c), a, y + i, n);
    }
  });
}

}  // namespace tessera::accelerator
