#include <tessera/core/text.hpp>

#include <support/catch.hpp>

#include <limits>

namespace {

using namespace tessera;

TEST_CASE("Texts join words, numbers and shapes while compiling", "[core]") {
  constexpr auto t = spell_all("conv<", 16, ">: got ", shape(16, 5, 5), ", ", i64{-42});
  STATIC_REQUIRE(t == "conv<16>: got 16x5x5, -42");
  STATIC_REQUIRE(t.size == 25);
}

TEST_CASE("Shapes are spelled with x, a scalar in words", "[core]") {
  STATIC_REQUIRE(spell_all(shape(1, 28, 28)) == "1x28x28");
  STATIC_REQUIRE(spell_all(shape(7)) == "7");
  STATIC_REQUIRE(spell_all(shape()) == "scalar");
}

TEST_CASE("Numbers are spelled to their limits", "[core]") {
  STATIC_REQUIRE(spell_all(0) == "0");
  STATIC_REQUIRE(spell_all(std::numeric_limits<i64>::min()) == "-9223372036854775808");
  STATIC_REQUIRE(spell_all(std::numeric_limits<i64>::max()) == "9223372036854775807");
  STATIC_REQUIRE(spell_all(std::numeric_limits<i32>::min()) == "-2147483648");
}

TEST_CASE("What does not fit is cut, and the text still ends", "[core]") {
  constexpr text<4> t("abcdef");
  STATIC_REQUIRE(t == "abcd");
  STATIC_REQUIRE(t.letters[4] == 0);
  STATIC_REQUIRE(spell_all<3>(12345) == "123");
  STATIC_REQUIRE(text<0>("a").empty());
}

TEST_CASE("Texts append texts of other sizes and compare by their letters", "[core]") {
  text<8> a("ab");
  a.append(text<100>("cd")).append('e');
  CHECK(a == "abcde");
  CHECK_FALSE(a == "abcd");
  CHECK(a.view().size() == 5);
  CHECK(text<8>().empty());
}

}  // namespace
