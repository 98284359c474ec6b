#pragma once

// The time of something short, and the most arithmetic and memory traffic that this machine does.

#include <tessera/backends/host/simd.hpp>

#include <algorithm>
#include <chrono>
#include <vector>

namespace bench {

namespace simd = tessera::host::simd;
using tessera::i32;

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of one run: the lower quartile of 20 rounds of about a millisecond.
template <class Run>
double time_of(const Run& run) {
  run();
  double start = seconds();
  i32 count = 0;
  while (seconds() - start < 1e-3) {
    run();
    ++count;
  }
  double rounds[20];
  for (double& round : rounds) {
    start = seconds();
    for (i32 i = 0; i < count; ++i) run();
    round = (seconds() - start) / count;
  }
  std::sort(std::begin(rounds), std::end(rounds));
  return rounds[5];
}

/// Floating-point operations a second of one thread: 12 independent chains of fused multiply-adds
/// in registers.
inline double peak_flops() {
  float start[12 * simd::lanes];  // chains that differ, or the compiler makes them one
  for (i32 i = 0; i < 12 * simd::lanes; ++i) start[i] = static_cast<float>(i);
  float result[simd::lanes] = {};
  constexpr i32 repeats = 1000;
  const double time = time_of([&] {
    const simd::vec a = simd::set(0.5f);
    simd::vec sum[12];
    TESSERA_UNROLL
    for (i32 k = 0; k < 12; ++k) sum[k] = simd::load(start + k * simd::lanes);
    for (i32 i = 0; i < repeats; ++i) {
      TESSERA_UNROLL
      for (i32 k = 0; k < 12; ++k) sum[k] = simd::fma(sum[k], a, a);
    }
    simd::vec all = sum[0];
    TESSERA_UNROLL
    for (i32 k = 1; k < 12; ++k) all = all + sum[k];
    simd::store(result, all);
    asm volatile("" : : "r"(result), "r"(start) : "memory");
  });
  return 2.0 * 12 * simd::lanes * repeats / time;
}

/// Bytes a second of one thread that adds two arrays up in a third, `bytes` of all three together:
/// what arithmetic at memory's pace reaches at this size.
inline double triad_bandwidth(tessera::i64 bytes) {
  const tessera::i64 count = bytes / 12 / (4 * simd::lanes) * (4 * simd::lanes);
  std::vector<float> a(static_cast<std::size_t>(count), 1.0f);
  std::vector<float> b(a), c(a);
  const double time = time_of([&] {
    const simd::vec by = simd::set(0.5f);
    const float* const from_a = a.data();
    const float* const from_b = b.data();
    float* const to = c.data();
    for (tessera::i64 i = 0; i < count; i += 4 * simd::lanes) {
      TESSERA_UNROLL
      for (i32 k = 0; k < 4 * simd::lanes; k += simd::lanes) {
        const simd::vec x = simd::load(from_a + i + k);
        simd::store(to + i + k, simd::fma(simd::load(from_b + i + k), by, x));
      }
    }
    asm volatile("" : : "r"(to) : "memory");
  });
  return 12.0 * static_cast<double>(count) / time;
}

}  // namespace bench
