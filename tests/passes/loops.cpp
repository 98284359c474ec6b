#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/update_rules.hpp>
#include <tessera/core/random.hpp>
#include <tessera/ops/loop.hpp>
#include <tessera/passes/slots.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <cmath>
#include <map>
#include <string>

// Loops against what they stand for: the same operations written out trip by trip.
//
// A network is a function that appends itself to a graph, once with a loop and once without. Both
// give names to their inputs, weights and results; values and gradients under the same name must
// be equal.

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"test", 0, ""};
using values = std::vector<double>;

/// A graph whose tensors have names. Inputs and weights get values that follow from their names.
struct named_graph {
  graph g;
  std::map<std::string, i32> sources;
  std::map<std::string, i32> results;

  i32 input(const std::string& name, const shape& dims, i32 stack = 0, bool last = false) {
    const i32 id = add_tensor(g, dims, {.batch_last = last, .differentiable = true});
    g.tensors[id].stack = stack;
    return sources[name] = id;
  }
  i32 weight(const std::string& name, const shape& dims) {
    return sources[name] = add_weight(g, dims);
  }
};

values values_for(const std::string& name, i64 count) {
  u64 seed = 7;
  for (const char letter : name) seed = seed * 31 + static_cast<u64>(letter);
  random_stream random(seed);
  values v(static_cast<std::size_t>(count));
  for (double& x : v) x = static_cast<float>(random.next_uniform() * 2 - 1);
  return v;
}

/// Values of results and gradients of sources, by name, and the bytes of the plan.
struct outcome {
  std::map<std::string, values> of;
  i64 arena_bytes = 0;
};

/// Slices "x.0", "x.1", ... of a name stand for a stack "x" of them.
std::map<std::string, values> joined(const std::map<std::string, values>& all) {
  std::map<std::string, values> result;
  for (const auto& [name, v] : all) {
    values& whole = result[name.substr(0, name.find('.'))];
    whole.insert(whole.end(), v.begin(), v.end());
  }
  return result;
}

outcome run(named_graph n, bool in_place = true) {
  std::vector<i32> from;
  for (const auto& [name, id] : n.results) {
    from.push_back(id);
    keep(n.g, id);
  }
  const differentiated d = differentiate_from(n.g, from);
  passes::write_into_slots(n.g);
  INFO(spell(n.g.wrong).view());
  interpreter net(n.g, reference_backend.find, {.in_place = in_place});
  const auto fill = [&](const std::string& name, i32 id) {
    // A stack and its slices get the same values.
    const std::size_t dot = name.find('.');
    const i64 count = n.g.tensors[id].dims.count();
    if (dot == std::string::npos) return net.write(id, values_for(name, count));
    const i64 slice = std::stoi(name.substr(dot + 1));
    values all = values_for(name.substr(0, dot), count * (slice + 1));
    net.write(id, {all.data() + count * slice, static_cast<std::size_t>(count)});
  };
  for (const auto& [name, id] : n.sources) fill(name, id);
  std::size_t seed = 0;
  for (const auto& [name, id] : n.results) {
    const std::size_t dot = name.find('.');
    fill("d" + name.substr(0, dot) + "_in" + (dot == std::string::npos ? "" : name.substr(dot)),
         d.seeds[seed++]);
  }
  net.run({.valid = 1 << 20});
  net.run({.valid = 1 << 20});  // nothing may be left over from a step
  std::map<std::string, values> all;
  for (const auto& [name, id] : n.results) all[name] = net.read(id);
  for (const auto& [name, id] : n.sources) {
    if (d.gradients[id] >= 0) all["d" + name] = net.read(d.gradients[id]);
  }
  return {joined(all), net.plan().memory.arena_bytes};
}

void check_equal(const outcome& a, const outcome& b) {
  REQUIRE(a.of.size() == b.of.size());
  for (const auto& [name, v] : a.of) {
    INFO(name);
    REQUIRE(b.of.count(name) == 1);
    const values& w = b.of.at(name);
    REQUIRE(v.size() == w.size());
    for (std::size_t i = 0; i < v.size(); ++i) {
      INFO(i);
      CHECK(v[i] == w[i]);
    }
  }
}

/// tanh(x w + h u): one step of a simple recurrence.
i32 step(graph& g, i32 x, i32 h, i32 w, i32 u) {
  const i32 a = ops::dense(g, x, w, -1, layer);
  const i32 b = ops::dense(g, h, u, -1, layer);
  return ops::unary(g, kind::tanh, ops::add(g, a, b, layer), layer);
}

struct recurrence {
  i32 time = 5;
  i32 batch = 3;
  bool last = false;
  bool reversed = false;
  bool with_init = true;
  bool with_outputs = true;
  bool with_final = true;
  i32 features = 4;
  i32 hidden = 3;
};

named_graph looped(const recurrence& r) {
  named_graph n;
  graph& g = n.g;
  const i32 x = n.input("x", shape(r.time, r.batch, r.features), 1, r.last);
  const i32 init = r.with_init ? n.input("h", shape(r.batch, r.hidden), 0, r.last) : -1;
  const i32 w = n.weight("w", shape(r.hidden, r.features));
  const i32 u = n.weight("u", shape(r.hidden, r.hidden));
  ops::loop_writer loop(g, {.trips = r.time, .reversed = r.reversed, .stacked = true}, layer);
  const i32 h = r.with_init ? loop.carry(init) : loop.carry_of_zeros(x, shape(r.batch, r.hidden));
  loop.begin();
  const i32 next = step(g, loop.scan(x), loop.in(h), w, u);
  loop.next(h, next);
  const i32 y = r.with_outputs ? loop.output(next) : -1;
  loop.end();
  if (r.with_outputs) n.results["y"] = loop.outer(y);
  if (r.with_final) n.results["last"] = loop.final(h);
  return n;
}

named_graph unrolled(const recurrence& r) {
  named_graph n;
  graph& g = n.g;
  std::vector<i32> x;
  for (i32 t = 0; t < r.time; ++t) {
    x.push_back(n.input("x." + std::to_string(t), shape(r.batch, r.features), 0, r.last));
  }
  i32 h = r.with_init ? n.input("h", shape(r.batch, r.hidden), 0, r.last) : -1;
  const i32 w = n.weight("w", shape(r.hidden, r.features));
  const i32 u = n.weight("u", shape(r.hidden, r.hidden));
  if (h < 0) {
    h = ops::append_activation(g, x[0], shape(r.batch, r.hidden), layer, "zeros");
    operation op;
    op.what = kind::zero;
    op.out[0] = h;
    g.add(op);
  }
  for (i32 i = 0; i < r.time; ++i) {
    const i32 t = r.reversed ? r.time - 1 - i : i;
    h = step(g, x[static_cast<std::size_t>(t)], h, w, u);
    if (r.with_outputs) n.results["y." + std::to_string(t)] = h;
  }
  if (r.with_final) {
    n.results["last"] = ops::unary(g, kind::copy, h, layer);
  }
  return n;
}

TEST_CASE("a recurrence equals its steps written out, bit for bit", "[passes]") {
  for (const i32 time : {1, 2, 5, 9}) {
    for (const bool last : {false, true}) {
      for (const bool reversed : {false, true}) {
        for (i32 what = 1; what < 8; ++what) {
          const recurrence r{time,           3, last, reversed, (what & 1) != 0, (what & 2) != 0,
                             (what & 4) != 0};
          if (!r.with_outputs && !r.with_final) continue;
          INFO("time " << time << " last " << last << " reversed " << reversed << " form " << what);
          const outcome loop = run(looped(r));
          check_equal(loop, run(unrolled(r)));
          check_equal(loop, run(looped(r), false));
        }
      }
    }
  }
}

TEST_CASE("a loop's plan is at most the unrolled one and one body", "[passes]") {
  for (const i32 time : {2, 5, 9, 9 * 3}) {
    for (const bool with_outputs : {false, true}) {
      recurrence r;
      r.time = time;
      r.batch = 16;
      r.features = 24;
      r.hidden = 32;
      r.with_outputs = with_outputs;
      // Forward and backward of one step: products of x and h, their sum, h, the gradients of all
      // four, of x, and of the weights.
      const i64 state = aligned(i64{4} * r.batch * r.hidden);
      const i64 body = 8 * state + aligned(i64{4} * r.batch * r.features) +
                       aligned(i64{4} * r.hidden * r.features) +
                       aligned(i64{4} * r.hidden * r.hidden);
      INFO("time " << time << " outputs " << with_outputs);
      CHECK(run(looped(r)).arena_bytes <= run(unrolled(r)).arena_bytes + body);
    }
  }
}

/// A grid of cells: h(r, c) = tanh(x(r, c) w + h(r, c - 1) u + h(r - 1, c) v), rows and columns in
/// either direction, all h put out.
struct grid {
  i32 rows = 3;
  i32 columns = 4;
  bool upwards = false;
  bool leftwards = false;
};

i32 grid_step(graph& g, i32 x, i32 left, i32 up, i32 w, i32 u, i32 v) {
  const i32 a =
      ops::add(g, ops::dense(g, x, w, -1, layer), ops::dense(g, left, u, -1, layer), layer);
  return ops::unary(g, kind::tanh, ops::add(g, a, ops::dense(g, up, v, -1, layer), layer), layer);
}

named_graph looped_grid(const grid& r) {
  named_graph n;
  graph& g = n.g;
  const i32 x = n.input("x", shape(r.rows, r.columns, 2, 3), 2);
  const i32 top = n.input("top", shape(r.columns, 2, 3), 1);
  const i32 w = n.weight("w", shape(3, 3));
  const i32 u = n.weight("u", shape(3, 3));
  const i32 v = n.weight("v", shape(3, 3));
  ops::loop_writer rows(g, {.trips = r.rows, .reversed = r.upwards, .stacked = true}, layer);
  const i32 row = rows.carry(top);
  rows.begin();
  const i32 x_row = rows.scan(x);
  ops::loop_writer cells(g, {.trips = r.columns, .reversed = r.leftwards, .stacked = true}, layer);
  const i32 h = cells.carry_of_zeros(x_row, shape(2, 3));
  cells.begin();
  const i32 up = cells.scan(rows.in(row));
  const i32 next = grid_step(g, cells.scan(x_row), cells.in(h), up, w, u, v);
  cells.next(h, next);
  const i32 y_row = cells.output(next);
  cells.end();
  rows.next(row, cells.outer(y_row));
  const i32 y = rows.output(cells.outer(y_row));
  rows.end();
  n.results["y"] = rows.outer(y);
  return n;
}

named_graph unrolled_grid(const grid& r) {
  named_graph n;
  graph& g = n.g;
  const auto at = [&](i32 row, i32 column) { return std::to_string(row * r.columns + column); };
  const i32 w = n.weight("w", shape(3, 3));
  const i32 u = n.weight("u", shape(3, 3));
  const i32 v = n.weight("v", shape(3, 3));
  std::vector<i32> above;
  for (i32 c = 0; c < r.columns; ++c)
    above.push_back(n.input("top." + std::to_string(c), shape(2, 3)));
  for (i32 i = 0; i < r.rows; ++i) {
    const i32 row = r.upwards ? r.rows - 1 - i : i;
    i32 h = -1;
    for (i32 k = 0; k < r.columns; ++k) {
      const i32 column = r.leftwards ? r.columns - 1 - k : k;
      const i32 x = n.input("x." + at(row, column), shape(2, 3));
      if (h < 0) {
        h = ops::append_activation(g, x, shape(2, 3), layer, "zeros");
        operation op;
        op.what = kind::zero;
        op.out[0] = h;
        g.add(op);
      }
      h = grid_step(g, x, h, above[static_cast<std::size_t>(column)], w, u, v);
      above[static_cast<std::size_t>(column)] = h;
      n.results["y." + at(row, column)] = h;
    }
  }
  return n;
}

/// Numbers "y.2" before "y.10" when slices are joined: at most 10 slices sort by themselves.
TEST_CASE("a recurrence over two dimensions equals its cells written out", "[passes]") {
  for (const bool upwards : {false, true}) {
    for (const bool leftwards : {false, true}) {
      for (const grid r : {grid{3, 3}, grid{1, 4}, grid{4, 1}, grid{2, 5}}) {
        const grid scan{r.rows, r.columns, upwards, leftwards};
        INFO(r.rows << "x" << r.columns << " upwards " << upwards << " leftwards " << leftwards);
        const outcome loop = run(looped_grid(scan));
        const outcome cells = run(unrolled_grid(scan));
        REQUIRE(loop.of.size() == cells.of.size());
        for (const auto& [name, v] : loop.of) {
          const values& w = cells.of.at(name);
          REQUIRE(v.size() == w.size());
          // Sums of three terms (left, up, output) come in another order.
          for (std::size_t i = 0; i < v.size(); ++i) CHECK(v[i] == Approx(w[i]).margin(2e-6));
        }
      }
    }
  }
}

/// Blocks y = x + tanh(x w + b), each with weights of its own.
named_graph repeated(i32 count, bool loop) {
  named_graph n;
  graph& g = n.g;
  i32 x = n.input("x", shape(4, 6));
  const auto block = [&](i32 in, i32 w, i32 b) {
    const i32 a = ops::unary(g, kind::tanh, ops::dense(g, in, w, b, layer), layer);
    return ops::add(g, a, in, layer);
  };
  if (loop) {
    ops::loop_writer blocks(g, {.trips = count, .own_weights = true, .stacked = true}, layer);
    const i32 carry = blocks.carry(x);
    blocks.begin();
    const i32 w = ops::parameter(g, shape(6, 6), layer, initializer::zeros, 6, 6);
    const i32 b = ops::parameter(g, shape(6), layer, initializer::zeros, 6, 6);
    n.sources["w"] = storage_of(g, w);
    n.sources["b"] = storage_of(g, b);
    blocks.next(carry, block(blocks.in(carry), w, b));
    blocks.end();
    n.results["y"] = blocks.final(carry);
    return n;
  }
  for (i32 i = 0; i < count; ++i) {
    const i32 w = n.weight("w." + std::to_string(i), shape(6, 6));
    const i32 b = n.weight("b." + std::to_string(i), shape(6));
    x = block(x, w, b);
  }
  n.results["y"] = x;
  return n;
}

TEST_CASE("a repeated block equals as many blocks, bit for bit", "[passes]") {
  for (const i32 count : {1, 2, 3, 7}) {
    INFO(count);
    check_equal(run(repeated(count, true)), run(repeated(count, false)));
  }
}

/// Weights and optimizer state after some steps on the mean of y^2.
std::map<std::string, values> trained(named_graph n, const update_rule& rule,
                                      const loss_scaling& scaling, i64* arena,
                                      const gradient_limits& limits = {}) {
  graph& g = n.g;
  const i32 target = add_tensor(g, g.tensors[n.results["y"]].dims, {.what = role::target});
  g.losses.push(ops::mse(g, n.results["y"], target, {}));
  passes::append_scaler(g, scaling);
  const grow<i32> gradients = passes::differentiate(g);
  passes::append_updates(g, gradients, rule, scaling, limits);
  passes::fuse_updates(g);
  passes::write_into_slots(g);
  interpreter net(g, reference_backend.find);
  for (const auto& [name, id] : n.sources) {
    const std::size_t dot = name.find('.');
    const i64 count = g.tensors[id].dims.count();
    const i64 slice = dot == std::string::npos ? 0 : std::stoi(name.substr(dot + 1));
    const values all = values_for(name.substr(0, dot), count * (slice + 1));
    net.write(id, {all.data() + count * slice, static_cast<std::size_t>(count)});
  }
  net.write(target, values(static_cast<std::size_t>(g.tensors[target].dims.count()), 0.25));
  for (u64 step = 0; step < 5; ++step) net.run({.learning_rate = 0.05f, .step = step, .valid = 99});
  std::map<std::string, values> all;
  for (const auto& [name, id] : n.sources) all[name] = net.read(id);
  *arena = net.plan().memory.arena_bytes;
  return joined(all);
}

TEST_CASE("a repeated block is updated inside the loop, as its blocks would be", "[passes]") {
  update_rule sgd;
  sgd.what = optimizer_kind::sgd;
  sgd.momentum = 0.9f;
  update_rule adam;
  adam.what = optimizer_kind::adam;
  const loss_scaling none;
  const loss_scaling by_step{.skip = skip_rule::step, .initial = 8};
  for (const update_rule& rule : {sgd, adam}) {
    for (const loss_scaling& scaling : {none, by_step}) {
      i64 loop_arena = 0;
      i64 blocks_arena = 0;
      const auto loop = trained(repeated(6, true), rule, scaling, &loop_arena);
      const auto blocks = trained(repeated(6, false), rule, scaling, &blocks_arena);
      CHECK(loop == blocks);
      // One body: dense.out, tanh.out, y and their gradients, all 4x6, and those of w and b.
      const i64 body = 6 * aligned(4 * 6 * 4) + aligned(6 * 6 * 4) + aligned(6 * 4);
      INFO("skip " << static_cast<int>(scaling.skip));
      CHECK(loop_arena <= blocks_arena + body);
    }
  }
}

TEST_CASE("every rule updates the slices of a repeated block as it would its blocks", "[passes]") {
  const loss_scaling by_step{.skip = skip_rule::step, .initial = 8};
  for (const named_rule& r : all_update_rules()) {
    for (const loss_scaling& scaling : {loss_scaling{}, by_step}) {
      for (const bool more : {false, true}) {
        update_rule rule = r.rule;
        rule.spares_vectors = more;
        rule.l1 = more ? 0.1f : 0;
        INFO(r.name << ", skip " << static_cast<int>(scaling.skip) << ", penalty " << more);
        i64 arena = 0;
        const auto loop = trained(repeated(5, true), rule, scaling, &arena, {.value = 0.01f});
        const auto blocks = trained(repeated(5, false), rule, scaling, &arena, {.value = 0.01f});
        CHECK(loop == blocks);
      }
    }
  }
}

TEST_CASE("clipping takes one norm over repeated blocks and their copies alike", "[passes]") {
  update_rule rule;
  rule.what = optimizer_kind::nadam;
  i64 arena = 0;
  const gradient_limits limits{.norm = 0.02f};
  const auto loop = trained(repeated(5, true), rule, {}, &arena, limits);
  const auto blocks = trained(repeated(5, false), rule, {}, &arena, limits);
  for (const auto& [name, v] : loop) {
    // The norm is rounded once for each tensor: another number of them, another last bit.
    for (std::size_t i = 0; i < v.size(); ++i) {
      CHECK(v[i] == Approx(blocks.at(name)[i]).epsilon(1e-5).margin(1e-6));
    }
  }
}

/// Three values go round: two change places, one stays, a fourth adds up what is captured.
named_graph swapping(bool loop, i32 trips) {
  named_graph n;
  graph& g = n.g;
  i32 a = n.input("a", shape(2, 3));
  i32 b = n.input("b", shape(2, 3));
  i32 c = n.input("c", shape(2, 3));
  i32 d = n.input("d", shape(2, 3));
  const auto next_b = [&](i32 old_a, i32 still) { return ops::multiply(g, old_a, still, layer); };
  if (!loop) {
    for (i32 i = 0; i < trips; ++i) {
      const i32 old = a;
      a = b;
      b = next_b(old, c);
      d = ops::add(g, d, a, layer);
    }
    n.results["a"] = ops::copy(g, a, layer);
    n.results["b"] = ops::copy(g, b, layer);
    n.results["d"] = d;
    return n;
  }
  ops::loop_writer w(g, {.trips = trips, .stacked = true}, layer);
  const i32 ca = w.carry(a);
  const i32 cb = w.carry(b);
  const i32 cc = w.carry(c);
  const i32 cd = w.carry(d);
  w.begin();
  w.next(ca, w.in(cb));
  w.next(cb, next_b(w.in(ca), w.in(cc)));
  w.next(cc, w.in(cc));
  w.next(cd, ops::add(g, w.in(cd), w.in(cb), layer));
  w.end();
  n.results["a"] = w.final(ca);
  n.results["b"] = w.final(cb);
  n.results["d"] = w.final(cd);
  return n;
}

TEST_CASE("values that change places, stay or add up go round a loop", "[passes]") {
  for (const i32 trips : {1, 2, 3, 6}) {
    INFO(trips);
    check_equal(run(swapping(true, trips)), run(swapping(false, trips)));
  }
}

/// The forward pass alone, with carries that stay in place.
TEST_CASE("without a gradient a loop works in place and gives the same", "[passes]") {
  for (const bool reversed : {false, true}) {
    const recurrence r{6, 3, false, reversed, true, false, true};
    named_graph stacked = looped(r);
    named_graph n;
    graph& g = n.g;
    const i32 x = n.input("x", shape(r.time, r.batch, 4), 1);
    const i32 init = n.input("h", shape(r.batch, 3));
    const i32 w = n.weight("w", shape(3, 4));
    const i32 u = n.weight("u", shape(3, 3));
    ops::loop_writer loop(g, {.trips = r.time, .reversed = reversed}, layer);
    const i32 h = loop.carry(init);
    const i32 k = loop.carry(init);
    loop.begin();
    loop.next(h, step(g, loop.scan(x), loop.in(h), w, u));
    loop.next(k, loop.in(h));
    loop.end();
    n.results["last"] = loop.final(h);
    n.results["before"] = loop.final(k);
    const auto values_of = [](named_graph& net_graph) {
      for (const auto& [name, id] : net_graph.results) keep(net_graph.g, id);
      passes::write_into_slots(net_graph.g);
      interpreter net(net_graph.g, reference_backend.find);
      for (const auto& [name, id] : net_graph.sources) {
        net.write(id, values_for(name, net_graph.g.tensors[id].dims.count()));
      }
      net.run({.valid = 99});
      std::map<std::string, values> all;
      for (const auto& [name, id] : net_graph.results) all[name] = net.read(id);
      all["arena"] = {static_cast<double>(net.plan().memory.arena_bytes)};
      return all;
    };
    auto in_place = values_of(n);
    auto kept = values_of(stacked);
    CHECK(in_place["last"] == kept["last"]);
    CHECK(in_place["before"] != kept["last"]);
    CHECK(in_place["arena"][0] < kept["arena"][0]);
  }
}

TEST_CASE("a loop in place is not differentiated but refused", "[passes]") {
  named_graph n;
  graph& g = n.g;
  const i32 x = n.input("x", shape(3, 2, 4), 1);
  ops::loop_writer loop(g, {.trips = 3}, layer);
  const i32 h = loop.carry_of_zeros(x, shape(2, 4));
  loop.begin();
  loop.next(h, ops::add(g, loop.in(h), loop.scan(x), layer));
  loop.end();
  differentiate_from(g, {loop.final(h)});
  CHECK_THAT(std::string(spell(g.wrong).view()), contains("stacked carries"));
}

TEST_CASE("no gradient goes from trip to trip through a detached carry", "[passes]") {
  // h_t = h_{t-1} u + x_t, all h put out: with the carry detached, u's gradient sees only the step
  // itself, dx_t = dy_t.
  named_graph n;
  graph& g = n.g;
  const i32 x = n.input("x", shape(4, 2, 3), 1);
  const i32 u = n.weight("u", shape(3, 3));
  ops::loop_writer loop(g, {.trips = 4, .stacked = true}, layer);
  const i32 h = loop.carry_of_zeros(x, shape(2, 3), true);
  loop.begin();
  const i32 next = ops::add(g, ops::dense(g, loop.in(h), u, -1, layer), loop.scan(x), layer);
  loop.next(h, next);
  const i32 y = loop.output(next);
  loop.end();
  n.results["y"] = loop.outer(y);
  const outcome cut = run(n);
  CHECK(cut.of.at("dx") == values_for("dy_in", 4 * 2 * 3));
  const values& out = cut.of.at("y");
  const values dy = values_for("dy_in", 4 * 2 * 3);
  for (i32 o = 0; o < 3; ++o) {
    for (i32 i = 0; i < 3; ++i) {
      double sum = 0;
      for (i32 t = 1; t < 4; ++t) {
        for (i32 s = 0; s < 2; ++s) {
          sum += dy[static_cast<std::size_t>((t * 2 + s) * 3 + o)] *
                 out[static_cast<std::size_t>(((t - 1) * 2 + s) * 3 + i)];
        }
      }
      CHECK(cut.of.at("du")[static_cast<std::size_t>(o * 3 + i)] == Approx(sum).epsilon(1e-5));
    }
  }
}

}  // namespace
