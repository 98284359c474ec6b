// Random small networks, trained for a few steps: all backends agree, and memory reuse changes
// nothing.
//
// Layers are smooth (tanh, sigmoid, average pooling), so that a last bit that differs moves results
// a little and never takes another branch. A network computes with sums of at most 200 terms in at
// most 6 layers, forth and back: relative differences of 2 x 6 x 200 x 2^-24 = 1.4e-4 at worst in
// f32, and in f16 2 x 6 roundings of 2^-11 = 0.6 %; both of the largest change of a weight.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <tessera/passes/precision.hpp>

#include <algorithm>
#include <cmath>

namespace {

using namespace tessera;
using namespace tessera::testing;

window make_window(i32 kernel, i32 stride, i32 pad) {
  window w;
  for (i32 axis = 0; axis < 2; ++axis) {
    w.kernel[axis] = kernel;
    w.stride[axis] = stride;
    w.pad_begin[axis] = w.pad_end[axis] = pad;
  }
  return w;
}

/// A random network with its whole training step.
struct random_training {
  graph g;
  i32 x = -1, target = -1, loss = -1;
  std::vector<i32> parameters;
  i32 classes = 0;

  random_training(u64 seed, const precision_policy& policy) {
    random_stream random(seed);
    const i32 batches[] = {1, 3, 16, 32};
    const i32 batch = batches[random.next_below(4)];
    const bool last = ops::batch_goes_last(batch);
    i32 channels = 1 + static_cast<i32>(random.next_below(3));
    const i32 side = 6 + static_cast<i32>(random.next_below(5));
    x = add_tensor(g, shape(batch, channels, side, side), {.batch_last = last});
    i32 now = x;
    const i32 convolutions = static_cast<i32>(random.next_below(3));
    for (i32 i = 0; i < convolutions; ++i) {
      const i32 out = 1 + static_cast<i32>(random.next_below(6));
      const i32 weight = parameter(shape(out, channels, 3, 3), "weight");
      const i32 bias = random.next_below(4) == 0 ? -1 : parameter(shape(out), "bias");
      const i32 pad = g.tensors[now].dims[2] < 3 ? 1 : static_cast<i32>(random.next_below(2));
      now = ops::conv2d(g, now, weight, bias, make_window(3, 1, pad), 1, {"conv", i + 1, ""});
      now = activation(random, now);
      if (g.tensors[now].dims[2] >= 2 && random.next_below(2) == 0) {
        now = ops::pool2d(g, kind::avg_pool2d, now, make_window(2, 2, 0), {"pool", i + 1, ""});
      }
      channels = out;
    }
    now = ops::view(g, now, shape(batch, static_cast<i32>(g.tensors[now].dims.sample().count())));
    const i32 dense = 1 + static_cast<i32>(random.next_below(3));
    for (i32 i = 0; i < dense; ++i) {
      if (i > 0) now = activation(random, now);
      const i32 units = 2 + static_cast<i32>(random.next_below(12));
      const i32 weight = parameter(shape(units, g.tensors[now].dims[1]), "weight");
      now = ops::dense(g, now, weight, parameter(shape(units), "bias"), {"dense", i + 1, ""});
      classes = units;
    }
    if (random.next_below(3) > 0) {
      target = add_tensor(g, shape(batch), {.what = role::target, .type = element::int32});
      loss = ops::softmax_cross_entropy(g, now, target, -1, {});
    } else {
      target = add_tensor(g, g.tensors[now].dims, {.what = role::target, .batch_last = last});
      loss = ops::mse(g, now, target, {});
    }
    update_rule rule;
    rule.what = optimizer_kind::sgd;
    rule.momentum = random.next_below(2) == 0 ? 0.0f : 0.9f;
    rule.nesterov = rule.momentum != 0 && random.next_below(2) == 0;
    rule.weight_decay = random.next_below(2) == 0 ? 0.0f : 0.01f;
    passes::append_scaler(g, policy.scaling);
    const grow<i32> gradients = passes::differentiate(g);
    passes::assign_precision(g, policy);
    passes::append_updates(g, gradients, rule, policy.scaling);
    passes::fuse_updates(g);
  }

  /// Losses and, in the end, all parameters and the loss scale.
  std::vector<std::vector<double>> train(const graph_backend& b, bool in_place,
                                         std::vector<std::vector<double>>* first = nullptr) const {
    interpreter net(g, b.find, {.in_place = in_place});
    random_stream random(77);
    const auto draw = [&](i32 id, double size) {
      std::vector<double> values(static_cast<std::size_t>(g.tensors[id].dims.count()));
      for (double& v : values) {
        v = size * (2 * static_cast<double>(random.next_uniform()) - 1);
        if (g.tensors[id].type == element::int32) v = random.next_below(static_cast<u32>(classes));
      }
      net.write(id, values);
      return values;
    };
    for (const i32 id : parameters) {
      const std::vector<double> values = draw(id, 0.4);
      if (first != nullptr) first->push_back(values);
    }
    std::vector<std::vector<double>> results(1);
    for (u64 step = 0; step < 3; ++step) {
      draw(x, 1);
      draw(target, 1);
      net.run({.learning_rate = 0.1f, .seed = 1, .step = step, .valid = g.tensors[x].dims[0]});
      results[0].push_back(net.read(loss)[0]);
    }
    for (const i32 id : parameters) results.push_back(net.read(id));
    if (g.scaler >= 0) results.push_back(net.read(g.scaler));
    return results;
  }

 private:
  i32 parameter(const shape& dims, const char* part) {
    parameters.push_back(add_weight(g, dims, element::f32, part));
    return parameters.back();
  }
  i32 activation(random_stream& random, i32 id) {
    const kind what = random.next_below(2) == 0 ? kind::tanh : kind::sigmoid;
    return ops::unary(g, what, id, {"activation", 1, ""});
  }
};

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = std::abs(a[i] - b[i]);
    if (std::isnan(off)) return INFINITY;
    most = std::max(most, off);
  }
  return most;
}

struct policy_case {
  const char* name;
  precision_policy policy;
  double tolerance;
};

precision_policy mixed(skip_rule skip) {
  return {.storage = element::f16,
          .master = element::f32,
          .loss = element::f32,
          .scaling = {.skip = skip, .dynamic = true, .initial = 256, .interval = 2}};
}

const policy_case policies[] = {
    {"f32", {}, 1.4e-4},
    {"f16, skip_step", mixed(skip_rule::step), 6e-3},
    {"f16, skip_tensor", mixed(skip_rule::tensor), 6e-3},
};

TEST_CASE("random networks train alike on all backends, with and without memory reuse",
          "[agreement]") {
  for (const policy_case& p : policies) {
    for (u64 seed = 1; seed <= 40; ++seed) {
      const random_training net(seed, p.policy);
      std::vector<std::vector<double>> first;
      const auto want = net.train(reference_backend, true, &first);
      double change = 0;
      for (std::size_t k = 0; k < first.size(); ++k) {
        change = std::max(change, largest_difference(want[1 + k], first[k]));
      }
      REQUIRE(change > 1e-5);
      for (const graph_backend& b : backends()) {
        INFO(p.name << ", seed " << seed << ", " << b.name);
        const auto got = net.train(b, true);
        for (std::size_t k = 0; k < want.size(); ++k) {
          CHECK(largest_difference(got[k], want[k]) <=
                p.tolerance * std::max(k == 0 ? 1.0 : 0.0, change));
        }
        CHECK(net.train(b, false) == got);
      }
    }
  }
}

}  // namespace
