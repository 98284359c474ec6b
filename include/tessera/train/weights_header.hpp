#pragma once

// Weights from a C++ header, for targets without a file system.
//
//   #include "lenet_weights.hpp"                      // written by save_header(...,
//   "lenet_weights") ts::predictor<ts::inference<lenet, ts::batch<1>>> p; ts::load(lenet_weights,
//   p.weights());

#include <tessera/io/weights_header.hpp>
#include <tessera/train/match_weights.hpp>

namespace tessera {

/// Overwrites all weights with those of a header; nothing changes unless all of them fit.
///
/// Errors   as of loading a file
[[gnu::cold]] inline load_result load(const io::weights_header& header, const weight_list& weights,
                                      const load_options& options = {}) {
  std::vector<io::stored_tensor> stored;
  for (i32 i = 0; i < header.count; ++i) {
    const io::header_tensor& t = header.tensors[i];
    const auto bytes = static_cast<std::size_t>(t.dims.count() * bytes_of(t.type));
    stored.emplace_back(t.name, io::dtype_of(t.type), t.dims,
                        std::span(static_cast<const std::byte*>(t.elements), bytes));
  }
  return detail::load_stored(stored, "weights", header.name, weights, options);
}

}  // namespace tessera
