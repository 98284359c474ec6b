#pragma once

// What is left to do with a value in a register before it is stored: the operations after the
// kernel's own that it does as well, because nobody else reads what lies between
// (runtime/join.hpp).
//
//   y = v                    y = activation(v)
//   y = v + other            y = activation(v + other)
//
// Which of them is decided by the call, once for a run of elements. Values between two operations
// are rounded as if they had been stored: the same bits as operation by operation.

#include <tessera/backends/activation_formulas.hpp>
#include <tessera/backends/host/vector_math.hpp>
#include <tessera/ir/call.hpp>

namespace tessera::host {

/// Activation `What` of v as T stores it.
template <class T, kind What>
struct activation_of_stored {
  formulas::activation_formula<What, vector_math> formula;
  simd::vec operator()(simd::vec v) const { return formula.value(simd::rounded<T>(v)); }
};

/// relu's result is v or 0, and rounded when it is stored: not before. What rounds to -0 stays, as
/// there: half the smallest number of T, a tie, is the largest that does.
template <class T>
requires(sizeof(T) == 2) struct activation_of_stored<T, kind::relu> {
  formulas::activation_formula<kind::relu, vector_math> formula;
  simd::vec operator()(simd::vec v) const {
    constexpr float still_zero = stored_as<T> == element::f16 ? 0x1p-25f : 0x1p-134f;
    return simd::select(v < simd::set(-still_zero), simd::zero(), v);
  }
};

/// `After`: the activation that may follow; kind::add: an addition only; none: nothing ever does.
template <class T, kind After>
struct epilogue {
  T* y;                              // of the last operation
  const T* other = nullptr;          // what is added, laid out as y; null: nothing
  const attributes* last = nullptr;  // of the activation; null: there is none

  explicit epilogue(const call& c) : y(c.output<T>(0)) {
    if constexpr (After != kind::none) {
      for (const call* next = c.then; next != nullptr; next = next->then) {
        if (next->sizes->what == kind::add) {
          other = next->input<T>(next->in[0] == c.out[0] ? 1 : 0);
        } else {
          last = next->attr;
        }
        y = next->template output<T>(0);
      }
    }
  }

  /// use(f) or use(f, other): y[i] = f(v) or f(v, other[i]) for all i.
  template <class Use>
  void apply(const Use& use) const {
    using simd::vec;
    const auto sum = [](vec v, vec z) { return simd::rounded<T>(v) + z; };
    if constexpr (After != kind::none && After != kind::add) {
      if (last != nullptr) {
        using formula = formulas::activation_formula<After, vector_math>;
        const activation_of_stored<T, After> activated{formula(last->activation)};
        if (other == nullptr) return use(activated);
        return use([=](vec v, vec z) { return activated(sum(v, z)); }, other);
      }
    }
    if constexpr (After != kind::none) {
      if (other != nullptr) return use(sum, other);
    }
    use([](vec v) { return v; });
  }
};

}  // namespace tessera::host
