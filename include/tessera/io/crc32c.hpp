#pragma once

// CRC32C: the 32-bit checksum of the Castagnoli polynomial, reflected (0x82f63b78). It finds every
// error of one, two or three bits in up to 256 MiB, and every burst of up to 32 bits.
//
// Eight bytes at a time through eight tables of 256 entries: about 2 GB/s, so that a checksum costs
// less than reading the file from a disk. The tables are constants of 8 KiB.
// Source: Castagnoli, Braeuer, Herrmann 1993; the eight tables: Kounavis and Berry 2005.

#include <tessera/core/types.hpp>

#include <cstddef>
#include <span>

namespace tessera::io {

namespace detail {

struct crc32c_tables {
  u32 of[8][256] = {};

  constexpr crc32c_tables() {
    for (u32 byte = 0; byte < 256; ++byte) {
      u32 rest = byte;
      for (i32 bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82f63b78u : 0u);
      of[0][byte] = rest;
    }
    // of[k][b]: what byte b still contributes after k zero bytes behind it.
    for (u32 byte = 0; byte < 256; ++byte) {
      for (i32 k = 1; k < 8; ++k) {
        of[k][byte] = (of[k - 1][byte] >> 8) ^ of[0][of[k - 1][byte] & 255];
      }
    }
  }
};

inline constexpr crc32c_tables crc32c_table;

}  // namespace detail

/// The checksum of `bytes`, or, given the checksum `before` of what precedes them, of all together.
constexpr u32 crc32c(std::span<const std::byte> bytes, u32 before = 0) {
  const auto& of = detail::crc32c_table.of;
  u32 sum = ~before;
  std::size_t at = 0;
  const auto byte = [&](std::size_t i) { return static_cast<u32>(bytes[at + i]); };
  for (; bytes.size() - at >= 8; at += 8) {
    sum ^= byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
    sum = of[7][sum & 255] ^ of[6][(sum >> 8) & 255] ^ of[5][(sum >> 16) & 255] ^ of[4][sum >> 24] ^
          of[3][byte(4)] ^ of[2][byte(5)] ^ of[1][byte(6)] ^ of[0][byte(7)];
  }
  for (; at < bytes.size(); ++at) sum = (sum >> 8) ^ of[0][(sum ^ byte(0)) & 255];
  return ~sum;
}

}  // namespace tessera::io
