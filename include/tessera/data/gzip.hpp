#pragma once

// Files read as a run of bytes, unpacked on the way where they are gzip. The library's one door to
// zlib.
//
// The first two bytes decide (1f 8b is gzip), not the name, so a data set may be stored either way
// under any name. Bytes come only as far as a reader asks for them: a small file that would unpack
// to gigabytes costs what the reader asks for and no more. The checksum of a gzip file is tested
// when its end is reached: a reader that cares reads until read() returns fewer bytes than asked.
//
// Source: RFC 1952 (gzip: one or more members, each with its own CRC-32), zlib 1.2.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tessera::data {

/// A file's bytes from first to last, unpacked if it is gzip.
///
/// Memory   64 KiB of input and zlib's 40 KiB
/// Errors   no such file; a folder; not readable; damaged or truncated gzip data; anything after it
class byte_file {
 public:
  explicit byte_file(const std::filesystem::path& path) : name_(path.string()), input_(65536) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    if (!std::filesystem::exists(status)) throw error(name_ + ": no such file");
    if (std::filesystem::is_directory(status)) {
      throw error(name_ + ": is a folder, expected a file");
    }
    file_.open(path, std::ios::binary);
    if (!file_) throw error(name_ + ": cannot be opened for reading");
    refill();
    packed_ = stream_.avail_in >= 2 && input_[0] == 0x1f && input_[1] == 0x8b;
    // 16: gzip framing, neither zlib's own nor detected.
    if (packed_ && inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) {
      throw error(name_ + ": no memory to unpack gzip data");
    }
  }

  ~byte_file() {
    if (packed_) inflateEnd(&stream_);
  }

  byte_file(const byte_file&) = delete;
  byte_file& operator=(const byte_file&) = delete;

  /// Stores the next `count` bytes, fewer only at the end of the file; returns how many.
  i64 read(u8* to, i64 count) {
    i64 done = 0;
    while (done < count) {
      // zlib counts in 32 bits.
      const i64 part = std::min<i64>(count - done, 1 << 20);
      const i64 got = packed_ ? unpack(to + done, part) : copy(to + done, part);
      done += got;
      if (got < part) break;
    }
    return done;
  }

  /// Whether the file is gzip.
  bool packed() const { return packed_; }

  /// The path, as errors name it.
  const std::string& name() const { return name_; }

 private:
  bool refill() {
    file_.read(reinterpret_cast<char*>(input_.data()), static_cast<std::streamsize>(input_.size()));
    if (file_.bad()) throw error(name_ + ": cannot be read");
    stream_.next_in = input_.data();
    stream_.avail_in = static_cast<uInt>(file_.gcount());
    return stream_.avail_in > 0;
  }

  i64 copy(u8* to, i64 count) {
    i64 done = 0;
    while (done < count && (stream_.avail_in > 0 || refill())) {
      const i64 part = std::min<i64>(count - done, stream_.avail_in);
      std::memcpy(to + done, stream_.next_in, static_cast<std::size_t>(part));
      stream_.next_in += part;
      stream_.avail_in -= static_cast<uInt>(part);
      done += part;
    }
    return done;
  }

  i64 unpack(u8* to, i64 count) {
    stream_.next_out = to;
    stream_.avail_out = static_cast<uInt>(count);
    while (stream_.avail_out > 0 && !ended_) {
      if (stream_.avail_in == 0 && !refill()) {
        throw error(name_ + ": gzip data ends early; the file is truncated");
      }
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        end_of_member();
      } else if (result != Z_OK) {
        throw error(name_ + ": damaged gzip data" +
                    (stream_.msg ? " (" + std::string(stream_.msg) + ")" : std::string()));
      }
    }
    return count - static_cast<i64>(stream_.avail_out);
  }

  // A member may be followed by another one and by nothing else.
  void end_of_member() {
    if (stream_.avail_in == 0 && !refill()) {
      ended_ = true;
      return;
    }
    if (stream_.next_in[0] != 0x1f) {
      throw error(name_ + ": garbage after the end of the gzip data");
    }
    inflateReset(&stream_);
  }

  std::string name_;
  std::ifstream file_;
  std::vector<u8> input_;
  z_stream stream_{};
  bool packed_ = false;
  bool ended_ = false;
};

}  // namespace tessera::data
