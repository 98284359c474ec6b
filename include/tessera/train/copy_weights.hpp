#pragma once

// Weights from one network to another of other layers or another job, by name.

#include <tessera/io/dtype.hpp>
#include <tessera/io/safetensors_format.hpp>
#include <tessera/train/match_weights.hpp>
#include <vector>

namespace tessera {

/// Overwrites the weights `to` with those of the same names in `from`; nothing changes unless all
/// of them fit. Options as for a load from a file: renaming, tensors to pass over, .partial where
/// one side may have more than the other.
///
/// Errors   every missing, superfluous or misshapen weight, all in one message
inline load_result copy_weights(const weight_list& from, const weight_list& to,
                                const load_options& options = {}) {
  std::vector<io::stored_tensor> stored;
  stored.reserve(from.size());
  for (const weight& w : from) {
    stored.emplace_back(w.name, io::dtype_of(w.about.type), io::stored_shape(w.about.dims),
                        w.bytes);
  }
  return detail::load_stored(stored, "weights", "the weights to copy", to, options);
}

}  // namespace tessera
