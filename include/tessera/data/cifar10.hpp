#pragma once

// CIFAR-10 in its binary version: colour pictures of 32 x 32 in ten classes, plain or gzip.
//
//   byte    0       1 ... 1024   1025 ... 2048   2049 ... 3072
//           label   red          green           blue            row-major; then the next record
//
// A file is a run of such records and nothing else, so its length says how many there are: it must
// be a whole number of them. Parts of the set are read as what they are: any number of files, under
// any names.
// Source: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.

#include <tessera/core/error.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>
#include <tessera/data/gzip.hpp>  // byte_file

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::data {

/// The classes in the order of their labels.
inline constexpr std::array<std::string_view, 10> cifar10_names{
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};

/// Most bytes that a file may unpack to: the whole set, 60,000 records, has a fifth of it.
constexpr i64 cifar10_limit_bytes = i64{1} << 30;

namespace detail {

constexpr i64 cifar10_picture_bytes = 3 * 32 * 32;

// Appends the records of one file.
inline void read_cifar10(const std::filesystem::path& path, std::vector<u8>& bytes,
                         std::vector<i32>& labels) {
  constexpr i64 record_bytes = 1 + cifar10_picture_bytes;
  byte_file file(path);
  std::array<u8, record_bytes> record;
  i64 records = 0;
  for (i64 found = file.read(record.data(), record_bytes); found != 0;
       found = file.read(record.data(), record_bytes), ++records) {
    if (found < record_bytes) {
      throw error(file.name() + ": ends within record " + std::to_string(records) + ", expected " +
                  std::to_string(record_bytes) + " bytes, found " + std::to_string(found) +
                  "; the file is truncated or holds something else");
    }
    if (record[0] > 9) {
      throw error(file.name() + ": expected labels of 0 to 9, found " + std::to_string(record[0]) +
                  " in record " + std::to_string(records));
    }
    if ((records + 1) * record_bytes > cifar10_limit_bytes) {
      throw error(file.name() + ": holds more than the limit of " +
                  std::to_string(cifar10_limit_bytes) + " bytes");
    }
    labels.push_back(record[0]);
    bytes.insert(bytes.end(), record.begin() + 1, record.end());
  }
  if (records == 0) {
    throw error(file.name() + ": is empty, expected records of " + std::to_string(record_bytes) +
                " bytes");
  }
}

// The files of one part, by name: PREFIX*.bin and PREFIX*.bin.gz. Where a file lies beside its
// packed form, the plain one is taken.
inline std::vector<std::filesystem::path> find_cifar10(const std::filesystem::path& folder,
                                                       const std::string& prefix) {
  std::vector<std::filesystem::path> found;
  std::error_code wrong;
  std::filesystem::directory_iterator entry(folder, wrong);
  for (; !wrong && entry != std::filesystem::directory_iterator(); entry.increment(wrong)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && (name.ends_with(".bin") || name.ends_with(".bin.gz"))) {
      found.push_back(entry->path());
    }
  }
  if (wrong) throw error(folder.string() + ": cannot be listed (" + wrong.message() + ")");
  if (found.empty()) {
    throw error(folder.string() + ": no file " + prefix + "*.bin or " + prefix + "*.bin.gz in it");
  }
  std::sort(found.begin(), found.end());  // "x.bin" is right before "x.bin.gz"
  const auto packed_again = [](const auto& plain, const auto& packed) {
    return packed.string() == plain.string() + ".gz";
  };
  found.erase(std::unique(found.begin(), found.end(), packed_again), found.end());
  return found;
}

}  // namespace detail

/// The pictures of some files, in the order of the files, as values of 0 to 1.
///
/// Shapes   samples 3x32x32, 10 classes
/// Errors   those of byte_file; no file given; an empty file; a last record cut off; a label over 9
inline dataset cifar10_files(std::span<const std::filesystem::path> files) {
  if (files.empty()) throw error("cifar10_files: expected at least one file, got none");
  std::vector<u8> bytes;
  std::vector<i32> labels;
  for (const std::filesystem::path& file : files) detail::read_cifar10(file, bytes, labels);
  return dataset(shape(3, 32, 32), std::move(bytes), std::move(labels), 10, scaling{});
}

/// CIFAR-10 from a folder: trains on data_batch*.bin, tests on test_batch*.bin, each plain or .gz,
/// as many as there are. The archive's own folder, cifar-10-batches-bin, is found in the folder.
///
/// Values   0 to 1; `normalized` gives every channel its mean and deviation
/// Errors   a missing folder; no training or no test file; those of cifar10_files
inline split cifar10(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw error(folder.string() + ": no such folder, expected CIFAR-10's binary files in it");
  }
  const auto unpacked = folder / "cifar-10-batches-bin";
  const auto& from = std::filesystem::is_directory(unpacked, ignored) ? unpacked : folder;
  const auto train = detail::find_cifar10(from, "data_batch");
  const auto test = detail::find_cifar10(from, "test_batch");
  return {cifar10_files(train), cifar10_files(test)};
}

}  // namespace tessera::data
