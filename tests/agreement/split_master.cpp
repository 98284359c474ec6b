// Parameters in 16 and 16 bits: training as with 32-bit masters, on every backend.

#include <tessera/passes/updates.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>

#include <tessera/data/digits.hpp>
#include <tessera/models/lenet.hpp>
#include <tessera/tessera.hpp>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::testing;

using values = std::vector<double>;

/// Updates of one parameter by a stored gradient of halves.
struct update_graph {
  graph g;
  i32 weight = -1;
  i32 gradient = -1;
  i32 rest = -1;

  update_graph(i32 count, element type, update_rule rule, bool splits,
               element gradient_type = element::f16) {
    rule.splits = splits;
    tensor t;
    t.what = role::parameter;
    t.dims = shape(count);
    t.type = type;
    t.name = {"w", 0, "weight"};
    weight = g.add(t);
    t.what = role::input;
    t.type = gradient_type;
    t.name = {"g", 0, ""};
    t.parameter = weight;
    gradient = g.add(t);
    const operation op = passes::make_update(g, weight, gradient, rule, {});
    rest = op.out[ops::rest_slot];
    g.add(op);
  }
};

TEST_CASE("every rule updates a split parameter as it does one of 32 bits", "[agreement]") {
  constexpr i32 count = 777;
  random_stream random(3);
  values w(count), g(count);
  for (double& v : w) v = to_float(to_half(random.next_normal()));
  for (i32 what = 1; what <= static_cast<i32>(optimizer_kind::lars); ++what) {
    update_rule rule;
    rule.what = static_cast<optimizer_kind>(what);
    rule.momentum = rule.what == optimizer_kind::sgd ? 0.9f : 0.0f;
    rule.weight_decay = 0.01f;
    const update_graph plain(count, element::f32, rule, false);
    const update_graph split(count, element::f16, rule, true);
    REQUIRE(split.rest >= 0);
    REQUIRE(split.g.tensors[split.rest].type == element::uint16);
    REQUIRE(plain.rest < 0);
    for (const graph_backend& backend : backends()) {
      INFO(backend.name << ", rule " << what);
      interpreter a(plain.g, backend.find);
      interpreter b(split.g, backend.find);
      a.write(plain.weight, w);
      b.write(split.weight, w);
      random_stream noise(8);
      for (u64 step = 0; step < 5; ++step) {
        for (double& v : g) v = to_float(to_half(noise.next_normal()));
        a.write(plain.gradient, g);
        b.write(split.gradient, g);
        const step_values now{.learning_rate = 0.003f, .seed = 5, .step = step, .threads = 2};
        a.run(now);
        b.run(now);
      }
      const values want = a.read(plain.weight);
      const values top = b.read(split.weight);
      const values rest = b.read(split.rest);
      i32 rounded = 0;
      double worst = 0;
      for (std::size_t i = 0; i < want.size(); ++i) {
        const half h = to_half(static_cast<float>(top[i]));
        const float whole = join_float(h, static_cast<u16>(rest[i]));
        rounded += h == to_half(static_cast<float>(want[i])) ? 1 : 0;
        // What has come below 2^-17 on its way has lost up to 2^-40 each time.
        worst = std::max(worst, std::abs(static_cast<double>(whole) - want[i]));
      }
      CHECK(worst < 5e-12);
      CHECK(rounded == count);
    }
  }
}

TEST_CASE("a bfloat16 and 16 bits are a float to every rule", "[agreement]") {
  constexpr i32 count = 777;
  random_stream random(3);
  values w(count), g(count);
  for (double& v : w) v = to_float(to_bfloat16(random.next_normal()));
  for (i32 what = 1; what <= static_cast<i32>(optimizer_kind::lars); ++what) {
    update_rule rule;
    rule.what = static_cast<optimizer_kind>(what);
    rule.momentum = rule.what == optimizer_kind::sgd ? 0.9f : 0.0f;
    rule.weight_decay = 0.01f;
    const update_graph plain(count, element::f32, rule, false, element::bf16);
    const update_graph split(count, element::bf16, rule, true, element::bf16);
    for (const graph_backend& backend : {reference_backend, bfloat16_backends().front()}) {
      INFO(backend.name << ", rule " << what);
      interpreter a(plain.g, backend.find);
      interpreter b(split.g, backend.find);
      a.write(plain.weight, w);
      b.write(split.weight, w);
      random_stream noise(8);
      for (u64 step = 0; step < 5; ++step) {
        for (double& v : g) v = to_float(to_bfloat16(noise.next_normal()));
        a.write(plain.gradient, g);
        b.write(split.gradient, g);
        const step_values now{.learning_rate = 0.003f, .seed = 5, .step = step, .threads = 2};
        a.run(now);
        b.run(now);
      }
      const values want = a.read(plain.weight);
      const values top = b.read(split.weight);
      const values rest = b.read(split.rest);
      double worst = 0;  // relative; ties lose one unit in the last place
      for (std::size_t i = 0; i < want.size(); ++i) {
        const float whole =
            join_float(to_bfloat16(static_cast<float>(top[i])), static_cast<u16>(rest[i]));
        worst = std::max(
            worst, std::abs(static_cast<double>(whole) - want[i]) / (std::abs(want[i]) + 1e-3));
      }
      CHECK(worst < 1e-6);
    }
  }
}

using net = network<image<1, 28, 28>, models::lenet5<>>;
template <class... Options>
using job = training<net, softmax_cross_entropy, adam, batch<16>, mixed<fp16, Options...>>;
using with_masters = job<skip_tensor>;
using split = job<skip_tensor, split_master>;

// 61,706 weights: 2 + 2 bytes instead of 4 + 2, and Adam's 8; biases and all.
static_assert(split::memory.working_bytes == 0);
static_assert(split::memory.parameter_bytes + split::memory.state_bytes + 2 * 61'000 <
              with_masters::memory.parameter_bytes + with_masters::memory.working_bytes +
                  with_masters::memory.state_bytes);
static_assert(split::memory.arena_bytes == with_masters::memory.arena_bytes);

TEST_CASE("a network with split masters trains as with masters", "[agreement]") {
  const data::split digits = data::drawn_digits(160, 16, 1);
  const auto a = std::make_unique<trainer<with_masters>>(seed{4});
  const auto b = std::make_unique<trainer<split>>(seed{4});
  const weight_list masters = a->weights();
  auto from = masters.begin();  // masters begin as the halves of the other
  for (const weight& w : b->weights()) {
    for (i64 i = 0; i < w.about.dims.count(); ++i) {
      write_element((*from).bytes.data(), (*from).about.type, i,
                    read_element(w.bytes.data(), w.about.type, i));
    }
    ++from;
  }
  a->fit(digits.train, {.epochs = 2, .learning_rate = constant_rate(0.003f)});
  b->fit(digits.train, {.epochs = 2, .learning_rate = constant_rate(0.003f)});
  CHECK(a->loss() == b->loss());
  i64 count = 0;
  i64 same = 0;
  from = masters.begin();
  for (const weight& w : b->weights()) {
    for (i64 i = 0; i < w.about.dims.count(); ++i, ++count) {
      const float master =
          static_cast<float>(read_element((*from).bytes.data(), (*from).about.type, i));
      half h;
      std::memcpy(&h, w.bytes.data() + 2 * i, 2);
      same += h == to_half(master) ? 1 : 0;
    }
    ++from;
  }
  CHECK(count == split::parameter_count);
  CHECK(same == count);
}

}  // namespace
