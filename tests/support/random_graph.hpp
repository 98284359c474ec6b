#pragma once

// Random training steps: chains of layers with branches that meet again, tensors with several
// readers, views, shared weights, in all precisions and with all optimizers. On demand with loops:
// in each other, with several carries that change places, stay or come from outside, with weights
// of their own or not, with stacks that one puts out and another scans.

#include <tessera/core/random.hpp>
#include <tessera/network/make.hpp>
#include <tessera/ops/loop.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <string>
#include <vector>

namespace tessera::testing {

struct random_graph_options {
  bool may_be_mixed = true;
  bool may_drop = true;  // dropout
  i32 most_layers = 8;
  bool may_loop = false;  // repeats and recurrences
  bool only_sgd = false;  // Adam turns the smallest gradient into a step of full size
  bool smooth = false;    // nothing that branches on values: relu, maxima
};

/// Draws a forward graph that ends in a loss, and turns it into a step.
class random_graph {
 public:
  explicit random_graph(u64 seed, const random_graph_options& o = {})
      : random_(seed), options_(o) {}

  graph make() {
    make_forward();
    complete_training_graph(g_, precision(), rule());
    return g_;
  }

  /// The step before recomputation and slots.
  graph make_unfinished() {
    make_forward();
    append_backward(g_, precision(), rule());
    return g_;
  }

  /// The forward graph, which ends in a loss.
  graph make_forward() {
    const i32 batches[] = {1, 2, 3, 5, 16};
    g_.batch = batches[below(5)];
    tensor input;
    input.dims = below(3) == 0 ? shape(g_.batch, 1 + below(12))
                               : shape(g_.batch, 1 + below(4), 2 + below(6), 2 + below(6));
    input.what = role::input;
    input.batched = true;
    input.batch_last = ops::batch_goes_last(g_.batch) || below(4) == 0;
    input.name = {"input", 0, ""};
    g_.inputs = g_.add(input);
    i32 x = g_.inputs[0];
    const i32 layers = 1 + below(options_.most_layers);
    for (i32 i = 0; i < layers; ++i) {
      seen_.push_back(x);
      x = layer(x);
    }
    finish(x);
    return g_;
  }

 private:
  i32 below(i32 n) { return static_cast<i32>(random_.next_below(static_cast<u32>(n))); }

  const shape& dims(i32 x) const { return g_.tensors[x].dims; }

  tensor_name next(const char* kind) { return {kind, ++count_, ""}; }

  i32 weight(const shape& of, const tensor_name& layer, const char* part) {
    return ops::parameter(g_, of, {layer.layer, layer.ordinal, part}, initializer::glorot_uniform,
                          4, 4);
  }

  i32 dense(i32 x, i32 out) {
    const tensor_name name = next("dense");
    const shape wanted(out, dims(x)[1]);
    i32 w = -1;
    if (below(3) == 0) {  // a weight of this shape that is there already
      for (i32 id = 0; id < g_.tensors.size(); ++id) {
        const tensor& t = g_.tensors[id];
        if (t.what == role::parameter && t.dims == wanted && visible(id)) w = id;
      }
    }
    if (w < 0) w = weight(wanted, name, "weight");
    const i32 bias = below(4) == 0 ? -1 : weight(shape(out), name, "bias");
    return ops::dense(g_, x, w, bias, name);
  }

  i32 conv(i32 x, i32 out, bool keep_size) {
    const tensor_name name = next("conv");
    const shape in = dims(x);
    window win;
    const i32 most = in[2] < in[3] ? in[2] : in[3];
    const i32 kernel = keep_size || most < 2 ? 1 + 2 * below(2) : 1 + below(most < 3 ? most : 3);
    for (const i32 axis : {0, 1}) {
      win.kernel[axis] = kernel;
      win.stride[axis] = keep_size ? 1 : 1 + below(2);
      win.pad_begin[axis] = win.pad_end[axis] = kernel / 2;
    }
    const i32 groups = in[1] % 2 == 0 && out % 2 == 0 && below(3) == 0 ? 2 : 1;
    const i32 w = weight(shape(out, in[1] / groups, kernel, kernel), name, "weight");
    const i32 bias = below(4) == 0 ? -1 : weight(shape(out), name, "bias");
    return ops::conv2d(g_, x, w, bias, win, groups, name);
  }

  i32 activation(i32 x) {
    const kind kinds[] = {kind::relu, kind::tanh, kind::sigmoid, kind::dropout};
    kind what = kinds[below(options_.may_drop ? 4 : 3)];
    if (options_.smooth && what == kind::relu) what = kind::tanh;
    attributes attr;
    attr.rate = 0.25f;
    attr.salt = count_;
    return ops::unary(g_, what, x, next("act"), attr);
  }

  i32 pool(i32 x) {
    window win;
    const shape in = dims(x);
    for (const i32 axis : {0, 1}) {
      win.kernel[axis] = in[2 + axis] < 2 ? 1 : 2;
      win.stride[axis] = 1 + below(2);
    }
    win.count_include_pad = true;
    const bool maximum = below(2) == 0 && !options_.smooth;
    const kind what = maximum ? kind::max_pool2d : kind::avg_pool2d;
    return ops::pool2d(g_, what, x, win, next("pool"));
  }

  i32 flatten(i32 x) {
    return ops::view(g_, x, shape(g_.batch, static_cast<i32>(dims(x).sample().count())));
  }

  /// Another tensor of x's shape: an earlier one, or a layer on x.
  i32 partner(i32 x) {
    for (const i32 other : seen_) {
      if (other != x && dims(other) == dims(x) && other != g_.inputs[0] && below(2) == 0)
        return other;
    }
    if (below(4) == 0) return x;
    if (below(3) == 0) return activation(x);
    return dims(x).rank == 4 ? conv(x, dims(x)[1], true) : dense(x, dims(x)[1]);
  }

  /// True where the body at hand may read `id`.
  bool visible(i32 id) const { return encloses(g_, g_.tensors[id].body, g_.body); }

  i32 one_of(const std::vector<i32>& values) {
    return values[static_cast<std::size_t>(below(static_cast<i32>(values.size())))];
  }

  /// A loop on values of x's shape; returns one.
  i32 loop(i32 x) {
    const shape of_x = dims(x);
    ops::loop_options o;
    o.trips = 1 + below(4);
    o.reversed = below(2) == 0;
    o.own_weights = below(2) == 0;
    o.stacked = true;
    ops::loop_writer w(g_, o, next("loop"));
    std::vector<i32> carries{w.carry(x)};
    for (i32 more = below(3); more > 0; --more) {
      carries.push_back(below(2) == 0 ? w.carry(x) : w.carry_of_zeros(x, of_x));
    }
    w.begin();
    std::vector<i32> inside;
    for (const i32 c : carries) inside.push_back(w.in(c));
    for (const i32 stack : stacks_) {
      const tensor& t = g_.tensors[stack];
      const bool fits = t.dims[0] == o.trips && t.dims.sample() == of_x && visible(stack);
      if (fits && below(3) > 0) inside.push_back(w.scan(stack));
    }
    if (below(3) == 0) inside.push_back(x);
    for (i32 k = 1 + below(4); k > 0; --k) {
      const i32 a = one_of(inside);
      inside.push_back(in_loop(a, inside));
    }
    for (const i32 c : carries) w.next(c, below(3) == 0 ? one_of(inside) : inside.back());
    i32 put_out = -1;
    if (below(2) == 0) put_out = w.output(one_of(inside));
    w.end();
    if (put_out >= 0) stacks_.push_back(w.outer(put_out));
    const i32 y = w.final(carries[0]);
    if (carries.size() == 1 || below(2) == 0) return y;
    return ops::add(g_, y, w.final(carries[1]), next("add"));
  }

  /// Bounded, so that no number of trips makes values that drown what a difference changes.
  i32 bounded(i32 x) { return ops::unary(g_, kind::tanh, x, next("act")); }

  /// A value of a's shape made of `a` and what else there is.
  i32 in_loop(i32 a, const std::vector<i32>& inside) {
    const i32 depth = g_.bodies[g_.body].depth;
    switch (below(6)) {
      case 0: return activation(a);
      case 1: {
        const i32 sum = ops::add(g_, a, one_of(inside), next("add"));
        return depth > 1 ? bounded(sum) : sum;
      }
      case 2: return bounded(ops::multiply(g_, a, one_of(inside), next("multiply")));
      case 3:
        if (depth < loop_body::max_depth && below(2) == 0) return bounded(loop(a));
        return activation(a);
      default: return bounded(dims(a).rank == 4 ? conv(a, dims(a)[1], true) : dense(a, dims(a)[1]));
    }
  }

  i32 layer(i32 x) {
    if (options_.may_loop && below(3) == 0) return bounded(loop(x));
    const bool image = dims(x).rank == 4;
    switch (below(6)) {
      case 0: return activation(x);
      case 1: {
        const i32 left = below(2) == 0 ? activation(x) : x;
        return ops::add(g_, left, partner(left), next("add"));
      }
      case 2: return image ? pool(x) : activation(x);
      case 3: return image && below(2) == 0 ? flatten(x) : activation(x);
      default: return image ? conv(x, 1 + below(4), false) : dense(x, 1 + below(8));
    }
  }

  void finish(i32 x) {
    if (dims(x).rank == 4) x = flatten(x);
    const i32 classes = 2 + below(4);
    x = dense(x, classes);
    if (below(4) == 0) x = activation(x);
    g_.outputs = x;
    const bool entropy = below(2) == 0;
    tensor t;
    t.dims = entropy ? shape(g_.batch) : dims(x);
    t.type = entropy ? element::int32 : element::f32;
    t.what = role::target;
    t.batched = true;
    t.batch_last = !entropy && g_.tensors[x].batch_last;
    t.name = {"target", 0, ""};
    g_.targets = g_.add(t);
    g_.losses = entropy ? ops::softmax_cross_entropy(g_, x, g_.targets[0], -1, {})
                        : ops::mse(g_, x, g_.targets[0], {});
  }

  precision_policy precision() {
    precision_policy p;
    if (!options_.may_be_mixed || below(2) == 0) return p;
    p.storage = element::f16;
    p.scaling.skip = below(2) == 0 ? skip_rule::step : skip_rule::tensor;
    p.scaling.dynamic = true;
    p.scaling.initial = 256;
    return p;
  }

  update_rule rule() {
    update_rule r;
    r.what = below(2) == 0 || options_.only_sgd ? optimizer_kind::sgd : optimizer_kind::adam;
    if (r.what == optimizer_kind::sgd && below(2) == 0) r.momentum = 0.9f;
    r.weight_decay = below(3) == 0 ? 0.01f : 0.0f;
    r.amsgrad = below(4) == 0;
    return r;
  }

  random_stream random_;
  random_graph_options options_;
  graph g_;
  std::vector<i32> seen_;
  std::vector<i32> stacks_;  // that loops have put out
  i32 count_ = 0;
};

/// Fills parameters, input and target of an interpreter's graph with the same numbers for the same
/// seed.
inline void fill_randomly(interpreter& net, u64 seed) {
  random_stream random(seed, 99);
  const graph& g = net.network();
  const tensor& output = g.tensors[g.outputs[0]];
  const auto classes = static_cast<u32>(output.dims[output.stack + 1]);  // behind time and batch
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    if (t.of >= 0) continue;
    if (t.what != role::parameter && t.what != role::input && t.what != role::target) continue;
    std::vector<double> values(static_cast<std::size_t>(t.dims.count()));
    for (double& v : values) {
      if (t.type == element::int32) {
        v = random.next_below(classes);
      } else {
        v = static_cast<double>(random.next_normal()) * (t.what == role::parameter ? 0.3 : 1.0);
      }
    }
    net.write(id, values);
  }
}

}  // namespace tessera::testing
