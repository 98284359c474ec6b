#pragma once

// Losses: what a training step makes smaller. One for a network with one output; for several,
// `losses` has one for each, and their weighted sum is made smaller.
//
//   element by element   mse, l1, huber, bce, ...                   nn/loss_elements.hpp
//   over classes, pairs  softmax_cross_entropy, nll, triplet, ...   nn/loss_rows.hpp
//   alignments           ctc                                      nn/ctc.hpp
//   pictures             style, total_variation                   nn/style.hpp
//   how to change one                                               nn/loss_policy.hpp

#include <tessera/nn/ctc.hpp>
#include <tessera/nn/loss_elements.hpp>
#include <tessera/nn/loss_rows.hpp>
#include <tessera/nn/style.hpp>

namespace tessera {

/// `Loss` with a factor of Part / Of on it and on its gradient: weighted<mse, 30> counts 30 %.
template <loss_function Loss, i32 Part, i32 Of = 100>
struct weighted {
  static_assert(Part > 0 && Of > 0, "weighted: expected positive numbers");

  template <class Y>
  requires(loss_on<Loss, Y>) static constexpr value build(builder& b, const Y& y) {
    graph& g = b.network();
    const i32 before = g.losses.size();
    const value result = build_loss<Loss>(b, y);
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
    ((last = build_loss<Losses>(b, y.items[index++])), ...);
    return last;
  }
};

static_assert(loss_function<weighted<mse, 30>> &&
              loss_function<losses<softmax_cross_entropy, mse>>);

}  // namespace tessera
