#pragma once

// What tensors in files are stored as: more element types than the library computes with, and
// shapes of more extents than it plans with. Both are read, checked and copied; they become an
// `element` and a `shape` only when a program asks for that.

#include <tessera/core/element.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>

#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::io {

/// The element types of safetensors that fill whole bytes and that this library knows by size.
enum class dtype : u8 {
  boolean,
  uint8,
  int8,
  uint16,
  int16,
  f16,
  bf16,
  uint32,
  int32,
  f32,
  uint64,
  int64,
  f64,
};

inline constexpr i32 dtype_count = 13;

namespace detail {

struct dtype_row {
  const char* spelling;
  i32 bytes;
  bool computes;  // whether `as` means anything: the library has kernels for few of them
  element as;
};

// In the order of the enumerators.
inline constexpr dtype_row dtype_table[dtype_count] = {
    {"BOOL", 1, false, {}},
    {"U8", 1, true, element::uint8},
    {"I8", 1, true, element::int8},
    {"U16", 2, false, {}},
    {"I16", 2, false, {}},
    {"F16", 2, true, element::f16},
    {"BF16", 2, true, element::bf16},
    {"U32", 4, false, {}},
    {"I32", 4, true, element::int32},
    {"F32", 4, true, element::f32},
    {"U64", 8, false, {}},
    {"I64", 8, true, element::int64},
    {"F64", 8, true, element::f64},
};

constexpr const dtype_row& row_of(dtype type) { return dtype_table[static_cast<i32>(type)]; }

}  // namespace detail

/// Bytes of one element.
constexpr i32 bytes_of(dtype type) { return detail::row_of(type).bytes; }

/// "F32", "BOOL", ...: as the files spell it.
constexpr const char* name_of(dtype type) { return detail::row_of(type).spelling; }

/// The type that a file spells `spelling`, or nothing.
constexpr std::optional<dtype> dtype_named(std::string_view spelling) {
  for (i32 i = 0; i < dtype_count; ++i) {
    if (spelling == detail::dtype_table[i].spelling) return static_cast<dtype>(i);
  }
  return {};
}

/// The library's element type for `type`, or nothing where it has none.
constexpr std::optional<element> element_of(dtype type) {
  const detail::dtype_row& row = detail::row_of(type);
  if (!row.computes) return {};
  return row.as;
}

/// What an element type is stored as.
constexpr dtype dtype_of(element type) {
  for (i32 i = 0; i < dtype_count; ++i) {
    const detail::dtype_row& row = detail::dtype_table[i];
    if (row.computes && row.as == type) return static_cast<dtype>(i);
  }
  return dtype::uint8;  // not reached: a test walks over all element types
}

/// The extents of a tensor in a file, outermost first. A scalar has rank 0.
struct stored_shape {
  static constexpr i32 max_rank = 8;

  i32 rank = 0;
  i64 extent[max_rank] = {};

  constexpr stored_shape() = default;
  /// Every shape of the library can be stored.
  constexpr stored_shape(const shape& dims) : rank(dims.rank) {  // NOLINT
    for (i32 axis = 0; axis < rank; ++axis) extent[axis] = dims[axis];
  }

  constexpr i64 operator[](i32 axis) const { return extent[axis]; }

  friend constexpr bool operator==(const stored_shape&, const stored_shape&) = default;
};

/// "16x1x3x3"; a scalar is "scalar".
[[gnu::cold]] inline std::string spell(const stored_shape& dims) {
  if (dims.rank == 0) return "scalar";
  std::string text;
  for (i32 axis = 0; axis < dims.rank; ++axis) {
    if (axis > 0) text += 'x';
    text += std::to_string(dims[axis]);
  }
  return text;
}

/// The bytes of a tensor, or nothing where an extent is negative or the product passes 2^63 - 1.
/// Every size of a file goes through here once; all later arithmetic is on sizes known to be small.
constexpr std::optional<i64> checked_bytes(dtype type, const stored_shape& dims) {
  i64 bytes = bytes_of(type);
  for (i32 axis = 0; axis < dims.rank; ++axis) {
    const i64 extent = dims[axis];
    if (extent < 0) return {};
    if (extent != 0 && bytes > std::numeric_limits<i64>::max() / extent) return {};
    bytes *= extent;
  }
  return bytes;
}

/// The shape the library plans with, or nothing where the rank passes 7 or an extent 2^31 - 1.
constexpr std::optional<shape> shape_of(const stored_shape& dims) {
  if (dims.rank > shape::max_rank) return {};
  shape result;
  result.rank = dims.rank;
  for (i32 axis = 0; axis < dims.rank; ++axis) {
    if (dims[axis] > std::numeric_limits<i32>::max()) return {};
    result[axis] = static_cast<i32>(dims[axis]);
  }
  return result;
}

}  // namespace tessera::io
