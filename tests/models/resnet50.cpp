// ResNet-50: its training step runs, and its gradients are the derivatives of its loss.
//
//   host, f32, 224x224   a step's change of all weights     agrees with
//   reference, f64       the same network's backward pass   agrees with
//   reference, f64       central differences of the loss, at weights from stem to classes
//
// The first comparison is of all 25,557,032 gradients. Differences need f64: in f32 a loss of about
// 7 is known to 5e-7, a change of a single weight moves it by less. A forward pass in f64 takes the
// reference backend 15 s (Zen 3), the slow case six minutes.

#include <tessera/models/resnet.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <tessera/data/dataset.hpp>
#include <tessera/runtime/gradient_check.hpp>
#include <tessera/tessera.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

using net = network<image<3, 224, 224>, models::resnet50<>>;
using job = training<net, softmax_cross_entropy, momentum_sgd, batch<1>>;

static_assert(job::parameter_count == 25'557'032);

/// A picture of noise.
data::dataset noise() {
  random_stream random(7);
  std::vector<float> values(3 * 224 * 224);
  for (float& v : values) v = static_cast<float>(random.next_u32()) * 0x1p-31f - 1;
  return data::dataset(shape(3, 224, 224), std::move(values), {123}, 1000);
}

using named_values = std::map<std::string, std::vector<double>>;

/// All parameters, and no statistics.
named_values values_of(const weight_list& weights) {
  named_values all;
  for (const weight& w : weights) {
    if (!w.is_parameter()) continue;
    auto& values = all[w.name];
    for (i64 i = 0; i < w.about.dims.count(); ++i) {
      values.push_back(read_element(w.bytes.data(), w.about.type, i));
    }
  }
  return all;
}

/// The values of a parameter of `g`, all slices of a stack one after another.
std::vector<double> stack_of(const graph& g, i32 id, const named_values& all) {
  const tensor_name& name = g.tensors[id].name;
  std::vector<double> values;
  for (i32 slice = 0; slice < slices_of(g, name.scope); ++slice) {
    const auto& part = all.at(std::string(full_name(g, name, slice).view()));
    values.insert(values.end(), part.begin(), part.end());
  }
  return values;
}

double norm_of(const std::vector<double>& a) {
  double sum = 0;
  for (const double v : a) sum += v * v;
  return std::sqrt(sum);
}

/// |a - b| / |b|, all as vectors; `least` for |b| where that is smaller.
double distance(const std::vector<double>& a, const std::vector<double>& b, double least) {
  REQUIRE(a.size() == b.size());
  double off = 0;
  for (std::size_t i = 0; i < a.size(); ++i) off += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(off) / std::max(norm_of(b), least);
}

/// What one training step on the host starts from and does.
struct host_step {
  named_values before;
  named_values gradients;
  double loss = 0;
};

/// The first step of SGD with momentum is w -= rate g. At a rate this high, a power of two, w loses
/// itself in the difference and nothing of g does.
host_step run_host_step(const data::dataset& source) {
  constexpr float rate = 0x1p30f;
  const auto t = std::make_unique<trainer<job>>(seed{1}, threads{2});
  host_step s;
  s.before = values_of(t->weights());
  const i32 first = 0;
  t->load(source, {&first, 1});
  t->step(rate);
  s.loss = t->loss();
  s.gradients = values_of(t->weights());
  for (auto& [name, values] : s.gradients) {
    const auto& old = s.before[name];
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = (old[i] - values[i]) / rate;
  }
  return s;
}

}  // namespace

TEST_CASE("ResNet-50 trains: the loss of a picture falls from step to step", "[models]") {
  const auto t = std::make_unique<trainer<job>>(seed{1}, threads{2});
  const data::dataset source = noise();
  const i32 first = 0;
  t->load(source, {&first, 1});
  double last = INFINITY;
  for (i32 step = 0; step < 3; ++step) {
    t->step(0.01f);
    CHECK(std::isfinite(t->loss()));
    CHECK(t->loss() < last);
    last = t->loss();
  }
  for (const weight& w : t->weights()) {
    bool finite = true;
    for (i64 i = 0; i < w.about.dims.count(); ++i) {
      finite = finite && std::isfinite(read_element(w.bytes.data(), w.about.type, i));
    }
    INFO(w.name);
    CHECK(finite);
  }
}

TEST_CASE("every parameter of a narrow ResNet-50 has the gradient that differences give",
          "[models]") {
  using narrow = network<image<3, 64, 64>, models::resnet<50, 10, 4>>;
  const gradient_report report =
      check_gradients<narrow, softmax_cross_entropy>(2, {.most_per_tensor = 2});
  INFO(report.message);
  CHECK(report.ok());
  CHECK(report.checked > 150);  // two of each of 89 tensors but for kinks
}

namespace {

/// The backward pass on the reference backend in the precision of a policy.
struct reference_step {
  graph g;
  grow<i32> gradients;
  std::vector<i32> parameters;
  i32 forward = 0;  // operations of the forward pass
  std::unique_ptr<interpreter> run;

  reference_step(const precision_policy& policy, const data::dataset& source,
                 const named_values& weights)
      : g(make_forward<net, softmax_cross_entropy>(1, purpose::training)) {
    forward = g.operations.size();
    gradients = passes::differentiate(g);
    for (i32 id = 0; id < gradients.size(); ++id) {
      const tensor& t = g.tensors[id];
      if (t.what != role::parameter || t.of >= 0) continue;
      parameters.push_back(id);
      keep(g, gradients[id]);
    }
    passes::assign_precision(g, policy);
    run = std::make_unique<interpreter>(g, &reference::find_kernel);
    std::vector<float> picture(3 * 224 * 224);
    source.read(0, picture.data());
    run->write(g.inputs[0], std::vector<double>(picture.begin(), picture.end()));
    run->write(g.targets[0], std::vector<double>{static_cast<double>(source.label(0))});
    for (const i32 id : parameters) run->write(id, stack_of(g, id, weights));
    run->run({.valid = 1});
  }

  double loss() { return run->read(g.losses[0])[0]; }
  std::vector<double> gradient(i32 id) { return run->read(gradients[id]); }
};

}  // namespace

TEST_CASE("the gradients of a step of ResNet-50 are those of its loss", "[models][slow]") {
  const data::dataset source = noise();
  const host_step host = run_host_step(source);
  reference_step exact(fp64::policy, source, host.before);
  reference_step plain(fp32::policy, source, host.before);
  CHECK(host.loss == Approx(exact.loss()).epsilon(1e-5));

  std::map<std::string, i32> by_name;
  std::map<i32, std::vector<double>> analytic;
  double largest = 0;
  for (const i32 id : exact.parameters) {
    analytic[id] = exact.gradient(id);
    largest = std::max(largest, norm_of(analytic[id]));
  }
  // What a normalization takes out has a gradient of zero but for rounding.
  const double least = 1e-6 * largest;
  double worst = 0;
  double worst_plain = 0;
  for (const i32 id : exact.parameters) {
    const std::string name(full_name(exact.g, exact.g.tensors[id].name).view());
    by_name[name] = id;
    const double off = distance(stack_of(exact.g, id, host.gradients), analytic[id], least);
    // How far f32 as such is from f64, by plain loops in f32 (0.048 where the host has 0.034):
    // values in front of relus lie so close to zero that the two see different signs.
    const double noise = distance(plain.gradient(id), analytic[id], least);
    INFO(name << ": off by " << off << ", plain loops in f32 by " << noise);
    CHECK(off < 4 * noise + 1e-4);
    worst = std::max(worst, off);
    worst_plain = std::max(worst_plain, noise);
  }
  std::printf(
      "ResNet-50: gradients in f32 differ from f64 by at most %.2g of a tensor's norm on "
      "the host, %.2g with plain loops\n",
      worst, worst_plain);

  const step_values step{.valid = 1};
  for (const char* name :
       {"conv1.weight", "layer1.0.downsample.0.weight", "layer2.1-3.conv2.weight",
        "layer3.1-5.bn3.weight", "layer4.0.conv3.weight", "fc.weight"}) {
    INFO(name);
    REQUIRE(by_name.count(name) == 1);
    const i32 id = by_name[name];
    std::vector<double> values = exact.run->read(id);
    const std::vector<double>& all = analytic[id];
    // The largest gradient of the tensor: the signal of a difference is above its noise there.
    const auto element = static_cast<std::size_t>(
        std::max_element(all.begin(), all.end(),
                         [](double a, double b) { return std::abs(a) < std::abs(b); }) -
        all.begin());
    const double here = values[element];
    constexpr double h = 1e-6;
    double at[2];
    for (const i32 side : {0, 1}) {
      values[element] = here + (side == 0 ? h : -h);
      exact.run->write(id, values);
      exact.run->run(0, exact.forward, step);
      at[side] = exact.loss();
    }
    values[element] = here;
    exact.run->write(id, values);
    const double numeric = (at[0] - at[1]) / (2 * h);
    std::printf("  %-30s %+.6e by differences %+.6e\n", name, all[element], numeric);
    CHECK(numeric == Approx(all[element]).epsilon(1e-3));
  }
}
