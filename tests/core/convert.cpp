#include <tessera/core/convert.hpp>

#include <support/catch.hpp>

#include <bit>
#include <vector>

using namespace tessera;

namespace {

// One way of calling what both 16-bit types have.
half narrowed(float x, half) { return to_half(x); }
bfloat16 narrowed(float x, bfloat16) { return to_bfloat16(x); }

struct xorshift {
  u32 state = 521288629u;

  u32 operator()() {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
  }
};

// Floats of all kinds: infinities, NaNs, subnormals and halves' ties among random patterns.
std::vector<float> mixed_floats(i64 n) {
  const u32 special[] = {0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7f800001, 0xffffffff,
                         0x7fc00000, 0x00000001, 0x80400000, 0x477fefff, 0x477ff000, 0x33000000,
                         0x33000001, 0x3f801000, 0x3f808000, 0x3f818000, 0x7f7fffff, 0x387fe000};
  xorshift random;
  std::vector<float> x;
  for (i64 i = 0; i < n; ++i) {
    const u32 draw = random();
    // A third special, a third among the exponents of halves, a third anything.
    u32 bits = random();
    if (draw % 3 == 0) bits = special[(draw >> 8) % std::size(special)];
    if (draw % 3 == 1) bits = (bits & 0x807fffff) | ((98 + (draw >> 8) % 48) << 23);
    x.push_back(std::bit_cast<float>(bits));
  }
  return x;
}

template <class Narrow>
i64 count_narrowing_errors(i64 n, i64 offset) {
  const Narrow guard{0xa5a5};
  const std::vector<float> from = mixed_floats(n + offset);
  std::vector<Narrow> to(static_cast<std::size_t>(n + offset + 16), guard);
  narrow(from.data() + offset, to.data() + offset, n);
  i64 wrong = 0;
  for (i64 i = 0; i < static_cast<i64>(to.size()); ++i) {
    const bool inside = i >= offset && i < offset + n;
    const Narrow expected = inside ? narrowed(from[static_cast<std::size_t>(i)], guard) : guard;
    wrong += to[static_cast<std::size_t>(i)] != expected;
  }
  return wrong;
}

template <class Narrow>
i64 count_widening_errors(i64 n, i64 offset) {
  const u32 guard = 0xa5a5a5a5;
  xorshift random;
  std::vector<Narrow> from;
  for (i64 i = 0; i < n + offset; ++i) from.push_back(Narrow{static_cast<u16>(random() >> 16)});
  std::vector<float> to(static_cast<std::size_t>(n + offset + 16), std::bit_cast<float>(guard));
  widen(from.data() + offset, to.data() + offset, n);
  i64 wrong = 0;
  for (i64 i = 0; i < static_cast<i64>(to.size()); ++i) {
    const bool inside = i >= offset && i < offset + n;
    const u32 expected =
        inside ? std::bit_cast<u32>(to_float(from[static_cast<std::size_t>(i)])) : guard;
    wrong += std::bit_cast<u32>(to[static_cast<std::size_t>(i)]) != expected;
  }
  return wrong;
}

// All 65,536 patterns in one array, against the integer conversions.
template <class Narrow>
std::vector<Narrow> all_patterns() {
  std::vector<Narrow> all;
  for (u32 bits = 0; bits < 0x10000; ++bits) all.push_back(Narrow{static_cast<u16>(bits)});
  return all;
}

}  // namespace

TEST_CASE("arrays of any length and place convert like their elements, and no further", "[core]") {
  i64 wrong = 0;
  for (i64 n = 0; n <= 40; ++n)
    for (i64 offset = 0; offset < 4; ++offset) {
      wrong += count_narrowing_errors<half>(n, offset);
      wrong += count_narrowing_errors<bfloat16>(n, offset);
      wrong += count_widening_errors<half>(n, offset);
      wrong += count_widening_errors<bfloat16>(n, offset);
    }
  CHECK(wrong == 0);
}

TEST_CASE("a long array narrows to the bits of the integer conversions", "[core]") {
  const std::vector<float> from = mixed_floats(300'000);
  const i64 n = static_cast<i64>(from.size());
  std::vector<half> halves(from.size());
  std::vector<bfloat16> bfloats(from.size());
  narrow(from.data(), halves.data(), n);
  narrow(from.data(), bfloats.data(), n);
  i64 wrong_halves = 0;
  i64 wrong_bfloats = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    wrong_halves += halves[i] != portable::to_half(from[i]);
    wrong_bfloats += bfloats[i] != to_bfloat16(from[i]);
  }
  CHECK(wrong_halves == 0);
  CHECK(wrong_bfloats == 0);
}

TEST_CASE("all 65,536 patterns widen to the bits of the integer conversions", "[core]") {
  const std::vector<half> halves = all_patterns<half>();
  const std::vector<bfloat16> bfloats = all_patterns<bfloat16>();
  std::vector<float> from_halves(halves.size());
  std::vector<float> from_bfloats(bfloats.size());
  widen(halves.data(), from_halves.data(), 65536);
  widen(bfloats.data(), from_bfloats.data(), 65536);
  i64 wrong = 0;
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const u32 expected = std::bit_cast<u32>(portable::to_float(halves[i]));
    wrong += std::bit_cast<u32>(from_halves[i]) != expected;
    wrong += std::bit_cast<u32>(from_bfloats[i]) != static_cast<u32>(i) << 16;
  }
  CHECK(wrong == 0);
}
