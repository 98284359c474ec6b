// Mixtures of experts on every backend and layout, in f32 and f16: what the plain loops compute,
// forward and backward; choices and slots exactly. And the model's counters equal its prices.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/machine/presets.hpp>
#include <tessera/passes/precision.hpp>

#include <algorithm>
#include <cmath>

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"test", 0, ""};

routing_attributes route_of(i32 experts, i32 k, i32 tokens, i32 capacity) {
  routing_attributes r;
  r.experts = experts;
  r.k = k;
  r.tokens = tokens;
  r.capacity = capacity;
  r.samples = tokens;
  return r;
}

i32 input(graph& g, const shape& dims, bool last, i32 stack = 0) {
  const i32 id = add_tensor(g, dims, {.batch_last = last, .differentiable = true});
  g.tensors[id].stack = stack;
  return id;
}

struct expert_case {
  const char* name;
  std::vector<i32> (*build)(graph&, i32 n, bool last);  // returns what is read
};

std::vector<i32> build_gates(graph& g, i32 n, bool last, i32 experts, i32 k) {
  const auto made =
      ops::top_k_gates(g, input(g, shape(n, experts), last), route_of(experts, k, n, n), layer);
  return {made.gates, made.chosen};
}

std::vector<i32> build_load(graph& g, i32 n, bool last, i32 experts, i32 k) {
  const i32 clean = input(g, shape(n, experts), last);
  const i32 spread = input(g, shape(n, experts), last);
  const i32 h = input(g, shape(n, experts), last);
  return {ops::gate_load(g, clean, spread, h, route_of(experts, k, n, n), layer)};
}

/// x to experts that do nothing and back, with gates from outside.
std::vector<i32> build_way(graph& g, const shape& x_dims, bool last, i32 stack, i32 experts, i32 k,
                           i32 capacity) {
  const i32 x = input(g, x_dims, last, stack);
  const i32 tokens = ops::tokens_of(g.tensors[x]);
  routing_attributes r = ops::route_over(g.tensors[x], route_of(experts, k, tokens, capacity));
  const bool gates_last = last && ops::batch_goes_last(tokens);
  const i32 h = input(g, shape(tokens, experts), gates_last);
  const auto made = ops::top_k_gates(g, h, r, layer);
  const auto to = ops::route_tokens(g, made.chosen, r, layer);
  const i32 buffer = ops::gather_tokens(g, x, to, r, layer);
  const i32 rows = ops::as_tokens(g, x, layer);
  return {ops::combine_experts(g, buffer, made.gates, to, x, r, layer), to.slots, to.places,
          ops::unary(g, kind::tanh, rows, layer)};
}

const expert_case cases[] = {
    {"gate_noise",
     [](graph& g, i32 n, bool last) -> std::vector<i32> {
       const i32 a = input(g, shape(n, 7), last);
       const i32 b = input(g, shape(n, 7), last);
       return {ops::gate_noise(g, a, b, input(g, shape(n, 7), last), route_of(7, 2, n, n), layer)};
     }},
    {"top 1 of 5", [](graph& g, i32 n, bool last) { return build_gates(g, n, last, 5, 1); }},
    {"top 3 of 70", [](graph& g, i32 n, bool last) { return build_gates(g, n, last, 70, 3); }},
    {"top 4 of 4", [](graph& g, i32 n, bool last) { return build_gates(g, n, last, 4, 4); }},
    {"load, 1 of 6", [](graph& g, i32 n, bool last) { return build_load(g, n, last, 6, 1); }},
    {"load, 3 of 33", [](graph& g, i32 n, bool last) { return build_load(g, n, last, 33, 3); }},
    {"load, all", [](graph& g, i32 n, bool last) { return build_load(g, n, last, 3, 3); }},
    {"balance",
     [](graph& g, i32 n, bool last) -> std::vector<i32> {
       const i32 p = ops::unary(g, kind::sigmoid, input(g, shape(n, 9), last), layer);
       const auto made = ops::balance_loss(g, p, 0.3f, route_of(9, 2, n, n), layer);
       return {made.loss, made.sums};
     }},
    {"there and back, nothing dropped",
     [](graph& g, i32 n, bool last) { return build_way(g, shape(n, 11), last, 0, 5, 2, n); }},
    {"there and back, some dropped",
     [](graph& g, i32 n, bool last) {
       return build_way(g, shape(n, 40), last, 0, 3, 2, n > 16 ? 16 : 1);
     }},
    {"rows of samples",
     [](graph& g, i32 n, bool last) { return build_way(g, shape(n, 3, 17), last, 0, 4, 2, n); }},
    {"over time",
     [](graph& g, i32 n, bool last) { return build_way(g, shape(2, n, 9), last, 1, 4, 1, n); }},
};

using results = std::vector<std::vector<double>>;

TEST_CASE("mixtures of experts agree on all backends", "[agreement]") {
  for (const expert_case& c : cases) {
    for (const i32 batch : {1, 5, 48}) {
      for (const element type : {element::f32, element::f16}) {
        for (const bool last : {false, true}) {
          graph g;
          const std::vector<i32> outputs = c.build(g, batch, last);
          REQUIRE(spell(g.wrong).view().empty());
          const i32 tensors = g.tensors.size();
          std::vector<i32> from;
          for (const i32 id : outputs) {
            const tensor& t = g.tensors[id];  // a loss is the end
            if (t.differentiable && t.what != role::result) from.push_back(id);
          }
          const differentiated d = differentiate_from(g, from);
          std::vector<i32> read = outputs;
          std::vector<i32> fill = d.seeds;
          for (i32 id = 0; id < tensors; ++id) {
            if (g.tensors[id].what != role::input) continue;
            fill.push_back(id);
            if (d.gradients[id] >= 0) read.push_back(d.gradients[id]);
          }
          for (const i32 id : read) keep(g, id);
          passes::assign_precision(
              g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
          const i32 valid = batch > 4 ? batch - 2 : batch;
          const auto run = [&](kernel_finder find, i32 threads, void* backend) {
            interpreter net(g, find);
            random_stream random(fill.size());
            for (const i32 id : fill) {
              std::vector<double> values(static_cast<std::size_t>(g.tensors[id].dims.count()));
              for (double& v : values) v = 4 * static_cast<double>(random.next_uniform()) - 2;
              net.write(id, values);
            }
            net.run({.seed = 9, .valid = valid, .threads = threads, .backend = backend});
            results all;
            for (const i32 id : read) all.push_back(net.read(id));
            return all;
          };
          const results want = run(reference_backend.find, 1, nullptr);
          for (const graph_backend& b : backends()) {
            if (last && layouts(b, batch).size() == 1) continue;
            INFO(c.name << ", batch " << batch << ", " << name_of(type)
                        << (last ? ", last, " : ", ") << b.name);
            const results got = run(b.find, 1, nullptr);
            CHECK(run(b.find, 3, nullptr) == got);
            for (std::size_t k = 0; k < want.size(); ++k) {
              const tensor& t = g.tensors[read[k]];
              INFO(spell(t.name).view());
              double worst = 0;
              for (std::size_t i = 0; i < want[k].size(); ++i) {
                const double off = std::abs(got[k][i] - want[k][i]);
                const double unit = t.type == element::f16 ? 4 * 0x1p-11 : 40 * 0x1p-24;
                const double allowed =
                    t.type == element::int32 ? 0 : unit * (1 + std::abs(want[k][i]));
                if (!(off <= allowed)) worst = std::max(worst, off);
              }
              CHECK(worst == 0);
            }
            if (std::string(b.name) != "ipu_mk1") continue;
            accelerator::counters counted;
            run(b.find, 2, &counted);
            accelerator::operation_price stated;
            for (const operation& op : g.operations) {
              stated += accelerator::price(accelerator::ipu_mk1, ops::sign(g, op));
            }
            CHECK(counted.total == stated);
          }
        }
      }
    }
  }
}

TEST_CASE("NaN gates are chosen last, equal ones by number, and dropped tokens give zeros",
          "[agreement]") {
  for (const graph_backend& b : backends()) {
    INFO(b.name);
    graph g;
    const i32 h = add_tensor(g, shape(3, 4), {});
    const i32 x = add_tensor(g, shape(3, 2), {});
    routing_attributes r = route_of(4, 2, 3, 1);
    const auto made = ops::top_k_gates(g, h, r, layer);
    const auto to = ops::route_tokens(g, made.chosen, r, layer);
    const i32 y = ops::combine_experts(g, ops::gather_tokens(g, x, to, r, layer), made.gates, to, x,
                                       r, layer);
    for (const i32 id : {made.gates, made.chosen, to.slots, to.places, y}) keep(g, id);
    interpreter net(g, b.find);
    const double nan = std::nan("");
    net.write(h, std::vector<double>{nan, 1, 1, 1, 2, nan, nan, 5, nan, nan, nan, 3});
    net.write(x, std::vector<double>{1, 2, 3, 4, 5, 6});
    net.run({.valid = 3});
    CHECK(net.read(made.chosen) == std::vector<double>{1, 2, 3, 0, 3, 0});
    const std::vector<double> gates = net.read(made.gates);
    CHECK(gates[1] == 0.5);
    CHECK(std::isnan(gates[8]));  // the third token has one number only
    CHECK(std::isnan(gates[11]));
    // Expert 3 takes the second token, the first choice of the third finds no slot.
    CHECK(net.read(to.slots) == std::vector<double>{1, 0, 0, 1});
    CHECK(net.read(to.places) == std::vector<double>{0, 0, 0, 0, -1, -1});
    const std::vector<double> out = net.read(y);
    CHECK(out[0] == 1);
    CHECK(out[4] == 0);
    CHECK(out[5] == 0);
  }
}

}  // namespace
