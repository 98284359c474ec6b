// Golden checks of optimizers over 20 steps of a small regression, of learning-rate schedules and
// of what initializers draw.

#include <tessera/optim/initialize.hpp>
#include <tessera/optim/schedule.hpp>
#include <goldens/checks.hpp>

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
  const i32 y = ops::dense(g, x, w, bias, {"golden", 0, ""});
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

void check_optimizer(const golden_case& c, findings& f, const update_rule& rule,
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
  bool by_fan_out = false;
};

/// The names of cases for what exists.
const std::map<std::string, known_initializer> initializers{
    {"zeros", {initializer::zeros}},
    {"ones", {initializer::ones}},
    {"xavier_uniform", {initializer::glorot_uniform}},
    {"xavier_normal", {initializer::glorot_normal}},
    {"kaiming_uniform_relu_fan_in", {initializer::he_uniform}},
    {"kaiming_normal_relu_fan_in", {initializer::he_normal}},
    {"kaiming_uniform_relu_fan_out", {initializer::he_uniform, true}},
    {"kaiming_normal_relu_fan_out", {initializer::he_normal, true}},
    {"torch_default_linear_conv", {initializer::torch_uniform}},
};

}  // namespace

void check_sgd(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  update_rule rule;
  rule.what = optimizer_kind::sgd;
  rule.momentum = attrs.get<float>("momentum");
  rule.dampening = attrs.get<float>("dampening");
  rule.nesterov = attrs.get<bool>("nesterov");
  rule.weight_decay = attrs.get<float>("weight_decay");
  check_optimizer(c, f, rule, attrs);
}

void check_adam(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  update_rule rule;
  rule.what = optimizer_kind::adam;
  const auto betas = attrs.get<std::vector<float>>("betas");
  rule.beta1 = betas.at(0);
  rule.beta2 = betas.at(1);
  rule.epsilon = attrs.get<float>("eps");
  rule.weight_decay = attrs.get<float>("weight_decay");
  rule.amsgrad = attrs.get<bool>("amsgrad");
  check_optimizer(c, f, rule, attrs);
}

void check_schedule(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const double base = attrs.get<double>("base");
  schedule s = constant_rate(base);
  if (c.op() == "lr_step") {
    s = step_rate(base, attrs.get<i64>("step_size"), attrs.get<double>("gamma"));
  } else if (c.op() == "lr_cosine") {
    s = cosine_rate(base, attrs.get<i64>("T_max"), 0, attrs.get<double>("eta_min"));
  } else if (c.op() == "lr_warmup_cosine") {
    const i64 warm_up = attrs.get<i64>("warm");
    s = cosine_rate(base, attrs.get<i64>("total"), warm_up, attrs.get<double>("lo"));
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
  const auto known = initializers.find(name);
  if (known == initializers.end()) {
    throw not_there_yet("initializers other than Glorot's, He's and PyTorch's do not exist yet");
  }
  const i32 fan_in = attrs.get<i32>(known->second.by_fan_out ? "fan_out" : "fan_in");
  const i32 fan_out = attrs.get<i32>(known->second.by_fan_out ? "fan_in" : "fan_out");
  i64 count = 1;
  for (const i64 extent : attrs.get<std::vector<i64>>("shape")) count *= extent;
  std::vector<double> values(static_cast<std::size_t>(count));
  random_stream random(2024);
  initialize(known->second.what, fan_in, fan_out, random, values);
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
  const bool normal = largest > 2 * wanted;
  if (wanted > 0 && count >= 500 &&
      normal != (attrs.get<std::string>("distribution") == "normal")) {
    say("shape not as stated: magnitude", largest);
  }
  for (const char* about : {"distribution", "torch_sample_mean", "torch_sample_std"}) {
    attrs.ignore(about);  // what another library drew
  }
  attrs.all_must_be_asked();
}

}  // namespace tessera::testing
