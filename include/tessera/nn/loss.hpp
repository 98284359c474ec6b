#pragma once

// Losses: what a training step makes smaller. One for a network with one output; for several,
// `losses` has one for each, and their weighted sum is made smaller.

#include <tessera/nn/endpoints.hpp>

namespace tessera {

/// A loss appends its target and itself behind the network's output.
template <class L>
concept loss_function = requires(builder& b, value x) {
  { L::build(b, x) } -> std::same_as<value>;
};

namespace detail {

/// Cross entropy with a class for each position: for all extents of the logits but the classes.
constexpr value append_cross_entropy(builder& b, value logits) {
  graph& g = b.network();
  tensor t = g.tensors[logits.id];
  for (i32 axis = t.stack + 1; axis + 1 < t.dims.rank; ++axis) t.dims[axis] = t.dims[axis + 1];
  t.dims[--t.dims.rank] = 0;
  t.type = element::int32;
  const value target = append_target(b, t);
  if (!b.usable(target)) return {};
  return append_loss(b, ops::softmax_cross_entropy(g, logits.id, target.id, -1, {}));
}

}  // namespace detail

/// Mean over the batch, and over time where there is time, of -log softmax(logits)[label]. Labels
/// of -100 do not count. (ops/loss.hpp)
///
/// Shapes   logits (batch, classes)         target (batch), class numbers as i32   loss scalar, f32
///          logits (time, batch, classes)   target (time, batch)
/// Errors   "softmax_cross_entropy: expected a rank-1 output ..."
struct softmax_cross_entropy {
  static constexpr value build(builder& b, value logits) {
    if (!b.usable(logits)) return {};
    const i32 time = b.network().tensors[logits.id].stack;
    if (b.sample(logits).rank != time + 1) {
      return b.fail({"softmax_cross_entropy",
                     time == 0 ? "a rank-1 output (one value per class)"
                               : "one value per class at each point in time",
                     spell_all<64>(b.sample(logits)),
                     time == 0 ? "end with flatten and dense<classes>"
                               : "end with each_step<flatten, dense<classes>>"});
    }
    return detail::append_cross_entropy(b, logits);
  }
};

/// The same with a class for each pixel: segmentation.
///
/// Shapes   logits (batch, classes, height, width)   target (batch, height, width), i32
/// Errors   "pixel_cross_entropy: expected a rank-3 output ..."
struct pixel_cross_entropy {
  static constexpr value build(builder& b, value logits) {
    if (!b.usable(logits)) return {};
    if (b.sample(logits).rank != 3 || b.network().tensors[logits.id].stack > 0) {
      return b.fail({"pixel_cross_entropy", "a rank-3 output (classes x height x width)",
                     spell_all<64>(b.sample(logits)), "end with conv<classes, 1>"});
    }
    return detail::append_cross_entropy(b, logits);
  }
};

/// Mean over all elements of (output - target)^2. (ops/loss.hpp)
///
/// Shapes   output and target of one shape, with or without time   loss scalar, f32
struct mse {
  static constexpr value build(builder& b, value y) {
    if (!b.usable(y)) return {};
    graph& g = b.network();
    const value target = append_target(b, g.tensors[y.id]);
    if (!b.usable(target)) return {};
    return append_loss(b, ops::mse(g, y.id, target.id, {}));
  }
};

/// `Loss` with a factor of Part / Of on it and on its gradient: weighted<mse, 30> counts 30 %.
template <loss_function Loss, i32 Part, i32 Of = 100>
struct weighted {
  static_assert(Part > 0 && Of > 0, "weighted: expected positive numbers");

  static constexpr value build(builder& b, value y) {
    graph& g = b.network();
    const i32 before = g.losses.size();
    const value result = Loss::build(b, y);
    for (i32 i = before; i < g.losses.size(); ++i) {
      for (operation& op : g.operations) {
        if (op.out[0] != g.losses[i]) continue;
        op.attr.loss.weight *= static_cast<float>(Part) / static_cast<float>(Of);
      }
    }
    return result;
  }
};

/// One loss for each output of a network, in their order; the step makes their sum smaller.
///
///   losses<softmax_cross_entropy, weighted<mse, 30>>
///
/// Errors   as many outputs as losses
template <loss_function... Losses>
struct losses {
  static_assert(sizeof...(Losses) > 0 && sizeof...(Losses) <= endpoints::max_count,
                "losses: expected 1 to 8 of them");

  static constexpr value build(builder& b, const bundle& y) {
    if (!b.usable(y)) return {};
    constexpr i32 count = sizeof...(Losses);
    if (y.size != count) {
      return b.fail({"losses", spell_all(count, count == 1 ? " output" : " outputs"),
                     spell_all<64>(y.size), "give one loss for each output of the network"});
    }
    value last;
    i32 index = 0;
    ((last = Losses::build(b, y.items[index++])), ...);
    return last;
  }
};

static_assert(loss_function<softmax_cross_entropy> && loss_function<weighted<mse, 30>> &&
              loss_function<losses<softmax_cross_entropy, mse>>);

}  // namespace tessera
