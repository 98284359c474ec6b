#pragma once

// The backends that tests run their graphs on.

#include <tessera/backends/reference.hpp>
#if __has_include(<tessera/backends/host.hpp>)
#include <tessera/backends/host.hpp>
#endif
#include <tessera/runtime/interpreter.hpp>

#include <vector>

namespace tessera::testing {

/// A way to run graphs.
struct backend {
  const char* name;
  kernel_finder find;
  bool any_batch_last;  // takes samples innermost at any batch size; else at multiples of 16
};

inline const backend reference_backend{"reference", &reference::find_kernel, true};

inline const std::vector<backend>& backends() {
  static const std::vector<backend> all {
    reference_backend,
#if __has_include(<tessera/backends/host.hpp>)
        {"host", &host::find_kernel, false},
#endif
  };
  return all;
}

/// The layouts of a batch to try on a backend: samples outermost, and innermost where it may be.
inline std::vector<bool> layouts(const backend& b, i32 batch) {
  if (b.any_batch_last || ops::batch_goes_last(batch)) return {false, true};
  return {false};
}

}  // namespace tessera::testing
