#pragma once

// Reverse mode over the operations of a graph.
//
// Walks the forward operations from the last to the first and lets each append its backward
// operations (ops/ops.hpp, `differentiate`). The gradient of a weight is appended before that of
// the layer's input, so that the input's bytes are free as soon as possible.
// Source: Griewank, Walther, Evaluating Derivatives, ch. 3. O(operations).

#include <tessera/ops/ops.hpp>

namespace tessera::passes {

/// A gradient that comes in from outside: d(objective) / d(tensor) is what `gradient` holds.
struct seed {
  i32 tensor = -1;
  i32 gradient = -1;
};

/// Appends the backward pass for all losses in the graph and for the given seeds. Returns the
/// gradient of every tensor that was there before, by tensor; -1 where it has none.
constexpr grow<i32> differentiate(graph& g, const seed* seeds = nullptr, i32 seed_count = 0) {
  const i32 forward_tensors = g.tensors.size();
  const i32 forward_operations = g.operations.size();
  ops::adjoints a(g, forward_tensors);
  for (i32 i = 0; i < seed_count; ++i) a.contribute(seeds[i].tensor, seeds[i].gradient);
  for (i32 i = forward_operations - 1; i >= 0; --i) {
    const operation forward = g.operations[i];  // a copy: the array grows
    ops::differentiate(g, forward, a);
  }
  grow<i32> gradients(forward_tensors);
  for (i32 id = 0; id < forward_tensors; ++id) gradients[id] = a.of(id);
  return gradients;
}

}  // namespace tessera::passes
