#pragma once

// Sources made of other sources: pictures with normalized channels, pictures shifted and mirrored.
//
//   dataset -> normalized -> augmented -> trainer
//
// A chain of them is a sample source again. Each reads its sample from the source below straight
// into the caller's memory and changes it there, so reading allocates nothing and any number of
// threads may read.
//
// Augmentation is a function of (seed, epoch, sample): the order of samples, the size of batches
// and what was read before do not matter. Who reads names the epoch with start_epoch(), a trainer
// at the start of each; several threads may read, but not while the epoch changes.
//
// Source: padding, cropping and mirroring as in Lee et al. 2015, Deeply-Supervised Nets, and He et
// al. 2015, Deep Residual Learning, section 4.2.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

/// A source whose samples have values as their targets.
template <class Source>
concept has_target = requires(const Source& s, i64 index, float* out) {
  {s.target(index, out)};
};

/// What a source made of another passes on: number, shape, labels and targets of samples, epochs.
template <class Source>
class source_adapter {
 public:
  i64 size() const { return source_.size(); }
  shape sample_shape() const { return source_.sample_shape(); }
  i32 label(i64 index) const { return source_.label(index); }

  void target(i64 index, float* out) const requires has_target<Source> {
    source_.target(index, out);
  }

  void start_epoch(i64 epoch) const {
    if constexpr (requires(const Source& s) { s.start_epoch(epoch); }) source_.start_epoch(epoch);
  }

  /// The source below.
  const Source& source() const { return source_; }

 protected:
  explicit source_adapter(Source source) : source_(std::move(source)) {
    const shape found = source_.sample_shape();
    if (found.rank != 3) {
      throw error(
          "transform: expected pictures of channels x height x width, got samples of rank " +
          std::to_string(found.rank));
    }
  }

 private:
  Source source_;
};

/// A channel's value v becomes (v - mean) / deviation.
struct channel_scaling {
  float mean = 0.0f;
  float deviation = 1.0f;

  friend bool operator==(const channel_scaling&, const channel_scaling&) = default;
};

/// Red, green and blue of ImageNet's pictures with values of 0 to 1: what most published weights
/// expect, CIFAR-10's among them.
inline constexpr std::array<channel_scaling, 3> imagenet_channels{
    {{0.485f, 0.229f}, {0.456f, 0.224f}, {0.406f, 0.225f}}};

/// The scaling that gives each channel of the set's bytes mean 0 and deviation 1, in the units in
/// which the set is read. Sums are exact integers: the result depends on no order.
///
/// Errors   samples that are no pictures or no bytes
inline std::vector<channel_scaling> standard_channels(const dataset& set) {
  const shape picture = set.sample_shape();
  if (picture.rank != 3 || (set.size() > 0 && set.bytes(0).empty())) {
    throw error("standard_channels: expected pictures of bytes");
  }
  const std::size_t plane = static_cast<std::size_t>(picture[1]) * picture[2];
  std::vector<channel_scaling> channels;
  std::array<u64, 256> count;
  for (std::size_t c = 0; c < static_cast<std::size_t>(picture[0]); ++c) {
    count.fill(0);
    for (i64 i = 0; i < set.size(); ++i) {
      for (const u8 byte : set.bytes(i).subspan(c * plane, plane)) ++count[byte];
    }
    u64 sum = 0;
    u64 squares = 0;
    for (u64 byte = 0; byte < 256; ++byte) {
      sum += byte * count[byte];
      squares += byte * byte * count[byte];
    }
    const double n = std::max(1.0, static_cast<double>(set.size()) * static_cast<double>(plane));
    const double mean = static_cast<double>(sum) / n;
    const double variance = std::fma(-mean, mean, static_cast<double>(squares) / n);
    const scaling& meaning = set.meaning();
    channels.push_back(
        {static_cast<float>((mean - meaning.mean) / meaning.deviation),
         variance > 0.0 ? static_cast<float>(std::sqrt(variance) / meaning.deviation) : 1.0f});
  }
  return channels;
}

/// Pictures whose channels are scaled, each by its own mean and deviation. In f32, a subtraction
/// and a division: bit for bit what PyTorch's Normalize makes of the same values.
///
/// Errors   samples that are no pictures; another number of channels; a deviation of 0
template <class Source>
class normalized : public source_adapter<Source> {
 public:
  normalized(Source source, std::span<const channel_scaling> channels)
      : source_adapter<Source>(std::move(source)), channels_(channels.begin(), channels.end()) {
    const auto expected = static_cast<std::size_t>(this->sample_shape()[0]);
    if (channels_.size() != expected) {
      throw error("normalized: expected a scaling for each of " + std::to_string(expected) +
                  " channels, got " + std::to_string(channels_.size()));
    }
    for (const channel_scaling& channel : channels_) {
      if (!(channel.deviation > 0.0f)) throw error("normalized: expected deviations above 0");
    }
  }

  /// Stores sample `index` as channels x height x width floats.
  void read(i64 index, float* out) const {
    this->source().read(index, out);
    const shape picture = this->sample_shape();
    const i64 plane = i64{picture[1]} * picture[2];
    for (const channel_scaling& channel : channels_) {
      for (i64 i = 0; i < plane; ++i) out[i] = (out[i] - channel.mean) / channel.deviation;
      out += plane;
    }
  }

  const std::vector<channel_scaling>& channels() const { return channels_; }

 private:
  std::vector<channel_scaling> channels_;
};

/// How `augmented` changes pictures.
struct augmentation {
  i32 pad = 4;        // rows and columns of `fill` put around a picture before it is cropped again
  bool flip = true;   // left and right change places, in half of the pictures
  float fill = 0.0f;  // 0 is the mean where values are normalized
  u64 seed = 1;
};

/// Pictures padded, cropped back to their size at a random place, and mirrored at random.
///
///     0 0 0 0 0        crop of a picture of 3 x 3, padded by 1:
///     0 a b c 0
///     0 d e f 0        down 2, right 0          0 d e        mirrored  e d 0
///     0 g h i 0                                 0 g h                  h g 0
///     0 0 0 0 0                                 0 0 0                  0 0 0
///
/// Errors   samples that are no pictures; a padding below 0, or not below height and width
template <class Source>
class augmented : public source_adapter<Source> {
 public:
  /// Where a picture is cropped (0 to 2 x pad each; pad is the middle) and whether it is mirrored.
  struct choice {
    i32 down = 0;
    i32 right = 0;
    bool flip = false;

    friend bool operator==(const choice&, const choice&) = default;
  };

  augmented(Source source, const augmentation& options)
      : source_adapter<Source>(std::move(source)), options_(options) {
    const shape picture = this->sample_shape();
    const i32 least = std::min(picture[1], picture[2]);
    if (options.pad < 0 || options.pad >= least) {
      throw error("augmented: expected a padding of 0 to " + std::to_string(least - 1) +
                  " for pictures of " + std::to_string(picture[1]) + "x" +
                  std::to_string(picture[2]) + ", got " + std::to_string(options.pad));
    }
  }

  /// Makes the pictures those of epoch `epoch`.
  void start_epoch(i64 epoch) const {
    epoch_ = epoch;
    source_adapter<Source>::start_epoch(epoch);
  }

  /// What happens to sample `index` in this epoch.
  choice choose(i64 index) const {
    // The upper half says what the stream is for, so that no other use of the seed shares it.
    constexpr u64 purpose = u64{0x63726f70} << 32;
    const philox random{options_.seed, purpose + static_cast<u64>(epoch_)};
    const random_block block = random(static_cast<u64>(index));
    const u64 places = static_cast<u64>(2 * options_.pad + 1);  // off by 2^-28 from equally likely
    return {static_cast<i32>(block[0] * places >> 32), static_cast<i32>(block[1] * places >> 32),
            options_.flip && block[2] >> 31 != 0};
  }

  /// Stores sample `index` as it looks in this epoch.
  void read(i64 index, float* out) const {
    this->source().read(index, out);
    const choice how = choose(index);
    const shape picture = this->sample_shape();
    for (i32 c = 0; c < picture[0]; ++c) {
      crop(out, picture[1], picture[2], how);
      out += i64{picture[1]} * picture[2];
    }
  }

 private:
  // In place: rows are taken from below when the picture moves up, from above when it moves down,
  // so that none is overwritten before it is read.
  void crop(float* plane, i32 height, i32 width, const choice& how) const {
    const i32 down = how.down - options_.pad;  // row y is taken from row y + down
    const i32 right = how.right - options_.pad;
    const i32 from = std::max(0, right);
    const i32 to = std::max(0, -right);
    const i32 count = width - std::max(from, to);
    for (i32 i = 0; i < height; ++i) {
      const i32 y = down >= 0 ? i : height - 1 - i;
      float* const row = plane + i64{y} * width;
      if (y + down < 0 || y + down >= height) {
        std::fill_n(row, width, options_.fill);
        continue;
      }
      const float* const source = row + i64{down} * width + from;
      if (source >= row + to) {
        std::copy(source, source + count, row + to);
      } else {
        std::copy_backward(source, source + count, row + to + count);
      }
      std::fill(row, row + to, options_.fill);
      std::fill(row + to + count, row + width, options_.fill);
      if (how.flip) std::reverse(row, row + width);
    }
  }

  augmentation options_;
  // A source is read as a constant; which epoch it shows is the reader's place in it.
  mutable i64 epoch_ = 0;
};

}  // namespace tessera::data
