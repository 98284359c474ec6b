#pragma once

// Sound files: RIFF WAVE with PCM of 8, 16, 24 or 32 bits or with f32, one channel or two.
//
//   "RIFF"  size  "WAVE"    chunk chunk ...       size: all that follows it
//   chunk   = name (4 bytes)  size (u32 LE)  that many bytes  and one more where the size is odd
//   "fmt "  = format  channels  rate  bytes a second  bytes a frame  bits  [extension]
//   "data"  = frames, each a sample of every channel, little-endian
//
// Chunks may come in any order; unknown ones are passed over. A file is believed in nothing: every
// size is held against the bytes that there are, chunks must cover the file exactly, the fields of
// the format must agree with each other, and samples must be finite.
//
//   bits   8 (0 to 255)     16          24           32             f32
//   value  (b - 128) / 128  v / 2^15    v / 2^23     v / 2^31       v
//
// Source: Microsoft, IBM 1991, Multimedia Programming Interface and Data Specifications 1.0;
// extensible format: Microsoft, Multiple Channel Audio Data and WAVE Files.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/gzip.hpp>  // byte_file

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace tessera::data {

/// Sound in memory: values of -1 to 1, frame by frame, channels side by side.
struct audio {
  i32 rate = 0;  // frames a second
  i32 channels = 1;
  std::vector<float> samples;

  i64 frames() const { return static_cast<i64>(samples.size()) / channels; }
};

/// Most bytes that a sound file may have.
constexpr i64 wav_limit_bytes = i64{1} << 30;

namespace detail {

/// Reads a WAVE file that lies in memory whole.
class wav_reader {
 public:
  wav_reader(std::span<const u8> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  audio read() {
    read_envelope();
    read_chunks();
    if (!has_format_) fail("has no \"fmt \" chunk");
    if (!has_data_) fail("has no \"data\" chunk");
    return decode();
  }

 private:
  static constexpr u32 pcm = 1;
  static constexpr u32 ieee_float = 3;
  static constexpr u32 extensible = 0xfffe;

  [[noreturn]] void fail(const std::string& what) const { throw error(name_ + ": " + what); }

  u32 u16_at(std::size_t at) const {
    return static_cast<u32>(bytes_[at]) | static_cast<u32>(bytes_[at + 1]) << 8;
  }
  u32 u32_at(std::size_t at) const { return u16_at(at) | u16_at(at + 2) << 16; }

  /// Four letters, those that cannot be printed as dots.
  std::string name_at(std::size_t at) const {
    std::string text = "\"";
    for (std::size_t i = at; i < at + 4; ++i) {
      text += bytes_[i] >= 32 && bytes_[i] < 127 ? static_cast<char>(bytes_[i]) : '.';
    }
    return text + "\"";
  }
  bool is(std::size_t at, const char* letters) const {
    return std::memcmp(bytes_.data() + at, letters, 4) == 0;
  }

  void read_envelope() {
    if (bytes_.empty()) fail("is empty, expected a WAVE file");
    if (bytes_.size() >= 4 && !is(0, "RIFF")) {
      fail("starts with " + name_at(0) + ", expected \"RIFF\"");
    }
    if (bytes_.size() < 12) {
      fail("ends within its header, expected 12 bytes, found " + std::to_string(bytes_.size()) +
           "; the file is truncated");
    }
    if (!is(8, "WAVE")) fail("is a RIFF file of " + name_at(8) + ", expected \"WAVE\"");
    const u64 stated = u64{8} + u32_at(4);
    if (stated > bytes_.size()) {
      fail("header states " + std::to_string(stated) + " bytes, found " +
           std::to_string(bytes_.size()) + "; the file is truncated");
    }
    // A byte after an odd size is padding.
    if (bytes_.size() > stated + stated % 2) {
      fail("header states " + std::to_string(stated) + " bytes, found " +
           std::to_string(bytes_.size()));
    }
    end_ = static_cast<std::size_t>(stated);
    if (end_ < 12) fail("header states " + std::to_string(stated) + " bytes, expected at least 12");
  }

  void read_chunks() {
    for (std::size_t at = 12; at < end_;) {
      if (end_ - at < 8) fail("ends within the header of a chunk");
      const std::size_t size = u32_at(at + 4);
      const std::size_t body = at + 8;
      if (size > end_ - body) {
        fail("chunk " + name_at(at) + " states " + std::to_string(size) + " bytes, found " +
             std::to_string(end_ - body) + "; the file is truncated");
      }
      if (is(at, "fmt ")) {
        if (has_format_) fail("has two \"fmt \" chunks");
        has_format_ = true;
        read_format(body, size);
      } else if (is(at, "data")) {
        if (has_data_) fail("has two \"data\" chunks");
        has_data_ = true;
        data_ = bytes_.subspan(body, size);
      }
      at = body + size;
      if (size % 2 != 0 && at < end_) ++at;
    }
  }

  void read_format(std::size_t at, std::size_t size) {
    if (size < 16) {
      fail("chunk \"fmt \" has " + std::to_string(size) + " bytes, expected at least 16");
    }
    u32 format = u16_at(at);
    channels_ = u16_at(at + 2);
    rate_ = u32_at(at + 4);
    const u32 bytes_a_second = u32_at(at + 8);
    const u32 bytes_a_frame = u16_at(at + 12);
    bits_ = u16_at(at + 14);
    if (format == extensible) {
      // size of the extension, valid bits, places of channels, then a number of 16 bytes that
      // begins with the format
      constexpr u8 rest[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
      if (size < 40 || u16_at(at + 16) < 22 ||
          std::memcmp(bytes_.data() + at + 26, rest, sizeof(rest)) != 0) {
        fail("has an extended format that is not known");
      }
      format = u16_at(at + 24);
    }
    float_ = format == ieee_float;
    if (format != pcm && !float_) {
      fail("has samples of format " + std::to_string(format) + ", expected 1 (PCM) or 3 (float)");
    }
    const bool known =
        float_ ? bits_ == 32 : bits_ == 8 || bits_ == 16 || bits_ == 24 || bits_ == 32;
    if (!known) {
      fail("has samples of " + std::to_string(bits_) + " bits, expected " +
           (float_ ? "32 for floats" : "8, 16, 24 or 32"));
    }
    if (channels_ < 1 || channels_ > 2) {
      fail("has " + std::to_string(channels_) + " channels, expected 1 or 2");
    }
    if (rate_ < 1 || rate_ > 1'000'000) {
      fail("has " + std::to_string(rate_) + " frames a second, expected 1 to 1000000");
    }
    if (bytes_a_frame != channels_ * bits_ / 8 || bytes_a_second != rate_ * bytes_a_frame) {
      fail("states " + std::to_string(bytes_a_frame) + " bytes a frame and " +
           std::to_string(bytes_a_second) + " a second, expected " +
           std::to_string(channels_ * bits_ / 8) + " and " +
           std::to_string(rate_ * channels_ * bits_ / 8));
    }
  }

  audio decode() const {
    const std::size_t width = bits_ / 8;
    if (data_.size() % (width * channels_) != 0) {
      fail("chunk \"data\" has " + std::to_string(data_.size()) +
           " bytes, expected a multiple of " + std::to_string(width * channels_));
    }
    audio result{static_cast<i32>(rate_), static_cast<i32>(channels_), {}};
    result.samples.resize(data_.size() / width);
    for (std::size_t i = 0; i < result.samples.size(); ++i) {
      const float value = sample(data_.data() + i * width);
      if (!std::isfinite(value)) fail("sample " + std::to_string(i) + " is no finite number");
      result.samples[i] = value;
    }
    return result;
  }

  float sample(const u8* at) const {
    if (bits_ == 8) return static_cast<float>(static_cast<i32>(*at) - 128) / 128.0f;
    u32 word = 0;  // the sample's bytes in the upper places, so that the sign is its sign
    for (u32 bit = 32 - bits_; bit < 32; bit += 8) word |= static_cast<u32>(*at++) << bit;
    if (float_) return std::bit_cast<float>(word);
    return static_cast<float>(static_cast<i32>(word)) * 0x1p-31f;
  }

  std::span<const u8> bytes_;
  const std::string& name_;
  std::size_t end_ = 0;
  bool has_format_ = false;
  bool has_data_ = false;
  bool float_ = false;
  u32 channels_ = 0;
  u32 rate_ = 0;
  u32 bits_ = 0;
  std::span<const u8> data_;
};

}  // namespace detail

/// The sound in the bytes of a WAVE file; `name` is what errors call it.
///
/// Errors   another magic number; sizes that do not fit the bytes or each other; bytes that belong
///          to no chunk; "fmt " or "data" missing or given twice; a format, number of bits,
///          channels or rate out of the above; a sample that is not finite
inline audio parse_wav(std::span<const u8> bytes, const std::string& name) {
  return detail::wav_reader(bytes, name).read();
}

/// The sound in a file, unpacked where it is gzip.
///
/// Errors   those of byte_file and parse_wav; more than `limit_bytes`
inline audio read_wav(const std::filesystem::path& path, i64 limit_bytes = wav_limit_bytes) {
  byte_file file(path);
  std::vector<u8> bytes;
  for (;;) {  // memory grows with the bytes that arrive
    constexpr i64 part = 1 << 16;
    const std::size_t have = bytes.size();
    bytes.resize(have + part);
    const i64 got = file.read(bytes.data() + have, part);
    bytes.resize(have + static_cast<std::size_t>(got));
    if (static_cast<i64>(bytes.size()) > limit_bytes) {
      throw error(file.name() + ": holds more than the limit of " + std::to_string(limit_bytes) +
                  " bytes");
    }
    if (got < part) break;
  }
  return parse_wav(bytes, file.name());
}

/// One channel: the mean of all.
inline std::vector<float> mix_down(const audio& sound) {
  if (sound.channels == 1) return sound.samples;
  std::vector<float> mixed(static_cast<std::size_t>(sound.frames()));
  const auto channels = static_cast<std::size_t>(sound.channels);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < channels; ++c) sum += sound.samples[i * channels + c];
    mixed[i] = sum / static_cast<float>(channels);
  }
  return mixed;
}

}  // namespace tessera::data
