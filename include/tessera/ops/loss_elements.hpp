#pragma once

// Losses element by element: a value and a slope for each, with d = x - target.
//
//   loss              value                                        slope (d value / d x)
//   mse               d^2                                          2 d
//   l1                |d|                                          sign d, 0 at 0
//   smooth_l1         |d| < delta ? d^2 / (2 delta)                |d| < delta ? d / delta : sign d
//                                 : |d| - delta / 2
//   huber             |d| <= delta ? d^2 / 2                       d bounded to [-delta, delta]
//                                  : delta (|d| - delta / 2)
//   bce_with_logits   (1 - t) x + p softplus(-x)                   1 - t - p sigmoid(-x)
//                       p = 1 + (weight of positives - 1) t
//   bce               -t max(log x, -100)                          (x - t) / max(x (1 - x), 1e-12)
//                       - (1 - t) max(log(1 - x), -100)
//   kl_div            t (log t - x), 0 where t = 0                 -t
//     log_target      e^t (t - x)                                  -e^t
//   binary_hinge      max(0, margin - t x)^power, t = +-1          -t, or -2 t max(0, margin - t x)
//   hinge_embedding   t != -1: x; t != 1: max(0, margin - x);      their slopes
//                     both are added
//
// A value may have a weight of its own (operand 3, of x's shape and layout), which multiplies it; a
// mean divides by the number of elements all the same. bce_with_logits may have weights of
// positives, one for each channel (operand 5). Weights have no gradient; targets have one where the
// loss is symmetric (mse, l1, smooth_l1, huber). NaN in x or target makes value and slope NaN.
// Sums run in the backend's order in f32 blocks and f64 (host), f32 (model) or the compute type.
//
// Sources: Huber 1964; Girshick 2015 (smooth_l1).

#include <tessera/ops/loss.hpp>

namespace tessera::ops {

constexpr bool is_symmetric_loss(kind what) {
  const kind loss = loss_of(what);
  return loss == kind::mse || loss == kind::l1 || loss == kind::smooth_l1 || loss == kind::huber;
}

/// Operands beside x and target, -1 where there are none.
struct element_loss_operands {
  i32 weights = -1;           // of x's shape
  i32 positive_weights = -1;  // (channels), bce_with_logits
};

/// x and target of one shape and layout, target f32 (f64 in the f64 policy), with or without time.
constexpr i32 element_loss(graph& g, kind what, i32 x, i32 target, const loss_attributes& attr,
                           const element_loss_operands& more = {}) {
  const tensor& t = g.tensors[x];
  if (t.dims != g.tensors[target].dims) {
    refuse(g,
           {"loss", "a target of the output's shape",
            spell_all<64>(t.sample(), " and ", g.tensors[target].sample()), "make the two agree"});
  }
  operation op;
  op.what = what;
  op.in[0] = x;
  op.in[1] = target;
  op.in[3] = more.weights;
  op.in[5] = more.positive_weights;
  return append_loss(g, op, t.dims, attr);
}

constexpr i32 mse(graph& g, i32 y, i32 target, const loss_attributes& attr) {
  return element_loss(g, kind::mse, y, target, attr);
}

constexpr void differentiate_element_loss(graph& g, const operation& forward, adjoints& a) {
  differentiate_loss(g, forward, a);
  if (!is_symmetric_loss(forward.what) || !a.wanted(forward.in[1])) return;
  operation other = backward_of_loss(g, forward, a);
  other.in[0] = forward.in[1];
  other.in[1] = forward.in[0];
  other.out[0] = a.make(other.in[0], forward.layer);
  g.add(other);
  a.contribute(other.in[0], other.out[0]);
}

constexpr element_loss_sizes sizes_of_element_loss(const graph& g, const operation& op) {
  const tensor& t = g.tensors[op.in[0]];
  const i32 times = times_of(t);
  const i32 samples = t.dims.rank > t.stack ? t.dims[t.stack] : 1;
  const i32 count = static_cast<i32>(t.dims.count());
  const i32 sample = count / times / samples;
  const i32 channels = t.dims.rank > t.stack + 1 ? t.dims[t.stack + 1] : 1;
  const i32 inner = sample / channels;
  return {count,    t.batch_last ? samples : samples * sample, t.batch_last ? 1 : sample,
          channels, t.batch_last ? inner * samples : inner,    times};
}

}  // namespace tessera::ops
