#include <tessera/runtime/poison.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <bit>
#include <cmath>

namespace {

using namespace tessera;
using namespace tessera::testing;

using values = std::vector<double>;

/// x -> a -> b -> c, each in bytes of its own; c is kept.
struct three_steps {
  graph g;
  i32 x = add_tensor(g, shape(1, 5));
  i32 a = ops::unary(g, kind::tanh, x, {"a", 1, ""});
  i32 b = ops::unary(g, kind::tanh, a, {"b", 1, ""});
  i32 c = ops::unary(g, kind::tanh, b, {"c", 1, ""});

  three_steps() { keep(g, c); }
};

TEST_CASE("bytes are poisoned as soon as nobody needs them", "[runtime]") {
  const three_steps s;
  interpreter net(s.g, reference::find_kernel, {.in_place = false, .poison = true});
  net.write(s.x, values{1, 2, 3, 4, 5});
  const auto is_dead = [&](i32 id) {
    bool all = true;
    for (const double v : net.read(id)) all = all && std::isnan(v);
    return all;
  };
  net.run(0, 1, {.valid = 1});
  CHECK_FALSE(is_dead(s.a));
  CHECK(is_dead(s.b));  // nobody has written it yet
  net.run(1, 2, {.valid = 1});
  CHECK(is_dead(s.a));
  CHECK_FALSE(is_dead(s.b));
  net.run(2, 3, {.valid = 1});
  CHECK(is_dead(s.b));
  CHECK_FALSE(is_dead(s.c));
}

/// A kernel that reads five numbers more than it should.
void too_greedy(const call& c) {
  for (i64 i = 0; i < 5; ++i) c.output<float>(0)[i] = c.input<float>(0)[i] + c.input<float>(0)[16];
}
kernel find_greedy(const signature&) { return &too_greedy; }

TEST_CASE("a kernel that reads what is dead shows in the results", "[runtime]") {
  const three_steps s;
  for (const bool poison : {false, true}) {
    interpreter net(s.g, find_greedy, {.in_place = false, .poison = poison});
    net.write(s.x, values{1, 2, 3, 4, 5});
    net.run({.valid = 1});
    CHECK(std::isnan(net.read(s.c)[0]) == poison);
  }
}

TEST_CASE("poison is a signalling NaN in every type that has one", "[runtime]") {
  alignas(8) std::byte bytes[24];
  fill_with_poison(bytes, 24, element::f32);
  for (i64 i = 0; i < 6; ++i) {
    CHECK(std::isnan(read_element(bytes, element::f32, i)));
    u32 bits = 0;
    std::memcpy(&bits, bytes + 4 * i, 4);
    CHECK((bits & 0x400000) == 0);  // not quiet
  }
  for (i64 i = 0; i < 12; ++i) CHECK(std::isnan(read_element(bytes, element::f16, i)));
  fill_with_poison(bytes, 24, element::f64);
  for (i64 i = 0; i < 3; ++i) CHECK(std::isnan(read_element(bytes, element::f64, i)));
  bytes[20] = std::byte{1};
  fill_with_poison(bytes, 20, element::f32);
  CHECK(bytes[20] == std::byte{1});
}

}  // namespace
