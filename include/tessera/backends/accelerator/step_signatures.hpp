#pragma once

// The distinct signatures of a step: what is left of a graph when only its price matters.
//
//   step_signatures step = sign_step(graph);     // once per network, mode and batch
//   step_price p = price(machine, step);         // for every machine that is tried
//
// Equal operations are mapped and priced once, whatever their number: the training step of
// ResNet-50 has some 500 operations and a third as many signatures.

#include <tessera/backends/accelerator/price.hpp>
#include <tessera/ir/loops.hpp>
#include <tessera/ops/ops.hpp>  // sign

namespace tessera::accelerator {

/// A signature and how often a step runs it, all trips of all loops counted.
struct counted_signature {
  signature of;
  i64 runs = 0;
  const user_operation* user = nullptr;  // the definition of a user's operation
  i64 kept = 0;  // of these, runs that find their weights as the run before left them
};

struct step_signatures {
  grow<counted_signature> distinct;
  grow<i32> number_of;  // by operation of the graph: place in `distinct`, -1 for the ends of loops
};

constexpr step_signatures sign_step(const graph& g) {
  step_signatures step;
  step.number_of.resize(g.operations.size());
  grow<u64> digests;
  const grow<i32> bodies = bodies_of_operations(g);
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    step.number_of[i] = -1;
    if (op.what == kind::loop || op.what == kind::end_loop) continue;
    const signature s = ops::sign(g, op);
    u64 digest = s.types * 0x9E3779B97F4A7C15u + static_cast<u64>(s.what);
    for (const i32 n : s.n) digest = (digest ^ static_cast<u64>(n)) * 0x100000001B3u;
    i32 found = 0;
    while (found < step.distinct.size() &&
           (digests[found] != digest || !(step.distinct[found].of == s) ||
            step.distinct[found].user != op.attr.user)) {
      ++found;
    }
    if (found == step.distinct.size()) {
      digests.push(digest);
      step.distinct.push({s, 0, op.attr.user});
    }
    step.number_of[i] = found;
    step.distinct[found].runs += runs_of(g, bodies[i]);
    step.distinct[found].kept += runs_with_kept_weights(g, op, bodies[i]);
  }
  return step;
}

/// The price of a whole step on `m`. `bytes`: what the step needs; where that is more than there is
/// on the chip, and there is memory beside it, operands come from there.
constexpr step_price price(const machine& m, const step_signatures& step, i64 bytes = 0) {
  step_price total;
  const bool outside = lies_off_chip(m, bytes);
  for (const counted_signature& s : step.distinct) {
    total += price_of_runs(m, s.of, s.runs, s.kept, {.off_chip = outside, .user = s.user});
  }
  return total;
}

}  // namespace tessera::accelerator
