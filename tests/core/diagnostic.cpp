#include <tessera/core/diagnostic.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

TEST_CASE("A diagnostic reads as one sentence", "[core]") {
  constexpr diagnostic whole{"dense<10>", "a rank-1 input", "1x28x28", "put flatten before it"};
  STATIC_REQUIRE(whole.wrong());
  STATIC_REQUIRE(spell(whole) ==
                 "dense<10>: expected a rank-1 input, got 1x28x28; put flatten before it");
  constexpr diagnostic without_fix{"a", "b", "c", ""};
  STATIC_REQUIRE(spell(without_fix) == "a: expected b, got c");
  constexpr diagnostic without_got{"a", "b", "", "d"};
  STATIC_REQUIRE(spell(without_got) == "a: expected b; d");
  STATIC_REQUIRE_FALSE(diagnostic{}.wrong());
  STATIC_REQUIRE(spell(diagnostic{}).empty());
}

TEST_CASE("A message is cut to its own size for a template argument", "[core]") {
  constexpr text<360> message("two words");
  constexpr auto exact = cut<message.size>(message);
  STATIC_REQUIRE(exact == "two words");
  STATIC_REQUIRE(sizeof(exact.letters) == 10);
  STATIC_REQUIRE_FALSE(network_error<exact>::ok);
  STATIC_REQUIRE(network_error<text<0>{}>::ok);
}

}  // namespace
