#pragma once

// Operations that go element by element (ops/elementwise.hpp states what they mean).
//
// One loop over vectors serves them all; the last vector is partial. Halves are widened in
// registers and rounded once when stored. Every output may lie in an input's bytes: a vector is
// read before it is written.
// Cost, of the pace of adding two arrays up in a third, from the second-level cache on Zen 4
// (benchmarks/host/bandwidth.cpp): relu, add, multiply and gradients of relu and tanh of f32 0.9 to
// 1.0, of f16 0.6, of bf16 0.4 to 0.5, whose conversions take longer than memory. The others have
// more to compute: a vector of 16 takes, in cycles, exp 10, silu 14, gelu_tanh 19, tanh and sigmoid
// 21, gelu_erf 38. What is divided or multiplied shares two pipes there; several vectors side by
// side gain nothing. Beside PyTorch 1.13 (in brackets, forward, called from Python in a run of its
// own, so a guide and no comparison), with AVX-512, before exponentials took two thirds of the
// time, in ps an element of 16,384, forward and backward (benchmarks/host/activations.cpp):
//   relu 73 106 (138)   silu 336 464 (451)        gelu_erf 790 841 (936)    elu 268 113 (585)
//   exp 281 120 (358)   softplus 613 325 (1507)   gelu_tanh 440 590 (1756)  mish 402 528 (3928)

#include <tessera/backends/activation_formulas.hpp>
#include <tessera/backends/host/epilogue.hpp>
#include <tessera/backends/host/random.hpp>
#include <tessera/backends/host/vector_math.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/elementwise.hpp>  // dropout_words
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// y[i] = f(x[i]), a vector at a time.
template <class X, class Y, class Function>
void map_elements(const call& c, const X* x, Y* y, Function f) {
  using namespace simd;
  const i64 count = elementwise_sizes::of(*c.sizes).count;
  parallel_ranges(c.step->threads, count, [&](i64 i, i64 last) {
    for (; i + lanes <= last; i += lanes) store(y + i, f(load(x + i)));
    if (i < last) {
      const i32 rest = static_cast<i32>(last - i);
      store_partial(y + i, f(load_partial(x + i, rest)), rest);
    }
  });
}

/// y[i] = f(a[i], b[i]), a vector at a time.
template <class T, class Function>
void map_elements(const call& c, Function f) {
  using namespace simd;
  const T* const a = c.input<T>(0);
  const T* const b = c.input<T>(1);
  T* const y = c.output<T>(0);
  const i64 count = elementwise_sizes::of(*c.sizes).count;
  parallel_ranges(c.step->threads, count, [&](i64 i, i64 last) {
    for (; i + lanes <= last; i += lanes) store(y + i, f(load(a + i), load(b + i)));
    if (i < last) {
      const i32 rest = static_cast<i32>(last - i);
      store_partial(y + i, f(load_partial(a + i, rest), load_partial(b + i, rest)), rest);
    }
  });
}

template <class From, class To>
void cast(const call& c) {
  map_elements(c, c.input<From>(0), c.output<To>(0), [](simd::vec x) { return x; });
}

/// An activation and its gradient (backends/activation_formulas.hpp) as functions of vectors. They
/// have short names because kernels' symbols contain them.
template <kind What>
struct value_of {
  formulas::activation_formula<What, vector_math> formula;
  simd::vec operator()(simd::vec x) const { return formula.value(x); }
};
template <kind What>
struct slope_of {
  formulas::activation_formula<What, vector_math> formula;
  simd::vec operator()(simd::vec saved, simd::vec dy) const { return formula.gradient(saved, dy); }
};

template <class T, kind What>
void activation(const call& c) {
  const formulas::activation_formula<What, vector_math> f(c.attr->activation);
  map_elements(c, c.input<T>(0), c.output<T>(0), value_of<What>{f});
}

template <class T, kind What>
void activation_gradient(const call& c) {
  const formulas::activation_formula<What, vector_math> f(c.attr->activation);
  map_elements<T>(c, slope_of<What>{f});
}

template <class T>
void add(const call& c) {
  map_elements<T>(c, [](simd::vec a, simd::vec b) { return a + b; });
}

/// The same, and the activation that follows where one is joined to it.
template <class T, kind What>
void add_then(const call& c) {
  if (c.then == nullptr) return add<T>(c);
  using formula = formulas::activation_formula<What, vector_math>;
  const activation_of_stored<T, What> f{formula(c.then->attr->activation)};
  call both = c;
  both.out = c.then->out;
  map_elements<T>(both, [f](simd::vec a, simd::vec b) { return f(a + b); });
}

template <class T>
void subtract(const call& c) {
  map_elements<T>(c, [](simd::vec a, simd::vec b) { return a - b; });
}

template <class T>
void multiply(const call& c) {
  map_elements<T>(c, [](simd::vec a, simd::vec b) { return a * b; });
}

/// Dropout, and its gradient: x and y may also be dy and dx. Factors are made for 64 elements
/// at a time.
template <class T>
void dropout(const call& c) {
  using namespace simd;
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  const float rate = c.attr->rate;
  const vec kept = set(1 - rate);
  const ops::dropout_words words(c);
  const i64 count = elementwise_sizes::of(*c.sizes).count;
  parallel_ranges(c.step->threads, count, [&](i64 first, i64 last) {
    float u[64];
    for (i64 i = first; i < last; i += 64) {
      const i64 here = last - i < 64 ? last - i : 64;
      fill_uniform(words, i, static_cast<i32>(here), u);
      for (i64 k = 0; k < here; k += lanes) {
        const i32 rest = static_cast<i32>(here - k);
        const mask drop = load(u + k) < set(rate);
        if (rest >= lanes) {
          store(y + i + k, select(drop, zero(), load(x + i + k) / kept));
        } else {
          store_partial(y + i + k, select(drop, zero(), load_partial(x + i + k, rest) / kept),
                        rest);
        }
      }
    }
  });
}

}  // namespace tessera::host
