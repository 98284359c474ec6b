#pragma once

// Updates: what follows the backward pass, and where.
//
//   nothing shared     dw ... update(w)          each parameter right after the last reader of its
//                                                old value, so that its gradient dies at once
//   skip_rule::step    dw dw dw | test test test | update update update | scaler_update
//
// The second form holds every gradient until the last one is known to be finite.

#include <tessera/ops/ops.hpp>

namespace tessera::passes {

/// A state tensor of `parameter`, of its shape and master type.
constexpr i32 append_state(graph& g, i32 parameter, const char* part, float fill = 0) {
  tensor t = g.tensors[parameter];
  t.what = role::state;
  t.differentiable = false;
  t.fill = fill;
  t.parameter = parameter;
  t.name.of_part = part;
  return g.add(t);
}

constexpr operation make_update(graph& g, i32 parameter, i32 gradient, const update_rule& rule,
                                const loss_scaling& scaling) {
  const bool moments = rule.what == optimizer_kind::adam;
  const char* const sgd_parts[] = {"momentum", "", ""};
  const char* const adam_parts[] = {"first_moment", "second_moment", "largest_second_moment"};
  operation op;
  op.what = kind::update;
  op.in[0] = gradient;
  op.in[2] = g.scaler;
  op.out[0] = parameter;
  for (i32 i = 0; i < rule.states(); ++i) {
    op.out[1 + i] = append_state(g, parameter, moments ? adam_parts[i] : sgd_parts[i]);
  }
  const i32 applied = append_state(g, parameter, "applied");
  g.tensors[applied].dims = shape{};
  g.tensors[applied].type = element::int32;
  op.out[4] = applied;
  op.attr.update = rule;
  op.attr.scaling = scaling;
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

/// Appends the updates of all parameters that have a gradient. `gradients`: by tensor, as
/// `differentiate` returns them.
constexpr void append_updates(graph& g, const grow<i32>& gradients, const update_rule& rule,
                              const loss_scaling& scaling) {
  if (rule.what == optimizer_kind::none) return;
  grow<operation> tests;
  grow<operation> updates;
  grow<i32> after;  // the operation an update follows
  for (i32 id = 0; id < gradients.size(); ++id) {
    if (g.tensors[id].what != role::parameter || gradients[id] < 0) continue;
    i32 last = -1;
    for (i32 i = 0; i < g.operations.size(); ++i) {
      const operation& op = g.operations[i];
      for (const i32 in : op.in) {
        if (in == id) last = i;
      }
      for (const i32 out : op.out) {
        if (out == gradients[id]) last = i > last ? i : last;
      }
    }
    if (scaling.skip == skip_rule::step) {
      operation test;
      test.what = kind::overflow_test;
      test.in[0] = gradients[id];
      test.out[0] = g.scaler;
      test.layer = g.tensors[id].name;
      tests.push(test);
      last = g.operations.size();
    }
    updates.push(make_update(g, id, gradients[id], rule, scaling));
    after.push(last);
  }

  grow<operation> merged;
  for (i32 i = 0; i <= g.operations.size(); ++i) {
    if (i < g.operations.size()) {
      merged.push(g.operations[i]);
    } else {
      for (const operation& test : tests) merged.push(test);
    }
    for (i32 k = 0; k < updates.size(); ++k) {
      if (after[k] == i) merged.push(updates[k]);
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
  g.operations = merged;
}

}  // namespace tessera::passes
