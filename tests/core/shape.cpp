#include <tessera/core/shape.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

TEST_CASE("Shapes count their elements", "[core]") {
  STATIC_REQUIRE(shape().rank == 0);
  STATIC_REQUIRE(shape().count() == 1);
  STATIC_REQUIRE(shape(2, 3, 4).count() == 24);
  STATIC_REQUIRE(shape(2, 3, 4)[1] == 3);
  STATIC_REQUIRE(shape(100'000, 100'000).count() == 10'000'000'000);
  STATIC_REQUIRE(shape(4, 0).count() == 0);
}

TEST_CASE("A batch of samples and back", "[core]") {
  STATIC_REQUIRE(shape(3, 8, 8).batch_of(16) == shape(16, 3, 8, 8));
  STATIC_REQUIRE(shape(16, 3, 8, 8).sample() == shape(3, 8, 8));
  STATIC_REQUIRE(shape(16).sample() == shape());
  STATIC_REQUIRE(shape().batch_of(5) == shape(5));
}

TEST_CASE("Shapes of different rank are different", "[core]") {
  STATIC_REQUIRE_FALSE(shape(4) == shape(4, 1));
  STATIC_REQUIRE_FALSE(shape(4, 1) == shape(4, 2));
  STATIC_REQUIRE(shape(2, 3) == shape(2, 3));
}

}  // namespace
