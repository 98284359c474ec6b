#pragma once

// Where a network meets what training compares it with: targets and losses as a graph lists them.

#include <tessera/nn/builder.hpp>

namespace tessera {

namespace detail {

/// A number in a name where there are several of a kind: target, target2, target3.
constexpr i32 ordinal_of(const endpoints& others) {
  return others.size() > 0 ? others.size() + 1 : 0;
}

}  // namespace detail

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
