#pragma once

// Weights in and out: safetensors files under the names and in the layouts of the network.

#include <tessera/io/safetensors.hpp>
#include <tessera/runtime/weights.hpp>
#include <algorithm>
#include <string>
#include <vector>

namespace tessera {

/// Writes all weights; a file that is there is replaced only by a complete one.
///
/// Errors   a file that cannot be written
inline void save(const std::string& path, const weight_list& weights) {
  std::vector<io::named_tensor> tensors;
  for (const weight& w : weights) tensors.push_back({w.name, w.about.type, w.about.dims, w.bytes});
  io::write_safetensors(path, tensors);
}

/// Overwrites all weights with those of a file; nothing changes unless all of them fit.
///
/// Errors   a file that is no safetensors file; every missing, superfluous, misshapen or wrongly
///          typed tensor, all in one message
inline void load(const std::string& path, const weight_list& weights) {
  const auto file = io::safetensors_file::read(path);
  std::vector<io::expected_tensor> expected;
  for (const weight& w : weights) expected.push_back({w.name, w.about.type, w.about.dims});
  io::check_against(file, expected);
  for (const weight& w : weights) {
    const io::stored_tensor* const found = file.find(w.name);
    std::copy(found->bytes.begin(), found->bytes.end(), w.bytes.begin());
  }
}

}  // namespace tessera
