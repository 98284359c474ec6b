#pragma once

// The membranes of the ISBI 2012 challenge: image/N.png beside label/N.png, N from 0 on.

#include <tessera/core/error.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/segments.hpp>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "image.hpp"

namespace examples {

/// All pairs of a folder, grey, class 0 where the label is dark (membrane) and 1 where it is bright
/// (cell).
///
/// Values   scaled to mean 0 and deviation 1 over all pictures
/// Errors   a missing folder or label; no picture; pictures of several sizes; those of load_image
inline tessera::data::segmented_images load_membranes(const std::filesystem::path& folder) {
  std::vector<tessera::u8> bytes;
  std::vector<tessera::u8> classes;
  tessera::shape picture;
  const auto append = [&](const std::string& path, std::vector<tessera::u8>& to) {
    const image found = load_image(path, 1);
    const tessera::shape size(1, found.height, found.width);
    if (picture.rank == 0) picture = size;
    if (size != picture) {
      throw tessera::error(path + ": is " + std::to_string(found.width) + "x" +
                           std::to_string(found.height) + ", expected " +
                           std::to_string(picture[2]) + "x" + std::to_string(picture[1]) +
                           " as the first picture");
    }
    to.insert(to.end(), found.bytes.begin(), found.bytes.end());
  };
  for (tessera::i32 i = 0;; ++i) {
    const std::string name = std::to_string(i) + ".png";
    if (!std::filesystem::exists(folder / "image" / name)) break;
    append((folder / "image" / name).string(), bytes);
    append((folder / "label" / name).string(), classes);
  }
  if (picture.rank == 0) {
    throw tessera::error(folder.string() + ": no image/0.png in it, expected image/N.png and " +
                         "label/N.png");
  }
  for (tessera::u8& each : classes) each = each >= 128 ? 1 : 0;
  const tessera::data::scaling meaning = tessera::data::standard_scaling(bytes);
  return tessera::data::segmented_images(picture, std::move(bytes), std::move(classes), 2, meaning);
}

}  // namespace examples
