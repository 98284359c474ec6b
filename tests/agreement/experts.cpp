// What mixtures of experts make of NaN, ties and full slots, on every backend.

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
