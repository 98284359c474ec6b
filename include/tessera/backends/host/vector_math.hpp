#pragma once

// The host's vectors as the formulas that backends share want them (backends/vector_functions.hpp).

#include <tessera/backends/host/math.hpp>

namespace tessera::host {

struct vector_math {
  using vec = simd::vec;

  static vec set(float x) { return simd::set(x); }
  static vec fma(vec a, vec b, vec c) { return simd::fma(a, b, c); }
  static vec select(simd::mask m, vec yes, vec no) { return simd::select(m, yes, no); }
  static simd::mask is_nan(vec x) { return simd::is_nan(x); }
  /// b where either is NaN.
  static vec larger(vec a, vec b) { return simd::larger(a, b); }
  static vec smaller(vec a, vec b) { return simd::smaller(a, b); }
  static vec absolute(vec x) { return simd::absolute(x); }
  static vec power_of_shifted(vec shifted) { return simd::power_of_shifted(shifted); }
  static vec exp(vec x) { return host::exp(x); }
  static vec tanh(vec x) { return host::tanh(x); }
  static vec sigmoid(vec x) { return host::sigmoid(x); }
};

}  // namespace tessera::host
