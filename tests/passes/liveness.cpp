#include <tessera/passes/liveness.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/plan_validator.hpp>
#include <support/random_graph.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/passes/locate.hpp>

#include <cstring>

namespace {

using namespace tessera;
using namespace tessera::testing;

TEST_CASE("Thousands of random training steps are planned without a fault", "[passes]") {
  int in_place = 0;
  for (u64 seed = 0; seed < 3000; ++seed) {
    const graph g = random_graph(seed).make();
    REQUIRE_FALSE(g.wrong.wrong());
    i64 arena[2] = {};
    for (const bool allowed : {false, true}) {
      const passes::step_plan plan = passes::plan_step(g, allowed);
      const std::string fault = fault_of(g, plan.locations.data(), plan.memory);
      if (!fault.empty()) FAIL("seed " << seed << ", in place " << allowed << ": " << fault);
      if (plan.memory.arena_bytes < plan.memory.lower_bound_bytes ||
          plan.memory.no_reuse_bytes < plan.memory.arena_bytes) {
        FAIL("seed " << seed << ": bound, arena and no reuse are out of order");
      }
      arena[allowed] = plan.memory.lower_bound_bytes;
    }
    if (arena[1] > arena[0]) FAIL("seed " << seed << ": in place needs more bytes");
    in_place += arena[1] < arena[0] ? 1 : 0;
  }
  CHECK(in_place > 1000);
}

/// Whether two pieces of the arena that live together share bytes: what a validator must find.
bool any_overlap(const grow<buffer>& buffers) {
  for (const buffer& a : buffers) {
    for (const buffer& b : buffers) {
      if (&a == &b || a.born > b.dies || b.born > a.dies) continue;
      if (a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes) return true;
    }
  }
  return false;
}

TEST_CASE("A shifted offset is found exactly where it does harm", "[passes]") {
  random_stream random(31);
  int harmful = 0;
  int harmless = 0;
  for (u64 seed = 0; seed < 400; ++seed) {
    const graph g = random_graph(seed).make();
    passes::liveness live = passes::find_liveness(g);
    // Bytes in use, not rounded up: a buffer's last bytes may be nobody's.
    const i32 count = live.buffers.size();
    passes::place(live.buffers.data(), count);
    for (int trial = 0; trial < 5; ++trial) {
      grow<buffer> moved = live.buffers;
      const auto chosen = static_cast<i32>(random.next_below(static_cast<u32>(count)));
      i64 last = 0;
      for (const buffer& b : moved) last = std::max(last, b.offset);
      moved[chosen].offset = 64 * random.next_below(static_cast<u32>(last / 64 + 1));
      const passes::step_plan plan =
          passes::locate(g, moved.data(), count, live.buffer_of.data(), live.no_reuse_bytes);
      for (buffer& b : moved) b.bytes = g.tensors[b.tensor].bytes();
      const bool harm = any_overlap(moved);
      const std::string fault = fault_of(g, plan.locations.data(), plan.memory);
      if (harm == fault.empty()) FAIL("seed " << seed << ", harm " << harm << ": " << fault);
      (harm ? harmful : harmless) += 1;
    }
  }
  CHECK(harmful > 200);
  CHECK(harmless > 200);
}

TEST_CASE("A life cut short is found wherever its bytes are given away", "[passes]") {
  random_stream random(32);
  int harmful = 0;
  for (u64 seed = 0; seed < 1500; ++seed) {
    const graph g = random_graph(seed).make();
    passes::liveness live = passes::find_liveness(g);
    const i32 count = live.buffers.size();
    const grow<buffer> truth = live.buffers;
    const auto chosen = static_cast<i32>(random.next_below(static_cast<u32>(count)));
    buffer& cut = live.buffers[chosen];
    if (cut.dies == cut.born) continue;
    if (random.next_below(2) == 0) {
      cut.dies -= 1;
    } else {
      cut.born += 1;
    }
    passes::place(live.buffers.data(), count);
    const passes::step_plan plan =
        passes::locate(g, live.buffers.data(), count, live.buffer_of.data(), live.no_reuse_bytes);
    grow<buffer> placed = truth;
    for (i32 i = 0; i < count; ++i) {
      placed[i].offset = live.buffers[i].offset;
      placed[i].bytes = g.tensors[placed[i].tensor].bytes();
    }
    const bool harm = any_overlap(placed);
    const std::string fault = fault_of(g, plan.locations.data(), plan.memory);
    if (harm == fault.empty()) FAIL("seed " << seed << ", harm " << harm << ": " << fault);
    harmful += harm ? 1 : 0;
  }
  CHECK(harmful > 20);
}

TEST_CASE("A tensor put in place of one that is read later is found", "[passes]") {
  int planted = 0;
  for (u64 seed = 0; seed < 300; ++seed) {
    const graph g = random_graph(seed).make();
    const passes::step_plan plan = passes::plan_step(g, false);
    // Put an activation over its input although the input has a later reader.
    for (i32 i = 0; i < g.operations.size(); ++i) {
      const operation& op = g.operations[i];
      if (op.what != kind::relu && op.what != kind::tanh && op.what != kind::sigmoid) continue;
      const i32 in = op.in[0];
      if (!in_arena(g.tensors[in].what)) continue;
      bool read_later = false;
      for (i32 k = i + 1; k < g.operations.size(); ++k) {
        for (const i32 id : g.operations[k].in) read_later = read_later || id == in;
      }
      if (!read_later) continue;
      grow<location> broken = plan.locations;
      for (i32 id = 0; id < g.tensors.size(); ++id) {
        if (storage_of(g, id) == op.out[0]) broken[id] = plan.locations[in];
      }
      CHECK_FALSE(fault_of(g, broken.data(), plan.memory).empty());
      ++planted;
    }
  }
  CHECK(planted > 20);
}

TEST_CASE("A view moved from what it views is found", "[passes]") {
  graph g;
  const i32 x = add_tensor(g, shape(2, 3, 4));
  const i32 y = ops::unary(g, kind::tanh, x, {"a", 1, ""});
  const i32 flat = ops::view(g, y, shape(2, 12));
  const i32 z = ops::unary(g, kind::relu, flat, {"b", 1, ""});
  keep(g, z);
  passes::step_plan plan = passes::plan_step(g, false);
  CHECK(fault_of(g, plan.locations.data(), plan.memory).empty());
  plan.locations[flat].offset += 64;
  CHECK_THAT(fault_of(g, plan.locations.data(), plan.memory), contains("operation 1"));
}

TEST_CASE("Activations and their gradients stand in place of their operands", "[passes]") {
  // x -> dense -> tanh -> relu -> kept: one buffer for all three
  graph g;
  const i32 x = add_tensor(g, shape(4, 8));
  const i32 w = add_weight(g, shape(8, 8));
  const i32 a = ops::dense(g, x, w, -1, {"dense", 1, ""});
  const i32 b = ops::unary(g, kind::tanh, a, {"tanh", 1, ""});
  const i32 c = ops::unary(g, kind::relu, b, {"relu", 1, ""});
  keep(g, c);
  const passes::liveness live = passes::find_liveness(g);
  CHECK(live.buffers.size() == 1);
  CHECK(live.buffer_of[a] == live.buffer_of[c]);
  CHECK(live.buffer_of[b] == live.buffer_of[c]);
  CHECK(live.buffer_of[x] == -1);
  CHECK(live.buffers[0].born == 0);
  CHECK(live.buffers[0].dies == 3);  // kept: until after the last operation
  CHECK(live.no_reuse_bytes == 3 * 128);
  CHECK(passes::find_liveness(g, false).buffers.size() == 3);
}

TEST_CASE("An operand that is read again keeps its bytes", "[passes]") {
  graph g;
  const i32 x = add_tensor(g, shape(4, 8));
  const i32 w = add_weight(g, shape(8, 8));
  const i32 a = ops::dense(g, x, w, -1, {"dense", 1, ""});
  const i32 b = ops::unary(g, kind::tanh, a, {"tanh", 1, ""});
  const i32 c = ops::add(g, a, b, {"add", 1, ""});
  const i32 twice = ops::add(g, c, c, {"add", 2, ""});
  keep(g, twice);
  const passes::liveness live = passes::find_liveness(g);
  CHECK(live.buffer_of[a] != live.buffer_of[b]);
  CHECK(live.buffer_of[c] == live.buffer_of[a]);      // the sum goes over its first operand
  CHECK(live.buffer_of[twice] != live.buffer_of[c]);  // both operands are the same bytes
}

TEST_CASE("A view that is read later keeps the bytes it shows", "[passes]") {
  graph g;
  const i32 x = add_tensor(g, shape(4, 2, 2, 2));
  const i32 w = add_weight(g, shape(2, 2, 1, 1));
  const i32 a = ops::conv2d(g, x, w, -1, window{}, 1, {"conv", 1, ""});
  const i32 flat = ops::view(g, a, shape(4, 8));
  const i32 b = ops::unary(g, kind::relu, a, {"relu", 1, ""});
  const i32 b_flat = ops::view(g, b, shape(4, 8));
  const i32 sum = ops::add(g, flat, b_flat, {"add", 1, ""});
  keep(g, sum);
  const passes::liveness live = passes::find_liveness(g);
  CHECK(live.buffer_of[flat] == live.buffer_of[a]);
  CHECK(live.buffer_of[b] != live.buffer_of[a]);
  CHECK(live.buffer_of[sum] == live.buffer_of[a]);
}

TEST_CASE("In place or not, training gives the same bits", "[passes]") {
  int compared = 0;
  for (u64 seed = 0; seed < 120; ++seed) {
    const graph g = random_graph(seed, {.most_layers = 6}).make();
    interpreter with(g, reference::find_kernel);
    interpreter without(g, reference::find_kernel, {.in_place = false});
    fill_randomly(with, seed);
    fill_randomly(without, seed);
    for (u64 step = 0; step < 3; ++step) {
      const step_values values{.learning_rate = 0.05f,
                               .seed = seed,
                               .step = step,
                               .valid = step == 2 && g.batch > 1 ? g.batch - 1 : g.batch};
      with.run(values);
      without.run(values);
      for (i32 id = 0; id < g.tensors.size(); ++id) {
        const tensor& t = g.tensors[id];
        const bool lasts = t.what == role::parameter || t.what == role::state || id == g.losses[0];
        if (!lasts) continue;
        ++compared;
        if (std::memcmp(with.data(id), without.data(id), static_cast<std::size_t>(t.bytes())) !=
            0) {
          FAIL("seed " << seed << ", step " << step << ": tensor " << id << " differs");
        }
      }
    }
  }
  CHECK(compared > 2000);
}

}  // namespace
