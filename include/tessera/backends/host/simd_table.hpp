#pragma once

// Tables in registers: every lane looks up an entry of its own.
//
// With AVX-512 one instruction reads 16 entries out of a register (5 cycles, one a cycle on Zen 4);
// elsewhere the same is done lane by lane, and `tables_are_registers` tells
// kernels to prefer arithmetic.

#include <tessera/backends/host/simd_vector.hpp>

namespace tessera::host::simd {

#if defined(TESSERA_SIMD_AVX512)
inline constexpr bool tables_are_registers = true;
using entry_numbers = __m512i;
#else
inline constexpr bool tables_are_registers = false;
struct entry_numbers {
  u32 of[lanes];
};
#endif

/// The bits of each float, moved right by `Shift`.
template <i32 Shift>
inline entry_numbers bits_from(vec x) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_srli_epi32(0xffff, _mm512_castps_si512(x), Shift);
#else
  float all[lanes];
  store(all, x);
  entry_numbers n;
  for (i32 i = 0; i < lanes; ++i) n.of[i] = std::bit_cast<u32>(all[i]) >> Shift;
  return n;
#endif
}

/// table[n mod 16]; 16 entries at a multiple of 64 bytes.
inline vec look_up_16(const float* table, entry_numbers n) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_permutexvar_ps(0xffff, n, _mm512_load_ps(table));
#else
  float all[lanes];
  for (i32 i = 0; i < lanes; ++i) all[i] = table[n.of[i] % 16];
  return load(all);
#endif
}

/// table[n mod 16] for shifted = whole_number_shift + n; 16 entries at a multiple of 64 bytes.
inline vec look_up_16(const float* table, vec shifted) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_permutexvar_ps(0xffff, _mm512_castps_si512(shifted), _mm512_load_ps(table));
#else
  float all[lanes];
  store(all, shifted);
  for (float& one : all) one = table[std::bit_cast<u32>(one) % 16];
  return load(all);
#endif
}

/// roots[n mod 16] times 2 to the power of n / 16, rounded down, for shifted = whole_number_shift +
/// n: with roots of 2^(k / 16), 2^(n / 16). 16 entries at a multiple of 64 bytes.
inline vec power_of_sixteenths(const float* roots, vec shifted) {
#if defined(TESSERA_SIMD_AVX512)
  const __m512i bits = _mm512_castps_si512(shifted);
  const __m512i root =
      _mm512_castps_si512(_mm512_maskz_permutexvar_ps(0xffff, bits, _mm512_load_ps(roots)));
  const __m512i whole = _mm512_and_si512(bits, _mm512_set1_epi32(-16));
  return _mm512_castsi512_ps(_mm512_add_epi32(root, _mm512_maskz_slli_epi32(0xffff, whole, 19)));
#else
  float all[lanes];
  store(all, shifted);
  for (float& one : all) {
    const u32 bits = std::bit_cast<u32>(one);
    one = std::bit_cast<float>(std::bit_cast<u32>(roots[bits % 16]) + ((bits & ~15u) << 19));
  }
  return load(all);
#endif
}

/// Lane i of the result is lane (i + By) mod lanes.
template <i32 By>
inline vec rotate_lanes(vec x) {
  constexpr i32 by = By % lanes;
  if constexpr (by == 0) return x;
#if defined(TESSERA_SIMD_AVX512)
  const __m512i bits = _mm512_castps_si512(x);
  return _mm512_castsi512_ps(_mm512_maskz_alignr_epi32(0xffff, bits, bits, by));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i from = _mm256_and_si256(
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(by)),
      _mm256_set1_epi32(7));
  return _mm256_permutevar8x32_ps(x, from);
#else
  float all[lanes];
  float turned[lanes];
  store(all, x);
  for (i32 i = 0; i < lanes; ++i) turned[i] = all[(i + by) % lanes];
  return load(turned);
#endif
}

}  // namespace tessera::host::simd
