#pragma once

// Where a network meets the world: inputs, targets and losses as a graph lists them.

#include <tessera/nn/builder.hpp>

namespace tessera {

namespace detail {

/// A number in a name where there are several of a kind: input, input2, input3.
constexpr i32 ordinal_of(const endpoints& others) {
  return others.size() > 0 ? others.size() + 1 : 0;
}

}  // namespace detail

/// An input: samples of shape `dims`, whose first `stack` extents count time and stand before the
/// batch.
constexpr value append_input(builder& b, const shape& dims, element type, i32 stack) {
  graph& g = b.network();
  if (g.inputs.full()) {
    return b.fail({"network", spell_all("at most ", endpoints::max_count, " inputs"), "more",
                   "join some of them before the network"});
  }
  tensor t;
  t.dims = dims.batch_of(g.batch);
  for (i32 axis = 0; axis < stack; ++axis) {
    t.dims[axis] = dims[axis];
    t.dims[axis + 1] = g.batch;
  }
  t.type = type;
  t.what = role::input;
  t.batched = true;
  t.batch_last = ops::batch_goes_last(g.batch);
  t.stack = stack;
  t.name = {"input", detail::ordinal_of(g.inputs), ""};
  const i32 id = g.add(t);
  g.inputs.push(id);
  return {id};
}

/// What a loss compares with, of the shape, type and layout of `like`.
constexpr value append_target(builder& b, tensor like) {
  graph& g = b.network();
  if (g.targets.full()) {
    return b.fail({"network", spell_all("at most ", endpoints::max_count, " targets"), "more",
                   "join some of the outputs before their loss"});
  }
  like.what = role::target;
  like.differentiable = false;
  like.of = -1;
  like.base = like.step = 0;
  like.name = {"target", detail::ordinal_of(g.targets), ""};
  const i32 id = g.add(like);
  g.targets.push(id);
  return {id};
}

/// Makes the scalar `id`, which an operation of a loss puts out, a term of what training makes
/// smaller.
constexpr value append_loss(builder& b, i32 id) {
  graph& g = b.network();
  if (g.losses.full()) {
    return b.fail({"network", spell_all("at most ", endpoints::max_count, " losses"), "more",
                   "join some of the outputs before their loss"});
  }
  g.tensors[id].name.ordinal = detail::ordinal_of(g.losses);
  g.losses.push(id);
  return {id};
}

}  // namespace tessera
