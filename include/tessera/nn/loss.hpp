#pragma once

// Losses: what a training step makes smaller.

#include <tessera/nn/builder.hpp>

namespace tessera {

/// A loss appends its target and itself behind the network's output.
template <class L>
concept loss_function = requires(builder& b, value x) {
  { L::build(b, x) } -> std::same_as<value>;
};

/// Mean over the batch of -log softmax(logits)[label]. (ops/loss.hpp)
///
/// Shapes   logits (batch, classes)   target (batch), class numbers as i32   loss scalar, f32
/// Errors   "softmax_cross_entropy: expected a rank-1 input, ..."
struct softmax_cross_entropy {
  static constexpr value build(builder& b, value logits) {
    if (!b.usable(logits)) return {};
    if (b.sample(logits).rank != 1) {
      return b.fail({"softmax_cross_entropy", "a rank-1 output (one value per class)",
                     spell_all<64>(b.sample(logits)), "end with flatten and dense<classes>"});
    }
    graph& g = b.network();
    tensor t;
    t.dims = shape(g.batch);
    t.type = element::int32;
    t.what = role::target;
    t.batched = true;
    t.name = {"target", 0, ""};
    const i32 target = g.add(t);
    const i32 loss = ops::softmax_cross_entropy(g, logits.id, target, -1, {});
    g.targets.push(target);
    g.losses.push(loss);
    return {loss};
  }
};

/// Mean over all elements of (output - target)^2. (ops/loss.hpp)
///
/// Shapes   output and target of one shape   loss scalar, f32
struct mse {
  static constexpr value build(builder& b, value y) {
    if (!b.usable(y)) return {};
    graph& g = b.network();
    tensor t = g.tensors[y.id];
    t.what = role::target;
    t.differentiable = false;
    t.of = -1;
    t.name = {"target", 0, ""};
    const i32 target = g.add(t);
    const i32 loss = ops::mse(g, y.id, target, {});
    g.targets.push(target);
    g.losses.push(loss);
    return {loss};
  }
};

static_assert(loss_function<softmax_cross_entropy> && loss_function<mse>);

}  // namespace tessera
