#pragma once

// Pictures with a class for every pixel, and square tiles cut from them.
//
//   picture 512 x 512                     tile 128, margin 16: a sample
//   +--------+--------+--------+          . . . . . . . .    values  (tile + 2 x margin) squared
//   | tile 0 | tile 1 |  ...   |          . +---------+ .
//   +--------+--------+--------+          . | classes | .    classes  tile squared
//   |  ...   |                            . +---------+ .
//                                         . . . . . . . .
//
// Tiles lie on a grid; where it does not end with the picture, the last row and column of tiles are
// moved back inside. A margin shows a network more than it has to judge; beyond the picture's edge
// it sees the picture mirrored. For training a tile may lie anywhere (`move`) and be turned and
// mirrored in the eight ways of a square (`turn`): a function of (seed, epoch, sample), whatever
// was read before.
//
// Cost: 2 bytes a pixel, shared by parts and tiles; reading allocates nothing.
// Source: tiles with mirrored margins as in Ronneberger, Fischer, Brox 2015, U-Net.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>  // scaling

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

/// Pictures of bytes, all of one size, with a class for each pixel. Copies and parts share them.
class segmented_images {
 public:
  segmented_images() = default;

  /// Pictures of `picture` = channels x height x width, one after the other, and their classes,
  /// height x width each, in [0, classes).
  ///
  /// Errors   no picture; counts of bytes and classes that do not agree; a class out of range
  segmented_images(const shape& picture, std::vector<u8> bytes, std::vector<u8> pixel_classes,
                   i32 classes, const scaling& meaning)
      : picture_(picture), classes_(classes), meaning_(meaning) {
    if (picture.rank != 3 || picture.count() < 1) {
      throw error("segmented_images: expected pictures of channels x height x width");
    }
    const auto plane = static_cast<std::size_t>(picture[1]) * static_cast<std::size_t>(picture[2]);
    const std::size_t count = pixel_classes.size() / plane;
    if (count < 1 || pixel_classes.size() != count * plane ||
        bytes.size() != count * plane * static_cast<std::size_t>(picture[0])) {
      throw error("segmented_images: expected " + std::to_string(picture.count()) + " bytes and " +
                  std::to_string(plane) + " classes for each picture, got " +
                  std::to_string(bytes.size()) + " and " + std::to_string(pixel_classes.size()));
    }
    for (const u8 each : pixel_classes) {
      if (each >= classes) {
        throw error("segmented_images: expected classes of 0 to " + std::to_string(classes - 1) +
                    ", got " + std::to_string(each));
      }
    }
    size_ = static_cast<i64>(count);
    bytes_ = std::make_shared<const std::vector<u8>>(std::move(bytes));
    pixel_classes_ = std::make_shared<const std::vector<u8>>(std::move(pixel_classes));
  }

  /// Number of pictures.
  i64 size() const { return size_; }

  /// Channels x height x width.
  const shape& picture_shape() const { return picture_; }

  /// Number of classes.
  i32 classes() const { return classes_; }

  /// What a byte means.
  const scaling& meaning() const { return meaning_; }

  /// The bytes of picture `index`, which is not checked.
  std::span<const u8> bytes(i64 index) const {
    const i64 count = picture_.count();
    return {bytes_->data() + (first_ + index) * count, static_cast<std::size_t>(count)};
  }

  /// The classes of the pixels of picture `index`, which is not checked.
  std::span<const u8> pixel_classes(i64 index) const {
    const i64 count = i64{picture_[1]} * picture_[2];
    return {pixel_classes_->data() + (first_ + index) * count, static_cast<std::size_t>(count)};
  }

  /// Pictures [begin, end).
  ///
  /// Errors   a range that does not lie in [0, size()]
  segmented_images part(i64 begin, i64 end) const {
    if (begin < 0 || begin > end || end > size_) {
      throw error("segmented_images: expected a range within 0 to " + std::to_string(size_) +
                  ", got " + std::to_string(begin) + " to " + std::to_string(end));
    }
    segmented_images result = *this;
    result.first_ = first_ + begin;
    result.size_ = end - begin;
    return result;
  }

 private:
  shape picture_;
  i32 classes_ = 0;
  i64 first_ = 0;
  i64 size_ = 0;
  scaling meaning_;
  std::shared_ptr<const std::vector<u8>> bytes_;
  std::shared_ptr<const std::vector<u8>> pixel_classes_;
};

/// How `tiles` cuts pictures.
struct tile_options {
  i32 tile = 128;     // height and width of what is judged
  i32 stride = 0;     // from a tile to the next; 0: tile
  i32 margin = 0;     // what is seen around it, on each side
  bool move = false;  // a tile lies anywhere in its picture, elsewhere in every epoch
  bool turn = false;  // and is turned and mirrored, one of eight ways
  u64 seed = 1;       // of moves and turns
};

/// Square tiles of pictures as samples.
///
/// Shapes   samples channels x (tile + 2 margin) x (tile + 2 margin), targets tile x tile
/// Errors   a tile larger than the pictures or below 1; a stride below 1; a margin below 0 or not
///          below height and width
class tiles {
 public:
  /// Where a tile lies, and how it is turned: 1 left and right, 2 top and bottom changed, 4 rows
  /// and columns changed after that; sums of them.
  struct place {
    i64 picture = 0;
    i32 top = 0;
    i32 left = 0;
    i32 turned = 0;

    friend bool operator==(const place&, const place&) = default;
  };

  tiles(segmented_images pictures, const tile_options& options)
      : pictures_(std::move(pictures)), options_(options) {
    if (options_.stride == 0) options_.stride = options_.tile;
    const shape& picture = pictures_.picture_shape();
    const i32 least = std::min(picture[1], picture[2]);
    const std::string size = std::to_string(picture[1]) + "x" + std::to_string(picture[2]);
    if (options_.tile < 1 || options_.tile > least) {
      throw error("tiles: expected a tile of 1 to " + std::to_string(least) + " for pictures of " +
                  size + ", got " + std::to_string(options_.tile));
    }
    if (options_.stride < 1) {
      throw error("tiles: expected a stride of at least 1, got " + std::to_string(options_.stride));
    }
    if (options_.margin < 0 || options_.margin >= least) {
      throw error("tiles: expected a margin of 0 to " + std::to_string(least - 1) +
                  " for pictures of " + size + ", got " + std::to_string(options_.margin));
    }
    rows_ = (picture[1] - options_.tile + options_.stride - 1) / options_.stride + 1;
    columns_ = (picture[2] - options_.tile + options_.stride - 1) / options_.stride + 1;
    for (i32 byte = 0; byte < 256; ++byte) {
      const scaling& meaning = pictures_.meaning();
      value_[static_cast<std::size_t>(byte)] =
          static_cast<float>((byte - meaning.mean) / meaning.deviation);
    }
  }

  i64 size() const { return pictures_.size() * rows_ * columns_; }

  shape sample_shape() const {
    const i32 side = options_.tile + 2 * options_.margin;
    return shape(pictures_.picture_shape()[0], side, side);
  }

  /// Height and width of the classes of a sample.
  shape target_shape() const { return shape(options_.tile, options_.tile); }

  /// Makes the tiles those of epoch `epoch`.
  void start_epoch(i64 epoch) const { epoch_ = epoch; }

  /// Where sample `index` is cut in this epoch. `index` is not checked.
  place locate(i64 index) const {
    const shape& picture = pictures_.picture_shape();
    const i32 last_top = picture[1] - options_.tile;
    const i32 last_left = picture[2] - options_.tile;
    const i64 in_picture = index % (i64{rows_} * columns_);
    place at{index / (i64{rows_} * columns_), 0, 0, 0};
    at.top = std::min(static_cast<i32>(in_picture / columns_) * options_.stride, last_top);
    at.left = std::min(static_cast<i32>(in_picture % columns_) * options_.stride, last_left);
    if (!options_.move && !options_.turn) return at;
    // The upper half says what the stream is for, so that no other use of the seed shares it.
    constexpr u64 purpose = u64{0x74696c65} << 32;
    const philox random{options_.seed, purpose + static_cast<u64>(epoch_)};
    const random_block block = random(static_cast<u64>(index));
    if (options_.move) {
      at.top = static_cast<i32>(block[0] * (static_cast<u64>(last_top) + 1) >> 32);
      at.left = static_cast<i32>(block[1] * (static_cast<u64>(last_left) + 1) >> 32);
    }
    if (options_.turn) at.turned = static_cast<i32>(block[2] >> 29);
    return at;
  }

  /// Stores the values of sample `index`, channel by channel. `index` is not checked.
  void read(i64 index, float* out) const {
    const shape& picture = pictures_.picture_shape();
    const place at = locate(index);
    const std::span<const u8> bytes = pictures_.bytes(at.picture);
    for (i32 c = 0; c < picture[0]; ++c) {
      const u8* const plane = bytes.data() + i64{c} * picture[1] * picture[2];
      walk(at, options_.margin, [&](i64 pixel) { *out++ = value_[plane[pixel]]; });
    }
  }

  /// Stores the classes of the pixels of sample `index`, as numbers or as values.
  void targets(i64 index, i32* out) const { copy_classes(index, out); }
  void target(i64 index, float* out) const { copy_classes(index, out); }

  const segmented_images& pictures() const { return pictures_; }

 private:
  template <class T>
  void copy_classes(i64 index, T* out) const {
    const place at = locate(index);
    const std::span<const u8> classes = pictures_.pixel_classes(at.picture);
    walk(at, 0,
         [&](i64 pixel) { *out++ = static_cast<T>(classes[static_cast<std::size_t>(pixel)]); });
  }

  // Visits the pixels of a tile and its margin, row by row of the turned tile.
  template <class Visit>
  void walk(const place& at, i32 margin, Visit visit) const {
    const shape& picture = pictures_.picture_shape();
    const i32 side = options_.tile + 2 * margin;
    for (i32 row = 0; row < side; ++row) {
      for (i32 column = 0; column < side; ++column) {
        i32 y = at.turned & 4 ? column : row;
        i32 x = at.turned & 4 ? row : column;
        if (at.turned & 2) y = side - 1 - y;
        if (at.turned & 1) x = side - 1 - x;
        y = mirrored(at.top - margin + y, picture[1]);
        x = mirrored(at.left - margin + x, picture[2]);
        visit(i64{y} * picture[2] + x);
      }
    }
  }

  // 2 1 | 0 1 2 3 | 2 1: the edge itself is not repeated.
  static i32 mirrored(i32 at, i32 extent) {
    if (at < 0) return -at;
    return at < extent ? at : 2 * (extent - 1) - at;
  }

  segmented_images pictures_;
  tile_options options_;
  i32 rows_ = 0;
  i32 columns_ = 0;
  std::array<float, 256> value_{};
  // A source is read as a constant; which epoch it shows is the reader's place in it.
  mutable i64 epoch_ = 0;
};

}  // namespace tessera::data
