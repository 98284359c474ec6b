#pragma once

// Restricted Boltzmann machines: a layer of visible and one of hidden units, weights between them.
//
//   h   hidden, binary             E(v, h) = - b.v - c.h - sum v_i w_ji h_j       binary visible
//   ||| w (hidden, visible)                  |v - b|^2 / 2 - c.h - sum ...        gaussian visible
//   v   visible
//   p(h = 1 | v) = sigmoid(w v + c)          p(v = 1 | h) = sigmoid(w^T h + b), or the mean
//                                            w^T h + b of a normal number of deviation 1
//
// The gradient of the log-likelihood is a difference of two means of (h v, h, v): over the data,
// and over what the machine itself produces. Contrastive divergence takes for the latter what k
// steps of Gibbs sampling make of the data; persistent CD what they make of chains that live on
// from step to step. Nothing is differentiated: the statistics are operations like any other.
//
//   v0 -> p(h|v0) ~ h -> p(v|h) ~ v -> p(h|v) ...          k times
//   [v0 | vk] weighed by -1/n | 1/n, samples side by side   \  one product of 2 n samples, fused
//   [p(h|v0) | p(h|vk)]                                     /  with the update of w
//
// Samples of padding weigh 0; n is the number of those that count. Chains all count.
// Source: Hinton 2002, Training Products of Experts by Minimizing Contrastive Divergence; Tieleman
// 2008 (persistent chains); Hinton 2010, A Practical Guide to Training Restricted Boltzmann
// Machines (what to sample, first weights); Welling, Rosen-Zvi, Hinton 2005 (gaussian visible
// units).

#include <tessera/ops/ops.hpp>

#include <concepts>

namespace tessera {

/// What kind of machine: sizes and what visible units are.
struct rbm_shape {
  i32 visible = 1;
  i32 hidden = 1;
  bool gaussian = false;
};

/// How the machine's own mean is had: Gibbs steps from the data, or from chains.
struct gibbs_rule {
  i32 steps = 1;
  bool persistent = false;
  bool mean_field = false;          // visible units take their mean instead of a draw
  bool sampled_statistics = false;  // the data's hidden units count as drawn, not as probabilities
};

template <class O>
concept rbm_option = requires(rbm_shape& s) {
  O::apply(s);
};
template <class O>
concept gibbs_option = requires(gibbs_rule& r) {
  O::apply(r);
};

/// Visible units are real numbers with noise of deviation 1: give them data of mean 0 and
/// variance 1.
struct gaussian_visible {
  static constexpr void apply(rbm_shape& s) { s.gaussian = true; }
};

/// Reconstructions are probabilities (means) instead of draws: less noise, fine for CD (the
/// practical guide, 3.2).
struct mean_field {
  static constexpr void apply(gibbs_rule& r) { r.mean_field = true; }
};

/// The data's hidden units enter the gradients as they were drawn, not as probabilities.
struct sampled_statistics {
  static constexpr void apply(gibbs_rule& r) { r.sampled_statistics = true; }
};

/// A machine of `Visible` and `Hidden` units; both binary unless gaussian_visible is said. Visible
/// data between 0 and 1 count as probabilities.
///
/// Weights   rbm.weight (Hidden, Visible), rbm.hidden_bias (Hidden), rbm.visible_bias (Visible):
/// the
///           first two are those of dense<Hidden> on Visible features
/// First     weights normal of deviation 0.01, biases 0 (the practical guide, 8)
template <i32 Visible, i32 Hidden, rbm_option... Options>
struct rbm {
  static_assert(Visible > 0 && Hidden > 0, "rbm: expected at least 1 unit of each kind");
  static constexpr rbm_shape units = [] {
    rbm_shape s{Visible, Hidden, false};
    (Options::apply(s), ...);
    return s;
  }();
};

template <class M>
concept machine_type = requires {
  { M::units } -> std::convertible_to<rbm_shape>;
};

namespace detail {

template <gibbs_option... Options>
constexpr gibbs_rule read_gibbs(i32 steps, bool persistent) {
  gibbs_rule r{steps, persistent, false, false};
  (Options::apply(r), ...);
  return r;
}

}  // namespace detail

/// Contrastive divergence of `Steps` Gibbs steps from the data. Options: mean_field,
/// sampled_statistics.
template <i32 Steps = 1, gibbs_option... Options>
struct cd {
  static_assert(Steps > 0, "cd: expected at least 1 step");
  static constexpr gibbs_rule gibbs = detail::read_gibbs<Options...>(Steps, false);
};

/// Persistent contrastive divergence: `Steps` Gibbs steps of a chain for each sample of the batch.
/// Chains are state of the job, start with all hidden units off, and count even where the batch is
/// not full.
template <i32 Steps = 1, gibbs_option... Options>
struct pcd {
  static_assert(Steps > 0, "pcd: expected at least 1 step");
  static constexpr gibbs_rule gibbs = detail::read_gibbs<Options...>(Steps, true);
};

template <class G>
concept gibbs_type = requires {
  { G::gibbs } -> std::convertible_to<gibbs_rule>;
};

static_assert(machine_type<rbm<4, 3, gaussian_visible>> && gibbs_type<cd<2, mean_field>>);

/// The parameters of a machine in a graph.
struct rbm_weights {
  rbm_shape units;
  i32 weight = -1;        // (hidden, visible)
  i32 hidden_bias = -1;   // (hidden)
  i32 visible_bias = -1;  // (visible)
};

/// Draws given from outside, first to last; none where the arrays are empty.
struct gibbs_draws {
  grow<i32> hidden;   // (batch, hidden) each
  grow<i32> visible;  // (batch, visible) each

  static constexpr i32 at(const grow<i32>& all, i32 index) {
    return index < all.size() ? all[index] : -1;
  }
};

/// What a step of contrastive divergence has appended.
struct contrastive_step {
  i32 hidden = -1;          // p(h | v0), (batch, hidden)
  i32 hidden_sample = -1;   // drawn from it; -1 with persistent chains unless it is asked for
  i32 visible_end = -1;     // v after the last Gibbs step, (batch, visible)
  i32 hidden_end = -1;      // p(h | v) there
  i32 reconstruction = -1;  // what the loss compares with the data
  // d(-objective) / d(parameter), as the updates read them
  i32 weight_gradient = -1;
  i32 hidden_gradient = -1;
  i32 visible_gradient = -1;
};

namespace detail {

inline constexpr tensor_name rbm_name{"rbm", 0, ""};

constexpr i32 rbm_parameter(graph& g, const shape& dims, const char* part, bool drawn) {
  // he_normal has a variance of 2 / fan_in: a deviation of 0.01.
  constexpr i32 fan_of_hundredth = 20000;
  const initializer init = drawn ? initializer::he_normal : initializer::zeros;
  return ops::parameter(g, dims, part_of(rbm_name, part), init, fan_of_hundredth, 1);
}

/// The values of (batch, features) tensors `a` and `b` as one tensor of twice the samples.
constexpr i32 join_samples(graph& g, i32 a, i32 b, const char* part) {
  const tensor like = g.tensors[a];
  const shape rows = like.batch_last ? shape(like.dims[1], like.dims[0]) : like.dims;
  ops::part parts[2];
  for (i32 k = 0; k < 2; ++k) {
    parts[k].id = ops::view(g, k == 0 ? a : b, rows);
    g.tensors[parts[k].id].batched = g.tensors[parts[k].id].batch_last = false;
  }
  const i32 joined = ops::concat(g, parts, 2, like.batch_last ? 1 : 0, part_of(rbm_name, part));
  const i32 all = ops::view(g, joined, shape(2 * like.dims[0], like.dims[1]));
  g.tensors[all].batched = true;
  g.tensors[all].batch_last = like.batch_last;
  return all;
}

}  // namespace detail

/// Parameters for a machine, with their first values.
constexpr rbm_weights make_rbm(graph& g, const rbm_shape& units) {
  rbm_weights m{units, -1, -1, -1};
  m.weight = detail::rbm_parameter(g, shape(units.hidden, units.visible), "weight", true);
  m.hidden_bias = detail::rbm_parameter(g, shape(units.hidden), "hidden_bias", false);
  m.visible_bias = detail::rbm_parameter(g, shape(units.visible), "visible_bias", false);
  return m;
}

/// w v + c: (batch, visible) -> (batch, hidden)
constexpr i32 hidden_input(graph& g, const rbm_weights& m, i32 v) {
  return ops::dense(g, v, m.weight, m.hidden_bias, part_of(detail::rbm_name, "hidden"));
}

/// p(h = 1 | v)
constexpr i32 hidden_probability(graph& g, const rbm_weights& m, i32 v) {
  return ops::unary(g, kind::sigmoid, hidden_input(g, m, v), part_of(detail::rbm_name, "hidden"));
}

/// The mean of v given h: (batch, hidden) -> (batch, visible).
constexpr i32 visible_mean(graph& g, const rbm_weights& m, i32 h) {
  const tensor_name name = part_of(detail::rbm_name, "visible");
  operation op;  // w^T h: the product that a dense layer's gradient takes
  op.what = kind::dense_data_gradient;
  op.in[0] = h;
  op.in[1] = m.weight;
  op.out[0] = ops::append_activation(g, h, shape(g.tensors[h].batch(), m.units.visible), name, "");
  op.layer = name;
  g.tensors[op.out[0]].what = role::activation;
  g.add(op);
  const i32 mean = ops::bias_add(g, op.out[0], m.visible_bias, name);
  return m.units.gaussian ? mean : ops::unary(g, kind::sigmoid, mean, name);
}

/// Appends the statistics of one step on v0 (batch, visible) and the loss, the mean squared
/// difference of v0 and its reconstruction: what the Gibbs steps end in for CD, visible_mean of
/// p(h | v0) for persistent chains.
constexpr contrastive_step contrast(graph& g, const rbm_weights& m, i32 v0, const gibbs_rule& rule,
                                    const gibbs_draws& draws = {}) {
  const tensor_name hidden_name = part_of(detail::rbm_name, "hidden");
  const tensor_name visible_name = part_of(detail::rbm_name, "visible");
  contrastive_step s;
  i32 salt = 0;
  const auto draw_hidden = [&](i32 p, i32 number) {
    return ops::bernoulli(g, p, ++salt, hidden_name, gibbs_draws::at(draws.hidden, number));
  };
  const auto draw_visible = [&](i32 mean, i32 number) {
    if (rule.mean_field) return mean;
    const i32 given = gibbs_draws::at(draws.visible, number);
    if (m.units.gaussian) return ops::gaussian_noise(g, mean, 1, ++salt, visible_name, given);
    return ops::bernoulli(g, mean, ++salt, visible_name, given);
  };

  s.hidden = hidden_probability(g, m, v0);
  i32 chain = -1;
  i32 h = -1;
  if (!rule.persistent || rule.sampled_statistics) {
    h = s.hidden_sample = draw_hidden(s.hidden, 0);
  }
  if (rule.persistent) {
    s.reconstruction = visible_mean(g, m, s.hidden);
    tensor t = g.tensors[s.hidden];
    t.what = role::state;
    t.differentiable = false;
    t.name = part_of(detail::rbm_name, "chains");
    h = chain = g.add(t);
  }
  for (i32 step = 1; step <= rule.steps; ++step) {
    s.visible_end = draw_visible(visible_mean(g, m, h), step - 1);
    s.hidden_end = hidden_probability(g, m, s.visible_end);
    if (step < rule.steps || rule.persistent) h = draw_hidden(s.hidden_end, step);
  }
  if (rule.persistent) {  // what the last draw made is where the chains go on
    g.operations[g.operations.size() - 1].out[0] = chain;
  } else {
    s.reconstruction = s.visible_end;
  }
  g.losses.push(ops::mse(g, s.reconstruction, v0, {}));

  const i32 chains = rule.persistent ? g.tensors[v0].batch() : 0;
  const auto weighed = [&](i32 data, i32 own, const char* part) {
    const tensor_name name = part_of(detail::rbm_name, part);
    const i32 minus = ops::weigh_samples(g, data, -1, 0, name, g.scaler);
    const i32 plus = ops::weigh_samples(g, own, 1, chains, name, g.scaler);
    return detail::join_samples(g, minus, plus, part);
  };
  ops::adjoints a(g, g.tensors.size());
  const auto bias_gradient = [&](i32 dy, i32 bias) {
    operation op;
    op.what = kind::bias_gradient;
    op.in[1] = dy;
    op.out[0] = a.make(bias, detail::rbm_name);
    op.layer = g.tensors[bias].name;
    g.add(op);
    return op.out[0];
  };
  const i32 first = rule.sampled_statistics ? s.hidden_sample : s.hidden;
  s.hidden_gradient = bias_gradient(weighed(first, s.hidden_end, "hidden"), m.hidden_bias);
  const i32 v = weighed(v0, s.visible_end, "visible");
  s.visible_gradient = bias_gradient(v, m.visible_bias);
  operation op;
  op.what = kind::dense_weight_gradient;
  op.in[0] = v;
  op.in[1] = detail::join_samples(g, first, s.hidden_end, "hidden");
  op.out[0] = s.weight_gradient = a.make(m.weight, detail::rbm_name);
  op.layer = g.tensors[m.weight].name;
  g.add(op);
  return s;
}

}  // namespace tessera
