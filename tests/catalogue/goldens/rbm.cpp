// Golden checks of restricted Boltzmann machines: a step of contrastive divergence with given
// draws, and the exact likelihood of a small machine.

#include <tessera/network/precision.hpp>
#include <tessera/network/rbm.hpp>
#include <tessera/nn/rbm_energy.hpp>
#include <tessera/runtime/rbm_likelihood.hpp>
#include <catalogue/goldens/checks.hpp>

namespace tessera::testing {

namespace {

/// (rows, columns) as (columns, rows).
std::vector<double> transposed(const std::vector<double>& values, i64 rows, i64 columns) {
  std::vector<double> result;
  for (i64 c = 0; c < columns; ++c) {
    for (i64 r = 0; r < rows; ++r) {
      result.push_back(values[static_cast<std::size_t>(r * columns + c)]);
    }
  }
  return result;
}

struct cd_case {
  gibbs_rule gibbs;
  update_rule update;
  float rate = 0;
};

cd_case read_case(const golden_case& c) {
  attribute_reader attrs = c.attributes();
  const std::map<std::string, bool> visible{{"sample", false}, {"mean_field", true}};
  const std::map<std::string, bool> stats{{"prob", false}, {"sample", true}};
  cd_case r;
  r.gibbs.steps = attrs.get<i32>("k");
  r.gibbs.mean_field = attrs.choice("visible", visible);
  r.gibbs.sampled_statistics = attrs.choice("stats", stats);
  r.update.what = optimizer_kind::sgd;
  r.update.momentum = attrs.get<float>("momentum");
  r.update.weight_decay = attrs.get<float>("weight_decay");
  r.rate = attrs.get<float>("lr");
  attrs.all_must_be_asked();
  return r;
}

/// Inputs for slice after slice of given draws (draws, batch, units).
grow<i32> add_draws(graph& g, const golden_tensor& u, bool last) {
  grow<i32> ids;
  for (i64 k = 0; k < u.dims[0]; ++k) {
    const shape dims(static_cast<i32>(u.dims[1]), static_cast<i32>(u.dims[2]));
    ids.push(add_tensor(g, dims, {.batch_last = last}));
  }
  return ids;
}

void write_draws(interpreter& net, const grow<i32>& ids, const golden_tensor& u) {
  const auto size = static_cast<std::ptrdiff_t>(u.dims[1] * u.dims[2]);
  for (i32 k = 0; k < ids.size(); ++k) {
    const auto begin = u.values.begin() + k * size;
    net.write(ids[k], std::vector<double>(begin, begin + size));
  }
}

/// x^T y / batch, as the step's own statistics are made.
i32 mean_product(graph& g, i32 x, i32 y, i32 weight) {
  const i32 weighed = ops::weigh_samples(g, x, 1, 0, layer);
  operation op;
  op.what = kind::dense_weight_gradient;
  op.in[0] = weighed;
  op.in[1] = y;
  op.out[0] = ops::adjoints(g, 0).make(weight, layer);
  g.add(op);
  keep(g, op.out[0]);
  return op.out[0];
}

void run_cd(const golden_case& c, findings& f, const graph_backend& b, bool last,
            const cd_case& about, bool fused) {
  const golden_tensor data = c.tensor("inputs", "v0");
  const golden_tensor weight = c.tensor("weights", "W");  // (visible, hidden)
  const golden_tensor u_h = c.tensor("inputs", "u_h");
  const golden_tensor u_v = c.tensor("inputs", "u_v");
  const auto visible = static_cast<i32>(weight.dims[0]);
  const auto hidden = static_cast<i32>(weight.dims[1]);
  graph g;
  const i32 v0 = add_tensor(g, data.dims_as(2), {.batch_last = last});
  const gibbs_draws draws{add_draws(g, u_h, last), add_draws(g, u_v, last)};
  const rbm_weights m = make_rbm(g, {visible, hidden, false});
  const i32 energy_first = free_energy(g, m, v0);
  const contrastive_step s = contrast(g, m, v0, about.gibbs, draws);
  const i32 energy_end = free_energy(g, m, s.visible_end);
  const i32 first = about.gibbs.sampled_statistics ? s.hidden_sample : s.hidden;
  const i32 positive = mean_product(g, v0, first, m.weight);
  const i32 negative = mean_product(g, s.visible_end, s.hidden_end, m.weight);
  for (const i32 id :
       {s.hidden, s.hidden_sample, s.visible_end, s.hidden_end, energy_first, energy_end}) {
    keep(g, id);
  }
  if (!fused) {
    for (const i32 id : {s.weight_gradient, s.hidden_gradient, s.visible_gradient}) keep(g, id);
  }
  detail::append_rbm_updates(g, m, s, about.update, {});
  if (fused) passes::fuse_updates(g);

  interpreter net(g, b.find);
  net.write(v0, data.values);
  write_draws(net, draws.hidden, u_h);
  write_draws(net, draws.visible, u_v);
  net.write(m.weight, transposed(weight.values, visible, hidden));
  net.write(m.hidden_bias, c.tensor("weights", "c").values);
  net.write(m.visible_bias, c.tensor("weights", "b").values);
  // The case's momentum is -rate times that of the update, and not that of a first step.
  for (const operation& op : net.network().operations) {
    if (!ops::is_update(op.what) || op.out[1] < 0) continue;
    const bool is_weight = op.out[0] == m.weight;
    const char* const name = is_weight                    ? "momentum_W"
                             : op.out[0] == m.hidden_bias ? "momentum_c"
                                                          : "momentum_b";
    std::vector<double> values = c.tensor("inputs", name).values;
    if (is_weight) values = transposed(values, visible, hidden);
    for (double& v : values) v /= -static_cast<double>(about.rate);
    net.write(op.out[1], values);
    net.write(op.out[4], std::vector<double>{1.0});
  }
  net.run({.learning_rate = about.rate, .valid = static_cast<i32>(data.dims[0])});

  const auto negated = [](std::vector<double> values) {
    for (double& v : values) v = -v;
    return values;
  };
  const auto back = [&](i32 id) { return transposed(net.read(id), hidden, visible); };
  f.compare("outputs", "ph0", net.read(s.hidden));
  f.compare("outputs", "h0", net.read(s.hidden_sample));
  f.compare("outputs", "vk", net.read(s.visible_end));
  f.compare("outputs", "phk", net.read(s.hidden_end));
  f.compare("outputs", "positive", back(positive));
  f.compare("outputs", "negative", back(negative));
  f.compare("outputs", "free_energy_v0", net.read(energy_first));
  f.compare("outputs", "free_energy_vk", net.read(energy_end));
  f.compare("outputs", "reconstruction_mse", net.read(g.losses[0]));
  if (!fused) {
    f.compare("outputs", "db", negated(net.read(s.visible_gradient)));
    f.compare("outputs", "dc", negated(net.read(s.hidden_gradient)));
  }
  f.compare("outputs", "new_W", back(m.weight));
  f.compare("outputs", "new_b", net.read(m.visible_bias));
  f.compare("outputs", "new_c", net.read(m.hidden_bias));
}

}  // namespace

void check_rbm_exact_likelihood(const golden_case& c, findings& f) {
  c.attributes().all_must_be_asked();
  const golden_tensor data = c.tensor("inputs", "v");
  const golden_tensor weight = c.tensor("weights", "W");  // (visible, hidden)
  const auto visible = static_cast<i32>(weight.dims[0]);
  const auto hidden = static_cast<i32>(weight.dims[1]);
  on_all_backends(f, static_cast<i32>(data.dims[0]), [&](const graph_backend& b, bool last) {
    graph g;
    const i32 v = add_tensor(g, data.dims_as(2), {.batch_last = last});
    const i32 states = 1 << visible;
    const i32 configurations =
        add_tensor(g, shape(states, visible), {.what = role::constant, .batch_last = last});
    const i32 zero =
        add_tensor(g, shape(1), {.what = role::target, .type = element::int32, .batched = false});
    const rbm_weights m = make_rbm(g, {visible, hidden, false});
    const i32 log_z = log_partition(g, m, configurations, zero);
    const i32 nll = negative_log_likelihood(g, m, v, log_z);
    keep(g, log_z);
    keep(g, nll);
    const differentiated d = differentiate_from(g, {nll});
    interpreter net(g, b.find);
    std::vector<double> all;
    for (i32 state = 0; state < states; ++state) {
      for (i32 i = 0; i < visible; ++i) all.push_back(state >> i & 1);
    }
    net.write(v, data.values);
    net.write(configurations, all);
    net.write(zero, std::vector<double>{0});
    net.write(m.weight, transposed(weight.values, visible, hidden));
    net.write(m.hidden_bias, c.tensor("weights", "c").values);
    net.write(m.visible_bias, c.tensor("weights", "b").values);
    net.write(d.seeds[0], c.tensor("grad_outputs", "nll").values);
    net.run({.valid = static_cast<i32>(data.dims[0])});
    f.compare("outputs", "logZ", net.read(log_z));
    f.compare("outputs", "nll", net.read(nll));
    f.compare("grad_weights", "W", transposed(net.read(d.gradients[m.weight]), hidden, visible));
    f.compare("grad_weights", "b", net.read(d.gradients[m.visible_bias]));
    f.compare("grad_weights", "c", net.read(d.gradients[m.hidden_bias]));

    // The functions in double say the same.
    const rbm_values values{{visible, hidden, false},
                            transposed(weight.values, visible, hidden),
                            c.tensor("weights", "c").values,
                            c.tensor("weights", "b").values};
    f.compare("outputs", "logZ", {log_partition(values)});
    f.compare("outputs", "nll", {-log_likelihood(values, data.values)});
  });
}

void check_rbm_cd(const golden_case& c, findings& f) {
  const cd_case about = read_case(c);
  on_all_backends(f, static_cast<i32>(c.tensor("inputs", "v0").dims[0]),
                  [&](const graph_backend& b, bool last) {
                    for (const bool fused : {false, true}) run_cd(c, f, b, last, about, fused);
                  });
}

}  // namespace tessera::testing
