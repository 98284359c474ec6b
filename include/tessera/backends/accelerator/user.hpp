#pragma once

// Operations of users' own on the model: the codelet's function runs on the elements of every
// vertex, without one the user's kernel as it is; what it costs is counted, vertex by vertex.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/ir/user_operation.hpp>

namespace tessera::accelerator {

inline void run_user(const machine& m, const call& c) {
  const codelet* const own = codelet_of(*c.sizes, c.attr->user);
  if (own != nullptr && own->compute != nullptr) {
    return for_elements(m, c, [&](i64 first, i64 count) { own->compute(m, c, first, count); });
  }
  for_elements(m, c, [](i64, i64) {});  // counts
  run_user_kernel(c, false);
}

}  // namespace tessera::accelerator
