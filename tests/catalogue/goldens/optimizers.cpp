// Golden checks of optimizers over 20 steps of a small regression, of clipping, of learning-rate
// schedules and of what initializers draw.

#include <tessera/optim/initialize.hpp>
#include <tessera/optim/schedule.hpp>
#include <catalogue/goldens/checks.hpp>

#include <cstdio>
#include <limits>
#include <map>

namespace tessera::testing {

namespace {

/// The part `step` of numbers stored one step after another.
std::vector<double> step_of(const golden_tensor& t, i32 step) {
  const i64 size = t.count() / t.dims[0];
  const auto begin = t.values.begin() + step * size;
  return {begin, begin + size};
}

/// loss = mean((X W^T + b - Y)^2), trained as the case says. With `fused` the gradients never
/// exist, so only the weights and the loss are compared.
void check_regression(const golden_case& c, findings& f, const graph_backend& b, bool last,
                      const update_rule& rule, float rate, i32 steps, bool fused) {
  graph g;
  const golden_tensor weight = c.tensor("weights", "W");
  const i32 x = add_tensor(g, c.tensor("inputs", "X").dims_as(2), {.batch_last = last});
  const i32 target =
      add_tensor(g, c.tensor("inputs", "Y").dims_as(2), {.what = role::target, .batch_last = last});
  const i32 w = add_weight(g, weight.dims_as(2));
  const i32 bias = add_weight(g, c.tensor("weights", "b").dims_as(1));
  const i32 y = ops::dense(g, x, w, bias, layer);
  const i32 loss = ops::mse(g, y, target, {});
  const grow<i32> gradients = passes::differentiate(g);
  passes::append_updates(g, gradients, rule, {});
  if (fused) {
    passes::fuse_updates(g);
  } else {
    keep(g, gradients[w]);
    keep(g, gradients[bias]);
  }
  interpreter net(g, b.find);
  net.write(x, c.tensor("inputs", "X").values);
  net.write(target, c.tensor("inputs", "Y").values);
  net.write(w, weight.values);
  net.write(bias, c.tensor("weights", "b").values);
  const auto compare = [&](const std::string& name, i32 step, i32 id) {
    f.compare(c.tolerance(name), name + " of step " + std::to_string(step),
              step_of(c.tensor("outputs", name), step), net.read(id));
  };
  for (i32 step = 0; step < steps; ++step) {
    net.run({.learning_rate = rate, .step = static_cast<u64>(step), .valid = g.tensors[x].dims[0]});
    compare("loss", step, loss);
    if (!fused) {
      compare("grad_W", step, gradients[w]);
      compare("grad_b", step, gradients[bias]);
    }
    compare("W", step, w);
    compare("b", step, bias);
  }
}

void check_regression_on_all(const golden_case& c, findings& f, const update_rule& rule,
                             attribute_reader& attrs) {
  const float rate = attrs.get<float>("lr");
  const i32 steps = attrs.get<i32>("steps");
  attrs.all_must_be_asked();
  on_all_backends(f, static_cast<i32>(c.tensor("inputs", "X").dims[0]),
                  [&](const graph_backend& b, bool last) {
                    for (const bool fused : {false, true}) {
                      check_regression(c, f, b, last, rule, rate, steps, fused);
                    }
                  });
}

struct known_initializer {
  initializer what;
  bool known = true;
};

/// What the name of a case means: "kaiming_normal_leaky0.2_fan_out", "uniform_-0.1_0.1", ...
known_initializer read_initializer(const std::string& name) {
  float a = 0;
  float b = 0;
  char word[16] = {};
  const auto is = [&](const char* format, auto*... to) {
    return std::sscanf(name.c_str(), format, to...) == static_cast<int>(sizeof...(to));
  };
  if (name == "zeros") return {initializer::zeros};
  if (name == "ones") return {initializer::ones};
  if (name == "xavier_uniform") return {initializer::glorot_uniform};
  if (name == "xavier_normal") return {initializer::glorot_normal};
  if (name == "lecun_uniform") return {initializer::lecun_uniform};
  if (name == "lecun_normal") return {initializer::lecun_normal};
  if (name == "torch_default_linear_conv") return {initializer::torch_uniform};
  if (name == "orthogonal") return {{initializer::orthogonal, 1}};
  if (is("uniform_%f_%f", &a, &b) && a == -b) return {{initializer::uniform_in, b}};
  if (is("normal_%f", &a)) return {{initializer::normal_with, a}};
  if (is("trunc_normal_std%f_pm%fstd", &a, &b) && b == 2) {
    return {{initializer::truncated_normal, a}};
  }
  for (const bool normal : {false, true}) {
    const std::string start = normal ? "kaiming_normal_" : "kaiming_uniform_";
    const bool leaky = is((start + "leaky%f_fan_%3s").c_str(), &a, &word[0]);
    if (!leaky && !is((start + "relu_fan_%3s").c_str(), &word[0])) continue;
    const bool out = std::string(word) == "out";
    const initializer::form forms[] = {initializer::he_uniform, initializer::he_uniform_out,
                                       initializer::he_normal, initializer::he_normal_out};
    return {{forms[(normal ? 2 : 0) + (out ? 1 : 0)], a}};
  }
  return {initializer::zeros, false};
}

/// Rows, or columns where there are fewer, must be orthonormal times the gain.
void check_orthogonal(const std::vector<double>& values, i64 rows, double gain, findings& f) {
  const i64 columns = static_cast<i64>(values.size()) / rows;
  const bool by_rows = rows <= columns;
  const i64 count = by_rows ? rows : columns;
  const auto at = [&](i64 v, i64 i) {
    return values[static_cast<std::size_t>(by_rows ? v * columns + i : i * columns + v)];
  };
  double worst = 0;
  for (i64 a = 0; a < count; ++a) {
    for (i64 b = 0; b <= a; ++b) {
      double product = 0;
      for (i64 i = 0; i < (by_rows ? columns : rows); ++i) product += at(a, i) * at(b, i);
      worst = std::max(worst, std::abs(product - (a == b ? gain * gain : 0)));
    }
  }
  if (!(worst <= 1e-5)) f.note("products deviate by " + std::to_string(worst));
}

}  // namespace

void check_optimizer(const golden_case& c, findings& f) {
  static const std::map<std::string, optimizer_kind> kinds{
      {"sgd", optimizer_kind::sgd},         {"adam", optimizer_kind::adam},
      {"adamw", optimizer_kind::adam},      {"rmsprop", optimizer_kind::rmsprop},
      {"adagrad", optimizer_kind::adagrad}, {"adadelta", optimizer_kind::adadelta},
      {"adamax", optimizer_kind::adamax},   {"nadam", optimizer_kind::nadam},
      {"radam", optimizer_kind::radam},     {"rprop", optimizer_kind::rprop},
      {"lion", optimizer_kind::lion},       {"lamb", optimizer_kind::lamb},
      {"lars", optimizer_kind::lars},
  };
  attribute_reader attrs = c.attributes();
  const std::string name = c.op().substr(std::string("optimizer_").size());
  update_rule rule;
  rule.what = kinds.at(name);
  rule.decoupled = name == "adamw";
  // Each rule's own attributes; what a case does not have keeps PyTorch's default.
  const auto read = [&](const char* attribute, auto& to) {
    to = attrs.get<std::decay_t<decltype(to)>>(attribute, to);
  };
  const auto read_pair = [&](const char* attribute, float& first, float& second) {
    const auto both = attrs.get<std::vector<float>>(attribute, {first, second});
    first = both.at(0);
    second = both.at(1);
  };
  read_pair("betas", rule.beta1, rule.beta2);
  read_pair("etas", rule.shrink, rule.growth);
  read_pair("step_sizes", rule.smallest, rule.largest);
  read("alpha", rule.beta2);
  read("rho", rule.beta2);
  read("eps", rule.epsilon);
  read("momentum", rule.momentum);
  read("dampening", rule.dampening);
  read("nesterov", rule.nesterov);
  read("weight_decay", rule.weight_decay);
  read("amsgrad", rule.amsgrad);
  read("centered", rule.centered);
  read("lr_decay", rule.slowing);
  read("momentum_decay", rule.slowing);
  read("initial_accumulator_value", rule.start);
  read("bias_correction", rule.corrected);
  read("eta", rule.trust);
  check_regression_on_all(c, f, rule, attrs);
}

void check_clip(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  gradient_limits limits;
  if (c.op() == "clip_grad_norm") {
    limits.norm = attrs.get<float>("max_norm");
    const io::json order = attrs.get<io::json>("norm_type");
    limits.order = order.is_string() ? std::numeric_limits<float>::infinity() : order.get<float>();
    if (attrs.get<double>("eps", 1e-6) != 1e-6) f.note("expected an epsilon of 1e-6");
  } else {
    limits.value = attrs.get<float>("clip_value");
  }
  attrs.all_must_be_asked();
  on_all_backends(f, 1, [&](const graph_backend& b, bool) {
    // The clipped gradient is what plain SGD with rate 1 subtracts from weights of 0.
    graph g;
    std::vector<i32> inputs;
    grow<i32> gradients;
    const std::vector<std::string> names = c.names("inputs");
    for (const std::string& name : names) {
      const shape dims = c.tensor("inputs", name).dims_as_they_are();
      inputs.push_back(add_tensor(g, dims, {.batched = false}));
      operation copy;
      copy.what = kind::copy;
      copy.in[0] = inputs.back();
      copy.out[0] = add_tensor(g, dims, {.what = role::gradient, .batched = false});
      g.add(copy);
      gradients.push(add_weight(g, dims));
    }
    grow<i32> by_tensor(g.tensors.size());
    for (i32& id : by_tensor) id = -1;
    for (const i32 w : gradients) by_tensor[w] = w - 1;  // the gradient stands before its weight
    passes::append_updates(g, by_tensor, {.what = optimizer_kind::sgd}, {}, limits);
    interpreter net(g, b.find);
    for (std::size_t i = 0; i < names.size(); ++i) {
      net.write(inputs[i], c.tensor("inputs", names[i]).values);
      const auto w = gradients[static_cast<i32>(i)];
      net.write(w, std::vector<double>(static_cast<std::size_t>(g.tensors[w].dims.count())));
    }
    net.run({.learning_rate = 1, .valid = 1});
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::vector<double> clipped = net.read(gradients[static_cast<i32>(i)]);
      for (double& v : clipped) v = -v;
      f.compare("outputs", names[i], clipped);
    }
    if (limits.norm > 0) f.compare("outputs", "total_norm", {net.read(g.clip)[ops::clip_norm]});
  });
}

void check_schedule(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const double base = attrs.get<double>("base");
  schedule s = constant_rate(base);
  const double lowest = attrs.get<double>("eta_min", 0.0);
  if (c.op() == "lr_step") {
    s = step_rate(base, attrs.get<i64>("step_size"), attrs.get<double>("gamma"));
  } else if (c.op() == "lr_multistep") {
    s = multistep_rate(base, attrs.get<std::vector<i64>>("milestones"), attrs.get<double>("gamma"));
  } else if (c.op() == "lr_exponential") {
    s = exponential_rate(base, attrs.get<double>("gamma"));
  } else if (c.op() == "lr_cosine") {
    s = cosine_rate(base, attrs.get<i64>("T_max"), 0, lowest);
  } else if (c.op() == "lr_cosine_restarts") {
    s = cosine_restart_rate(base, attrs.get<i64>("T_0"), attrs.get<i64>("T_mult", 1), lowest);
  } else if (c.op() == "lr_warmup_cosine") {
    const i64 warm_up = attrs.get<i64>("warm");
    s = cosine_rate(base, attrs.get<i64>("total"), warm_up, attrs.get<double>("lo"));
  } else if (c.op() == "lr_polynomial") {
    s = polynomial_rate(base, attrs.get<double>("power"), attrs.get<i64>("total"),
                        attrs.get<double>("end", 0.0));
  } else if (c.op() == "lr_noam") {
    s = noam_rate(base, attrs.get<i64>("d"), attrs.get<i64>("warm"));
  } else if (c.op() == "lr_one_cycle") {
    const auto along = attrs.choice<anneal>("anneal_strategy",
                                            {{"cos", anneal::cosine}, {"linear", anneal::linear}});
    s = one_cycle_rate(attrs.get<double>("max_lr"), attrs.get<i64>("total_steps"), along);
    s.rising = attrs.get<double>("pct_start", 0.3);
    s.start_divisor = attrs.get<double>("div_factor", 25.0);
    s.end_divisor = attrs.get<double>("final_div_factor", 1e4);
    s.three_phases = attrs.get<bool>("three_phase", false);
    attrs.ignore("cycle_momentum");  // the rate does not depend on it
  }
  const i64 steps = attrs.get<i64>("steps");
  attrs.all_must_be_asked();
  std::vector<double> rates;
  for (i64 t = 0; t < steps; ++t) rates.push_back(s.at(t));
  f.compare("outputs", "lr", rates);
}

void check_initializer(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const auto name = attrs.get<std::string>("init");
  known_initializer known = read_initializer(name);
  if (!known.known) return f.note("no initializer is called that: " + name);
  const auto dims = attrs.get<std::vector<i64>>("shape");
  i64 count = 1;
  for (const i64 extent : dims) count *= extent;
  std::vector<double> values(static_cast<std::size_t>(count));
  random_stream random(2024);
  if (known.what.what == initializer::orthogonal) {
    const double gain = attrs.get<double>("gain");
    known.what.number = static_cast<float>(gain);
    initialize(known.what, 1, 1, random, values, dims.at(0));
    attrs.ignore("check");
    attrs.all_must_be_asked();
    return check_orthogonal(values, dims.at(0), gain, f);
  }
  initialize(known.what, attrs.get<i32>("fan_in"), attrs.get<i32>("fan_out"), random, values);
  double sum = 0, squares = 0, largest = 0;
  for (const double v : values) {
    sum += v;
    squares += v * v;
    largest = std::max(largest, std::abs(v));
  }
  const double mean = sum / static_cast<double>(count);
  const double deviation = std::sqrt(squares / static_cast<double>(count) - mean * mean);
  const auto say = [&](const std::string& what, double got) {
    f.note(what + " of " + std::to_string(got) + " in " + std::to_string(count) + " draws");
  };
  if (std::abs(mean - attrs.get<double>("mean")) > attrs.get<double>("mean_tolerance")) {
    say("mean", mean);
  }
  const double wanted = attrs.get<double>("std");
  if (std::abs(deviation - wanted) > attrs.get<double>("std_rel_tolerance") * wanted) {
    say("deviation", deviation);
  }
  const io::json bound = attrs.get<io::json>("bound", nullptr);
  if (!bound.is_null() && largest > bound.get<double>() * (1 + 1e-6)) say("magnitude", largest);
  // A uniform one ends at 1.73 deviations; of 500 normal draws one lies beyond 2 but for 6e-11.
  // A truncated one ends at its bound, beyond 2 of its own deviations.
  const bool normal = largest > 2 * wanted;
  if (wanted > 0 && count >= 500 &&
      normal != (attrs.get<std::string>("distribution") != "uniform")) {
    say("shape not as stated: magnitude", largest);
  }
  for (const char* about : {"distribution", "torch_sample_mean", "torch_sample_std"}) {
    attrs.ignore(about);  // what another library drew
  }
  attrs.all_must_be_asked();
}

}  // namespace tessera::testing
