#pragma once

// Data sets: samples of one shape, each with a class label, held in memory.
//
// Pictures stay the bytes they came as (MNIST 47 MB, as floats 188 MB) and become floats when a
// sample is read, through a table of the 256 values that a byte can mean:
//
//   byte  0 1 2 ... 255   ->   (byte - mean) / deviation   computed once, in double
//
// so that reading costs one load per value and gives the same bits on every machine. Copies and
// subsets share the samples.

#include <tessera/core/error.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>

#include <array>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

/// What a byte means: value = (byte - mean) / deviation, in units of the byte (0 to 255).
struct scaling {
  double mean = 0.0;
  double deviation = 255.0;

  friend bool operator==(const scaling&, const scaling&) = default;
};

/// The scaling that gives these bytes mean 0 and standard deviation 1. Deviation 1 where all bytes
/// are equal. Sums are exact integers, so the result does not depend on order or machine.
inline scaling standard_scaling(std::span<const u8> bytes) {
  if (bytes.empty()) return {};
  u64 sum = 0;
  u64 squares = 0;  // 2^48 bytes fit
  for (const u8 byte : bytes) {
    sum += byte;
    squares += static_cast<u64>(byte) * byte;
  }
  const double count = static_cast<double>(bytes.size());
  const double mean = static_cast<double>(sum) / count;
  // An explicit fma: a compiler that fuses and one that does not must agree.
  const double variance = std::fma(-mean, mean, static_cast<double>(squares) / count);
  return {mean, variance > 0.0 ? std::sqrt(variance) : 1.0};
}

/// Samples of one shape with labels. Reading is thread safe.
///
/// Memory   bytes or floats as given, 4 bytes per label, shared by copies and subsets
class dataset {
 public:
  /// Labels lie in [0, classes).
  i32 classes = 0;

  dataset() = default;

  /// Samples of bytes, one after the other in row-major order.
  ///
  /// Errors   a count of bytes or labels that does not agree with the other; a label out of range
  dataset(const shape& sample, std::vector<u8> bytes, std::vector<i32> labels, i32 class_count,
          const scaling& meaning)
      : dataset(static_cast<i64>(bytes.size()), sample, std::move(labels), class_count) {
    bytes_ = std::make_shared<const std::vector<u8>>(std::move(bytes));
    scaling_ = meaning;
    for (i32 byte = 0; byte < 256; ++byte) {
      value_[static_cast<std::size_t>(byte)] =
          static_cast<float>((byte - meaning.mean) / meaning.deviation);
    }
  }

  /// Samples of floats, read as they are.
  ///
  /// Errors   as above
  dataset(const shape& sample, std::vector<float> values, std::vector<i32> labels, i32 class_count)
      : dataset(static_cast<i64>(values.size()), sample, std::move(labels), class_count) {
    floats_ = std::make_shared<const std::vector<float>>(std::move(values));
  }

  /// Number of samples.
  i64 size() const { return size_; }

  /// Shape of one sample, without the batch: 1x28x28.
  const shape& sample_shape() const { return sample_; }

  /// Stores sample `index` as sample_shape().count() floats. `index` is not checked.
  void read(i64 index, float* out) const {
    const i64 count = sample_.count();
    const i64 start = (first_ + index) * count;
    if (bytes_) {
      const u8* from = bytes_->data() + start;
      for (i64 i = 0; i < count; ++i) out[i] = value_[from[i]];
    } else {
      const float* from = floats_->data() + start;
      for (i64 i = 0; i < count; ++i) out[i] = from[i];
    }
  }

  /// The class of sample `index`. `index` is not checked.
  i32 label(i64 index) const { return (*labels_)[static_cast<std::size_t>(first_ + index)]; }

  /// Sample `index` as the bytes it is stored in, as a picture is drawn from; empty where samples
  /// are floats. `index` is not checked.
  std::span<const u8> bytes(i64 index) const {
    if (!bytes_) return {};
    const i64 count = sample_.count();
    return {bytes_->data() + (first_ + index) * count, static_cast<std::size_t>(count)};
  }

  /// What a stored byte means; mean 0 and deviation 1 where samples are floats.
  const scaling& meaning() const { return scaling_; }

  /// Samples [begin, end), as for a validation split: `all.subset(55000, 60000)`.
  ///
  /// Errors   a range that does not lie in [0, size()]
  dataset subset(i64 begin, i64 end) const {
    if (begin < 0 || begin > end || end > size_) {
      throw error("dataset: expected a range within 0 to " + std::to_string(size_) + ", got " +
                  std::to_string(begin) + " to " + std::to_string(end));
    }
    dataset part = *this;
    part.first_ = first_ + begin;
    part.size_ = end - begin;
    return part;
  }

 private:
  dataset(i64 values, const shape& sample, std::vector<i32> labels, i32 class_count)
      : classes(class_count),
        sample_(sample),
        size_(static_cast<i64>(labels.size())),
        scaling_{0.0, 1.0} {
    if (values != size_ * sample.count()) {
      throw error("dataset: expected " + std::to_string(sample.count()) + " values for each of " +
                  std::to_string(size_) + " labels, got " + std::to_string(values) + " values");
    }
    for (i64 i = 0; i < size_; ++i) {
      const i32 label = labels[static_cast<std::size_t>(i)];
      if (label < 0 || label >= classes) {
        throw error("dataset: expected labels of 0 to " + std::to_string(classes - 1) + ", got " +
                    std::to_string(label) + " at sample " + std::to_string(i));
      }
    }
    labels_ = std::make_shared<const std::vector<i32>>(std::move(labels));
  }

  shape sample_;
  i64 first_ = 0;
  i64 size_ = 0;
  std::shared_ptr<const std::vector<u8>> bytes_;
  std::shared_ptr<const std::vector<float>> floats_;
  std::shared_ptr<const std::vector<i32>> labels_;
  scaling scaling_;
  std::array<float, 256> value_{};
};

/// What a model learns from, and what it is judged by.
struct split {
  dataset train;
  dataset test;
};

}  // namespace tessera::data
