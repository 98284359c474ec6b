#include <tessera/io/dtype.hpp>

#include <support/catch.hpp>

#include <limits>
#include <string>

using namespace tessera;
using namespace tessera::io;

TEST_CASE("Every element type of the library is stored as one of the same size", "[io]") {
  STATIC_REQUIRE(dtype_of(element::f32) == dtype::f32);
  STATIC_REQUIRE(dtype_of(element::f64) == dtype::f64);
  STATIC_REQUIRE(dtype_of(element::f16) == dtype::f16);
  STATIC_REQUIRE(dtype_of(element::bf16) == dtype::bf16);
  STATIC_REQUIRE(dtype_of(element::uint8) == dtype::uint8);
  STATIC_REQUIRE(dtype_of(element::int8) == dtype::int8);
  STATIC_REQUIRE(dtype_of(element::int32) == dtype::int32);
  STATIC_REQUIRE(dtype_of(element::int64) == dtype::int64);
  i32 computed = 0;
  for (i32 i = 0; i < dtype_count; ++i) {
    const dtype type = static_cast<dtype>(i);
    const auto as = element_of(type);
    if (!as) continue;
    ++computed;
    CHECK(dtype_of(*as) == type);
    CHECK(tessera::bytes_of(*as) == io::bytes_of(type));
  }
  CHECK(computed == 8);
}

TEST_CASE("Types are spelled as the format spells them, and have its sizes", "[io]") {
  const struct {
    const char* spelling;
    i32 bytes;
    dtype type;
  } rows[] = {{"BOOL", 1, dtype::boolean}, {"U8", 1, dtype::uint8},   {"I8", 1, dtype::int8},
              {"U16", 2, dtype::uint16},   {"I16", 2, dtype::int16},  {"F16", 2, dtype::f16},
              {"BF16", 2, dtype::bf16},    {"U32", 4, dtype::uint32}, {"I32", 4, dtype::int32},
              {"F32", 4, dtype::f32},      {"U64", 8, dtype::uint64}, {"I64", 8, dtype::int64},
              {"F64", 8, dtype::f64}};
  for (const auto& row : rows) {
    CHECK(name_of(row.type) == std::string(row.spelling));
    CHECK(io::bytes_of(row.type) == row.bytes);
    CHECK(dtype_named(row.spelling) == row.type);
  }
  CHECK_FALSE(dtype_named("F4"));
  CHECK_FALSE(dtype_named("F3"));
  CHECK_FALSE(dtype_named("F322"));
  CHECK_FALSE(dtype_named(""));
}

TEST_CASE("Sizes that pass 2^63 - 1 are no sizes", "[io]") {
  constexpr i64 most = std::numeric_limits<i64>::max();
  const auto of = [](std::initializer_list<i64> extents) {
    stored_shape dims;
    for (const i64 extent : extents) dims.extent[dims.rank++] = extent;
    return dims;
  };
  STATIC_REQUIRE(checked_bytes(dtype::f32, shape(2, 3)) == 24);
  CHECK(checked_bytes(dtype::f64, {}) == 8);
  CHECK(checked_bytes(dtype::uint8, of({most})) == most);
  CHECK_FALSE(checked_bytes(dtype::f16, of({most})));
  CHECK(checked_bytes(dtype::f16, of({most / 2})) == most - 1);
  CHECK_FALSE(checked_bytes(dtype::f16, of({most / 2 + 1})));
  CHECK(checked_bytes(dtype::uint8, of({i64{1} << 31, i64{1} << 31})) == i64{1} << 62);
  CHECK_FALSE(checked_bytes(dtype::uint8, of({i64{1} << 32, i64{1} << 31})));
  CHECK_FALSE(checked_bytes(dtype::uint8, of({i64{1} << 32, i64{1} << 32})));  // 2^64 wraps to 0
  CHECK(checked_bytes(dtype::f32, of({0, most, most})) == 0);
  CHECK_FALSE(checked_bytes(dtype::f32, of({most, most, 0})));
  CHECK_FALSE(checked_bytes(dtype::f32, of({-1})));
}

TEST_CASE("Stored shapes become the library's where they fit", "[io]") {
  CHECK(shape_of(shape(16, 1, 3, 3)) == shape(16, 1, 3, 3));
  CHECK(shape_of({}) == shape());
  stored_shape dims;
  dims.rank = 7;
  CHECK(shape_of(dims));
  dims.rank = 8;
  CHECK_FALSE(shape_of(dims));
  dims.rank = 1;
  dims.extent[0] = std::numeric_limits<i32>::max();
  CHECK(shape_of(dims));
  ++dims.extent[0];
  CHECK_FALSE(shape_of(dims));
  CHECK(spell(dims) == "2147483648");
  CHECK(spell(stored_shape(shape(16, 1, 3, 3))) == "16x1x3x3");
  CHECK(spell(stored_shape()) == "scalar");
}
