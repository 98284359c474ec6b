#pragma once

// Precision: the element type of every tensor.
//
//   policy       activations, gradients, input   parameters, optimizer state   loss, sums
//   fp32         f32                             f32                           f32
//   fp64         f64                             f64                           f64
//   mixed<f16>   f16 (or bf16)                   f32 masters, working copies   f32
//   split master f16 (or bf16)                   and 16 bits more, f32 states  f32
//   pure<f16>    f16 (or bf16)                   f16, f32 states               f32
//
// A working copy is a parameter rounded to 16 bits. It is made by a cast at the start of the step
// and read in the parameter's place by every forward and backward operation; updates go to the
// master. (Micikevicius et al. 2018) Parameters that only normalizations read have no working copy:
// those read the master, and the gradients of such parameters are of its type. Tables that only
// embeddings read have none either: the few rows that are looked up are rounded on the way, to the
// same bits; their gradients are 16 bits like any weight's.

#include <tessera/ops/ops.hpp>

namespace tessera {

/// What a precision type of the user's (fp32, mixed<fp16>, ...) means to the compiler.
struct precision_policy {
  element storage = element::f32;  // activations, gradients, the network's input
  element master = element::f32;   // parameters and their optimizer state
  element loss = element::f32;
  loss_scaling scaling;
  bool masters = true;  // false: parameters are of the storage type, and there are no copies
  bool splits = false;  // with 16 more bits of each in the optimizer's state (update_rule::splits)
};

namespace passes {

/// An update rule as it is under `policy`.
constexpr update_rule rule_in(const precision_policy& policy, update_rule rule) {
  rule.splits = policy.splits;
  return rule;
}

/// By tensor: is it a parameter that normalizations read, and nobody else?
constexpr grow<bool> find_norm_scales(const graph& g) {
  grow<i32> reads(g.tensors.size());  // by normalizations, by storage
  grow<i32> others(g.tensors.size());
  for (const operation& op : g.operations) {
    for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
      if (op.in[slot] < 0) continue;
      const bool scale = ops::is_norm(op.what) ? slot == 1 || slot == 2
                                               : ops::is_norm_gradient(op.what) && slot == 2;
      ++(scale ? reads : others)[storage_of(g, op.in[slot])];
    }
  }
  grow<bool> found(g.tensors.size());
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const i32 storage = storage_of(g, id);
    found[id] = g.tensors[id].what == role::parameter && reads[storage] > 0 && others[storage] == 0;
  }
  return found;
}

/// By tensor: is it a parameter whose rows embeddings look up, and nobody else reads?
constexpr grow<bool> find_tables(const graph& g) {
  grow<bool> looked_up(g.tensors.size());  // by storage
  grow<bool> others(g.tensors.size());
  for (const operation& op : g.operations) {
    const bool looks_up = op.what == kind::embedding || op.what == kind::embedding_bag;
    for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
      if (op.in[slot] < 0) continue;
      const bool table =
          (looks_up && slot == 1) || (op.what == kind::embedding_bag_weight_gradient && slot == 2);
      (table ? looked_up : others)[storage_of(g, op.in[slot])] = true;
    }
  }
  grow<bool> found(g.tensors.size());
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const i32 storage = storage_of(g, id);
    found[id] = g.tensors[id].what == role::parameter && looked_up[storage] && !others[storage];
  }
  return found;
}

/// Sets the types of all tensors of a differentiated graph and inserts the casts at its start.
constexpr void assign_precision(graph& g, const precision_policy& policy) {
  const i32 tensors = g.tensors.size();
  const grow<bool> norm_scale = find_norm_scales(g);
  const grow<bool> table = find_tables(g);
  for (i32 id = 0; id < tensors; ++id) {
    tensor& t = g.tensors[id];
    if (!is_real(t.type)) continue;  // whole numbers: words, places, quantized values
    switch (t.what) {
      case role::input:
      case role::activation:
      case role::gradient:
      case role::result: t.type = policy.storage; break;
      case role::parameter:
        t.type = policy.masters || norm_scale[id] || table[id] ? policy.master : policy.storage;
        break;
      case role::statistic: t.type = policy.master; break;
      case role::target:
      case role::constant:
        if (t.type == element::f32) t.type = policy.loss;
        break;
      case role::state:
        if (t.batched) t.type = policy.storage;  // what a recurrence has left
        break;
      default: break;  // indices, scaler and counters have types of their own
    }
    const bool gradient = t.what == role::gradient || t.what == role::result;
    if (gradient && t.parameter >= 0 && norm_scale[t.parameter]) t.type = policy.master;
  }
  for (const operation& op : g.operations) {
    if (is_loss(op.what)) g.tensors[op.out[0]].type = policy.loss;
    if (loss_of(op.what) == kind::ctc) {  // alpha, sums; room for beta
      g.tensors[op.out[1]].type = policy.loss;
      if (op.out[2] >= 0) g.tensors[op.out[2]].type = policy.loss;
    }
    if (op.what == kind::balance_loss) {
      g.tensors[op.out[0]].type = g.tensors[op.out[1]].type = policy.loss;
    }
    if (op.what == kind::attention && op.out[1] >= 0) {
      g.tensors[storage_of(g, op.out[1])].type = policy.master;
    }
    if (!ops::is_norm(op.what)) continue;
    for (const i32 slot : {3, 4}) {  // mean and deviation; of all trips where they are in a loop
      if (op.out[slot] >= 0) g.tensors[storage_of(g, op.out[slot])].type = policy.master;
    }
  }
  for (i32 id = 0; id < tensors; ++id) {  // what is saved has one type wherever it is seen
    tensor& t = g.tensors[id];
    if (t.what == role::saved && t.of >= 0) t.type = g.tensors[storage_of(g, id)].type;
  }
  if (policy.storage == policy.master) return;

  grow<operation> casts;
  grow<i32> working(tensors);
  for (i32 id = 0; id < tensors; ++id) {
    working[id] = id;
    if (g.tensors[id].what != role::parameter || norm_scale[id] || table[id]) {
      continue;
    }
    if (!is_real(g.tensors[id].type) || g.tensors[id].type == policy.storage) continue;
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
  g.operations = static_cast<grow<operation>&&>(casts);
}

}  // namespace passes
}  // namespace tessera
