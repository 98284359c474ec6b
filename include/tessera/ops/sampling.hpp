#pragma once

// Operations that draw, and the weights of samples in a mean: what energy models are trained with.
//
//   operation        forward                                  backward             saved    in
//   place bernoulli        (p[, u]) -> s    u < p ? 1 : 0           none: ends here      nothing
//   over p gaussian_noise   (x[, z]) -> y    x + deviation z         dy                   nothing
//   over x weigh_samples    (x[, scaler])    factor S / count x of   the same of dy       nothing
//   over x
//                                     samples that count,
//                                     0 of the others
//
// Draws   u uniform in [0, 1), z of mean 0 and variance 1. Where they are no operands they are made
//         from the words of dropout (ops/elementwise.hpp): element i of call (seed, step, trip,
//         salt) has word i mod 4 of block i / 4, and every backend draws the same. Elements 2 j and
//         2 j + 1 share two words a and b for one pair of normal numbers (Box, Muller 1958):
//         radius sqrt(-2 ln(((a >> 8) + 1) / 2^24)), angle (b >> 8) / 2^24 turns, cosine first; so
//         magnitudes end at 5.77.
// Count   of weigh_samples: the samples of the step that count (padding does not); with
//         `loss.samples` above 0 that many, and every one counts. The factor is `loss.weight`, S
//         the loss scale where there is a scaler, 1 without.
//
// Arithmetic in f32 (f64 in the f64 policy), rounded once when stored. A probability that is NaN
// draws 0; NaN elsewhere stays. A padded sample gives 0 whatever it holds.
// Source: Hinton 2002, Training Products of Experts by Minimizing Contrastive Divergence.

#include <tessera/ops/elementwise.hpp>  // dropout_words
#include <tessera/ops/update.hpp>       // scaler_scale

namespace tessera::ops {

constexpr bool is_sampling(kind what) {
  return what >= kind::bernoulli && what <= kind::weigh_samples;
}

constexpr const char* name_of_sampling(kind what) {
  switch (what) {
    case kind::bernoulli: return "bernoulli";
    case kind::gaussian_noise: return "gaussian_noise";
    default: return "weigh_samples";
  }
}

/// The words of a pair of normal numbers as `normal` (core/random.hpp) takes them.
constexpr u32 radius_word(u32 word) { return word | 0xff; }
constexpr u32 angle_word(u32 word) { return word & ~u32{0xff}; }

/// An operation of the family on x. `draws`: of x's shape, or -1.
constexpr i32 draw(graph& g, kind what, i32 x, i32 draws, const attributes& attr,
                   tensor_name layer) {
  if (draws >= 0 && g.tensors[draws].dims != g.tensors[x].dims) {
    refuse(g, {spell(layer), "one draw for each value",
               spell_all<64>(g.tensors[draws].dims, " for ", g.tensors[x].dims),
               "give draws of the same shape, or none"});
  }
  const i32 y = unary(g, what, x, layer, attr);
  g.operations[g.operations.size() - 1].in[1] = draws;
  return y;
}

/// 1 with the probability that x says, else 0; no gradient goes through. `salt`: which stream of
/// random numbers, another one for every operation of a step.
constexpr i32 bernoulli(graph& g, i32 x, i32 salt, tensor_name layer, i32 draws = -1) {
  attributes attr;
  attr.salt = salt;
  const i32 y = draw(g, kind::bernoulli, x, draws, attr, layer);
  g.tensors[y].differentiable = false;
  return y;
}

/// x with normal noise of standard deviation `deviation` on it.
constexpr i32 gaussian_noise(graph& g, i32 x, float deviation, i32 salt, tensor_name layer,
                             i32 draws = -1) {
  attributes attr;
  attr.salt = salt;
  attr.rate = deviation;
  return draw(g, kind::gaussian_noise, x, draws, attr, layer);
}

/// x (batch, ...) times `factor` / count; `samples` above 0: the count, of samples that all count.
/// `scaler`: of loss scaling, where the result becomes a gradient.
constexpr i32 weigh_samples(graph& g, i32 x, float factor, i32 samples, tensor_name layer,
                            i32 scaler = -1) {
  if (!g.tensors[x].batched) {
    refuse(g, {spell(layer), "a value with samples", spell_all<64>(g.tensors[x].dims),
               "weigh what depends on the batch"});
  }
  attributes attr;
  attr.loss.weight = factor;
  attr.loss.samples = samples;
  const i32 y = unary(g, kind::weigh_samples, x, layer, attr);
  g.operations[g.operations.size() - 1].in[1] = scaler;
  return y;
}

constexpr void differentiate_sampling(graph& g, const operation& forward, adjoints& a) {
  if (forward.what == kind::bernoulli) return;
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  if (forward.what == kind::gaussian_noise) return a.contribute(forward.in[0], dy);
  operation op = forward;
  op.in[0] = dy;
  op.out[0] = a.make(forward.in[0], forward.layer);
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

constexpr weighing_sizes sizes_of_weighing(const graph& g, const operation& op) {
  const tensor& x = g.tensors[op.in[0]];
  const i32 count = static_cast<i32>(x.dims.count());
  const i32 batch = x.batched ? x.batch() : 1;
  i32 inner = 1;
  for (i32 axis = x.stack + 1; axis < x.dims.rank; ++axis) inner *= x.dims[axis];
  return {count, batch, inner};
}

/// What one call of weigh_samples multiplies with, and which samples get it.
struct sample_weights {
  float factor;
  i32 counting;  // samples 0 to counting - 1

  /// `scaler`: null where there is none.
  constexpr sample_weights(const call& c, const float* scaler) {
    const loss_attributes& attr = c.attr->loss;
    const i32 all = weighing_sizes::of(*c.sizes).batch;
    counting = attr.samples > 0 ? all : c.step->valid < all ? c.step->valid : all;
    const i32 count = attr.samples > 0 ? attr.samples : counting;
    factor = count > 0 ? attr.weight / static_cast<float>(count) : 0;
    if (scaler != nullptr) factor *= scaler[scaler_scale];
  }
};

}  // namespace tessera::ops
