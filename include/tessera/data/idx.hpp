#pragma once

// IDX files, the form in which MNIST and its relatives (Fashion-MNIST, KMNIST, EMNIST) are given,
// plain or gzip.
//
//   byte    0   1   2     3      4 ...            4 + 4 x rank ...
//           0   0   type  rank   extents, u32 BE  elements, row-major
//
// Only unsigned bytes (type 8) are read. A file is believed in nothing: the extents are multiplied
// against a limit, memory grows with the bytes that arrive and not with what the header claims, and
// the data must end exactly where the header says. Images and labels must agree before any is used.
// Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits (file formats).

#include <tessera/core/error.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>
#include <tessera/data/gzip.hpp>  // byte_file

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

/// The contents of an IDX file of unsigned bytes: extents.count() elements, row-major.
struct idx_array {
  shape extents;
  std::vector<u8> bytes;
};

/// Most bytes of data that an IDX file may hold: EMNIST, the largest of the family, has half.
constexpr i64 idx_limit_bytes = i64{1} << 30;

namespace detail {

inline std::string hexadecimal(u32 word) {
  char text[11];
  std::snprintf(text, sizeof text, "0x%08x", static_cast<unsigned>(word));
  return text;
}

inline u32 big_endian(const u8* from) {
  return static_cast<u32>(from[0]) << 24 | static_cast<u32>(from[1]) << 16 |
         static_cast<u32>(from[2]) << 8 | static_cast<u32>(from[3]);
}

}  // namespace detail

/// Reads an IDX file of unsigned bytes with `rank` extents: 1 for labels, 3 for images.
///
/// Errors   those of byte_file; an empty file; a header cut off; another magic number; extents that
///          multiply to more than `limit_bytes`; fewer or more bytes than the header states
inline idx_array read_idx(const std::filesystem::path& path, i32 rank,
                          i64 limit_bytes = idx_limit_bytes) {
  byte_file file(path);
  const std::string& name = file.name();
  if (rank < 1 || rank > shape::max_rank) {
    throw error("read_idx: expected a rank of 1 to " + std::to_string(shape::max_rank) + ", got " +
                std::to_string(rank));
  }

  const i64 header_bytes = 4 + 4 * rank;
  u8 header[4 + 4 * shape::max_rank];
  // The magic number is judged first: a file of another kind is better called that than short.
  i64 found = file.read(header, 4);
  if (found == 0) throw error(name + ": is empty, expected an idx file");
  if (found == 4) {
    const u32 magic = detail::big_endian(header);
    const u32 expected = 0x0800u | static_cast<u32>(rank);
    if (magic != expected) {
      throw error(name + ": wrong magic number, expected " + detail::hexadecimal(expected) +
                  " (idx, unsigned bytes, rank " + std::to_string(rank) + "), found " +
                  detail::hexadecimal(magic));
    }
    found += file.read(header + 4, header_bytes - 4);
  }
  if (found < header_bytes) {
    throw error(name + ": ends within its header, expected " + std::to_string(header_bytes) +
                " bytes, found " + std::to_string(found) + "; the file is truncated");
  }

  idx_array array;
  array.extents.rank = rank;
  i64 count = 1;
  bool empty = false;
  bool fits = true;
  std::string spelled;
  for (i32 axis = 0; axis < rank; ++axis) {
    const i64 extent = detail::big_endian(header + 4 + 4 * axis);
    if (axis > 0) spelled += 'x';
    spelled += std::to_string(extent);
    fits = fits && extent <= 0x7fffffff;
    array.extents[axis] = static_cast<i32>(std::min<i64>(extent, 0x7fffffff));
    empty = empty || extent == 0;
    // By division: the product of extents that lie can pass 64 bits.
    if (extent > 0 && fits) {
      fits = count <= limit_bytes / extent;
      if (fits) count *= extent;
    }
  }
  if (!fits) {
    throw error(name + ": header states " + spelled + " bytes of data, more than the limit of " +
                std::to_string(limit_bytes));
  }
  if (empty) count = 0;

  while (static_cast<i64>(array.bytes.size()) < count) {
    const i64 have = static_cast<i64>(array.bytes.size());
    const i64 part = std::min<i64>(count - have, 1 << 20);
    array.bytes.resize(static_cast<std::size_t>(have + part));
    const i64 got = file.read(array.bytes.data() + have, part);
    if (got < part) {
      throw error(name + ": header states " + spelled + " = " + std::to_string(count) +
                  " bytes of data, found " + std::to_string(have + got) +
                  "; the file is truncated");
    }
  }
  u8 beyond = 0;
  if (file.read(&beyond, 1) != 0) {
    throw error(name + ": header states " + spelled + " = " + std::to_string(count) +
                " bytes of data, found more; header and data do not belong together");
  }
  return array;
}

namespace detail {

// The file of a data set, under any name it is commonly stored by.
inline std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& stem,
                                      const std::string& ending) {
  const std::string names[] = {stem + "-" + ending, stem + "-" + ending + ".gz",
                               stem + "." + ending, stem + "." + ending + ".gz"};
  std::string tried;
  for (const std::string& name : names) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / name, ignored)) return folder / name;
    tried += (tried.empty() ? "" : ", ") + name;
  }
  throw error(folder.string() + ": " + stem + " not found (looked for " + tried + ")");
}

struct labelled_images {
  shape sample;  // (channels, height, width)
  std::vector<u8> bytes;
  std::vector<i32> labels;
};

inline labelled_images read_labelled_images(const std::filesystem::path& folder,
                                            const std::string& part) {
  const auto image_path = find_idx(folder, part + "-images", "idx3-ubyte");
  const auto label_path = find_idx(folder, part + "-labels", "idx1-ubyte");
  const idx_array labels = read_idx(label_path, 1);
  idx_array images = read_idx(image_path, 3);
  if (images.extents[0] != labels.extents[0]) {
    throw error(label_path.string() + ": has " + std::to_string(labels.extents[0]) +
                " labels, expected one for each of the " + std::to_string(images.extents[0]) +
                " images of " + image_path.filename().string());
  }
  if (images.bytes.empty()) {
    throw error(image_path.string() + ": holds no images (" + std::to_string(images.extents[0]) +
                "x" + std::to_string(images.extents[1]) + "x" + std::to_string(images.extents[2]) +
                ")");
  }
  labelled_images result{
      shape(1, images.extents[1], images.extents[2]), std::move(images.bytes), {}};
  result.labels.reserve(labels.bytes.size());
  for (std::size_t i = 0; i < labels.bytes.size(); ++i) {
    if (labels.bytes[i] > 9) {
      throw error(label_path.string() + ": expected labels of 0 to 9, found " +
                  std::to_string(labels.bytes[i]) + " at index " + std::to_string(i));
    }
    result.labels.push_back(labels.bytes[i]);
  }
  return result;
}

}  // namespace detail

/// MNIST, or a set stored like it, from the folder that holds its four files: train- and t10k-,
/// images-idx3-ubyte and labels-idx1-ubyte, plain or .gz (images.idx3-ubyte is found as well).
///
/// Shapes   samples 1 x height x width, 1x28x28 in MNIST, 10 classes
/// Values   scaled to mean 0 and deviation 1 over the training images, the same for the test images
/// Errors   a missing folder or file; those of read_idx; images and labels that differ in number;
///          no images; a label over 9; test images of another size than training images
inline split mnist(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw error(folder.string() + ": no such folder, expected the four files of MNIST in it");
  }
  detail::labelled_images train = detail::read_labelled_images(folder, "train");
  detail::labelled_images test = detail::read_labelled_images(folder, "t10k");
  if (train.sample != test.sample) {
    throw error(folder.string() + ": training images are " + std::to_string(train.sample[1]) + "x" +
                std::to_string(train.sample[2]) + ", test images " +
                std::to_string(test.sample[1]) + "x" + std::to_string(test.sample[2]));
  }
  const scaling meaning = standard_scaling(train.bytes);
  return {dataset(train.sample, std::move(train.bytes), std::move(train.labels), 10, meaning),
          dataset(test.sample, std::move(test.bytes), std::move(test.labels), 10, meaning)};
}

}  // namespace tessera::data
