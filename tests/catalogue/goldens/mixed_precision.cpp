// Golden checks of mixed precision: 16-bit tensors, f32 sums and masters, loss scaling.
//
// A case trains a network and shows every 16-bit tensor of its first step, the scale and the skips
// of every step, and the masters. Because a sum in another order now and then flips a last bit and
// flipped bits spread, each layer is also recomputed from the tensors that the case shows around
// it; then hardly any element may differ.

#include <tessera/passes/precision.hpp>
#include <catalogue/goldens/architectures.hpp>

namespace tessera::testing {

namespace {

struct mixed_run {
  update_rule rule;
  loss_scaling scaling;
  float rate = 0;
  float loss_weight = 1;
  i32 steps = 0;
  std::vector<i32> inject;  // steps whose first weight gradient becomes infinite
};

mixed_run read_run(attribute_reader& attrs) {
  mixed_run r;
  r.rule.what = attrs.choice<optimizer_kind>(
      "optimizer", {{"sgd", optimizer_kind::sgd}, {"adam", optimizer_kind::adam}});
  const float momentum = attrs.get<float>("momentum", 0.0f);
  if (r.rule.what == optimizer_kind::sgd) {
    r.rule.momentum = momentum;
  } else {
    const auto betas = attrs.get<std::vector<float>>("betas");
    r.rule.beta1 = betas.at(0);
    r.rule.beta2 = betas.at(1);
    r.rule.epsilon = attrs.get<float>("eps");
  }
  r.rule.weight_decay = attrs.get<float>("weight_decay", 0.0f);
  r.rate = attrs.get<float>("lr");
  r.loss_weight = attrs.get<float>("loss_weight");
  r.steps = attrs.get<i32>("steps");
  r.scaling.skip = skip_rule::step;
  r.scaling.dynamic = attrs.get<bool>("dynamic");
  r.scaling.initial = attrs.get<float>("scale");
  r.scaling.growth = attrs.get<float>("growth", r.scaling.growth);
  r.scaling.backoff = attrs.get<float>("backoff", r.scaling.backoff);
  r.scaling.interval = attrs.get<i32>("growth_interval", r.scaling.interval);
  r.inject = attrs.get<std::vector<i32>>("inject_inf_steps", {});
  attrs.ignore("local_check");  // says in words what check_locally does, and what torch measured
  attrs.ignore("classes");      // the last layer's units
  attrs.ignore("batch");
  return r;
}

/// The completed training graph of a network with everything kept that cases show.
struct mixed_graph {
  golden_net net;
  grow<i32> gradients;

  mixed_graph(const golden_net& forward, const mixed_run& r) : net(forward) {
    graph& g = net.g;
    passes::append_scaler(g, r.scaling);
    gradients = passes::differentiate(g);
    for (const net_layer& l : net.layers) {
      for (const i32 id : {l.z, l.a, gradients[l.z], gradients[l.weight], gradients[l.bias]}) {
        keep(g, id);
      }
    }
    passes::assign_precision(
        g, {.storage = element::f16, .master = element::f32, .scaling = r.scaling});
    passes::append_updates(g, gradients, r.rule, r.scaling);
    passes::fuse_updates(g);
  }

  i32 working_copy(i32 parameter) const {
    for (i32 id = 0; id < net.g.tensors.size(); ++id) {
      const tensor& t = net.g.tensors[id];
      if (t.what == role::working && t.parameter == parameter) return id;
    }
    return -1;
  }

  /// The tensor that a case calls NAME ("a0", "fc1.dweight"), -1 where there is none.
  i32 find(const std::string& name) const {
    if (name == "a0") return net.x;
    for (const net_layer& l : net.layers) {
      if (name == l.name + ".z") return l.z;
      if (name == l.name + ".a") return l.a;
      if (name == l.name + ".dz") return gradients[l.z];
      if (name == l.name + ".weight_h") return working_copy(l.weight);
      if (name == l.name + ".dweight") return gradients[l.weight];
      if (name == l.name + ".dbias") return gradients[l.bias];
    }
    return -1;
  }

  /// The first operation that looks for overflows.
  i32 first_test() const {
    i32 i = 0;
    while (i < net.g.operations.size() && net.g.operations[i].what != kind::overflow_test) ++i;
    return i;
  }
};

bool starts_with_step0(const std::string& name) { return name.rfind("step0/", 0) == 0; }

void run_case(const golden_case& c, findings& f, const graph_backend& b, const golden_net& forward,
              const mixed_run& r) {
  const mixed_graph m(forward, r);
  const golden_net& net = m.net;
  interpreter run(net.g, b.find);
  fill(run, net, c);
  std::vector<double> losses, used, after, skipped;
  for (i32 step = 0; step < r.steps; ++step) {
    const std::vector<double> before = run.read(net.g.scaler);
    used.push_back(before[ops::scaler_scale]);
    const step_values values{.learning_rate = r.rate,
                             .step = static_cast<u64>(step),
                             .valid = net.g.tensors[net.x].dims[0]};
    run.run(0, m.first_test(), values);
    if (std::count(r.inject.begin(), r.inject.end(), step) > 0) {
      const i32 gradient = m.gradients[net.layers[0].weight];
      std::vector<double> broken = run.read(gradient);
      broken[0] = INFINITY;
      run.write(gradient, broken);
    }
    run.run(m.first_test(), net.g.operations.size(), values);
    const std::vector<double> scaler = run.read(net.g.scaler);
    after.push_back(scaler[ops::scaler_scale]);
    skipped.push_back(scaler[ops::scaler_skipped] - before[ops::scaler_skipped]);
    losses.push_back(run.read(net.loss)[0] / static_cast<double>(r.loss_weight));  // shown without
    if (step == 0) {
      for (const std::string& name : c.names("outputs")) {
        if (!starts_with_step0(name)) continue;
        const i32 id = m.find(name.substr(6));
        if (id < 0) {
          f.note("the graph has no " + name);
        } else {
          f.compare("outputs", name, run.read(id));
        }
      }
      if (c.has("outputs", "after1/" + net.layers[0].name + ".weight")) {
        compare_weights(run, net, "outputs", "after1/", f);
      }
    }
  }
  f.compare("outputs", "loss", losses);
  f.compare("outputs", "scale_used", used);
  f.compare("outputs", "scale_after", after);
  f.compare("outputs", "skipped", skipped);
  compare_weights(run, net, "outputs", "final/", f);
}

/// At most max(2, 3 %) of the elements may differ.
void count_unequal(findings& f, const std::string& what, const std::vector<double>& want,
                   const std::vector<double>& got) {
  const double count = static_cast<double>(want.size());
  i32 unequal = 0;
  for (std::size_t i = 0; i < want.size(); ++i) unequal += want[i] == got[i] ? 0 : 1;
  if (unequal > std::max(2.0, std::ceil(0.03 * count))) {
    f.note(what + " from the stored tensors around it: " + std::to_string(unequal) + " of " +
           std::to_string(want.size()) + " differ");
  }
}

/// Every layer alone, from the tensors of the first step that the case stores.
void check_locally(const golden_case& c, findings& f, const graph_backend& b, const golden_net& net,
                   bool last) {
  std::string stored_x = "step0/a0";
  for (const net_layer& l : net.layers) {
    const std::string name = "step0/" + l.name;
    const std::string x_name = std::exchange(stored_x, name + ".a");
    if (!c.has("outputs", x_name) || !c.has("outputs", name + ".z")) continue;
    graph g;
    net_layer one = l;
    one.x = add_tensor(g, net.g.tensors[l.x].dims, {.type = element::f16, .batch_last = last});
    one.weight = add_weight(g, net.g.tensors[l.weight].dims, element::f16);
    one.bias = add_weight(g, net.g.tensors[l.bias].dims, element::f16, "bias");
    one.z = append_product(g, one);
    keep(g, one.z);
    const differentiated d = differentiate_from(g, {one.z});
    interpreter run(g, b.find);
    run.write(one.x, c.tensor("outputs", x_name).values);
    run.write(one.weight, c.tensor("weights", l.name + ".weight").values);  // rounds to 16 bits
    run.write(one.bias, c.tensor("weights", l.name + ".bias").values);
    const bool backward = c.has("outputs", name + ".dz");
    if (backward) run.write(d.seeds[0], c.tensor("outputs", name + ".dz").values);
    run.run({.valid = g.tensors[one.x].dims[0]});
    const auto compare = [&](const char* part, i32 id) {
      if (!c.has("outputs", name + part)) return;
      count_unequal(f, name + part, c.tensor("outputs", name + part).values, run.read(id));
    };
    compare(".z", one.z);
    if (!backward) continue;
    compare(".dweight", d.gradients[one.weight]);
    compare(".dbias", d.gradients[one.bias]);
  }
}

template <class Make>
void check_mixed(const golden_case& c, findings& f, attribute_reader& attrs, Make make) {
  const mixed_run r = read_run(attrs);
  attrs.all_must_be_asked();
  const i32 batch = static_cast<i32>(c.tensor("inputs", "x").dims[0]);
  on_all_backends(f, batch, [&](const graph_backend& b, bool last) {
    golden_net net;
    make(net, last, r.loss_weight);
    run_case(c, f, b, net, r);
    check_locally(c, f, b, net, last);
  });
}

}  // namespace

/// The rules in words. What can be run of them is run by the cases that train; here only that they
/// are the ones this file was written for.
void check_mixed_spec(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  for (const char* rule :
       {"h", "1 input", "2 weights", "3 forward layer", "4 loss", "5 loss gradient", "6 backward",
        "7 check", "8 update (FP32)", "9 dynamic scale", "tolerance"}) {
    attrs.get<std::string>(rule);
  }
  attrs.all_must_be_asked();
  // "h": beyond 65520 infinite, subnormals kept
  f.compare({{"exact", true}}, "h", {INFINITY, 65504, std::ldexp(1.0, -24), 0},
            {to_float(to_half(65520.0f)), to_float(to_half(65519.0f)),
             to_float(to_half(std::ldexp(1.0f, -24))), to_float(to_half(std::ldexp(1.0f, -25)))});
}

void check_mixed_mlp(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const auto sizes = attrs.get<std::vector<i32>>("sizes");
  check_mixed(c, f, attrs, [&](golden_net& net, bool last, float weight) {
    build_mlp(net, c, sizes, kind::relu, last, weight);
  });
}

void check_mixed_lenet5(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const kind pool = attrs.choice("pool", pools);
  check_mixed(c, f, attrs, [&](golden_net& net, bool last, float weight) {
    build_lenet5(net, c, kind::relu, pool, last, weight);
  });
}

}  // namespace tessera::testing
