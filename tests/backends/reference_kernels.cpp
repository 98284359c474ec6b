#include <tessera/backends/reference.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <cmath>
#include <limits>

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr float infinity = std::numeric_limits<float>::infinity();

using values = std::vector<double>;

/// Runs a graph once with all samples counting.
void run_once(interpreter& net, i32 valid, u64 seed = 1) {
  net.run({.learning_rate = 0.5f, .seed = seed, .step = 0, .valid = valid});
}

/// One operation of one input: the value of its output.
values apply(kind what, const shape& dims, const values& x, const attributes& attr = {},
             element type = element::f32) {
  graph g;
  const i32 in = add_tensor(g, dims, {.type = type});
  const i32 y = ops::unary(g, what, in, {"test", 0, ""}, attr);
  keep(g, y);
  interpreter net(g, reference_backend.find);
  net.write(in, x);
  run_once(net, dims[0]);
  return net.read(y);
}

TEST_CASE("reference dense is x times the weight's rows plus bias", "[backends]") {
  for (const bool last : {false, true}) {
    graph g;
    const i32 x = add_tensor(g, shape(2, 3), {.batch_last = last, .differentiable = true});
    const i32 weight = add_weight(g, shape(2, 3));
    const i32 bias = add_weight(g, shape(2));
    const i32 y = ops::dense(g, x, weight, bias, {"dense", 1, ""});
    keep(g, y);
    const differentiated d = differentiate_from(g, {y});
    interpreter net(g, reference_backend.find);
    net.write(x, values{1, 2, 3, 4, 5, 6});
    net.write(weight, values{1, 0, -1, 2, 1, 0});
    net.write(bias, values{10, 20});
    net.write(d.seeds[0], values{1, 2, 3, 4});
    run_once(net, 2);
    CHECK(net.read(y) == values{8, 24, 8, 33});
    CHECK(net.read(d.gradients[x]) == values{5, 2, -1, 11, 4, -3});
    CHECK(net.read(d.gradients[weight]) == values{13, 17, 21, 18, 24, 30});
    CHECK(net.read(d.gradients[bias]) == values{4, 6});
  }
}

TEST_CASE("reference conv2d slides its filter without turning it over", "[backends]") {
  // x 1 2 3   w 1 0   stride 1, one row of padding above
  //   4 5 6     0 2
  for (const bool last : {false, true}) {
    graph g;
    const i32 x = add_tensor(g, shape(1, 1, 2, 3), {.batch_last = last, .differentiable = true});
    const i32 weight = add_weight(g, shape(1, 1, 2, 2));
    const i32 bias = add_weight(g, shape(1));
    window w;
    w.kernel[0] = w.kernel[1] = 2;
    w.pad_begin[0] = 1;
    const i32 y = ops::conv2d(g, x, weight, bias, w, 1, {"conv", 1, ""});
    REQUIRE(g.tensors[y].dims == shape(1, 1, 2, 2));
    keep(g, y);
    const differentiated d = differentiate_from(g, {y});
    interpreter net(g, reference_backend.find);
    net.write(x, values{1, 2, 3, 4, 5, 6});
    net.write(weight, values{1, 0, 0, 2});
    net.write(bias, values{100});
    net.write(d.seeds[0], values{1, 10, 100, 1000});
    run_once(net, 1);
    CHECK(net.read(y) == values{104, 106, 111, 114});
    CHECK(net.read(d.gradients[x]) == values{100, 1002, 20, 0, 200, 2000});
    CHECK(net.read(d.gradients[weight]) == values{2100, 3200, 5421, 6532});
    CHECK(net.read(d.gradients[bias]) == values{1111});
  }
}

TEST_CASE("reference conv2d keeps groups apart and steps over dilated cells", "[backends]") {
  graph g;
  const i32 x = add_tensor(g, shape(1, 2, 1, 3));
  const i32 weight = add_weight(g, shape(2, 1, 1, 2));
  window w;
  w.kernel[1] = 2;
  w.dilation[1] = 2;
  const i32 y = ops::conv2d(g, x, weight, -1, w, 2, {"conv", 1, ""});
  keep(g, y);
  interpreter net(g, reference_backend.find);
  net.write(x, values{1, 2, 3, 10, 20, 30});
  net.write(weight, values{1, 2, 1, -1});
  run_once(net, 1);
  CHECK(net.read(y) == values{7, -20});
}

TEST_CASE("reference pooling: first maximum, divisor by what counts", "[backends]") {
  for (const kind what : {kind::max_pool2d, kind::avg_pool2d}) {
    graph g;
    const i32 x = add_tensor(g, shape(1, 1, 2, 4), {.differentiable = true});
    window w;
    w.kernel[0] = w.kernel[1] = w.stride[0] = w.stride[1] = 2;
    const i32 y = ops::pool2d(g, what, x, w, {"pool", 1, ""});
    keep(g, y);
    const differentiated d = differentiate_from(g, {y});
    interpreter net(g, reference_backend.find);
    net.write(x, values{1, 5, 7, 0, 5, 5, 7, 2});
    net.write(d.seeds[0], values{8, 16});
    run_once(net, 1);
    const bool max = what == kind::max_pool2d;
    CHECK(net.read(y) == (max ? values{5, 7} : values{4, 4}));
    CHECK(net.read(d.gradients[x]) ==
          (max ? values{0, 8, 16, 0, 0, 0, 0, 0} : values{2, 2, 4, 4, 2, 2, 4, 4}));
  }
  for (const bool padding_counts : {false, true}) {
    attributes attr;
    attr.win.kernel[1] = attr.win.stride[1] = 2;
    attr.win.pad_begin[1] = 1;
    attr.win.count_include_pad = padding_counts;
    graph g;
    const i32 x = add_tensor(g, shape(1, 1, 1, 3));
    const i32 y = ops::pool2d(g, kind::avg_pool2d, x, attr.win, {"pool", 1, ""});
    keep(g, y);
    interpreter net(g, reference_backend.find);
    net.write(x, values{6, 2, 4});
    run_once(net, 1);
    CHECK(net.read(y) == (padding_counts ? values{3, 3} : values{6, 3}));
  }
}

TEST_CASE("reference elementwise operations", "[backends]") {
  const values relu = apply(kind::relu, shape(5), {-1, -0.0, 0, 2, NAN});
  CHECK(relu[0] == 0);
  CHECK(std::signbit(relu[1]));
  CHECK(relu[3] == 2);
  CHECK(std::isnan(relu[4]));
  CHECK(apply(kind::tanh, shape(3), {0, 100, -100}) == values{0, 1, -1});
  CHECK(apply(kind::sigmoid, shape(3), {0, 200, -200}) == values{0.5, 1, 0});
  CHECK(apply(kind::tanh, shape(1), {1})[0] == Approx(0.7615941559557649).epsilon(1e-7));
  CHECK(apply(kind::tanh, shape(1), {1}, {}, element::f64)[0] ==
        Approx(0.7615941559557649).epsilon(1e-15));
  // 0.761594 lies between the halves 0.76123 and 0.76172: one rounding, to the nearer.
  CHECK(apply(kind::tanh, shape(1), {1}, {}, element::f16)[0] == 0.76171875);
  CHECK(apply(kind::tanh, shape(1), {1}, {}, element::bf16)[0] == 0.76171875);
}

TEST_CASE("reference dropout keeps scaled values and its gradient has the same mask",
          "[backends]") {
  graph g;
  const i32 x = add_tensor(g, shape(100, 10), {.differentiable = true});
  attributes attr;
  attr.rate = 0.25f;
  attr.salt = 3;
  const i32 y = ops::unary(g, kind::dropout, x, {"dropout", 1, ""}, attr);
  keep(g, y);
  const differentiated d = differentiate_from(g, {y});
  interpreter net(g, reference_backend.find);
  net.write(x, values(1000, 3.0));
  net.write(d.seeds[0], values(1000, 6.0));
  run_once(net, 100, 1);
  const values first = net.read(y);
  const values gradient = net.read(d.gradients[x]);
  i32 dropped = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    CHECK((first[i] == 0 || first[i] == 4));
    CHECK(gradient[i] == 2 * first[i]);
    dropped += first[i] == 0 ? 1 : 0;
  }
  CHECK(std::abs(dropped - 250) < 5 * 13.7);  // 5 standard deviations of a binomial
  run_once(net, 100, 2);
  CHECK(net.read(y) != first);
}

/// Loss and gradient of one cross entropy over logits (2, 3).
struct entropy_result {
  values loss;
  values gradient;
};

entropy_result entropy(const loss_attributes& attr, const values& targets, i32 valid) {
  graph g;
  const i32 z = add_tensor(g, shape(2, 3), {.differentiable = true});
  const i32 target = add_tensor(g, shape(2), {.what = role::target, .type = element::int32});
  const i32 loss = ops::softmax_cross_entropy(g, z, target, -1, attr);
  const grow<i32> gradients = passes::differentiate(g);
  keep(g, gradients[z]);
  interpreter net(g, reference_backend.find);
  net.write(z, values{0, 0, 0, std::log(2.0), 0, 0});
  net.write(target, targets);
  run_once(net, valid);
  return {net.read(loss), net.read(gradients[z])};
}

void check_near(const values& got, const values& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i] == Approx(expected[i]).margin(1e-6));
  }
}

TEST_CASE("reference cross entropy: mean, sum, none, ignored and padded samples", "[backends]") {
  const double ln3 = std::log(3.0);
  const double ln2 = std::log(2.0);
  const double third = 1.0 / 3;
  entropy_result r = entropy({}, {1, 0}, 2);  // p = thirds; 1/2 1/4 1/4
  check_near(r.loss, {(ln3 + ln2) / 2});
  check_near(r.gradient, {third / 2, -third, third / 2, -0.25, 0.125, 0.125});
  r = entropy({.reduce = reduction::sum, .weight = 3}, {1, 0}, 2);
  check_near(r.loss, {3 * (ln3 + ln2)});
  check_near(r.gradient, {1, -2, 1, -1.5, 0.75, 0.75});
  r = entropy({.reduce = reduction::none}, {1, 0}, 2);
  check_near(r.loss, {ln3, ln2});
  r = entropy({}, {1, 0}, 1);
  check_near(r.loss, {ln3});
  check_near(r.gradient, {third, -2 * third, third, 0, 0, 0});
  r = entropy({.ignore_index = 1}, {1, 0}, 2);
  check_near(r.loss, {ln2});
  check_near(r.gradient, {0, 0, 0, -0.5, 0.25, 0.25});
  // smoothing 0.3: 0.7 (-log p[t]) + 0.1 of every class
  r = entropy({.label_smoothing = 0.3f}, {1, 0}, 2);
  check_near(r.loss, {(ln3 + 0.7 * ln2 + 0.1 * (ln2 + 2 * 2 * ln2)) / 2});
  r = entropy({}, {7, 0}, 2);
  CHECK(std::isnan(r.loss[0]));
  CHECK(std::isnan(r.gradient[0]));
}

TEST_CASE("reference mse divides by the elements that count", "[backends]") {
  graph g;
  const i32 y = add_tensor(g, shape(2, 2), {.differentiable = true});
  const i32 target = add_tensor(g, shape(2, 2), {.what = role::target, .differentiable = true});
  const i32 loss = ops::mse(g, y, target, {});
  const grow<i32> gradients = passes::differentiate(g);
  keep(g, gradients[y]);
  keep(g, gradients[target]);
  interpreter net(g, reference_backend.find);
  net.write(y, values{1, 2, 3, 4});
  net.write(target, values{0, 0, 0, 0});
  run_once(net, 2);
  CHECK(net.read(loss) == values{7.5});
  CHECK(net.read(gradients[y]) == values{0.5, 1, 1.5, 2});
  CHECK(net.read(gradients[target]) == values{-0.5, -1, -1.5, -2});
  run_once(net, 1);
  CHECK(net.read(loss) == values{2.5});
  CHECK(net.read(gradients[y]) == values{1, 2, 0, 0});
}

/// A parameter of one element with its update, driven by a gradient that the test writes.
struct updated {
  graph g;
  i32 w, gradient, applied;

  updated(const update_rule& rule, const loss_scaling& scaling, element type) {
    w = add_weight(g, shape(1));
    passes::append_scaler(g, scaling);
    gradient = add_tensor(g, shape(1), {.type = type, .batched = false});
    operation copy;  // an update follows the operation that makes its gradient
    copy.what = kind::cast;
    copy.in[0] = gradient;
    copy.out[0] = add_tensor(g, shape(1), {.what = role::gradient, .type = type, .batched = false});
    g.add(copy);
    grow<i32> gradients(1);
    gradients[w] = copy.out[0];
    passes::append_updates(g, gradients, rule, scaling);
    applied = -1;
    for (const operation& op : g.operations) {
      if (op.what == kind::update) applied = op.out[4];
    }
  }
};

TEST_CASE("reference sgd with momentum and Nesterov, two steps by hand", "[backends]") {
  update_rule rule;
  rule.what = optimizer_kind::sgd;
  rule.momentum = 0.5f;
  rule.weight_decay = 0.25f;
  for (const bool nesterov : {false, true}) {
    rule.nesterov = nesterov;
    updated u(rule, {}, element::f32);
    interpreter net(u.g, reference_backend.find);
    net.write(u.w, values{4});
    net.write(u.gradient, values{1});
    run_once(net, 1);  // rate 0.5: g = 1 + 1 = 2, v = 2; plain 4 - 1, nesterov 4 - 0.5 * 3
    CHECK(net.read(u.w) == values{nesterov ? 2.5 : 3});
    run_once(net, 1);  // plain: g = 1.75, v = 2.75; nesterov: g = 1.625, v = 2.625, g + v/2
    CHECK(net.read(u.w) == values{nesterov ? 2.5 - 0.5 * 2.9375 : 3 - 1.375});
    CHECK(net.read(u.applied) == values{2});
  }
}

TEST_CASE("reference adam moves by the rate in its first step", "[backends]") {
  update_rule rule;
  rule.what = optimizer_kind::adam;
  rule.epsilon = 0;
  updated u(rule, {}, element::f32);
  interpreter net(u.g, reference_backend.find);
  net.write(u.w, values{4});
  net.write(u.gradient, values{1e-3});
  run_once(net, 1);
  CHECK(net.read(u.w)[0] == Approx(3.5).epsilon(1e-6));
}

TEST_CASE("reference loss scaling skips, halves and grows", "[backends]") {
  update_rule rule;
  rule.what = optimizer_kind::sgd;
  for (const skip_rule skip : {skip_rule::step, skip_rule::tensor}) {
    const loss_scaling scaling{
        .skip = skip, .dynamic = true, .initial = 8, .growth = 2, .backoff = 0.5f, .interval = 2};
    updated u(rule, scaling, element::f16);
    interpreter net(u.g, reference_backend.find);
    net.write(u.w, values{4});
    const auto step = [&](double gradient) {
      net.write(u.gradient, values{gradient});
      run_once(net, 1);
      return net.read(u.w)[0];
    };
    CHECK(step(8) == 3.5);  // 8 / 8 times the rate
    CHECK(net.read(u.g.scaler) == values{8, 1, 0, 0});
    CHECK(step(infinity) == 3.5);
    CHECK(net.read(u.g.scaler) == values{4, 0, 0, 1});
    CHECK(net.read(u.applied) == values{1});
    CHECK(step(8) == 2.5);
    CHECK(step(8) == 1.5);
    CHECK(net.read(u.g.scaler) == values{8, 0, 0, 1});
  }
}

TEST_CASE("reference fused updates equal the gradient followed by the update", "[backends]") {
  for (const element type : {element::f32, element::f16}) {
    values results[2];
    for (const bool fused : {false, true}) {
      graph g;
      const i32 x = add_tensor(g, shape(2, 3), {.type = type});
      const i32 weight = add_weight(g, shape(2, 3), type);
      const i32 bias = add_weight(g, shape(2), type);
      const i32 y = ops::dense(g, x, weight, bias, {"dense", 1, ""});
      keep(g, y);
      std::vector<i32> outputs{y};
      const i32 seed = add_seed(g, y);
      const passes::seed from{y, seed};
      const grow<i32> gradients = passes::differentiate(g, &from, 1);
      g.tensors[weight].type = g.tensors[bias].type = element::f32;
      // f32 masters read directly: one rounding of the weight fewer, the same for both forms
      update_rule rule;
      rule.what = optimizer_kind::adam;
      passes::append_updates(g, gradients, rule, {});
      if (fused) {
        passes::fuse_updates(g);
        for (const operation& op : g.operations) CHECK(op.what != kind::update);
      }
      interpreter net(g, reference_backend.find);
      net.write(x, values{0.1, 0.2, 0.3, 0.4, 0.5, 0.6});
      net.write(weight, values{1, 2, 3, 4, 5, 6});
      net.write(bias, values{1, 2});
      net.write(seed, values{0.01, -0.02, 0.03, 0.04});
      run_once(net, 2);
      run_once(net, 2);
      for (const i32 id : {weight, bias}) {
        for (const double v : net.read(id)) results[fused].push_back(v);
      }
    }
    CHECK(results[0] == results[1]);
  }
}

}  // namespace
