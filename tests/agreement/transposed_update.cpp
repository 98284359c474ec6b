#include <tessera/passes/fuse.hpp>

#include <tessera/backends/host.hpp>
#include <tessera/backends/reference.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/kernel_finders.hpp>

#include <cmath>

namespace {

using namespace tessera;
using namespace tessera::testing;

/// A transposed convolution that learns a target: one step of plain SGD.
struct learner {
  graph g;
  i32 x, target, weight, bias;

  learner(bool fused, bool last) {
    x = add_tensor(g, shape(16, 4, 3, 5), {.batch_last = last});
    weight = add_weight(g, shape(4, 3, 3, 3));
    bias = add_weight(g, shape(6), element::f32, "bias");
    window win{.kernel = {3, 3}, .stride = {2, 2}, .pad_begin = {1, 1}, .pad_end = {1, 1}};
    const i32 y = ops::conv_transpose2d(g, x, weight, bias, win, {1, 0}, 2, {"up", 1, ""});
    target = add_tensor(g, g.tensors[y].dims, {.what = role::target, .batch_last = last});
    ops::mse(g, y, target, {});
    const grow<i32> gradients = passes::differentiate(g);
    passes::append_updates(g, gradients, {.what = optimizer_kind::sgd}, {});
    if (fused) passes::fuse_updates(g);
  }

  i32 count(kind what) const {
    i32 n = 0;
    for (const operation& op : g.operations) n += op.what == what ? 1 : 0;
    return n;
  }

  /// Weight and bias after the step.
  std::vector<double> step(kernel_finder find) const {
    interpreter net(g, find);
    for (const i32 id : {x, target, weight, bias}) {
      std::vector<double> values(static_cast<std::size_t>(g.tensors[id].dims.count()));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = std::sin(static_cast<double>(i) * (id + 1));
      }
      net.write(id, values);
    }
    net.run({.learning_rate = 0.5f, .valid = 16});
    std::vector<double> after = net.read(weight);
    const std::vector<double> b = net.read(bias);
    after.insert(after.end(), b.begin(), b.end());
    return after;
  }
};

TEST_CASE("The weight of a transposed convolution is updated where its gradient is made",
          "[agreement]") {
  for (const bool last : {false, true}) {
    const learner apart(false, last);
    const learner fused(true, last);
    CHECK(apart.count(kind::update) == 2);
    CHECK(fused.count(kind::update) == 0);
    CHECK(fused.count(kind::conv2d_weight_update) == 1);
    CHECK(fused.count(kind::bias_update) == 1);
    const std::vector<double> want = apart.step(&reference::find_kernel);
    CHECK(fused.step(&reference::find_kernel) == want);
    const std::vector<double> got = fused.step(&host::find_kernel<>);
    double worst = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      worst = std::max(worst, std::abs(got[i] - want[i]));
    CHECK(worst < 1e-5);
  }
}

}  // namespace
