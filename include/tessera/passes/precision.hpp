#pragma once

// Precision: the element type of every tensor.
//
//   policy       activations, gradients, input   parameters, optimizer state   loss, sums
//   fp32         f32                             f32                           f32
//   fp64         f64                             f64                           f64
//   mixed<f16>   f16                             f32 masters, working copies   f32
//
// A working copy is a parameter rounded to 16 bits. It is made by a cast at the start of the step
// and read in the parameter's place by every forward and backward operation; updates go to the
// master. (Micikevicius et al. 2018)

#include <tessera/ops/ops.hpp>

namespace tessera {

/// What a precision type of the user's (fp32, mixed<fp16>, ...) means to the compiler.
struct precision_policy {
  element storage = element::f32;  // activations, gradients, the network's input
  element master = element::f32;   // parameters and their optimizer state
  element loss = element::f32;
  loss_scaling scaling;
};

namespace passes {

/// Sets the types of all tensors of a differentiated graph and inserts the casts at its start.
constexpr void assign_precision(graph& g, const precision_policy& policy) {
  const i32 tensors = g.tensors.size();
  for (i32 id = 0; id < tensors; ++id) {
    tensor& t = g.tensors[id];
    switch (t.what) {
      case role::input:
        if (t.type != element::int32) t.type = policy.storage;  // not: numbers of words
        break;
      case role::activation:
      case role::gradient:
      case role::result: t.type = policy.storage; break;
      case role::parameter: t.type = policy.master; break;
      case role::target:
      case role::constant:
        if (t.type == element::f32) t.type = policy.loss;
        break;
      default: break;  // indices, scaler and counters have types of their own
    }
  }
  for (const operation& op : g.operations) {
    const bool loss = op.what == kind::softmax_cross_entropy || op.what == kind::mse;
    if (loss) g.tensors[op.out[0]].type = policy.loss;
  }
  if (policy.storage == policy.master) return;

  grow<operation> casts;
  grow<i32> working(tensors);
  for (i32 id = 0; id < tensors; ++id) {
    working[id] = id;
    if (g.tensors[id].what != role::parameter) continue;
    tensor copy = g.tensors[id];
    copy.what = role::working;
    copy.type = policy.storage;
    copy.parameter = id;
    if (copy.of >= 0) {  // a slice of a parameter becomes one of its copy
      copy.of = working[copy.of];
      working[id] = g.add(copy);
      continue;
    }
    operation cast;
    cast.what = kind::cast;
    cast.in[0] = id;
    cast.out[0] = working[id] = g.add(copy);
    cast.layer = copy.name;
    casts.push(cast);
  }
  for (operation& op : g.operations) {
    for (i32& in : op.in) {
      if (in >= 0) in = working[in];
    }
  }
  for (const operation& op : g.operations) casts.push(op);
  g.operations = casts;
}

}  // namespace passes
}  // namespace tessera
