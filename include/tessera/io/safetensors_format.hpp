#pragma once

// What reading and writing safetensors share: a tensor as a file holds it, the checksum of a file.

#include <tessera/core/element.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/io/crc32c.hpp>
#include <tessera/io/dtype.hpp>
#include <tessera/io/header_reader.hpp>  // in_quotes
#include <tessera/io/message.hpp>

#include <bit>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace tessera::io {

static_assert(std::endian::native == std::endian::little,
              "safetensors holds little-endian numbers");

/// A tensor to be written: a name, and the bytes of its elements in row-major order.
struct named_tensor {
  std::string name;
  element type = element::f32;
  shape dims;
  std::span<const std::byte> bytes;
};

/// A tensor as a file holds it, of any type and rank the format has. Can be written as well.
struct stored_tensor {
  std::string name;
  dtype type = dtype::f32;
  stored_shape dims;
  std::span<const std::byte> bytes;

  stored_tensor() = default;
  stored_tensor(std::string name_of, dtype type_of, const stored_shape& dims_of,
                std::span<const std::byte> bytes_of)
      : name(std::move(name_of)), type(type_of), dims(dims_of), bytes(bytes_of) {}
  stored_tensor(const named_tensor& tensor)  // NOLINT: every named tensor can be stored
      : name(tensor.name), type(dtype_of(tensor.type)), dims(tensor.dims), bytes(tensor.bytes) {}

  /// Its shape, as the library computes with it.
  /// Errors   "safetensors: "x" has shape ..., which has more than 7 extents or one above 2^31 - 1"
  [[gnu::cold]] shape dimensions() const {
    const std::optional<shape> result = shape_of(dims);
    if (result) return *result;
    refuse({"safetensors: ", in_quotes(name), " has shape ", spell(dims),
            ", which has more than 7 extents or one above 2147483647"});
  }

  /// Its elements in place. `T` has the element's size, and its kind if it is one of C++'s own
  /// numbers: float for F32, std::int8_t for I8, std::uint8_t for U8 and BOOL; any two-byte type
  /// that is no integer for F16 and BF16.
  /// Errors   "safetensors: "x" holds F16 elements, they were asked for as 4-byte numbers"
  template <class T>
  std::span<const T> as() const {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);
    if (!holds<T>()) {
      refuse({"safetensors: ", in_quotes(name), " holds ", name_of(type),
              " elements, they were asked for as another type of ", sizeof(T), " bytes"});
    }
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }

 private:
  template <class T>
  bool holds() const {
    if (static_cast<i32>(sizeof(T)) != io::bytes_of(type)) return false;
    const bool is_float = type == dtype::f32 || type == dtype::f64;
    const bool is_short_float = type == dtype::f16 || type == dtype::bf16;
    const bool is_signed =
        type == dtype::int8 || type == dtype::int16 || type == dtype::int32 || type == dtype::int64;
    if constexpr (std::is_floating_point_v<T>) return is_float;
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) return is_signed;
    if constexpr (std::is_integral_v<T>) return !is_float && !is_short_float && !is_signed;
    return is_short_float || sizeof(T) != 2;
  }
};

namespace detail {

[[gnu::cold]] inline std::string hexadecimal(u32 number) {
  std::string text;
  for (i32 shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[number >> shift & 15];
  return text;
}

/// The checksum of a file up to its data: `header` with the checksum's digits, if any, as zeros.
[[gnu::cold]] inline u32 header_checksum(std::string header, std::size_t digits_at) {
  if (digits_at != std::string::npos) header.replace(digits_at, 8, "00000000");
  const u64 length = header.size();
  return crc32c(std::as_bytes(std::span(header)), crc32c(std::as_bytes(std::span(&length, 1))));
}

inline i64 round_up_to_8(i64 bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace detail

}  // namespace tessera::io
