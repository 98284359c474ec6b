#pragma once

// Trainings that cases of whole networks describe: some steps of SGD and of Adam on one batch, each
// from the case's weights, with the loss before each step and what has become of the weights.

#include <catalogue/goldens/checks.hpp>

namespace tessera::testing {

inline update_rule read_sgd(attribute_reader& attrs) {
  update_rule rule;
  rule.what = optimizer_kind::sgd;
  rule.momentum = attrs.get<float>("momentum");
  rule.weight_decay = attrs.get<float>("weight_decay");
  rule.nesterov = attrs.get<bool>("nesterov");
  rule.dampening = attrs.get<float>("dampening", 0.0f);
  return rule;
}

inline update_rule read_adam(attribute_reader& attrs) {
  update_rule rule;
  rule.what = optimizer_kind::adam;
  const auto betas = attrs.get<std::vector<float>>("betas");
  rule.beta1 = betas.at(0);
  rule.beta2 = betas.at(1);
  rule.epsilon = attrs.get<float>("eps");
  rule.weight_decay = attrs.get<float>("weight_decay", 0.0f);
  rule.amsgrad = attrs.get<bool>("amsgrad", false);
  return rule;
}

/// Trains a network with a graph `g` that ends in `loss`. `fill(run, net)` writes the batch and the
/// first weights, `compare(run, net, section)` compares what training has left.
template <class Net, class Fill, class Compare>
void check_trainings(findings& f, const graph_backend& b, const Net& net, i32 batch,
                     attribute_reader& attrs, Fill fill, Compare compare) {
  for (const bool adam : {false, true}) {
    const std::string name = adam ? "adam" : "sgd";
    if (!attrs.has(name)) continue;
    attribute_reader training = attrs.group(name);
    const update_rule rule = adam ? read_adam(training) : read_sgd(training);
    const float rate = training.get<float>("lr");
    const i32 steps = training.get<i32>("steps");
    training.all_must_be_asked();

    Net trained = net;
    const grow<i32> gradients = passes::differentiate(trained.g);
    passes::append_updates(trained.g, gradients, rule, {});
    passes::fuse_updates(trained.g);
    interpreter run(trained.g, b.find);
    fill(run, trained);
    std::vector<double> losses;
    for (i32 step = 0; step < steps; ++step) {
      run.run({.learning_rate = rate, .step = static_cast<u64>(step), .valid = batch});
      losses.push_back(run.read(trained.loss)[0]);
    }
    f.compare("outputs", name + "_losses", losses);
    compare(run, trained, name + std::to_string(steps));
  }
}

}  // namespace tessera::testing
