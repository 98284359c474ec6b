#pragma once

// Makes WAVE files for tests, good ones and bad ones, without the code under test.

#include <tessera/core/types.hpp>

#include <support/idx_files.hpp>  // byte_string, append_little_endian

#include <bit>
#include <string>
#include <vector>

namespace tessera::testing {

inline void append_short(byte_string& to, u32 value) {
  to.push_back(static_cast<u8>(value));
  to.push_back(static_cast<u8>(value >> 8));
}

/// "name", size, body, and a byte of padding where the size is odd.
inline void append_chunk(byte_string& to, const std::string& name, const byte_string& body) {
  to.insert(to.end(), name.begin(), name.end());
  append_little_endian(to, static_cast<u32>(body.size()));
  to.insert(to.end(), body.begin(), body.end());
  if (body.size() % 2 != 0) to.push_back(0);
}

/// The body of a "fmt " chunk of 16 bytes.
inline byte_string wav_format(u32 format, u32 channels, u32 rate, u32 bits) {
  byte_string body;
  append_short(body, format);
  append_short(body, channels);
  append_little_endian(body, rate);
  append_little_endian(body, rate * channels * (bits / 8));
  append_short(body, channels * (bits / 8));
  append_short(body, bits);
  return body;
}

/// The same in the extended form of 40 bytes.
inline byte_string wav_format_extended(u32 format, u32 channels, u32 rate, u32 bits) {
  byte_string body = wav_format(0xfffe, channels, rate, bits);
  append_short(body, 22);
  append_short(body, bits);
  append_little_endian(body, 0);
  append_short(body, format);
  const byte_string rest{0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
  body.insert(body.end(), rest.begin(), rest.end());
  return body;
}

/// "RIFF" around chunks.
inline byte_string wav_bytes(const byte_string& chunks) {
  byte_string bytes{'R', 'I', 'F', 'F'};
  append_little_endian(bytes, static_cast<u32>(chunks.size() + 4));
  for (const char c : std::string("WAVE")) bytes.push_back(static_cast<u8>(c));
  bytes.insert(bytes.end(), chunks.begin(), chunks.end());
  return bytes;
}

inline byte_string wav_bytes(const byte_string& format, const byte_string& data) {
  byte_string chunks;
  append_chunk(chunks, "fmt ", format);
  append_chunk(chunks, "data", data);
  return wav_bytes(chunks);
}

/// One channel of 16 bits.
inline byte_string wav_of(const std::vector<i32>& samples, u32 rate = 8000) {
  byte_string data;
  for (const i32 sample : samples) append_short(data, static_cast<u32>(sample));
  return wav_bytes(wav_format(1, 1, rate, 16), data);
}

}  // namespace tessera::testing
