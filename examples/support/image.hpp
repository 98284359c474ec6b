#pragma once

// Pictures: read and written through stb (Debian: libstb-dev), cut, resized and put side by side.
//
// A file is read whole and judged by its header before it is decoded; whatever is wrong with it is
// one clear line. A picture is written beside its place first, so a failure leaves an old file as
// it was. PGM, the grey form that needs no library, is written here.
//
// Include it in one file of a program only: it makes stb's code.

#include <tessera/core/error.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>  // scaling
#include <tessera/io/file.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if !__has_include(<stb/stb_image.h>)
#error "stb was not found; install it (Debian: apt-get install libstb-dev)"
#endif
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_MAX_DIMENSIONS 32768
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

namespace examples {

/// Bytes row by row, the channels of a pixel together: 1 is grey, 3 red, green, blue.
struct image {
  tessera::i32 width = 0;
  tessera::i32 height = 0;
  tessera::i32 channels = 1;
  std::vector<tessera::u8> bytes;

  image() = default;
  image(tessera::i32 w, tessera::i32 h, tessera::i32 c, tessera::u8 fill = 0)
      : width(w), height(h), channels(c), bytes(static_cast<std::size_t>(w) * h * c, fill) {}

  tessera::u8& at(tessera::i32 y, tessera::i32 x, tessera::i32 c = 0) {
    return bytes[(static_cast<std::size_t>(y) * width + x) * channels + c];
  }
  tessera::u8 at(tessera::i32 y, tessera::i32 x, tessera::i32 c = 0) const {
    return bytes[(static_cast<std::size_t>(y) * width + x) * channels + c];
  }
};

/// Reads a PNG or JPEG file as `channels` = 1 (grey) or 3 (colour), whatever it is stored as.
///
/// Errors   no such file; neither PNG nor JPEG; damaged or truncated; over 64 million pixels
inline image load_image(const std::string& path, tessera::i32 channels) {
  const std::vector<std::byte> file = tessera::io::read_file(path);
  const auto* const data = reinterpret_cast<const stbi_uc*>(file.data());
  const auto size = static_cast<int>(std::min<std::size_t>(file.size(), 1u << 30));
  int width = 0;
  int height = 0;
  int stored = 0;
  if (stbi_info_from_memory(data, size, &width, &height, &stored) == 0) {
    throw tessera::error(path + ": is no PNG or JPEG picture");
  }
  if (tessera::i64{width} * height > 64'000'000) {
    throw tessera::error(path + ": expected at most 64 million pixels, got " +
                         std::to_string(width) + "x" + std::to_string(height));
  }
  stbi_uc* const pixels =
      stbi_load_from_memory(data, size, &width, &height, &stored, static_cast<int>(channels));
  if (pixels == nullptr) {
    throw tessera::error(path + ": damaged or truncated picture (" + stbi_failure_reason() + ")");
  }
  image result(width, height, channels);
  std::copy_n(pixels, result.bytes.size(), result.bytes.begin());
  stbi_image_free(pixels);
  return result;
}

/// Writes a picture of 1 or 3 channels as PNG.
///
/// Errors   a file that cannot be written; what was there stays as it was
inline void save_png(const std::string& path, const image& picture) {
  std::string encoded;
  const auto append = [](void* to, void* bytes, int count) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes),
                                          static_cast<std::size_t>(count));
  };
  if (stbi_write_png_to_func(append, &encoded, picture.width, picture.height, picture.channels,
                             picture.bytes.data(), picture.width * picture.channels) == 0) {
    throw tessera::error(path + ": no memory to encode the picture");
  }
  tessera::io::write_file(path, encoded);
}

/// Writes a grey picture as PGM: a line of text, then the bytes.
///
/// Errors   a picture that is not grey; a file that cannot be written
inline void save_pgm(const std::string& path, const image& picture) {
  if (picture.channels != 1) throw tessera::error(path + ": PGM takes grey pictures only");
  std::string text =
      "P5 " + std::to_string(picture.width) + " " + std::to_string(picture.height) + " 255\n";
  text.append(picture.bytes.begin(), picture.bytes.end());
  tessera::io::write_file(path, text);
}

/// Writes PGM where the name ends in .pgm, PNG otherwise.
inline void save_image(const std::string& path, const image& picture) {
  return path.ends_with(".pgm") ? save_pgm(path, picture) : save_png(path, picture);
}

/// The largest square in the middle.
inline image center_square(const image& from) {
  const tessera::i32 side = std::min(from.width, from.height);
  const tessera::i32 top = (from.height - side) / 2;
  const tessera::i32 left = (from.width - side) / 2;
  image result(side, side, from.channels);
  const std::size_t row = static_cast<std::size_t>(side) * from.channels;
  for (tessera::i32 y = 0; y < side; ++y) {
    const auto source =
        from.bytes.begin() + (tessera::i64{top + y} * from.width + left) * from.channels;
    std::copy_n(source, row, result.bytes.begin() + static_cast<std::ptrdiff_t>(y * row));
  }
  return result;
}

/// Bilinear resizing: pixel centres lie at halves. Where it shrinks a picture, the triangle over
/// which it averages grows with it, so that no pixel is passed over (as Pillow does it).
inline image resize(const image& from, tessera::i32 width, tessera::i32 height) {
  using tessera::i32;
  struct tap {
    i32 first = 0;
    std::vector<float> weight;
  };
  const auto taps = [](i32 source, i32 target) {
    const double scale = static_cast<double>(source) / target;
    const double reach = std::max(1.0, scale);
    std::vector<tap> all(static_cast<std::size_t>(target));
    for (i32 i = 0; i < target; ++i) {
      const double center = (i + 0.5) * scale;
      tap& t = all[static_cast<std::size_t>(i)];
      t.first = std::max(0, static_cast<i32>(std::floor(center - reach + 0.5)));
      const i32 last = std::min(source, static_cast<i32>(std::floor(center + reach + 0.5)));
      double sum = 0;
      for (i32 k = t.first; k < last; ++k) {
        const double weight = std::max(0.0, 1 - std::abs(k + 0.5 - center) / reach);
        t.weight.push_back(static_cast<float>(weight));
        sum += weight;
      }
      for (float& weight : t.weight) weight = static_cast<float>(weight / sum);
    }
    return all;
  };
  const i32 channels = from.channels;
  const std::vector<tap> across = taps(from.width, width);
  const std::vector<tap> down = taps(from.height, height);
  std::vector<float> narrow(static_cast<std::size_t>(from.height) * width * channels);
  auto to = narrow.begin();
  for (i32 y = 0; y < from.height; ++y) {
    for (const tap& t : across) {
      for (i32 c = 0; c < channels; ++c) {
        float sum = 0;
        i32 x = t.first;
        for (const float weight : t.weight) sum += weight * from.at(y, x++, c);
        *to++ = sum;
      }
    }
  }
  image result(width, height, channels);
  const std::size_t row = static_cast<std::size_t>(width) * channels;
  for (i32 y = 0; y < height; ++y) {
    const tap& t = down[static_cast<std::size_t>(y)];
    for (std::size_t i = 0; i < row; ++i) {
      float sum = 0;
      std::size_t at = static_cast<std::size_t>(t.first) * row + i;
      for (const float weight : t.weight) {
        sum += weight * narrow[at];
        at += row;
      }
      result.bytes[static_cast<std::size_t>(y) * row + i] =
          static_cast<tessera::u8>(std::clamp(sum + 0.5f, 0.0f, 255.0f));
    }
  }
  return result;
}

/// The bytes as (channels, height, width), as networks and data sets hold them.
inline std::vector<tessera::u8> planar(const image& from) {
  std::vector<tessera::u8> result;
  result.reserve(from.bytes.size());
  for (tessera::i32 c = 0; c < from.channels; ++c) {
    for (std::size_t i = static_cast<std::size_t>(c); i < from.bytes.size();
         i += static_cast<std::size_t>(from.channels)) {
      result.push_back(from.bytes[i]);
    }
  }
  return result;
}

/// A sheet of equal pictures in rows, with lines between them.
class sheet {
 public:
  /// `picture` is channels x height x width, of 1 or 3 channels.
  sheet(tessera::i32 rows, tessera::i32 columns, const tessera::shape& picture)
      : picture_(picture),
        image_(columns * (picture[2] + gap) + gap, rows * (picture[1] + gap) + gap, picture[0],
               128) {}

  /// Puts a picture of floats (channels, height, width) in a place; `meaning` says what byte a
  /// value stands for. Values beyond black and white are cut off.
  void put(tessera::i32 row, tessera::i32 column, const float* values,
           const tessera::data::scaling& meaning = {}) {
    place(row, column, [&](tessera::i64 i) {
      const double byte = values[i] * meaning.deviation + meaning.mean + 0.5;
      return byte > 0 ? static_cast<tessera::u8>(std::min(byte, 255.0)) : tessera::u8{0};
    });
  }

  /// Puts a picture of bytes (channels, height, width) in a place.
  void put(tessera::i32 row, tessera::i32 column, const tessera::u8* bytes) {
    place(row, column, [&](tessera::i64 i) { return bytes[i]; });
  }

  const image& picture() const { return image_; }

 private:
  static constexpr tessera::i32 gap = 2;

  template <class Byte>
  void place(tessera::i32 row, tessera::i32 column, Byte byte) {
    const tessera::i32 top = row * (picture_[1] + gap) + gap;
    const tessera::i32 left = column * (picture_[2] + gap) + gap;
    tessera::i64 i = 0;
    for (tessera::i32 c = 0; c < picture_[0]; ++c) {
      for (tessera::i32 y = 0; y < picture_[1]; ++y) {
        for (tessera::i32 x = 0; x < picture_[2]; ++x) image_.at(top + y, left + x, c) = byte(i++);
      }
    }
  }

  tessera::shape picture_;
  image image_;
};

}  // namespace examples
