#pragma once

// Sound at another rate.
//
//   y[n] = sum over m of x[m] h(n from / to - m),   h a low-pass: a sinc under a Hann window
//
// The low-pass lets through what both rates can hold and is 32 of its zero crossings long.
// From 44.1 to 8 kHz the place of output n between inputs repeats after 80 outputs: each of these
// 80 sets of coefficients is computed once, in double, and used for all outputs that share it.
//
// Cost: outputs x 32 max(1, from / to) multiply-adds.
// Source: Smith, Gossett 1984, A Flexible Sampling-Rate Conversion Method.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace tessera::data {

/// The sound of `samples` at rate `from` as it is at rate `to`: ceil(count to / from) samples.
/// Values before the first and after the last are taken as 0. The same rate gives the same samples.
///
/// Errors   a rate not of 1 to 1000000
inline std::vector<float> resample(std::span<const float> samples, i32 from, i32 to) {
  if (from < 1 || to < 1 || from > 1'000'000 || to > 1'000'000) {
    throw error("resample: expected rates of 1 to 1000000, got " + std::to_string(from) + " and " +
                std::to_string(to));
  }
  if (from == to) return {samples.begin(), samples.end()};
  const i64 common = std::gcd(from, to);
  const i64 up = to / common;      // outputs of a period
  const i64 down = from / common;  // inputs of a period
  const i64 inputs = static_cast<i64>(samples.size());
  const i64 outputs = (inputs * up + down - 1) / down;
  // 0.95: the window widens the edge, which has to lie below half the lower rate.
  const double cutoff = 0.95 * std::min(1.0, static_cast<double>(to) / from);
  const double reach = 16 / cutoff;  // in inputs
  const i64 taps = 2 * static_cast<i64>(std::ceil(reach)) + 1;
  std::vector<float> result(static_cast<std::size_t>(outputs));
  std::vector<float> h(static_cast<std::size_t>(taps));
  for (i64 first = 0; first < std::min(up, outputs); ++first) {
    const i64 whole = first * down / up;  // the input at or before output `first`
    const double part = static_cast<double>(first * down % up) / static_cast<double>(up);
    double sum = 0;
    std::vector<double> exact(h.size());
    for (i64 k = 0; k < taps; ++k) {
      const double t = part - static_cast<double>(k - taps / 2);
      if (std::abs(t) >= reach) continue;
      const double angle = std::numbers::pi * cutoff * t;
      const double c = std::cos(std::numbers::pi * t / (2 * reach));
      exact[static_cast<std::size_t>(k)] = (t == 0 ? 1 : std::sin(angle) / angle) * c * c;
      sum += exact[static_cast<std::size_t>(k)];
    }
    for (std::size_t k = 0; k < h.size(); ++k) h[k] = static_cast<float>(exact[k] / sum);
    for (i64 n = first, at = whole; n < outputs; n += up, at += down) {
      const i64 begin = at - taps / 2;
      const i64 low = std::max<i64>(0, -begin);
      const i64 high = std::min(taps, inputs - begin);
      float y = 0;
      for (i64 k = low; k < high; ++k) {
        y += h[static_cast<std::size_t>(k)] * samples[static_cast<std::size_t>(begin + k)];
      }
      result[static_cast<std::size_t>(n)] = y;
    }
  }
  return result;
}

}  // namespace tessera::data
