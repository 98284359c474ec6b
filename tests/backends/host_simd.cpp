#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/host/simd_strided.hpp>

#include "host_support.hpp"

// Every operation of the door to SIMD against scalars, lane by lane, with special values.

using namespace tessera;
using namespace tessera::testing;
namespace simd = tessera::host::simd;
using simd::lanes;
using simd::vec;

namespace {

struct lane_values {
  float of[lanes];

  explicit lane_values(vec x) { simd::store(of, x); }
  float operator[](i32 i) const { return of[i]; }
};

/// Numbers of all signs and magnitudes; no two lanes alike.
vec sample(i32 seed, float* copy) {
  for (i32 i = 0; i < lanes; ++i) {
    copy[i] = static_cast<float>((i * 7 + seed * 5) % 23 - 11) * 0.37f + static_cast<float>(i) / 64;
  }
  return simd::load(copy);
}

bool same_bits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<u32>(a) == std::bit_cast<u32>(b);
}

const float specials[] = {0.0f,  -0.0f,      1.0f,      -1.0f, 3.5f,  -2.5f,
                          1e30f, -HUGE_VALF, HUGE_VALF, NAN,   1e-40f};

}  // namespace

namespace {

/// Loads and stores of T, whole and in part, next to memory that is not theirs.
template <class T>
void check_memory() {
  float from[lanes + 1];
  T stored[lanes + 1];
  for (i32 i = 0; i <= lanes; ++i) {
    from[i] = static_cast<float>(i) * 1.25f - 3;  // exact in every type
    simd::store_number(stored + i, from[i]);
  }
  const lane_values whole(simd::load(stored + 1));
  for (i32 i = 0; i < lanes; ++i) CHECK(whole[i] == from[i + 1]);
  for (i32 n = 1; n <= lanes; ++n) {
    const std::unique_ptr<T[]> exact(new T[static_cast<std::size_t>(n)]);
    std::copy(stored, stored + n, exact.get());
    const lane_values part(simd::load_partial(exact.get(), n));
    for (i32 i = 0; i < lanes; ++i) CHECK(part[i] == (i < n ? from[i] : 0));
    T to[lanes];
    for (T& one : to) simd::store_number(&one, 99.0f);
    simd::store_partial(to, simd::load(from), n);
    for (i32 i = 0; i < lanes; ++i) CHECK(simd::as_float(to[i]) == (i < n ? from[i] : 99));
  }
}

/// Stores, whole and in part, and `rounded` give what `expected` does.
template <class T, class Expected>
void check_rounding(float x, Expected expected) {
  CAPTURE(x);
  T to[lanes];
  T part[lanes];
  simd::store(to, simd::set(x));
  simd::store_partial(part, simd::set(x), lanes - 1);
  const lane_values rounded(simd::rounded<T>(simd::set(x)));
  i32 wrong = 0;
  for (i32 i = 0; i < lanes; ++i) {
    wrong += to[i].bits == expected(x).bits ? 0 : 1;
    wrong += i == lanes - 1 || part[i].bits == expected(x).bits ? 0 : 1;
    wrong += same_bits(rounded[i], to_float(expected(x))) ? 0 : 1;
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("vectors load and store every storage type, whole and in part", "[backends][host]") {
  check_memory<float>();
  check_memory<half>();
  check_memory<bfloat16>();
}

TEST_CASE("16-bit types are rounded to nearest even when stored", "[backends][host]") {
  const float tricky[] = {65519,    65520,      1 + 0x1p-11f, 1 + 3 * 0x1p-11f,
                          0x1p-25f, 0x1.8p-25f, -0.0f,        HUGE_VALF};
  for (const float x : tricky) check_rounding<half>(x, portable::to_half);
  // Ties, subnormals, the largest of both signs, NaN with payloads that rounding would carry over.
  const u32 bits[] = {0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x00000001, 0x00008000,
                      0x00008001, 0x80018000, 0x007fffff, 0x00800000, 0x7f7f7fff, 0x7f7f8000,
                      0xff7fffff, 0x7f800000, 0xff800000, 0x7fffffff, 0xffffffff, 0x7f800001,
                      0xffc00000, 0x7fa12345, 0x00000000, 0x80000000};
  for (const u32 b : bits) {
    check_rounding<bfloat16>(std::bit_cast<float>(b), [](float x) { return to_bfloat16(x); });
  }
  u32 word = 1;
  for (i32 i = 0; i < 2000; ++i) {
    word = word * 1664525u + 1013904223u;
    check_rounding<bfloat16>(std::bit_cast<float>(word), [](float x) { return to_bfloat16(x); });
  }
}

TEST_CASE("bytes and integers become floats and come back", "[backends][host]") {
  u8 bytes[lanes];
  i32 integers[lanes];
  for (i32 i = 0; i < lanes; ++i) {
    bytes[i] = static_cast<u8>(255 - 16 * i);
    integers[i] = i % 2 == 0 ? -1000003 * i : 1000003 * i;
  }
  const lane_values a(simd::load_u8(bytes));
  const lane_values b(simd::load_i32(integers));
  u8 bytes_back[lanes];
  i32 integers_back[lanes];
  simd::store_u8(bytes_back, simd::load_u8(bytes));
  simd::store_i32(integers_back, simd::load_i32(integers));
  for (i32 i = 0; i < lanes; ++i) {
    CHECK(a[i] == static_cast<float>(bytes[i]));
    CHECK(b[i] == static_cast<float>(integers[i]));
    CHECK(bytes_back[i] == bytes[i]);
    CHECK(integers_back[i] == integers[i]);
  }
  for (i32 n = 1; n <= lanes; ++n) {
    u8 some[lanes] = {};
    simd::store_u8_partial(some, simd::load_u8(bytes), n);
    for (i32 i = 0; i < lanes; ++i) CHECK(some[i] == (i < n ? bytes[i] : 0));
  }
}

TEST_CASE("arithmetic is that of scalars", "[backends][host]") {
  float a[lanes];
  float b[lanes];
  float c[lanes];
  const vec va = sample(1, a);
  const vec vb = sample(2, b);
  const vec vc = sample(3, c);
  const lane_values add(va + vb), subtract(va - vb), multiply(va * vb), divide(va / vb);
  const lane_values fused(simd::fma(va, vb, vc)), negative(simd::fnma(va, vb, vc));
  const lane_values root(simd::root(simd::absolute(va))), size(simd::absolute(va));
  const lane_values kept(simd::keep(va));
  for (i32 i = 0; i < lanes; ++i) {
    CHECK(add[i] == a[i] + b[i]);
    CHECK(subtract[i] == a[i] - b[i]);
    CHECK(multiply[i] == a[i] * b[i]);
    CHECK(divide[i] == a[i] / b[i]);
    CHECK(root[i] == std::sqrt(std::abs(a[i])));
    CHECK(size[i] == std::abs(a[i]));
    CHECK(kept[i] == a[i]);
#if defined(__FMA__)
    CHECK(fused[i] == std::fma(a[i], b[i], c[i]));
    CHECK(negative[i] == std::fma(-a[i], b[i], c[i]));
#else
    CHECK(fused[i] == Approx(a[i] * b[i] + c[i]).margin(1e-5));
    CHECK(negative[i] == Approx(c[i] - a[i] * b[i]).margin(1e-5));
#endif
  }
}

TEST_CASE("fma rounds once", "[backends][host]") {
#if defined(__FMA__)
  // (1 + 2^-12)^2 - 1 - 2^-11 is 2^-24; a product rounded first loses it.
  const vec x = simd::set(1 + 0x1p-12f);
  CHECK(lane_values(simd::fma(x, x, simd::set(-1 - 0x1p-11f)))[0] == 0x1p-24f);
  CHECK(lane_values(simd::fnma(x, x, simd::set(1 + 0x1p-11f)))[0] == -0x1p-24f);
#endif
}

TEST_CASE("selections keep the second operand where one is NaN", "[backends][host]") {
  for (const float a : specials) {
    for (const float b : specials) {
      CAPTURE(a, b);
      CHECK(same_bits(lane_values(simd::larger(simd::set(a), simd::set(b)))[0], a > b ? a : b));
      CHECK(same_bits(lane_values(simd::smaller(simd::set(a), simd::set(b)))[0], a < b ? a : b));
      CHECK(same_bits(lane_values(simd::copy_sign(simd::set(a), simd::set(b)))[0],
                      std::copysign(a, b)));
      CHECK(same_bits(
          lane_values(simd::select(simd::set(a) < simd::set(b), simd::set(1), simd::set(2)))[0],
          a < b ? 1.0f : 2.0f));
    }
    CHECK(simd::any(simd::is_nan(simd::set(a))) == std::isnan(a));
  }
}

TEST_CASE("rounding and powers of two are exact", "[backends][host]") {
  for (const float x : {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 0.49999997f, 100.3f, -100.7f, 4000000.0f}) {
    CHECK(lane_values(simd::round_nearest(simd::set(x)))[0] == std::nearbyint(x));
  }
  for (i32 n = -126; n <= 127; ++n) {
    const float power = std::ldexp(1.0f, n);
    const float number = static_cast<float>(n);
    CHECK(lane_values(simd::power_of_two(simd::set(number)))[lanes - 1] == power);
    CHECK(lane_values(simd::power_of_shifted(simd::set(simd::whole_number_shift + number)))[0] ==
          power);
  }
}

TEST_CASE("lanes are summed and compared across", "[backends][host]") {
  float a[lanes];
  const vec va = sample(4, a);
  double total = 0;
  float largest = a[0];
  for (const float x : a) {
    total += static_cast<double>(x);
    largest = std::max(largest, x);
  }
  CHECK(simd::sum(va) == Approx(total).margin(1e-5));
  CHECK(simd::largest_lane(va) == largest);
  vec eight[8];
  double wanted[8] = {};
  for (i32 k = 0; k < 8; ++k) {
    eight[k] = sample(k, a);
    for (const float x : a) wanted[k] += static_cast<double>(x);
  }
  float sums[8];
  simd::sums(eight, sums);
  for (i32 k = 0; k < 8; ++k) {
    CHECK(sums[k] == Approx(wanted[k]).margin(1e-5));
    CHECK(sums[k] == simd::sum(eight[k]));  // the same bits
  }
}

TEST_CASE("a block of 8 x 8 is transposed", "[backends][host]") {
  float from[8 * 9];
  half halves[8 * 9];
  bfloat16 bfloat16s[8 * 9];
  for (i32 i = 0; i < 72; ++i) {
    from[i] = static_cast<float>(i);
    halves[i] = to_half(from[i]);
    bfloat16s[i] = to_bfloat16(from[i]);
  }
  float to[8 * 11];
  float to_from_halves[8 * 11];
  float to_from_bfloat16s[8 * 11];
  simd::transpose_8x8(from, 9, to, 11);
  simd::transpose_8x8(halves, 9, to_from_halves, 11);
  simd::transpose_8x8(bfloat16s, 9, to_from_bfloat16s, 11);
  for (i32 i = 0; i < 8; ++i) {
    for (i32 j = 0; j < 8; ++j) {
      CHECK(to[j * 11 + i] == from[i * 9 + j]);
      CHECK(to_from_halves[j * 11 + i] == from[i * 9 + j]);
      CHECK(to_from_bfloat16s[j * 11 + i] == from[i * 9 + j]);
    }
  }
}

TEST_CASE("pairs of bfloat16 are multiplied and added", "[backends][host]") {
  bfloat16 a[2 * lanes];
  bfloat16 b[2 * lanes];
  for (i32 i = 0; i < 2 * lanes; ++i) {
    a[i] = to_bfloat16(static_cast<float>(i % 7 - 3) * 0.375f);
    b[i] = to_bfloat16(static_cast<float>(i % 5 - 2) * 1.5f);
  }
  float start[lanes];
  const vec sum = sample(3, start);
  const vec x = simd::load_pairs(a, a + lanes);
  const vec y = simd::load_pairs(b, b + lanes);
  const lane_values dots(simd::dot_pairs(sum, x, y));
  for (i32 i = 0; i < lanes; ++i) {
    const float odd = std::fma(to_float(a[lanes + i]), to_float(b[lanes + i]), start[i]);
    CHECK(dots[i] == Approx(std::fma(to_float(a[i]), to_float(b[i]), odd)).epsilon(0x1p-22));
  }
}

TEST_CASE("pairs are packed from every stride", "[backends][host]") {
  constexpr i32 most = 37;
  bfloat16 from[most * most];
  for (i32 i = 0; i < most * most; ++i) from[i] = bfloat16{static_cast<u16>(i + 1)};
  float to[(most + 1) / 2 * 48];
  for (const i32 terms : {1, 2, 15, 16, 33}) {
    for (const i32 columns : {1, 7, 16, 31}) {
      struct step_case {
        i64 term, column;
      };
      for (const step_case s : {step_case{most, 1}, step_case{1, most}, step_case{most, 2}}) {
        if ((terms - 1) * s.term + (columns - 1) * s.column >= most * most) continue;
        std::fill(std::begin(to), std::end(to), 1.0f);
        const i32 filled = columns + 3;
        host::pack_pairs(from, terms, s.term, columns, s.column, to, 48, filled);
        i32 wrong = 0;
        for (i32 k = 0; k < terms; k += 2) {
          for (i32 i = 0; i < filled; ++i) {
            const auto at = [&](i32 term) {
              return term < terms && i < columns ? from[term * s.term + i * s.column] : bfloat16{};
            };
            wrong += same_bits(to[k / 2 * 48 + i], host::pair_of(at(k), at(k + 1))) ? 0 : 1;
          }
        }
        CAPTURE(terms, columns, s.term, s.column);
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("loads with a step touch nothing behind the last number", "[backends][host]") {
  const auto check = [](auto type) {
    using T = decltype(type);
    for (i32 n = 1; n <= lanes; ++n) {
      for (const i32 step : {1, 2, 3, 5}) {
        // Exactly what is asked for, so that a sanitizer sees more.
        std::vector<T> from(static_cast<std::size_t>((n - 1) * step + 1));
        for (std::size_t i = 0; i < from.size(); ++i) {
          simd::store_number(&from[i], static_cast<float>(i) - 3);  // exact in every type
        }
        const T* const p = from.data();
        const lane_values x(step == 1   ? simd::load_apart<1>(p, 1, n)
                            : step == 2 ? simd::load_apart<2>(p, 2, n)
                                        : simd::load_apart<0>(p, step, n));
        CAPTURE(n, step);
        for (i32 i = 0; i < n; ++i) CHECK(x[i] == static_cast<float>(i * step) - 3);
        for (i32 i = n; i < lanes; ++i) CHECK(x[i] == 0);
      }
      std::vector<T> pairs(static_cast<std::size_t>(2 * n));
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        simd::store_number(&pairs[i], static_cast<float>(i) - 3);
      }
      vec first, second;
      simd::load_pairs(pairs.data(), n, first, second);
      const lane_values even(first), odd(second);
      for (i32 i = 0; i < n; ++i) {
        CHECK(even[i] == static_cast<float>(2 * i) - 3);
        CHECK(odd[i] == static_cast<float>(2 * i) - 2);
      }
    }
  };
  check(float{});
  check(half{});
  check(bfloat16{});
}

TEST_CASE("lanes with a step are read and written alone", "[backends][host]") {
  const auto check = []<class T>(T) {
    for (i32 first = 0; first <= lanes; ++first) {
      for (i32 last = first; last <= lanes; ++last) {
        // Memory of exactly what may be read: lane `first` comes first.
        std::vector<T> near(static_cast<std::size_t>(last - first));
        std::vector<T> far(last > first ? 2 * near.size() - 1 : 0);
        for (std::size_t i = 0; i < near.size(); ++i) {
          simd::store_number(&near[i], static_cast<float>(i) + 1);
          simd::store_number(&far[2 * i], static_cast<float>(i) + 1);
        }
        const simd::lane_range range(first, last);
        const lane_values one(range.load(near.data() - first));
        const lane_values two(range.load_every_second(far.data() - 2 * first));
        for (i32 i = 0; i < lanes; ++i) {
          const bool inside = i >= first && i < last;
          CHECK(one[i] == (inside ? static_cast<float>(i - first) + 1 : 0));
          CHECK(two[i] == (inside ? static_cast<float>(i - first) + 1 : 0));
        }
      }
    }
    float numbers[lanes];
    const vec x = sample(4, numbers);
    for (i32 n = 1; n <= lanes; ++n) {
      for (const i32 step : {1, 2, 3}) {
        std::vector<T> to(static_cast<std::size_t>((n - 1) * step + 1));
        for (T& one : to) simd::store_number(&one, 7);
        simd::store_apart(to.data(), step, x, n);
        for (i32 i = 0; i < static_cast<i32>(to.size()); ++i) {
          T wanted;
          simd::store_number(&wanted, i % step == 0 ? numbers[i / step] : 7);
          CHECK(simd::as_float(to[static_cast<std::size_t>(i)]) == simd::as_float(wanted));
        }
      }
    }
  };
  check(float{});
  check(half{});
  check(bfloat16{});
}
