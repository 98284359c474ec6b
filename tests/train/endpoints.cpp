// Networks with several inputs, outputs and losses, and samples over time or with a label for each
// position.

#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/network.hpp>
#include <tessera/runtime/gradient_check.hpp>
#include <tessera/runtime/predictor.hpp>

#include <cmath>
#include <vector>

namespace {

using namespace tessera;
using values = std::vector<float>;

struct reference_backend {
  template <signature S>
  static constexpr kernel kernel_of = reference::kernel_of<S>;
};

/// An image and a vector to one vector: both dense, then added.
struct meet {
  static constexpr value build(builder& b, const bundle& x) {
    if (!b.usable(x) || x.size != 2) return b.fail({"meet", "2 values", "", ""});
    const value left = dense<8>::build(b, flatten::build(b, x.items[0]));
    const value right = dense<8>::build(b, x.items[1]);
    return {ops::add(b.network(), left.id, right.id, b.begin_layer("add"))};
  }
};

/// Four classes, and two numbers.
struct heads {
  static constexpr bundle build(builder& b, value x) {
    bundle y(dense<4>::build(b, x));
    y.items[y.size++] = dense<2>::build(b, x);
    return y;
  }
};

using net = network<inputs<image<1, 3, 3>, input<3>>, meet, tessera::tanh, heads>;
using two_losses = losses<softmax_cross_entropy, weighted<mse, 30>>;
template <i32 Batch, class... Options>
using job = training<net, two_losses, adam, batch<Batch>, Options...>;

/// A patch with one of two stripes, and a vector that says which of two more it is.
struct pairs {
  i64 count = 64;
  i64 size() const { return count; }
  shape sample_shape(i32 which) const { return which == 0 ? shape(1, 3, 3) : shape(3); }
  void read(i64 index, i32 which, float* out) const {
    random_stream random(5 + static_cast<u64>(which), static_cast<u64>(index));
    const i64 stripe = which == 0 ? index % 2 : index / 2 % 2;
    for (i32 i = 0; i < (which == 0 ? 9 : 3); ++i) {
      out[i] = (i % 3 == stripe ? 1.0f : 0.0f) + 0.1f * random.next_normal();
    }
  }
  i32 label(i64 index) const { return static_cast<i32>(index % 4); }
  void target(i64 index, float* out) const {
    out[0] = index % 2 == 0 ? 1.0f : -1.0f;
    out[1] = index / 2 % 2 == 0 ? 0.5f : 0.0f;
  }
};

TEST_CASE("A network of two inputs and two outputs learns both", "[train]") {
  trainer<job<16>, reference_backend> t{seed{3}};
  const metrics before = t.evaluate(pairs{});
  t.fit(pairs{}, {.epochs = 60, .learning_rate = 0.02});
  const metrics after = t.evaluate(pairs{50});
  CHECK(after.samples == 50);
  CHECK(after.accuracy == 1);
  REQUIRE(after.losses.size() == 2);
  CHECK(after.loss == Approx(after.losses[0] + after.losses[1]));
  CHECK(after.losses[0] < 0.1 * before.losses[0]);
  CHECK(after.losses[1] < 0.1 * before.losses[1]);
  REQUIRE(after.accuracies.size() == 2);
  CHECK(after.accuracies[0] == after.accuracy);
  CHECK(after.accuracies[1] == 0);  // it names no classes
  CHECK(after.matrix.classes() == 4);
}

TEST_CASE("The host trains several inputs and losses as the reference does", "[train]") {
  trainer<job<16>> host{seed{3}};
  trainer<job<16>, reference_backend> reference{seed{3}};
  for (int epoch = 0; epoch < 2; ++epoch) {
    const double a = host.fit(pairs{}, {.learning_rate = 0.01});
    CHECK(a == Approx(reference.fit(pairs{}, {.learning_rate = 0.01})).epsilon(1e-4));
  }
}

TEST_CASE("Progress tells the sum of the losses and each", "[train]") {
  trainer<job<16>, reference_backend> t{seed{1}};
  int told = 0;
  const double loss = t.fit(pairs{}, {.learning_rate = 0, .progress = [&](const progress& p) {
                                        ++told;
                                        REQUIRE(p.losses.size() == 2);
                                        CHECK(p.loss == Approx(p.losses[0] + p.losses[1]));
                                      }});
  CHECK(told == 4);
  const metrics m = t.evaluate(pairs{});
  CHECK(loss == Approx(m.loss).epsilon(1e-5));
  CHECK(t.loss() == Approx(t.loss(0) + t.loss(1)));
}

TEST_CASE("A line of progress has the loss, and its parts where there are several", "[train]") {
  progress p;
  p.loss = 1.25;
  char text[160];
  const double one[] = {1.25};
  p.losses = one;
  detail::spell_losses(p, text, sizeof(text));
  CHECK(std::string(text) == "1.2500");
  const double three[] = {1, 0.2, 0.05};
  p.losses = three;
  detail::spell_losses(p, text, sizeof(text));
  CHECK(std::string(text) == "1.2500 (1.0000 + 0.2000 + 0.0500)");
  detail::spell_losses(p, text, 12);
  CHECK(std::string(text) == "1.2500 (1.0");
}

/// The gradients of all parameters, one after another, with these weights on the losses.
std::vector<double> gradients_with(float first, float second) {
  graph g = make_forward<net, losses<softmax_cross_entropy, mse>>(3, purpose::training);
  i32 found = 0;
  for (operation& op : g.operations) {
    if (op.what == kind::softmax_cross_entropy) op.attr.loss.weight = first;
    if (op.what == kind::mse) op.attr.loss.weight = second;
    found += op.what == kind::softmax_cross_entropy || op.what == kind::mse ? 1 : 0;
  }
  REQUIRE(found == 2);
  const grow<i32> gradients = passes::differentiate(g);
  for (const i32 id : gradients) {
    if (id >= 0) g.tensors[id].what = role::result;
  }
  passes::assign_precision(g, {element::f64, element::f64, element::f64, {}});
  interpreter run(g, reference::find_kernel);
  random_stream random(7);
  for (i32 id = 0; id < gradients.size(); ++id) {
    const tensor& t = run.network().tensors[id];
    if (in_arena(t.what) || t.of >= 0) continue;
    std::vector<double> drawn(static_cast<std::size_t>(t.dims.count()));
    for (double& v : drawn) {
      v = t.type == element::int32 ? random.next_below(4)
                                   : static_cast<double>(random.next_normal());
    }
    run.write(id, drawn);
  }
  run.run({.valid = 3});
  std::vector<double> all;
  for (i32 id = 0; id < gradients.size(); ++id) {
    if (run.network().tensors[id].what != role::parameter) continue;
    const std::vector<double> one = run.read(gradients[id]);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

TEST_CASE("The gradient of several losses is the weighted sum of their gradients", "[train]") {
  const std::vector<double> a = gradients_with(1, 0);
  const std::vector<double> b = gradients_with(0, 1);
  const std::vector<double> both = gradients_with(1, 0.25f);
  REQUIRE(both.size() == 9 * 8 + 8 + 3 * 8 + 8 + 8 * 4 + 4 + 8 * 2 + 2);
  double largest = 0;
  for (std::size_t i = 0; i < both.size(); ++i) {
    CHECK(both[i] == Approx(a[i] + 0.25 * b[i]).epsilon(1e-12).margin(1e-14));
    largest = std::max(largest, std::abs(b[i]));
  }
  CHECK(largest > 0.1);
  CHECK(check_gradients<net, two_losses>(3).ok());
}

TEST_CASE("A weight of a loss multiplies it; weights multiply each other", "[train]") {
  constexpr auto weight_of = []<class Loss>(Loss) {
    const graph g = make_forward<network<input<4>, dense<2>>, Loss>(1, purpose::training);
    return g.operations[g.operations.size() - 1].attr.loss.weight;
  };
  STATIC_REQUIRE(weight_of(mse{}) == 1.0f);
  STATIC_REQUIRE(weight_of(weighted<mse, 50>{}) == 0.5f);
  STATIC_REQUIRE(weight_of(weighted<weighted<mse, 50>, 1, 4>{}) == 0.125f);
}

template <class Network, class Loss>
constexpr text<360> mistake = spell(make_forward<Network, Loss>(2, purpose::training).wrong);

TEST_CASE("Losses that do not meet their outputs are refused", "[train]") {
  STATIC_REQUIRE(mistake<net, softmax_cross_entropy> ==
                 "loss: expected one output, got 2 outputs; give one loss for each: losses<...>");
  STATIC_REQUIRE(mistake<net, losses<mse, mse, mse>> ==
                 "losses: expected 3 outputs, got 2; give one loss for each output of the network");
  STATIC_REQUIRE(mistake<net, two_losses>.empty());
}

TEST_CASE("A predictor takes several inputs and gives several outputs", "[train]") {
  predictor<inference<net, batch<16>>, reference_backend> many;
  predictor<inference<net, batch<1>>, reference_backend> one;
  STATIC_REQUIRE(decltype(many)::shape_of_input(0) == shape(1, 3, 3));
  STATIC_REQUIRE(decltype(many)::shape_of_input(1) == shape(3));
  STATIC_REQUIRE(decltype(many)::shape_of_output(1) == shape(2));
  initialize_weights(many.weights(), 4);
  initialize_weights(one.weights(), 4);
  values images(5 * 9), vectors(5 * 3), classes(5 * 4), numbers(5 * 2);
  for (i64 n = 0; n < 5; ++n) {
    pairs{}.read(n, 0, images.data() + 9 * n);
    pairs{}.read(n, 1, vectors.data() + 3 * n);
  }
  many.run({images, vectors}, {classes, numbers});
  for (std::size_t n = 0; n < 5; ++n) {
    values c(4), v(2);
    one.run({std::span(images).subspan(9 * n, 9), std::span(vectors).subspan(3 * n, 3)}, {c, v});
    for (std::size_t i = 0; i < 4; ++i) CHECK(classes[4 * n + i] == Approx(c[i]).epsilon(1e-5));
    for (std::size_t i = 0; i < 2; ++i) CHECK(numbers[2 * n + i] == Approx(v[i]).epsilon(1e-5));
  }
}

TEST_CASE("A predictor says which input or output has the wrong size", "[train]") {
  predictor<inference<net, batch<2>>, reference_backend> p;
  values images(18), vectors(6), classes(8), numbers(4), short_one(5);
  std::vector<i32> words(6);
  CHECK_THROWS_WITH(p.run(images, classes),
                    "predictor: expected 2 inputs and 2 outputs, got 1 and 1");
  CHECK_THROWS_WITH(p.run({images, short_one}, {classes, numbers}),
                    "predictor: expected up to 2 samples of 3 values of input 2, got 5 values");
  CHECK_THROWS_WITH(p.run({images, words}, {classes, numbers}),
                    "predictor: expected f32 values for input 2");
  CHECK_THROWS_WITH(p.run({images, vectors}, {classes, short_one}),
                    "predictor: expected room for 2 x 2 values of output 2, got room for 5");
}

// --- time and positions -------------------------------------------------------------------------

/// Three points in time of two values each.
struct steps {
  static constexpr shape dims{3, 2};
  static constexpr i32 stack = 1;
};
struct counts {
  static constexpr shape dims{4};
  static constexpr element type = element::int32;
};

TEST_CASE("Time stands before the batch, in memory and in the extents", "[train]") {
  const graph g = make_forward<network<inputs<steps, counts>>, void>(5, purpose::inference);
  const tensor& time = g.tensors[g.inputs[0]];
  CHECK(time.dims == shape(3, 5, 2));
  CHECK(time.sample() == shape(3, 2));
  CHECK(time.batch() == 5);
  CHECK(g.tensors[g.inputs[1]].type == element::int32);
  CHECK(spell(g.tensors[g.inputs[1]].name) == "input2");
}

TEST_CASE("Sequences are placed time first, samples in either layout", "[train]") {
  tensor t;
  t.dims = shape(3, 2, 2);  // time, batch, values
  t.batched = true;
  t.stack = 1;
  for (const bool last : {false, true}) {
    t.batch_last = last;
    batch_writer writer(t);
    REQUIRE(writer.features() == 6);
    for (i32 n = 0; n < 2; ++n) {
      for (i32 i = 0; i < 6; ++i) writer.row(n)[i] = static_cast<float>(10 * n + i);
    }
    std::vector<float> memory(12);
    auto* const bytes = reinterpret_cast<std::byte*>(memory.data());
    writer.write(2, bytes);
    CHECK(memory == (last ? values{0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15}
                          : values{0, 1, 10, 11, 2, 3, 12, 13, 4, 5, 14, 15}));
    CHECK(read_tensor(t, bytes) == std::vector<double>{0, 1, 10, 11, 2, 3, 12, 13, 4, 5, 14, 15});
    for (i64 n = 0; n < 2; ++n) {
      for (i64 i = 0; i < 6; ++i) {
        CHECK(read_element(bytes, t.type, sample_index(t, n, i)) ==
              static_cast<double>(10 * n + i));
      }
    }
  }
}

TEST_CASE("Samples of i32 are placed as they are, missing ones as zeros", "[train]") {
  tensor t;
  t.dims = shape(2, 3);  // time, batch
  t.batched = true;
  t.stack = 1;
  t.type = element::int32;
  batch_writer writer(t);
  for (i32 n = 0; n < 3; ++n) {
    for (i32 i = 0; i < 2; ++i) writer.integers(n)[i] = 10 * n + i;
  }
  std::vector<i32> memory(6);
  writer.write(2, reinterpret_cast<std::byte*>(memory.data()));
  CHECK(memory == std::vector<i32>{0, 10, 0, 1, 11, 0});
}

TEST_CASE("A predictor's values are row-major over a sequence", "[train]") {
  using echo = network<steps, relu>;
  predictor<inference<echo, batch<16>>, reference_backend> last;
  predictor<inference<echo, batch<2>>, reference_backend> first;
  const values in{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  values out(12);
  last.run(in, out);
  CHECK(out == in);
  std::fill(out.begin(), out.end(), 0.0f);
  first.run(in, out);
  CHECK(out == in);
}

/// 2x3 images whose pixels are labelled by sign; one pixel of each is not labelled.
struct scenes {
  i64 size() const { return 21; }
  shape sample_shape() const { return {1, 2, 3}; }
  void read(i64 index, float* out) const {
    random_stream random(3, static_cast<u64>(index));
    for (i32 i = 0; i < 6; ++i) out[i] = random.next_normal();
  }
  void targets(i64 index, i32* out) const {
    float x[6];
    read(index, x);
    for (i32 i = 0; i < 6; ++i) out[i] = i == index % 6 ? -100 : x[i] > 0.1f ? 1 : 0;
  }
};

TEST_CASE("Labels for each pixel are learned, and counted without the ignored ones", "[train]") {
  using segments = network<image<1, 2, 3>, conv<4, 1>, tessera::tanh, conv<2, 1>>;
  for (const int layout : {0, 1}) {
    const auto run = [&]<class Trainer>(Trainer& t) {
      t.fit(scenes{}, {.epochs = 150, .learning_rate = 0.05});
      const metrics m = t.evaluate(scenes{});
      CHECK(m.accuracy > 0.95);
      i64 counted = 0;
      for (i32 truth = 0; truth < 2; ++truth) {
        for (i32 predicted = 0; predicted < 2; ++predicted) counted += m.matrix(truth, predicted);
      }
      CHECK(counted == 21 * 5);
    };
    if (layout == 0) {
      trainer<training<segments, pixel_cross_entropy, adam, batch<7>>, reference_backend> t{
          seed{2}};
      run(t);
    } else {
      trainer<training<segments, pixel_cross_entropy, adam, batch<16>>, reference_backend> t{
          seed{2}};
      run(t);
    }
  }
}

/// Sequences of four words; each label is the sum of the words so far, mod 3.
struct sums {
  i64 count = 60;
  i64 size() const { return count; }
  shape sample_shape() const { return shape(4); }
  void read(i64 index, i32* out) const {
    random_stream random(9, static_cast<u64>(index));
    for (i32 i = 0; i < 4; ++i) out[i] = static_cast<i32>(random.next_below(3));
  }
  void targets(i64 index, i32* out) const {
    read(index, out);
    for (i32 i = 1; i < 4; ++i) out[i] = (out[i] + out[i - 1]) % 3;
  }
  void target(i64 index, float* out) const {
    i32 label[4];
    targets(index, label);
    for (i32 i = 0; i < 4; ++i) {
      for (i32 k = 0; k < 3; ++k) out[3 * i + k] = label[i] == k ? 1.0f : 0.0f;
    }
  }
};

using reader = network<tokens<4>, embedding<3, 4>, lstm<12>, each_step<dense<3>>>;

TEST_CASE("Labels at each point in time are learned", "[train]") {
  trainer<training<reader, softmax_cross_entropy, adam, batch<16>>, reference_backend> t{seed{1}};
  t.fit(sums{}, {.epochs = 60, .learning_rate = 0.02});
  const metrics m = t.evaluate(sums{50});
  CHECK(m.accuracy > 0.95);
  i64 counted = 0;
  for (i32 truth = 0; truth < 3; ++truth) {
    for (i32 predicted = 0; predicted < 3; ++predicted) counted += m.matrix(truth, predicted);
  }
  CHECK(counted == 50 * 4);
}

/// The loss and the weights after one step on some samples.
template <class Loss, i32 Batch, class Backend>
std::vector<double> step_on(const std::vector<i32>& chosen) {
  trainer<training<reader, Loss, sgd, batch<Batch>>, Backend> t{seed{6}};
  t.load(sums{}, chosen);
  t.step(0.5f, static_cast<i32>(chosen.size()));
  std::vector<double> all{t.loss()};
  for (const weight& w : t.weights()) {
    const std::vector<double> one = read_tensor(w.about, w.bytes.data());
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

template <class Loss>
void check_padding_over_time() {
  const std::vector<i32> chosen{4, 9, 2, 30, 7};
  const std::vector<double> exact = step_on<Loss, 5, reference_backend>(chosen);
  const auto agrees = [&](const std::vector<double>& other) {
    REQUIRE(other.size() == exact.size());
    for (std::size_t i = 0; i < exact.size(); ++i) {
      REQUIRE(other[i] == Approx(exact[i]).epsilon(1e-4).margin(1e-6));
    }
  };
  agrees(step_on<Loss, 7, reference_backend>(chosen));   // samples outermost in a point in time
  agrees(step_on<Loss, 16, reference_backend>(chosen));  // and innermost
  agrees(step_on<Loss, 7, host_backend>(chosen));
  agrees(step_on<Loss, 16, host_backend>(chosen));
  agrees(step_on<Loss, 7, on<accelerator::small_array>>(chosen));
  agrees(step_on<Loss, 16, on<accelerator::small_array>>(chosen));
}

TEST_CASE("Over time, a step on 5 of 16 samples is the step of a batch of 5", "[train]") {
  check_padding_over_time<softmax_cross_entropy>();
  check_padding_over_time<mse>();
}

TEST_CASE("Losses over time have the gradients of their differences", "[train]") {
  for (const i32 batch_of : {3, 16}) {
    gradient_check o;
    o.most_per_tensor = 20;
    o.valid = batch_of - 1;
    CHECK(check_gradients<reader, softmax_cross_entropy>(batch_of, o).ok());
    CHECK(check_gradients<reader, mse>(batch_of, o).ok());
  }
}

// --- state --------------------------------------------------------------------------------------

/// The sum of all that has come in so far.
struct running_sum {
  static constexpr value build(builder& b, value x) {
    graph& g = b.network();
    tensor t = g.tensors[x.id];
    t.what = role::state;
    t.name = {"sum", 0, ""};
    const i32 state = g.add(t);
    operation op;
    op.what = kind::add;
    op.in[0] = x.id;
    op.in[1] = state;
    op.out[0] = state;
    g.add(op);
    return {ops::unary(g, kind::relu, state, b.begin_layer("relu"))};
  }
};

TEST_CASE("What is carried from batch to batch begins again on request", "[train]") {
  predictor<inference<network<input<2>, running_sum>>, reference_backend> p;
  values out(2);
  p.run(values{1, 2}, out);
  p.run(values{1, 2}, out);
  CHECK(out == values{2, 4});
  p.reset_state();
  p.run(values{1, 2}, out);
  CHECK(out == values{1, 2});

  using net_with_state = network<inputs<image<1, 3, 3>, input<3>>, meet, running_sum, heads>;
  trainer<training<net_with_state, two_losses, adam, batch<4>>, reference_backend> t{seed{1}};
  const std::vector<i32> chosen{0, 1, 2, 3};
  t.load(pairs{}, chosen);
  t.step(0);
  const double first = t.loss();
  t.step(0);
  CHECK(t.loss() != first);
  t.reset_state();
  t.step(0);
  CHECK(t.loss() == first);
}

TEST_CASE("A recurrence carries its state from step to step, in training and evaluation",
          "[train]") {
  using net_over_time = network<tokens<4>, embedding<3, 4>, lstm<6, stateful>, each_step<dense<3>>>;
  using job_over_time = training<net_over_time, softmax_cross_entropy, adam, batch<3>, mixed<fp16>>;
  using evaluates = job_over_time::evaluation_job;
  // Both find what is carried at the same place, before what only training has.
  i32 carried = 0;
  for (i32 id = 0; id < evaluates::tensor_count; ++id) {
    const tensor& t = evaluates::plan::step_graph.tensors[id];
    if (t.what != role::state || t.of >= 0) continue;
    i32 found = 0;
    for (i32 other = 0; other < job_over_time::tensor_count; ++other) {
      const tensor& u = job_over_time::plan::step_graph.tensors[other];
      if (u.what != role::state || u.of >= 0 || u.parameter >= 0) continue;
      const auto a = evaluates::placement(id);
      const auto b = job_over_time::placement(other);
      found += spell(u.name) == spell(t.name) && u.dims == t.dims && u.type == t.type &&
                       a.at.offset == b.at.offset
                   ? 1
                   : 0;
    }
    CHECK(found == 1);
    ++carried;
  }
  CHECK(carried == 2);

  trainer<job_over_time> t{seed{4}};
  const std::vector<i32> chosen{1, 2, 3};
  t.load(sums{}, chosen);
  t.step(0);
  const double first = t.loss();
  t.step(0);
  CHECK(t.loss() != first);
  const double scale = t.loss_scale();
  t.reset_state();
  CHECK(t.loss_scale() == scale);
  t.step(0);
  CHECK(t.loss() == first);
}

}  // namespace
