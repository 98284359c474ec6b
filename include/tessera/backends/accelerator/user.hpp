#pragma once

// Operations of users' own on the model: the user's kernel runs as it is, and what it says that it
// costs is counted, vertex by vertex.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/ir/user_operation.hpp>

namespace tessera::accelerator {

inline void run_user(const machine& m, const call& c) {
  for_elements(m, c, [](i64, i64) {});  // counts
  run_user_kernel(c, false);
}

}  // namespace tessera::accelerator
