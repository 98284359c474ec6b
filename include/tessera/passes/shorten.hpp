#pragma once

// Lives that end earlier at no cost: two rewrites that change no bit.
//
//   a value that is copied into a slot of a stack     is read from the slot from then on
//
//   max_pool_gradient(dp, index) -> dy                relu_gradient(p, dp) -> dp'
//   relu_gradient(y, dy) -> dx              becomes   max_pool_gradient(dp', index) -> dx
//
// The second: of a window only the largest value gets a gradient, and whether that value was above
// zero can be read from p, what the pool has put out. So y, several times as large, need not live
// until then. (Windows may overlap: what a cell gets from several of them is masked alike, since
// all of them have put out that cell's value.)

#include <tessera/ir/loops.hpp>
#include <tessera/ops/ops.hpp>

namespace tessera::passes {

namespace detail {

/// True where operation `op`, of body `body`, writes to element `first` to `first + count - 1` of
/// `root` in any trip.
constexpr bool may_touch(const graph& g, i32 out, i32 root, i64 first, i64 count) {
  if (storage_of(g, out) != root) return false;
  i64 low = 0;
  i64 high = g.tensors[out].dims.count();
  for (i32 v = out; g.tensors[v].of >= 0; v = g.tensors[v].of) {
    const tensor& t = g.tensors[v];
    const i64 moved = t.step * (g.bodies[t.body].trips - 1);
    low += t.base + (moved < 0 ? moved : 0);
    high += t.base + (moved > 0 ? moved : 0);
  }
  return low < first + count && first < high;
}

}  // namespace detail

/// Reads what has been copied into a stack from there. What the graph says of carries has served
/// its purpose then, and goes.
constexpr void read_slots(graph& g) {
  g.carries.clear();
  for (i32 i = 0; i < g.forward_operations; ++i) {
    const operation copy = g.operations[i];
    if (copy.what != kind::copy) continue;
    const i32 from = copy.in[0];
    const i32 to = copy.out[0];
    const tensor& t = g.tensors[to];
    if (t.of < 0 || t.body != 0 || t.step != 0 || g.tensors[t.of].of >= 0) continue;
    if (g.tensors[from].body != 0 || g.tensors[from].of >= 0) continue;
    if (g.tensors[from].what != role::activation || g.tensors[from].type != t.type) continue;
    bool stays = true;  // both: nothing else is written there later, nor was `from` before
    for (i32 k = i + 1; k < g.operations.size() && stays; ++k) {
      for (const i32 out : g.operations[k].out) {
        if (out < 0) continue;
        stays = stays && storage_of(g, out) != from &&
                !detail::may_touch(g, out, t.of, t.base, t.dims.count());
      }
    }
    if (!stays) continue;
    i32 body = 0;
    for (i32 k = i + 1; k < g.operations.size(); ++k) {
      if (g.operations[k].what == kind::end_loop) body = g.bodies[g.operations[k].body].parent;
      for (i32& in : g.operations[k].in) {
        if (in == from && body == 0) in = to;
      }
      if (g.operations[k].what == kind::loop) body = g.operations[k].body;
    }
    for (i32 id = 0; id < g.tensors.size(); ++id) {  // views, of this body and of loops
      if (g.tensors[id].of == from) g.tensors[id].of = to;
    }
  }
}

/// Masks gradients before they go back through a max pool instead of behind it. Every step does
/// (network/make.hpp): VGG-16 at batch 1 takes 39 MB instead of 62.
constexpr void mask_before_pools(graph& g) {
  grow<i32> pool_of(g.tensors.size());  // by value: the forward pool that reads it
  grow<i32> readers(g.tensors.size());
  for (i32& p : pool_of) p = -1;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    if (i < g.forward_operations && op.what == kind::max_pool2d) pool_of[op.in[0]] = i;
    for (const i32 in : op.in) {
      if (in >= 0) ++readers[in];
    }
  }
  for (i32 i = g.forward_operations; i + 1 < g.operations.size(); ++i) {
    operation& back = g.operations[i];
    operation& mask = g.operations[i + 1];
    if (back.what != kind::max_pool2d_gradient || mask.what != kind::relu_gradient) continue;
    const i32 y = mask.in[0];
    if (mask.in[1] != back.out[0] || readers[back.out[0]] != 1 || pool_of[y] < 0) continue;
    const operation& pool = g.operations[pool_of[y]];
    if (pool.out[1] != back.in[1]) continue;
    if (g.tensors[pool.out[0]].body != g.tensors[back.in[0]].body) continue;
    if (g.tensors[back.in[0]].dims != g.tensors[pool.out[0]].dims) continue;
    tensor masked = g.tensors[back.in[0]];
    masked.of = -1;
    masked.base = masked.step = 0;
    masked.what = role::gradient;
    const i32 id = g.add(masked);
    operation first = mask;
    first.in[0] = pool.out[0];
    first.in[1] = back.in[0];
    first.out[0] = id;
    operation second = back;
    second.in[0] = id;
    second.out[0] = mask.out[0];
    g.operations[i] = first;
    g.operations[i + 1] = second;
  }
}

}  // namespace tessera::passes
