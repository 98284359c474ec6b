#pragma once

// One name for Catch2 2.13 (Debian 12) and 3.x: the header, Approx and the string matchers.
//
//            2.13                           3.x
//   header   catch2/catch.hpp               catch2/catch_all.hpp
//   Approx   global                         Catch::Approx
//   texts    Matchers::Contains("a")        Matchers::ContainsSubstring("a")
//
// Tests write TEST_CASE, CHECK, REQUIRE, STATIC_REQUIRE, Approx, and
// CHECK_THAT(text, contains("layer 2")).

#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

namespace tessera::testing {

/// Matcher: the text holds `part`, capitals and all.
inline auto contains(const std::string& part) {
#if __has_include(<catch2/catch_all.hpp>)
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

/// Matcher: the text begins with `part`.
inline auto starts_with(const std::string& part) { return Catch::Matchers::StartsWith(part); }

}  // namespace tessera::testing
