#pragma once

// Makes IDX and gzip files for tests, good ones and bad ones, without the code under test and
// without zlib: gzip bytes are stored blocks with a checksum worked out bit by bit.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::testing {

using byte_string = std::vector<u8>;

/// Writes the bytes to a new file.
inline void write_bytes(const std::string& path, const byte_string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw error(path + ": cannot be written");
}

inline void append_big_endian(byte_string& to, u32 word) {
  for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<u8>(word >> shift));
}

inline void append_little_endian(byte_string& to, u32 word) {
  for (int shift = 0; shift < 32; shift += 8) to.push_back(static_cast<u8>(word >> shift));
}

/// An IDX file with this magic number and these extents, whatever the data.
inline byte_string idx_bytes(u32 magic, const std::vector<u32>& extents, const byte_string& data) {
  byte_string bytes;
  append_big_endian(bytes, magic);
  for (const u32 extent : extents) append_big_endian(bytes, extent);
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

/// Labels as an IDX file.
inline byte_string idx_labels(const byte_string& labels) {
  return idx_bytes(0x801, {static_cast<u32>(labels.size())}, labels);
}

/// Images as an IDX file, pixel i of image k being (k + i) mod 256.
inline byte_string idx_images(u32 count, u32 height, u32 width) {
  byte_string data;
  for (u32 image = 0; image < count; ++image) {
    for (u32 i = 0; i < height * width; ++i) data.push_back(static_cast<u8>(image + i));
  }
  return idx_bytes(0x803, {count, height, width}, data);
}

/// The bytes as a gzip file of stored (not compressed) blocks, RFC 1951 3.2.4 and RFC 1952.
inline byte_string gzip_stored(const byte_string& data) {
  byte_string bytes{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  std::size_t begin = 0;
  do {
    const std::size_t length = data.size() - begin < 65535 ? data.size() - begin : 65535;
    bytes.push_back(begin + length == data.size());
    bytes.push_back(static_cast<u8>(length));
    bytes.push_back(static_cast<u8>(length >> 8));
    bytes.push_back(static_cast<u8>(~length));
    bytes.push_back(static_cast<u8>(~length >> 8));
    bytes.insert(bytes.end(), data.begin() + static_cast<std::ptrdiff_t>(begin),
                 data.begin() + static_cast<std::ptrdiff_t>(begin + length));
    begin += length;
  } while (begin < data.size());
  u32 checksum = ~u32{0};
  for (const u8 byte : data) {
    checksum ^= byte;
    for (int bit = 0; bit < 8; ++bit) checksum = checksum >> 1 ^ (checksum & 1 ? 0xedb88320 : 0);
  }
  append_little_endian(bytes, ~checksum);
  append_little_endian(bytes, static_cast<u32>(data.size()));
  return bytes;
}

/// The text of the tessera::error that `action` throws; says so where it throws none.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const error& wrong) {
    return wrong.what();
  }
  return "(no error)";
}

}  // namespace tessera::testing
