#pragma once

// Updates: what follows the backward pass, and where.
//
//   nothing shared     dw ... update(w)          each parameter right after the last reader of its
//                                                old value, so that its gradient dies at once
//   repeated blocks    loop ... dw of a slice, update(w's slice) ... end_loop
//   skip_rule::step    dw dw dw | test test test | update update update | scaler_update
//   limit on the norm  dw dw dw | test ... | norm norm norm | clip_factor | update update update
//
// The last forms hold every gradient until the last one is known to be finite, or until the norm
// over all of them is known; with a limit on the norm, skip_rule::tensor therefore becomes
// skip_rule::step. Where an L1 penalty or a limit on values asks for it, adjust_gradient comes
// before the norms, else right before the update, in place of the gradient.
//
// update_rule::spares_vectors: parameters of one extent (biases, scales of normalizations; not
// counting trips of repeated blocks) have no weight decay, no L1 penalty and no adaptive rate.

#include <tessera/ops/update_rules.hpp>
#include <tessera/passes/liveness.hpp>

namespace tessera::passes {

/// A state tensor of `parameter`, of its shape; f32 where the parameter has 16 bits.
constexpr i32 append_state(graph& g, i32 parameter, const char* part, float fill = 0) {
  tensor t = g.tensors[parameter];
  t.what = role::state;
  t.differentiable = false;
  if (bytes_of(t.type) == 2) t.type = element::f32;
  t.fill = fill;
  t.parameter = parameter;
  t.name.of_part = part;
  return g.add(t);
}

/// The rule as it holds for `parameter`.
constexpr update_rule rule_for(const graph& g, i32 parameter, const update_rule& rule) {
  update_rule r = rule;
  const tensor& t = g.tensors[parameter];
  if (rule.spares_vectors && t.dims.rank - t.stack <= 1) {
    r.weight_decay = r.l1 = 0;
    r.adapts = false;
  }
  return r;
}

constexpr operation make_update(graph& g, i32 parameter, i32 gradient, const update_rule& rule,
                                const loss_scaling& scaling) {
  operation op;
  op.what = ops::update_kind(rule.what);
  op.in[0] = gradient;
  op.in[2] = g.scaler;
  op.out[0] = parameter;
  for (i32 i = 0; i < rule.states(); ++i) {
    op.out[1 + i] = append_state(g, parameter, ops::state_name(rule, i));
  }
  // How many updates the parameter has had; a number that the rule carries on.
  for (const i32 slot : {4, 5}) {
    if (slot == 5 && !ops::carries_number(rule.what)) continue;
    const i32 id = append_state(g, parameter, slot == 4 ? "step" : "mu_product");
    g.tensors[id].dims = shape{};
    g.tensors[id].stack = 0;
    if (slot == 4) g.tensors[id].type = element::int32;
    op.out[slot] = id;
  }
  if (rule.splits && bytes_of(g.tensors[parameter].type) == 2) {
    const i32 rest = append_state(g, parameter, "rest");
    g.tensors[rest].type = element::uint16;
    op.out[ops::rest_slot] = rest;
  }
  op.attr.update = rule;
  op.attr.scaling = scaling;
  op.attr.salt = parameter;
  op.layer = g.tensors[parameter].name;
  return op;
}

/// The state of loss scaling; appended before differentiation, whose loss gradients read it.
constexpr void append_scaler(graph& g, const loss_scaling& scaling) {
  if (!scaling.used()) return;
  tensor t;
  t.dims = shape(4);
  t.what = role::state;
  t.name = {"loss", 0, "scaler"};
  t.fill = scaling.initial;  // of its first slot; the others start at 0
  g.scaler = g.add(t);
}

namespace detail {

/// `part` (of the dimensions that `like` views) as `like` views its own storage: the same slices.
/// `scale`: how many elements of like's storage are one of part's.
constexpr i32 sliced_like(graph& g, i32 part, i32 like, i64 scale) {
  const tensor t = g.tensors[like];
  if (t.of < 0) return part;
  const i32 of = sliced_like(g, part, t.of, scale);
  shape dims = g.tensors[of].dims;
  i32 stack = g.tensors[of].stack;
  if (t.step != 0) {
    dims = dims.sample();
    --stack;
  }
  return ops::view_into(g, of, dims, stack, t.body, t.base / scale, t.step / scale);
}

/// True where views `a` and `b` of two storages of one shape show the same elements.
constexpr bool same_slices(const graph& g, i32 a, i32 b) {
  for (;;) {
    const tensor& ta = g.tensors[a];
    const tensor& tb = g.tensors[b];
    if (ta.of < 0 || tb.of < 0) return ta.of < 0 && tb.of < 0;
    if (ta.body != tb.body || ta.base != tb.base || ta.step != tb.step) return false;
    a = ta.of;
    b = tb.of;
  }
}

/// Where the update of a parameter goes.
struct update_place {
  i32 gradient = -1;    // what it reads
  i32 after = -1;       // the operation it follows
  bool inside = false;  // of a loop: the gradient is that of a slice, which never has a stack
};

/// Who uses the bytes of a tensor, in order: by the tensor whose bytes they are.
struct uses_by_root {
  struct use {
    i32 operation = -1;
    i32 tensor = -1;  // as the operand names it
    bool writes = false;
  };
  grow<i32> first;  // uses of root r: all[first[r]] to all[first[r + 1] - 1]
  grow<use> all;

  constexpr uses_by_root(const graph& g, const grow<i32>& root_of) : first(g.tensors.size() + 1) {
    const i32* const root = root_of.data();
    i32* const begin = first.data();
    grow<use> in_order;  // of operations
    in_order.reserve(4 * g.operations.size());
    for (i32 i = 0; i < g.operations.size(); ++i) {
      const operation& op = g.operations[i];
      for (i32 slot = 0; slot < operation::max_inputs + operation::max_outputs; ++slot) {
        const bool writes = slot >= operation::max_inputs;
        const i32 id = writes ? op.out[slot - operation::max_inputs] : op.in[slot];
        if (id < 0) continue;
        ++begin[root[id] + 1];
        in_order.push({i, id, writes});
      }
    }
    for (i32 r = 1; r < first.size(); ++r) begin[r] += begin[r - 1];
    all.resize(in_order.size());
    grow<i32> next = first;
    i32* const at = next.data();
    use* const sorted = all.data();
    for (const use& u : in_order) sorted[at[root[u.tensor]]++] = u;
  }
};

/// The parameters of a repeated block have a gradient that the trips of one loop write slice by
/// slice. Where nobody else reads the gradient, and only those trips still read the parameter, each
/// slice is updated as soon as its gradient is there.
constexpr update_place place_of_update(const graph& g, const tensor_uses& uses,
                                       const uses_by_root& users, const grow<loop_span>& loops,
                                       i32 parameter, i32 gradient) {
  update_place after_all{gradient, uses.last[uses.root[gradient]], false};
  if (uses.last[parameter] > after_all.after) after_all.after = uses.last[parameter];
  const tensor& whole = g.tensors[gradient];
  if (g.tensors[parameter].stack == 0 || whole.of >= 0 || whole.what == role::result) {
    return after_all;
  }
  i32 slice = -1;
  i32 last = -1;  // operation that writes the slice's gradient or reads its parameter
  for (i32 i = users.first[gradient]; i < users.first[gradient + 1]; ++i) {
    const uses_by_root::use& u = users.all[i];
    if (!u.writes || slice >= 0 || g.tensors[u.tensor].step == 0) return after_all;
    slice = u.tensor;
    last = u.operation;
  }
  if (slice < 0) return after_all;
  i32 outermost = g.tensors[slice].body;
  while (g.bodies[outermost].depth > 1) outermost = g.bodies[outermost].parent;
  for (i32 i = users.first[parameter]; i < users.first[parameter + 1]; ++i) {
    const uses_by_root::use& u = users.all[i];
    if (u.operation < loops[outermost].begin) continue;
    if (!same_slices(g, u.tensor, slice)) return after_all;
    if (u.operation > last) last = u.operation;
  }
  return {slice, last, true};
}

/// Makes an `update` of a stack of parameters one of the slice whose gradient is `slice`, which
/// stands alone from then on. Every slice counts its own updates.
constexpr void update_slice(graph& g, operation& update, i32 slice) {
  const tensor parameter = g.tensors[update.out[0]];
  const i64 n = g.tensors[slice].dims.count();
  for (i32 out = 0; out < operation::max_outputs; ++out) {
    if (update.out[out] < 0) continue;
    const bool number = out == 4 || out == 5;
    if (number) {  // one a slice
      tensor& t = g.tensors[update.out[out]];
      t.dims = parameter.dims;
      t.dims.rank = parameter.stack;
      t.stack = parameter.stack;
    }
    update.out[out] = sliced_like(g, update.out[out], slice, number ? n : 1);
  }
  tensor& t = g.tensors[slice];
  t.of = -1;
  t.base = t.step = 0;
  update.in[0] = slice;
}

/// Puts an operation before `update` that adjusts its gradient as rule and limits say; one of kind
/// none where they say nothing.
constexpr operation adjust_before(graph& g, operation& update, const gradient_limits& limits) {
  operation op;
  if (update.attr.update.l1 == 0 && limits.value == 0) return op;
  tensor t = g.tensors[update.in[0]];
  t.what = role::gradient;
  t.of = -1;
  t.base = t.step = 0;
  op.what = kind::adjust_gradient;
  op.in[0] = update.in[0];
  if (update.attr.update.l1 != 0) op.in[1] = update.out[0];
  op.in[2] = g.scaler;
  op.out[0] = update.in[0] = g.add(t);
  op.attr.update.l1 = update.attr.update.l1;
  op.attr.limits = limits;
  op.layer = update.layer;
  return op;
}

/// What finds the factor of clipping by the norm of all gradients that `updates` read, and hands it
/// to them.
constexpr grow<operation> clip_norm_of(graph& g, grow<operation>& updates,
                                       const gradient_limits& limits) {
  tensor t;
  t.what = role::gradient;
  t.type = g.tensors[updates[0].out[0]].type;
  if (bytes_of(t.type) == 2) t.type = element::f32;  // sums of gradients, also of 16-bit parameters
  t.name = {"gradients", 0, "norms"};
  t.dims = shape(updates.size());
  const i32 norms = g.add(t);
  t.what = role::result;
  t.name = {"gradients", 0, "clip"};
  t.dims = shape(ops::clip_count);
  g.clip = g.add(t);
  grow<operation> all;
  operation op;
  op.attr.limits = limits;
  for (i32 k = 0; k < updates.size(); ++k) {
    op.what = kind::gradient_norm;
    op.in[1] = updates[k].in[0];
    op.out[0] = ops::view_into(g, norms, shape(1), 0, 0, k, 0);
    op.layer = updates[k].layer;
    all.push(op);
    updates[k].in[3] = g.clip;
  }
  op.what = kind::clip_factor;
  op.in[0] = norms;
  op.in[1] = -1;
  op.in[2] = g.scaler;
  op.out[0] = g.clip;
  op.layer = t.name;
  all.push(op);
  return all;
}

/// The order in which updates come: parameters that the weight gradients of others are made of (a
/// table that is multiplied) last, and no earlier than those, so that these can be fused with their
/// updates. Moves such updates behind operations `after`, by update.
constexpr grow<i32> order_of_updates(const graph& g, const grow<operation>& updates,
                                     grow<i32>& after) {
  grow<bool> is_factor(updates.size());
  for (const operation& op : g.operations) {
    if (op.what != kind::dense_weight_gradient) continue;
    const i32 factor = storage_of(g, op.in[0]);
    if (g.tensors[factor].what != role::parameter) continue;
    i32 of = -1;  // the update of what it is a factor of
    for (i32 k = 0; k < updates.size(); ++k) {
      if (updates[k].in[0] == op.out[0]) of = k;
    }
    for (i32 k = 0; k < updates.size(); ++k) {
      if (storage_of(g, updates[k].out[0]) != factor) continue;
      is_factor[k] = true;
      if (of >= 0 && after[of] > after[k]) after[k] = after[of];
    }
  }
  grow<i32> order;
  for (const bool last : {false, true}) {
    for (i32 k = 0; k < updates.size(); ++k) {
      if (is_factor[k] == last) order.push(k);
    }
  }
  return order;
}

}  // namespace detail

/// Appends the updates of all parameters that have a gradient. `gradients`: by tensor, as
/// `differentiate` returns them.
constexpr void append_updates(graph& g, const grow<i32>& gradients, const update_rule& rule,
                              loss_scaling scaling, const gradient_limits& limits = {}) {
  if (rule.what == optimizer_kind::none) return;
  const bool clips = limits.norm > 0;
  if (clips && scaling.used()) scaling.skip = skip_rule::step;
  const bool late = clips || scaling.skip == skip_rule::step;  // all gradients live until the end
  const tensor_uses uses = find_uses(g);
  const detail::uses_by_root users(g, uses.root);
  const grow<loop_span> loops = find_loops(g);
  grow<operation> tests;
  grow<operation> adjusts;  // one before each update, most of kind none
  grow<operation> updates;
  grow<i32> after;  // the operation an update follows
  for (i32 id = 0; id < gradients.size(); ++id) {
    if (g.tensors[id].what != role::parameter || gradients[id] < 0) continue;
    detail::update_place place = detail::place_of_update(g, uses, users, loops, id, gradients[id]);
    if (scaling.skip == skip_rule::step) {
      operation test;
      test.what = kind::overflow_test;
      test.in[0] = gradients[id];
      test.out[0] = g.scaler;
      test.layer = g.tensors[id].name;
      tests.push(test);
    }
    if (late) place = {gradients[id], g.operations.size(), false};
    operation update = make_update(g, id, gradients[id], rule_for(g, id, rule), scaling);
    if (place.inside) detail::update_slice(g, update, place.gradient);
    adjusts.push(detail::adjust_before(g, update, limits));
    updates.push(update);
    after.push(place.after);
  }
  grow<operation> norms;
  if (clips && updates.size() > 0) norms = detail::clip_norm_of(g, updates, limits);

  // The updates that follow each operation, in their order: head and links of lists.
  grow<i32> first(g.operations.size() + 1);
  grow<i32> next(updates.size());
  for (i32& k : first) k = -1;
  const grow<i32> order = detail::order_of_updates(g, updates, after);
  for (i32 place = updates.size() - 1; place >= 0; --place) {
    const i32 k = order[place];
    next[k] = first[after[k]];
    first[after[k]] = k;
  }
  grow<operation> merged;
  merged.reserve(g.operations.size() + tests.size() + updates.size() + 1);
  for (i32 i = 0; i <= g.operations.size(); ++i) {
    if (i < g.operations.size()) {
      merged.push(g.operations[i]);
    } else {
      for (const operation& test : tests) merged.push(test);
    }
    if (i == g.operations.size() && late) {
      for (const operation& adjust : adjusts) {
        if (adjust.what != kind::none) merged.push(adjust);
      }
      for (const operation& norm : norms) merged.push(norm);
    }
    for (i32 k = first[i]; k >= 0; k = next[k]) {
      if (!late && adjusts[k].what != kind::none) merged.push(adjusts[k]);
      merged.push(updates[k]);
    }
  }
  if (scaling.used()) {
    operation finish;
    finish.what = kind::scaler_update;
    finish.out[0] = g.scaler;
    finish.attr.scaling = scaling;
    finish.layer = g.tensors[g.scaler].name;
    merged.push(finish);
  }
  g.operations = static_cast<grow<operation>&&>(merged);
}

}  // namespace tessera::passes
