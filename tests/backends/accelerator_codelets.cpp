// Codelets of a user's: their functions run on the model, their formulas are the price, and the
// counters read the same.

#include <tessera/backends/accelerator/codelet.hpp>

#include <support/catch.hpp>

#include <tessera/backends/accelerator/step_signatures.hpp>
#include <tessera/tessera.hpp>

#include <support/swish.hpp>

#include <cmath>
#include <vector>

using namespace tessera;

namespace {

// swish of tests/support/swish.hpp, with functions and costs for the model.
void swish_on_tiles(const machine& m, const call& c, i64 first, i64 count) {
  accelerator::map_values(m, c, first, count,
                          [](accelerator::lanes x) { return x * accelerator::sigmoid(x); });
}

void swish_gradient_on_tiles(const machine& m, const call& c, i64 first, i64 count) {
  accelerator::map_value_pairs(m, c, 0, 5, first, count,
                               [](accelerator::lanes x, accelerator::lanes dy) {
                                 const accelerator::lanes s = accelerator::sigmoid(x);
                                 const accelerator::lanes one = accelerator::set(1.0f);
                                 return dy * accelerator::fma(x * s, one - s, s);
                               });
}

// For other backends, in any storage.
void swish_kernel(const call& c) {
  const user_values x(c, 0), y(c, 8);
  for (i64 i = 0; i < c.sizes->n[4]; ++i) y.set(i, x[i] / (1 + std::exp(-x[i])));
}
void swish_gradient_kernel(const call& c) {
  const user_values x(c, 0), dy(c, 5), dx(c, 8);
  for (i64 i = 0; i < c.sizes->n[4]; ++i) {
    const float s = 1 / (1 + std::exp(-x[i]));
    dx.set(i, dy[i] * (s + x[i] * s * (1 - s)));
  }
}

// Not linear in the elements, so that no count per element could say it.
constexpr accelerator::codelet_cost swish_cost(const machine& m,
                                               const accelerator::codelet_vertex& v) {
  const i64 vectors = (v.elements + m.vector.lanes_f32 - 1) / m.vector.lanes_f32;
  return {.cycles = 17 + vectors * vectors * m.vector.exponential, .vector_ops = 3 * v.elements};
}
constexpr accelerator::codelet_cost swish_gradient_cost(const machine& m,
                                                        const accelerator::codelet_vertex& v) {
  return {.cycles = 1000 + v.elements * m.vector.divide, .vector_ops = 5 * v.elements};
}

constexpr accelerator::codelet swish_codelet{&swish_on_tiles, &swish_cost};
constexpr accelerator::codelet swish_gradient_codelet{&swish_gradient_on_tiles,
                                                      &swish_gradient_cost};

constexpr user_operation tiled_swish = [] {
  user_operation op = testing::swish;
  op.any_width = true;
  op.forward = &swish_kernel;
  op.gradient = &swish_gradient_kernel;
  op.codelet = &swish_codelet;
  op.gradient_codelet = &swish_gradient_codelet;
  return op;
}();

struct tiled_swish_layer {
  static constexpr value build(builder& b, value x) { return b.apply(tiled_swish, x); }
};

template <class Activation, class Precision = fp32>
using job = training<network<image<1, 20, 20>, flatten, dense<90>, Activation, dense<10>>,
                     softmax_cross_entropy, sgd, batch<16>, Precision>;

constexpr machine chip = accelerator::ipu_mk1;
constexpr i64 outputs = 16 * 90;

constexpr signature signature_of(kind what) {
  signature s;
  s.what = what;
  user_sizes sizes;
  sizes.inputs[0] = sizes.output = outputs;
  sizes.write(s);
  s.set_type(0, element::f32);
  s.set_type(8, element::f32);
  if (what == kind::user_gradient) s.set_type(5, element::f32);
  return s;
}

struct dots {
  i64 size() const { return 32; }
  shape sample_shape() const { return shape(1, 20, 20); }
  void read(i64 index, float* to) const {
    for (i32 i = 0; i < 400; ++i) {
      to[i] = static_cast<float>((i * (label(index) + 3) + index) % 23) / 23.0f;
    }
  }
  i32 label(i64 index) const { return static_cast<i32>(index % 10); }
};

template <class Job, class Backend>
std::vector<float> train(trainer<Job, Backend>& t, i32 steps) {
  std::vector<i32> all(16);
  for (i32 step = 0; step < steps; ++step) {
    for (i32 i = 0; i < 16; ++i) all[static_cast<std::size_t>(i)] = (i + 16 * step) % 32;
    t.load(dots{}, all);
    t.step(0.05f);
  }
  std::vector<float> weights;
  for (const weight& w : t.weights()) {
    const auto* const first = reinterpret_cast<const float*>(w.bytes.data());
    weights.insert(weights.end(), first, first + w.about.dims.count());
  }
  return weights;
}

}  // namespace

TEST_CASE("a codelet's formula is the price of its operation", "[backends]") {
  // 1,440 elements, 32 on each of 45 tiles: 16 vectors.
  constexpr auto forward = accelerator::price(chip, signature_of(kind::user), &tiled_swish);
  STATIC_REQUIRE(forward.vertices == 45);
  STATIC_REQUIRE(forward.compute_cycles == 17 + 16 * 16 * 10);
  STATIC_REQUIRE(forward.vector_ops == 3 * outputs);
  constexpr auto back = accelerator::price(chip, signature_of(kind::user_gradient), &tiled_swish);
  STATIC_REQUIRE(back.compute_cycles == 1000 + 32 * 10);
  STATIC_REQUIRE(back.vector_ops == 5 * outputs);
  // Without codelets: what the definition states.
  constexpr auto stated = accelerator::price(chip, signature_of(kind::user), &testing::swish);
  STATIC_REQUIRE(stated.vector_ops == outputs);
  // The same bytes move.
  STATIC_REQUIRE(stated.sram_bytes == forward.sram_bytes);
}

TEST_CASE("a step with codelets costs what its counters read, and trains as on the host",
          "[backends]") {
  constexpr auto with = cost<job<tiled_swish_layer>, chip>;
  constexpr auto without = cost<job<testing::swish_layer>, chip>;
  STATIC_REQUIRE(with.cycles() != without.cycles());
  for (const i32 workers : {1, 3}) {
    trainer<job<tiled_swish_layer>, on<chip>> t(seed{2}, threads{workers});
    const std::vector<float> weights = train(t, 1);
    CHECK(t.counters().total == with);
    const std::vector<float> more = train(t, 9);
    trainer<job<tiled_swish_layer>> host(seed{2});
    const std::vector<float> expected = train(host, 1);
    float off = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      off = std::max(off, std::abs(weights[i] - expected[i]));
    }
    CHECK(off < 1e-6f);
    CHECK(more != weights);
  }
}

TEST_CASE("codelets work in 16 bits where their operation says so", "[backends]") {
  using halves = job<tiled_swish_layer, mixed<fp16>>;
  trainer<halves, on<chip>> t(seed{2});
  const std::vector<float> weights = train(t, 1);
  CHECK(t.counters().total == cost<halves, chip>);
  CHECK(cost<halves, chip>.exchange_bytes < cost<job<tiled_swish_layer>, chip>.exchange_bytes);
  trainer<halves> host(seed{2});
  const std::vector<float> expected = train(host, 1);
  float off = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    off = std::max(off, std::abs(weights[i] - expected[i]));
  }
  CHECK(off < 1e-4f);  // a rate of 0.05 times places of halves
}

TEST_CASE("prices of a graph know the codelets in it", "[backends]") {
  const graph g = thaw(job<tiled_swish_layer>::plan::step_graph);
  const accelerator::step_price whole = accelerator::price(chip, accelerator::sign_step(g));
  CHECK(whole == cost<job<tiled_swish_layer>, chip>);
}
