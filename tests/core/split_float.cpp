#include <tessera/core/split_float.hpp>

#include <support/catch.hpp>
#include <tessera/core/random.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace {

using namespace tessera;

template <class T>
float whole(float x) {
  T top{};
  u16 rest = 0;
  split_float(x, top, rest);
  return join_float(top, rest);
}
template <class T>
T short_of(float x) {
  T top{};
  u16 rest = 0;
  split_float(x, top, rest);
  return top;
}

/// A float half way between two halves or bfloat16, the lower of which is even.
bool ties_down(float x, u32 dropped) {
  const u32 bits = std::bit_cast<u32>(x) & 0x7fffffff;
  const u32 below = bits & ((u32{1} << dropped) - 1);
  return below == u32{1} << (dropped - 1) && (bits >> dropped & 1) == 0;
}

/// Floats of all exponents and both signs, and those around the places where formats change.
template <class Check>
void for_many_floats(const Check& check) {
  for (u32 exponent = 0; exponent < 256; ++exponent) {
    for (const u32 sign : {0u, 1u}) {
      const u32 top = sign << 31 | exponent << 23;
      for (const u32 mantissa : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x2fffu, 0x3000u, 0x7fffu,
                                 0x8000u, 0x8001u, 0x18000u, 0x7fe000u, 0x7ff000u, 0x7fffffu}) {
        check(std::bit_cast<float>(top | mantissa));
      }
    }
  }
  random_stream random(4);
  for (i32 i = 0; i < 200'000; ++i) check(std::bit_cast<float>(random.next_u32()));
}

TEST_CASE("The short part of a split float is its rounding to nearest even", "[core]") {
  i64 wrong = 0;
  for_many_floats([&](float x) {
    if (std::isnan(x)) {
      wrong += is_nan(short_of<half>(x)) && std::isnan(whole<half>(x)) ? 0 : 1;
      wrong +=
          std::isnan(to_float(short_of<bfloat16>(x))) && std::isnan(whole<bfloat16>(x)) ? 0 : 1;
      return;
    }
    wrong += short_of<half>(x) == to_half(x) ? 0 : 1;
    wrong += short_of<bfloat16>(x) == to_bfloat16(x) ? 0 : 1;
  });
  CHECK(wrong == 0);
}

TEST_CASE("A split float is whole again as exactly as is stated", "[core]") {
  i64 wrong = 0;
  for_many_floats([&](float x) {
    if (std::isnan(x)) return;
    const float size = std::abs(x);
    const float h = whole<half>(x);
    if (size >= 65536) {
      wrong += h == std::copysign(std::numeric_limits<float>::infinity(), x) ? 0 : 1;
    } else if (size >= 0x1p-14f) {
      wrong += h == x ? 0 : 1;
    } else {
      wrong += std::abs(h - x) <= 0x1p-40f ? 0 : 1;
      if (size >= 0x1p-17f && std::abs(h - x) != 0) {  // a tie in units of 2^-24
        wrong += std::fmod(size * 0x1p24f, 1.0f) == 0.5f ? 0 : 1;
      }
    }
    const float b = whole<bfloat16>(x);
    if (b != x) {
      const u32 lower = std::bit_cast<u32>(x) - 1;
      wrong += ties_down(x, 16) && std::bit_cast<u32>(b) == lower ? 0 : 1;
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("Arrays are split and joined as single floats are", "[core]") {
  std::vector<float> x;
  for_many_floats([&](float one) { x.push_back(one); });
  const auto check = [&]<class T>(T) {
    const auto n = static_cast<i64>(x.size()) - 1;  // no multiple of anything
    std::vector<T> top(x.size());
    std::vector<u16> rest(x.size());
    std::vector<float> back(x.size());
    split_floats(x.data(), top.data(), rest.data(), n);
    join_floats(top.data(), rest.data(), back.data(), n);
    i64 wrong = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      T one{};
      u16 low = 0;
      split_float(x[i], one, low);
      wrong += one == top[i] && low == rest[i] ? 0 : 1;
      const float whole = join_float(one, low);
      wrong += std::bit_cast<u32>(whole) == std::bit_cast<u32>(back[i]) ? 0 : 1;
    }
    CHECK(wrong == 0);
  };
  check(half{});
  check(bfloat16{});
}

TEST_CASE("Parts that do not belong together still make a number near the short one", "[core]") {
  i64 wrong = 0;
  for (u32 bits = 0; bits < 0x7c00; ++bits) {
    const half top{static_cast<u16>(bits)};
    const float unit =
        bits < 0x400 ? 0x1p-24f : std::ldexp(1.0f, static_cast<i32>(bits >> 10) - 25);
    for (const u32 rest : {0u, 1u, 0x7fffu, 0x8000u, 0xffffu}) {
      const float x = join_float(top, static_cast<u16>(rest));
      wrong += std::abs(x - to_float(top)) <= unit ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

}  // namespace
