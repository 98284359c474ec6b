#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/plan_validator.hpp>
#include <support/random_graph.hpp>

#include <tessera/core/random.hpp>
#include <tessera/network/make.hpp>
#include <tessera/nn.hpp>
#include <tessera/nn/grid_lstm.hpp>
#include <tessera/nn/multi_recurrent.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/runtime/gradient_check.hpp>

#include <cstring>

// Plans of steps with loops, replayed trip by trip.

namespace {

using namespace tessera;
using namespace tessera::testing;

/// Draws the options of a step.
struct dice {
  random_stream random;
  i32 below(i32 n) { return static_cast<i32>(random.next_below(static_cast<u32>(n))); }
  bool flip() { return below(2) == 0; }

  precision_policy precision() {
    precision_policy p;
    if (flip()) return p;
    p.storage = element::f16;
    p.scaling.skip = flip() ? skip_rule::step : skip_rule::tensor;
    p.scaling.initial = 256;
    return p;
  }
  update_rule rule() {
    update_rule r;
    if (below(4) == 0) return r;
    r.what = flip() ? optimizer_kind::sgd : optimizer_kind::adam;
    if (below(4) == 0) r.what = static_cast<optimizer_kind>(3 + below(10));
    if (flip()) r.momentum = 0.9f;
    if (below(4) == 0) r.l1 = 0.1f;
    return r;
  }
  gradient_limits limits() {
    return {.norm = below(4) == 0 ? 1.0f : 0, .value = below(4) == 0 ? 1.0f : 0};
  }
  i32 batch() { return flip() ? 1 + below(3) : 16; }
  i32 length() { return 1 + below(flip() ? 2 : 7); }
};

/// Makes a step of what `append` puts behind an input of `dims`.
template <class Append>
graph make_step(dice& d, const shape& dims, i32 stack, purpose why, const Append& append) {
  graph g;
  builder b(g, d.batch(), why);
  const value x = b.input(dims, element::f32, stack);
  if (d.flip()) g.tensors[x.id].differentiable = true;
  const bundle y = append(b, x);
  INFO(spell(g.wrong).view());
  REQUIRE_FALSE(g.wrong.wrong());
  for (const value item : y) g.outputs.push(item.id);
  if (why == purpose::inference) {
    for (const i32 id : g.outputs) keep(g, id);
    for (operation& op : g.operations) ops::drop_saved(op);
    passes::assign_precision(g, d.precision());
    passes::write_into_slots(g);
    return g;
  }
  for (const i32 id : g.outputs) {
    const tensor& like = g.tensors[id];
    const i32 target =
        add_tensor(g, like.dims, {.what = role::target, .batch_last = like.batch_last});
    g.tensors[target].stack = g.tensors[id].stack;
    g.losses.push(ops::mse(g, id, target, {}));
  }
  complete_training_graph(g, d.precision(), d.rule(), d.limits());
  REQUIRE_FALSE(g.wrong.wrong());
  return g;
}

template <class Equations>
bundle append_recurrent(dice& d, builder& b, value x, i32 time) {
  recurrent_options o;
  o.layers = 1 + d.below(2);
  o.forwards = d.flip();
  o.backwards = !o.forwards || d.flip();
  o.last = d.below(3) == 0;
  o.masked = d.below(3) == 0;
  o.stateful = d.below(4) == 0;
  o.states = d.below(3) == 0 && o.layers * (o.forwards && o.backwards ? 2 : 1) <= 2;
  if (d.below(3) == 0) {
    o.truncate = 1 + d.below(time);
    while (time % o.truncate != 0) --o.truncate;
  }
  bundle flow = x;
  if (o.masked && o.truncate > 0) o.masked = false;
  if (o.masked) {
    flow.items[flow.size++] = {add_tensor(b.network(), shape(b.network().batch),
                                          {.what = role::constant, .type = element::int32})};
  }
  const i32 hidden = 1 + d.below(9);
  return detail::build_recurrent(b, flow, o, [&](i32 layer, bool reverse) {
    return gated_cell<Equations>{hidden, layer, reverse};
  });
}

mdlstm_options draw_mdlstm(dice& d) {
  mdlstm_options o;
  o.peepholes = d.flip();
  o.directions = d.flip() ? 1 : 4;
  o.cells = d.below(3) == 0;
  return o;
}

grid_lstm_options draw_grid_lstm(dice& d) {
  grid_lstm_options o;
  o.shared_depth = d.flip();
  o.lstm_output = d.flip();
  o.states = d.flip();
  if (d.below(3) == 0) o.priority[o.priorities++] = d.below(2);
  return o;
}

/// One step with loops of some sort; the same for the same seed.
graph random_loops(u64 seed) {
  dice d{random_stream(seed, 5)};
  const purpose why = d.below(4) == 0 ? purpose::inference : purpose::training;
  const i32 time = d.length();
  const i32 features = 1 + d.below(6);
  const i32 what = d.below(8);
  if (what < 3) {
    return make_step(d, shape(time, features), 1, why, [&](builder& b, value x) {
      if (what == 0) return append_recurrent<rnn_equations>(d, b, x, time);
      if (what == 1) return append_recurrent<lstm_equations>(d, b, x, time);
      return append_recurrent<gru_equations>(d, b, x, time);
    });
  }
  if (what == 3) {
    return make_step(d, shape(1 + d.below(3), d.length(), features), 2, why,
                     [&](builder& b, value x) {
                       return detail::build_mdlstm(b, x, 1 + d.below(5), draw_mdlstm(d));
                     });
  }
  if (what == 4) {
    return make_step(d, shape(time, features), 1, why, [&](builder& b, value x) {
      return detail::build_grid_lstm(b, x, 1 + d.below(5), d.length(), draw_grid_lstm(d));
    });
  }
  const i32 count = d.length();
  if (what == 5) {  // a repeated block that is updated inside
    return make_step(d, shape(6), 0, why, [&](builder& b, value x) -> bundle {
      return detail::build_repeat<residual<dense<6>, tessera::tanh, dense<6>>, relu>(b, x, count,
                                                                                     "repeat", 0);
    });
  }
  if (what == 6) {  // in each other, and one after another
    return make_step(d, shape(5), 0, why, [&](builder& b, value x) -> bundle {
      using inner = chain<repeat<3, dense<5>, tessera::tanh>, residual<dense<5>>>;
      const value y = detail::build_repeat<inner>(b, x, count, "repeat", 0);
      return detail::build_repeat<dense<5>, sigmoid>(b, y, 1 + d.below(3), "repeat", 0);
    });
  }
  // a recurrence in a repeated block, with layers at each step
  return make_step(d, shape(time, 4), 1, why, [&](builder& b, value x) -> bundle {
    return detail::build_repeat<gru<4>, each_step<dense<4>, tessera::tanh>>(b, x, count, "repeat",
                                                                            0);
  });
}

std::string fault_in(const graph& g, const passes::step_plan& plan) {
  return fault_of(g, plan.locations.data(), plan.memory);
}

TEST_CASE("steps with loops are planned without a fault, whatever goes round", "[passes]") {
  i32 updated_inside = 0;
  for (u64 seed = 0; seed < 700; ++seed) {
    const graph g = random_loops(seed);
    i32 body = 0;
    for (const operation& op : g.operations) {
      if (op.what == kind::end_loop) body = g.bodies[op.body].parent;
      if (op.what == kind::loop) body = op.body;
      updated_inside += ops::is_update(op.what) && body > 0 ? 1 : 0;
    }
    for (const bool in_place : {false, true}) {
      const passes::step_plan plan = passes::plan_step(g, in_place);
      const std::string fault = fault_in(g, plan);
      if (!fault.empty()) FAIL_CHECK("seed " << seed << ", in place " << in_place << ": " << fault);
    }
  }
  CHECK(updated_inside > 50);
}

TEST_CASE("random loops in training steps are planned without a fault", "[passes]") {
  for (u64 seed = 0; seed < 1500; ++seed) {
    const graph g = random_graph(seed, {.may_loop = true}).make();
    if (g.wrong.wrong()) FAIL("seed " << seed << ": " << spell(g.wrong).view());
    for (const bool in_place : {false, true}) {
      const std::string fault = fault_in(g, passes::plan_step(g, in_place));
      if (!fault.empty()) FAIL_CHECK("seed " << seed << ", in place " << in_place << ": " << fault);
    }
  }
}

TEST_CASE("random loops train alike with bytes of their own and in place", "[passes]") {
  i32 compared = 0;
  for (u64 seed = 0; seed < 150; ++seed) {
    const graph g = random_graph(seed, {.most_layers = 6, .may_loop = true}).make();
    interpreter with(g, reference::find_kernel);
    interpreter without(g, reference::find_kernel, {.in_place = false});
    fill_randomly(with, seed);
    fill_randomly(without, seed);
    for (u64 step = 0; step < 3; ++step) {
      const step_values values{
          .learning_rate = 0.01f, .seed = seed, .step = step, .valid = g.batch};
      with.run(values);
      without.run(values);
      for (i32 id = 0; id < g.tensors.size(); ++id) {
        const tensor& t = g.tensors[id];
        if (t.of >= 0 || (t.what != role::parameter && t.what != role::state)) continue;
        ++compared;
        const auto bytes = static_cast<std::size_t>(t.bytes());
        if (std::memcmp(with.data(id), without.data(id), bytes) != 0) {
          FAIL_CHECK("seed " << seed << ", step " << step << ": tensor " << id << " differs");
        }
      }
    }
  }
  CHECK(compared > 2000);
}

TEST_CASE("gradients through random loops agree with differences", "[passes]") {
  i64 checked = 0;
  for (u64 seed = 0; seed < 300; ++seed) {
    const graph g = random_graph(seed, {.may_be_mixed = false, .most_layers = 4, .may_loop = true})
                        .make_forward();
    const gradient_report r = check_gradients(g, {.most_per_tensor = 4});
    checked += r.checked;
    if (!r.wrong.empty()) FAIL_CHECK("seed " << seed << ": " << r.message);
  }
  CHECK(checked > 3000);
}

TEST_CASE("a view of a trip that is put elsewhere is found", "[passes]") {
  random_stream random(41);
  i32 planted = 0;
  for (u64 seed = 0; seed < 200; ++seed) {
    const graph g = random_loops(seed);
    const passes::step_plan plan = passes::plan_step(g);
    std::vector<i32> moving;  // read by an operation of a loop that runs more than once
    for (const operation& op : g.operations) {
      for (const i32 in : op.in) {
        if (in < 0 || g.tensors[in].step == 0) continue;
        if (g.bodies[g.tensors[in].body].trips > 1) moving.push_back(in);
      }
    }
    if (moving.empty()) continue;
    const i32 id = moving[random.next_below(static_cast<u32>(moving.size()))];
    passes::step_plan broken = plan;
    broken.locations[id].step[g.bodies[g.tensors[id].body].depth - 1] *= -1;
    INFO("seed " << seed << ", tensor " << id);
    CHECK_FALSE(fault_in(g, broken).empty());
    broken = plan;
    broken.locations[id].offset += bytes_of(g.tensors[id].type);
    CHECK_FALSE(fault_in(g, broken).empty());
    ++planted;
  }
  CHECK(planted > 80);
}

TEST_CASE("what a loop reads in every trip may not be written over in one", "[passes]") {
  i32 planted = 0;
  for (u64 seed = 0; seed < 200; ++seed) {
    const graph g = random_loops(seed);
    const passes::step_plan plan = passes::plan_step(g, false);
    const grow<i32> bodies = bodies_of_operations(g);
    // A tensor from outside that every trip reads, and one of the trip, written later: in
    // straight-line code they could share bytes.
    for (i32 i = 0; i < g.operations.size() && planted < 1000; ++i) {
      const i32 body = bodies[i];
      if (body == 0 || g.bodies[body].trips < 2 || g.operations[i].what == kind::loop) continue;
      for (const i32 in : g.operations[i].in) {
        if (in < 0) continue;
        const i32 outside = storage_of(g, in);
        if (g.tensors[outside].body == body || !in_arena(g.tensors[outside].what)) continue;
        if (plan.locations[in].moves()) continue;
        bool written_inside = false;  // a carry in place, a sum
        for (i32 k = 0; k < g.operations.size(); ++k) {
          for (const i32 out : g.operations[k].out) {
            if (out >= 0 && storage_of(g, out) == outside && encloses(g, body, bodies[k])) {
              written_inside = true;
            }
          }
        }
        const i32 local = g.operations[i].out[0];
        if (written_inside || local < 0 || g.tensors[local].of >= 0) continue;
        if (g.tensors[local].body != body || !in_arena(g.tensors[local].what)) continue;
        passes::step_plan broken = plan;
        for (i32 id = 0; id < g.tensors.size(); ++id) {
          if (storage_of(g, id) == local) {
            broken.locations[id].offset += plan.locations[in].offset - plan.locations[local].offset;
          }
        }
        INFO("seed " << seed << ", operation " << i);
        CHECK_FALSE(fault_in(g, broken).empty());
        ++planted;
      }
    }
  }
  CHECK(planted > 20);
}

TEST_CASE("a carry that is replaced before it was read is found", "[passes]") {
  // h = tanh(h) in place, then h of the trip before is read once more.
  graph g;
  const tensor_name layer{"test", 0, ""};
  const i32 x = add_tensor(g, shape(2, 3));
  ops::loop_writer loop(g, {.trips = 2}, layer);
  const i32 h = loop.carry(x);
  const i32 sum = loop.carry(x);
  loop.begin();
  const i32 next = ops::unary(g, kind::tanh, loop.in(h), layer);
  const i32 added = ops::add(g, loop.in(sum), loop.in(h), layer);
  loop.next(h, next);
  loop.next(sum, added);
  loop.end();
  keep(g, loop.final(sum));
  CHECK(fault_in(g, passes::plan_step(g)).empty());
  for (operation& op : g.operations) {  // as if nobody had asked who reads h later
    if (op.what != kind::tanh) continue;
    tensor& t = g.tensors[op.out[0]];
    t.of = g.tensors[g.carries[h].in].of;
    t.base = t.step = 0;
  }
  CHECK_THAT(fault_in(g, passes::plan_step(g)), contains("finds what replaces it"));
}

}  // namespace
