#pragma once

// Training steps for tests of reports: a plain one, one with loops, and one as large as
// ResNet-50's.

#include <tessera/network/job.hpp>
#include <tessera/nn/names.hpp>
#include <tessera/nn/repeat.hpp>
#include <tessera/ops/loop.hpp>
#include <tessera/optim/optimizer.hpp>

namespace tessera::testing {

using pictured_lenet =
    network<image<1, 28, 28>, conv<6, 5, pad<2>>, tanh, max_pool<2>, conv<16, 5>, tanh, max_pool<2>,
            flatten, dense<120>, tanh, dense<84>, tanh, dense<10>>;

/// Blocks with weights of their own between two layers.
using pictured_repeat =
    network<input<8>, dense<6>, scope<"body", repeat_from<1, 5, named<"inner", dense<6>>, tanh>>,
            dense<3>>;

template <class Network, class Optimizer = adam>
graph step_of(i32 batch = 4) {
  job_options o;
  o.batch = batch;
  return make_training<Network, softmax_cross_entropy>(o, rule_of<Optimizer>());
}

/// h(t) = tanh(x(t) w + h(t - 1) u), of which the last value is compared with a target.
inline graph recurrent_step(i32 time, const char* name = "rnn") {
  const tensor_name layer{name, 1, ""};
  graph g;
  g.batch = 3;
  tensor t;
  t.dims = shape(time, 3, 4);
  t.stack = 1;
  t.what = role::input;
  t.batched = true;
  t.name = {"input", 0, ""};
  const i32 x = g.add(t);
  g.inputs = x;
  t.dims = shape(3, 5);
  t.stack = 0;
  t.what = role::target;
  t.name = {"target", 0, ""};
  const i32 target = g.add(t);
  const i32 w = ops::parameter(g, shape(5, 4), {name, 1, "input_weight"}, initializer::ones, 4, 5);
  const i32 u = ops::parameter(g, shape(5, 5), {name, 1, "state_weight"}, initializer::ones, 5, 5);
  ops::loop_writer loop(g, {.trips = time, .stacked = true}, layer);
  const i32 h = loop.carry_of_zeros(x, shape(3, 5));
  loop.begin();
  const i32 in = ops::dense(g, loop.scan(x), ops::captured(g, w, g.body), -1, layer);
  const i32 before = ops::dense(g, loop.in(h), ops::captured(g, u, g.body), -1, layer);
  loop.next(h, ops::unary(g, kind::tanh, ops::add(g, in, before, layer), layer));
  loop.end();
  g.outputs = loop.final(h);
  g.losses = ops::mse(g, loop.final(h), target, {});
  complete_training_graph(g, {}, rule_of<momentum_sgd>());
  return g;
}

/// Bottleneck blocks as in ResNet-50 (3, 4, 6, 3 of three convolutions each), unrolled.
inline graph large_step() {
  graph g;
  g.batch = 2;
  tensor t;
  t.dims = shape(2, 3, 32, 32);
  t.what = role::input;
  t.batched = true;
  t.name = {"input", 0, ""};
  i32 x = g.add(t);
  g.inputs = x;
  i32 layers = 0;
  const auto convolve = [&](i32 from, i32 channels, i32 kernel, i32 stride) {
    const tensor_name layer{"conv", ++layers, ""};
    const i32 in = g.tensors[from].dims[1];
    window win;
    for (const i32 axis : {0, 1}) {
      win.kernel[axis] = kernel;
      win.stride[axis] = stride;
      win.pad_begin[axis] = win.pad_end[axis] = kernel / 2;
    }
    const i32 w = ops::parameter(g, shape(channels, in, kernel, kernel), {"conv", layers, "weight"},
                                 initializer::he_normal, in, channels);
    return ops::conv2d(g, from, w, -1, win, 1, layer);
  };
  const auto relu = [&](i32 from) {
    return ops::unary(g, kind::relu, from, {"relu", ++layers, ""});
  };
  x = relu(convolve(x, 8, 7, 2));
  const i32 blocks[] = {3, 4, 6, 3};
  for (i32 stage = 0; stage < 4; ++stage) {
    const i32 width = 4 << stage;
    for (i32 block = 0; block < blocks[stage]; ++block) {
      const i32 stride = stage > 0 && block == 0 ? 2 : 1;
      i32 y = relu(convolve(x, width, 1, 1));
      y = convolve(relu(convolve(y, width, 3, stride)), 4 * width, 1, 1);
      const i32 shortcut = block == 0 ? convolve(x, 4 * width, 1, stride) : x;
      x = relu(ops::add(g, y, shortcut, {"add", ++layers, ""}));
    }
  }
  t.dims = shape(2);
  t.type = element::int32;
  t.what = role::target;
  t.name = {"target", 0, ""};
  const i32 target = g.add(t);
  const i32 features = static_cast<i32>(g.tensors[x].dims.count() / 2);
  const i32 w = ops::parameter(g, shape(10, features), {"dense", 1, "weight"},
                               initializer::he_normal, features, 10);
  const i32 logits = ops::dense(g, ops::view(g, x, shape(2, features)), w, -1, {"dense", 1, ""});
  g.outputs = logits;
  g.losses = ops::softmax_cross_entropy(g, logits, target, -1, {});
  complete_training_graph(g, {}, rule_of<momentum_sgd>());
  return g;
}

}  // namespace tessera::testing
