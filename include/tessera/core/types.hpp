#pragma once

// Short names for the integers of fixed width that the whole library counts with.

#include <cstddef>
#include <cstdint>

namespace tessera {

using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

inline namespace literals {

/// Byte sizes as people write them: 3_MiB, 64_KiB.
constexpr i64 operator""_KiB(unsigned long long n) { return static_cast<i64>(n) << 10; }
constexpr i64 operator""_MiB(unsigned long long n) { return static_cast<i64>(n) << 20; }

}  // namespace literals
}  // namespace tessera
