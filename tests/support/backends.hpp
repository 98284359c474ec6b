#pragma once

// The backends that tests run their graphs on. The table takes all kernels of all backends; it is
// compiled once, for all test programs.

#include <support/reference_kernels.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <vector>

namespace tessera::testing {

/// A way to run graphs.
struct graph_backend {
  const char* name;
  kernel_finder find;
  bool any_batch_last;  // takes samples innermost at any batch size; else at multiples of 16
};

inline const graph_backend reference_backend{"reference", &reference::find_kernel, true};

/// The reference first, then the host, then the accelerator model: ipu_mk1, which sums in blocks of
/// four, and small_array, which sums in order on one tile.
const std::vector<graph_backend>& backends();

/// Those that know bfloat16 beside the reference: the host, and the model of a core of a TPU v2,
/// which adds up in folds.
const std::vector<graph_backend>& bfloat16_backends();

/// The layouts of a batch to try on a backend: samples outermost, and innermost where it may be.
inline std::vector<bool> layouts(const graph_backend& b, i32 batch) {
  if (b.any_batch_last || ops::batch_goes_last(batch)) return {false, true};
  return {false};
}

}  // namespace tessera::testing
