#pragma once

// The plan of a step's chain: what its blocks are, in how few bytes at what work they can be gone
// over, and the step that does it.

#include <tessera/passes/drop_values.hpp>
#include <tessera/passes/segments.hpp>

namespace tessera::passes {

/// Blocks of a step whose cheap values are dropped.
struct step_blocks {
  grow<chain_block> chain;
  grow<i32> cuts;        // units of the forward pass with which blocks begin, and their number
  grow<i32> body_block;  // by body: of a loop that can be kept lean, its block + 1; else 0
};

/// Makes `g` lean in all its loops: they keep what goes from trip to trip. Returns the work by
/// body.
constexpr grow<repeated_work> drop_in_loops(graph& g) {
  grow<bool> loops(g.bodies.size());
  for (i32 body = 1; body < loops.size(); ++body) loops[body] = true;
  return drop_values(g, drop_rule::all, loops);
}

/// `lean` is what drop_in_loops makes of `cheap`, at the work that it returned.
constexpr step_blocks find_blocks(const graph& cheap, const graph& lean,
                                  const grow<repeated_work>& work) {
  const step_chain with_little(lean);
  const step_chain with_all(cheap, with_little.cuts());
  step_blocks b{with_all.chain(), with_little.cuts(), grow<i32>(cheap.bodies.size())};
  for (i32 u = 0; u < with_little.forward_units(); ++u) {
    const operation& op = cheap.operations[with_little.unit(u).begin];
    if (op.what != kind::loop || work[op.body].operations == 0) continue;
    const i32 block = with_little.block_of(u);
    const chain_block& other = with_little.chain()[block];
    b.body_block[op.body] = block + 1;
    b.chain[block].lean_saved_bytes = other.saved_bytes;
    b.chain[block].lean_keeping_bytes = other.keeping_bytes;
    b.chain[block].lean_backward_bytes = other.backward_bytes;
    b.chain[block].lean_macs += work[op.body].macs;
  }
  return b;
}

/// Rewrites a step whose cheap values are dropped so that it goes over its chain by a route.
constexpr repeated_work follow_route(graph& g, const step_blocks& blocks, const i32* steps) {
  grow<bool> lean(blocks.chain.size());
  const i32* at = steps;
  mark_lean(at, 0, blocks.chain.size() - 1, lean);
  grow<bool> bodies(g.bodies.size());
  for (i32 body = 1; body < bodies.size(); ++body) {
    bodies[body] = blocks.body_block[body] > 0 && lean[blocks.body_block[body] - 1];
  }
  repeated_work all;
  for (const repeated_work& w : drop_values(g, drop_rule::all, bodies)) all += w;
  all += write_segments(g, step_chain(g, blocks.cuts, false), steps);
  return all;
}

}  // namespace tessera::passes
