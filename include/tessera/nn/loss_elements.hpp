#pragma once

// Losses element by element: output and target of one shape, with or without time.
//
//   mse   l1   smooth_l1   huber            regression
//   bce_with_logits   bce                   several labels at once, targets from 0 to 1
//   kl_div                                  distributions: the output is log q
//   binary_hinge   hinge_embedding          targets 1 and -1
//
// Each has a `reduce`: the mean over all elements unless a derived type says otherwise, and
// `element_weights`: true asks for one more target of the same shape, which multiplies the losses
// (zeros mask; the mean still divides by all elements). Formulas, sums and what NaN does:
// ops/loss_elements.hpp.

#include <tessera/nn/loss_policy.hpp>

namespace tessera {

namespace detail {

/// Appends the target, further operands and the loss itself.
template <class L>
constexpr value append_element_loss(builder& b, value y, kind what) {
  const char* const where = ops::name_of(what);
  const loss_attributes attr = loss_attributes_of<L>();
  if (!b.usable(y) || !is_reduced(b, attr, where)) return {};
  graph& g = b.network();
  const value target = append_target(b, g.tensors[y.id]);
  ops::element_loss_operands more;
  if constexpr (requires { requires L::element_weights; }) {
    more.weights = append_target(b, g.tensors[y.id]).id;
  }
  if constexpr (requires { L::positive_weights[0]; }) {
    constexpr i32 count =
        static_cast<i32>(sizeof L::positive_weights / sizeof *L::positive_weights);
    const tensor& t = g.tensors[y.id];
    const i32 channels = t.dims.rank > t.stack + 1 ? t.dims[t.stack + 1] : 1;
    if (count != channels) {
      return b.fail({where, spell_all(channels, " weights of positives"), spell_all<64>(count),
                     "give one for each channel"});
    }
    more.positive_weights = append_constant(b, L::positive_weights, "positive_weights").id;
  }
  if (!b.usable(target)) return {};
  return append_loss(b, ops::element_loss(g, what, y.id, target.id, attr, more));
}

/// What all of them have.
struct element_loss_defaults {
  static constexpr reduction reduce = reduction::mean;
  static constexpr bool element_weights = false;
};

}  // namespace detail

/// (output - target)^2
struct mse : detail::element_loss_defaults {
  template <class L = mse>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::mse);
  }
};

/// |output - target|
struct l1 : detail::element_loss_defaults {
  template <class L = l1>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::l1);
  }
};

/// Squares over 2 delta up to `delta` ("beta" elsewhere), then |d| - delta / 2. (Girshick 2015)
struct smooth_l1 : detail::element_loss_defaults {
  static constexpr float delta = 1;

  template <class L = smooth_l1>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::smooth_l1);
  }
};

/// d^2 / 2 up to `delta`, then delta (|d| - delta / 2). (Huber 1964)
struct huber : detail::element_loss_defaults {
  static constexpr float delta = 1;

  template <class L = huber>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::huber);
  }
};

/// Binary cross entropy of logits. `static constexpr float positive_weights[]`, one for each
/// channel, weighs the positive part.
struct bce_with_logits : detail::element_loss_defaults {
  template <class L = bce_with_logits>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::bce_with_logits);
  }
};

/// Binary cross entropy of probabilities; logarithms end at -100. An output outside 0..1: NaN.
struct bce : detail::element_loss_defaults {
  template <class L = bce>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::bce);
  }
};

/// Kullback-Leibler divergence sum t (log t - output): the output is log q, targets are
/// probabilities or, with `log_target`, their logarithms. Sums over classes are averaged over
/// samples; reduction::mean divides by elements, as elsewhere.
struct kl_div : detail::element_loss_defaults {
  static constexpr reduction reduce = reduction::batch_mean;
  static constexpr bool log_target = false;

  template <class L = kl_div>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::kl_div);
  }
};

/// max(0, margin - target output), targets 1 and -1; with power 2 its square.
struct binary_hinge : detail::element_loss_defaults {
  static constexpr float margin = 1;
  static constexpr i32 power = 1;

  template <class L = binary_hinge>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::binary_hinge);
  }
};

/// Distances: the output where the target is 1, max(0, margin - output) where it is -1.
struct hinge_embedding : detail::element_loss_defaults {
  static constexpr float margin = 1;

  template <class L = hinge_embedding>
  static constexpr value build(builder& b, value y) {
    return detail::append_element_loss<L>(b, y, kind::hinge_embedding);
  }
};

static_assert(loss_function<mse> && loss_function<kl_div>);

}  // namespace tessera
