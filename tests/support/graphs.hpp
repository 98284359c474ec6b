#pragma once

// Small graphs for tests: tensors by hand, and the steps from a forward graph to one that can be
// run and read.

#include <support/reference_kernels.hpp>

#include <tessera/ir/graph.hpp>
#include <tessera/passes/differentiate.hpp>
#include <tessera/passes/fuse.hpp>
#include <tessera/passes/updates.hpp>

#include <vector>

namespace tessera::testing {

/// What a test says about a tensor that it fills itself.
struct tensor_options {
  role what = role::input;
  element type = element::f32;
  bool batched = true;
  bool batch_last = false;
  bool differentiable = false;  // its gradient is wanted
  const char* part = "value";
};

inline i32 add_tensor(graph& g, const shape& dims, const tensor_options& o = {}) {
  tensor t;
  t.dims = dims;
  t.type = o.type;
  t.what = o.what;
  t.batched = o.batched;
  t.batch_last = o.batched && o.batch_last;
  t.differentiable = o.differentiable;
  t.name = {"test", 0, o.part};
  return g.add(t);
}

inline i32 add_weight(graph& g, const shape& dims, element type = element::f32,
                      const char* part = "weight") {
  return add_tensor(g, dims, {role::parameter, type, false, false, true, part});
}

/// Keeps an arena tensor until the step ends, so that a test can read it.
inline void keep(graph& g, i32 id) {
  if (id < 0 || !in_arena(g.tensors[id].what)) return;
  g.tensors[id].what = role::result;
  if (*g.tensors[id].name.part == 0 && g.tensors[id].type != element::f32) {
    g.tensors[id].name.part = "kept";
  }
}

/// An input for the gradient that comes in at `id`, shaped and laid out like it.
inline i32 add_seed(graph& g, i32 id) {
  tensor t = g.tensors[id];
  t.what = role::input;
  t.differentiable = false;
  t.of = -1;
  t.base = t.step = 0;
  t.name = {"test", 0, "seed"};
  return g.add(t);
}

/// Differentiates with an incoming gradient for each of `outputs`; returns the seeds' tensors and
/// the gradients by tensor, all kept.
struct differentiated {
  std::vector<i32> seeds;
  grow<i32> gradients;
};

inline differentiated differentiate_from(graph& g, const std::vector<i32>& outputs) {
  differentiated d;
  std::vector<passes::seed> seeds;
  for (const i32 id : outputs) {
    d.seeds.push_back(add_seed(g, id));
    seeds.push_back({id, d.seeds.back()});
  }
  d.gradients = passes::differentiate(g, seeds.data(), static_cast<i32>(seeds.size()));
  for (const i32 id : d.gradients) keep(g, id);
  return d;
}

}  // namespace tessera::testing
