#pragma once

// Fusion of a weight gradient with the update that consumes it.
//
//   conv2d_weight_gradient -> dw
//   conv2d_data_gradient            becomes    conv2d_data_gradient
//   update(dw) -> w                            conv2d_weight_update -> w
//
// The gradient then has no buffer: the kernel makes a piece of it and applies it at once. The fused
// operation stands where the update stood, after the last reader of the old weight. Left alone:
// gradients that somebody else reads too, and those that skip_rule::step keeps.

#include <tessera/ops/ops.hpp>

namespace tessera::passes {

constexpr void fuse_updates(graph& g) {
  grow<i32> readers(g.tensors.size());   // how many operations read a tensor
  grow<i32> producer(g.tensors.size());  // which operation writes it
  for (i32& p : producer) p = -1;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    for (const i32 in : g.operations[i].in) {
      if (in >= 0) ++readers[in];
    }
    for (const i32 out : g.operations[i].out) {
      if (out >= 0) producer[out] = i;
    }
  }
  for (operation& op : g.operations) {
    if (op.what != kind::update) continue;
    const i32 gradient = op.in[0];
    if (readers[gradient] != 1 || producer[gradient] < 0) continue;
    operation& source = g.operations[producer[gradient]];
    const kind fused = ops::fused_update(source.what);
    if (fused == kind::none) continue;
    op.what = fused;
    op.in[0] = source.in[0];
    op.in[1] = source.in[1];
    op.attr.win = source.attr.win;
    op.attr.groups = source.attr.groups;
    op.layer = source.layer;
    source.what = kind::none;
  }
  i32 kept = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (g.operations[i].what == kind::none) continue;
    if (kept < i) g.operations[kept] = g.operations[i];
    ++kept;
  }
  g.operations.resize(kept);
}

}  // namespace tessera::passes
