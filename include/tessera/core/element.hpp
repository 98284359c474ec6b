#pragma once

// Element types: what one number of a tensor is stored as.

#include <tessera/core/types.hpp>

namespace tessera {

enum class element : u8 { f32, f64, f16, bf16, uint8, int32, int64, int8, uint16 };

/// True for real numbers: what a precision policy may store in another type.
constexpr bool is_real(element type) { return type <= element::bf16; }

/// Bytes of one element.
constexpr i32 bytes_of(element type) {
  switch (type) {
    case element::f64:
    case element::int64: return 8;
    case element::f32:
    case element::int32: return 4;
    case element::f16:
    case element::bf16:
    case element::uint16: return 2;
    case element::uint8:
    case element::int8: return 1;
  }
  return 0;
}

/// "f32", "f16", ...: as reports and messages spell it.
constexpr const char* name_of(element type) {
  switch (type) {
    case element::f32: return "f32";
    case element::f64: return "f64";
    case element::f16: return "f16";
    case element::bf16: return "bf16";
    case element::uint8: return "u8";
    case element::int32: return "i32";
    case element::int64: return "i64";
    case element::int8: return "i8";
    case element::uint16: return "u16";
  }
  return "?";
}

}  // namespace tessera
