#include <tessera/network/make.hpp>

#include <support/catch.hpp>
#include <support/random_graph.hpp>
#include <support/reference_kernels.hpp>

#include <tessera/nn.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <cmath>

// Gradients of steps that compute again what they have dropped, against central differences of the
// losses of these very steps, in f64.

namespace {

using namespace tessera;
using namespace tessera::testing;

/// The largest relative error over some elements of every parameter.
template <class Network, class Loss>
double worst_error() {
  const graph before = make_forward<Network, Loss>(3, purpose::training);
  REQUIRE_FALSE(before.wrong.wrong());
  graph g = before;
  passes::join_loops(g);
  const grow<i32> gradients = passes::differentiate(g, nullptr, 0, false);
  for (i32 id = 0; id < gradients.size(); ++id) {
    const bool wanted = gradients[id] >= 0 && g.tensors[id].what == role::parameter;
    if (wanted) g.tensors[gradients[id]].what = role::result;
  }
  passes::assign_precision(g, fp64::policy);
  g.forward_operations = 0;
  while (!is_loss(g.operations[g.forward_operations].what)) ++g.forward_operations;
  ++g.forward_operations;
  const recompute_summary s = passes::recompute(g, {recompute_goal::least, 0});
  CHECK(s.operations > 0);
  passes::write_into_slots(g);

  interpreter net(g, &reference::find_kernel);
  fill_randomly(net, 3);
  const step_values values{.seed = 3, .valid = 3};
  const auto loss = [&] {
    net.run(values);
    return net.read(g.losses[0])[0];
  };
  loss();
  std::vector<std::vector<double>> found(static_cast<std::size_t>(gradients.size()));
  for (i32 id = 0; id < gradients.size(); ++id) {
    const bool wanted = gradients[id] >= 0 && g.tensors[id].what == role::parameter;
    if (wanted) found[static_cast<std::size_t>(id)] = net.read(gradients[id]);
  }
  constexpr double step = 1e-5;
  double worst = 0;
  for (i32 id = 0; id < gradients.size(); ++id) {
    const std::vector<double>& analytic = found[static_cast<std::size_t>(id)];
    for (std::size_t k = 0; k < analytic.size(); k += 1 + analytic.size() / 5) {
      std::vector<double> w = net.read(id);
      const double old = w[k];
      w[k] = old + step;
      net.write(id, w);
      const double right = loss();
      w[k] = old - step;
      net.write(id, w);
      const double left = loss();
      w[k] = old;
      net.write(id, w);
      const double numeric = (right - left) / (2 * step);
      const double error = std::abs(numeric - analytic[k]) / (1e-3 + std::abs(numeric));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

}  // namespace

// Central differences of f64 with steps of 1e-5: 1e-10 of the curvature, 1e-11 of rounding.
TEST_CASE("gradients of recomputed steps are derivatives", "[gradients]") {
  using blocks =
      network<input<6>, dense<8>, repeat<16, residual<layer_norm<>, dense<8>, gelu>>, dense<4>>;
  CHECK(worst_error<blocks, softmax_cross_entropy>() < 1e-5);
  using tagger = network<sequence<36, 3>, gru<5, layers<2>>, lstm<4>, each_step<dense<3>>>;
  CHECK(worst_error<tagger, mse>() < 1e-5);
}
