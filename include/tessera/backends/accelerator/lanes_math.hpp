#pragma once

// The model's lanes as the formulas that backends share want them (backends/vector_functions.hpp).

#include <tessera/backends/accelerator/functions.hpp>

namespace tessera::accelerator {

struct lanes_math {
  using vec = lanes;

  static vec set(float x) { return accelerator::set(x); }
  static vec fma(vec a, vec b, vec c) { return accelerator::fma(a, b, c); }
  static vec select(whole_lanes m, vec yes, vec no) { return accelerator::select(m, yes, no); }
  static whole_lanes is_nan(vec x) { return x != x; }
  /// b where either is NaN.
  static vec larger(vec a, vec b) { return select(a > b, a, b); }
  static vec smaller(vec a, vec b) { return select(a < b, a, b); }
  static vec absolute(vec x) { return from_bits(bits_of(x) & 0x7fffffff); }
  /// 2^n for shifted = 1.5 2^23 + n, n from -126 to 127.
  static vec power_of_shifted(vec shifted) {
    return from_bits((bits_of(shifted) - 0x4b400000 + 127) << 23);
  }
  static vec exp(vec x) { return accelerator::exp(x); }
  static vec tanh(vec x) { return accelerator::tanh(x); }
  static vec sigmoid(vec x) { return accelerator::sigmoid(x); }
};

}  // namespace tessera::accelerator
