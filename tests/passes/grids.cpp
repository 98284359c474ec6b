#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <tessera/core/random.hpp>
#include <tessera/nn/grid_lstm.hpp>
#include <tessera/nn/multi_recurrent.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/passes/slots.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <map>
#include <string>

// Loops in loops, as layers build them, against the same cells written out one by one.
//
// Everything runs in f64. Values must be equal; gradients are sums over cells and over what follows
// a cell, which a loop adds up in another order, and must agree to 1e-12.

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"test", 0, ""};
using values = std::vector<double>;

/// A graph whose inputs, weights and results are known by name; where there are several of a name,
/// they are one after another what one tensor is in the other graph.
struct known_graph {
  graph g;
  std::map<std::string, std::vector<i32>> sources;
  std::map<std::string, std::vector<i32>> results;

  i32 input(const std::string& name, const shape& dims, i32 stack, bool last) {
    const i32 id = add_tensor(g, dims, {.batch_last = last, .differentiable = true});
    g.tensors[id].stack = stack;
    sources[name].push_back(id);
    return id;
  }
  /// Zeros like `x`, with `hidden` features.
  i32 zeros(i32 x, i32 hidden) {
    operation op;
    op.what = kind::zero;
    op.out[0] = ops::append_activation(g, x, shape(g.tensors[x].dims[0], hidden), layer, "zeros");
    g.add(op);
    return op.out[0];
  }
};

values values_for(const std::string& name, i64 count) {
  u64 seed = 11;
  for (const char letter : name) seed = seed * 31 + static_cast<u64>(letter);
  random_stream random(seed);
  values v(static_cast<std::size_t>(count));
  for (double& x : v) x = random.next_uniform() * 2 - 1;
  return v;
}

void write_all(interpreter& net, const std::vector<i32>& ids, const std::string& name) {
  i64 total = 0;
  for (const i32 id : ids) total += net.network().tensors[id].dims.count();
  const values all = values_for(name, total);
  const double* next = all.data();
  for (const i32 id : ids) {
    const i64 count = net.network().tensors[id].dims.count();
    net.write(id, {next, static_cast<std::size_t>(count)});
    next += count;
  }
}

void read_all(interpreter& net, const std::vector<i32>& ids, values& to) {
  for (const i32 id : ids) {
    const values v = net.read(id);
    to.insert(to.end(), v.begin(), v.end());
  }
}

/// Results under their names, gradients of sources under "d" and theirs.
std::map<std::string, values> run(known_graph n) {
  INFO(spell(n.g.wrong).view());
  REQUIRE_FALSE(n.g.wrong.wrong());
  for (i32 id = 0; id < n.g.tensors.size(); ++id) {
    const tensor& t = n.g.tensors[id];
    if (t.what == role::parameter && t.of < 0) n.sources[t.name.part].push_back(id);
  }
  std::vector<i32> from;
  for (const auto& [name, ids] : n.results) {
    for (const i32 id : ids) {
      from.push_back(id);
      keep(n.g, id);
    }
  }
  const differentiated d = differentiate_from(n.g, from);
  passes::assign_precision(n.g, {element::f64, element::f64, element::f64, {}});
  passes::write_into_slots(n.g);
  interpreter net(n.g, reference_backend.find);
  for (const auto& [name, ids] : n.sources) write_all(net, ids, name);
  auto seed = d.seeds.begin();
  for (const auto& [name, ids] : n.results) {
    const auto count = static_cast<std::ptrdiff_t>(ids.size());
    write_all(net, {seed, seed + count}, "into " + name);
    seed += count;
  }
  net.run({.valid = 1 << 20});
  net.run({.valid = 1 << 20});  // nothing may be left over from a step
  std::map<std::string, values> all;
  for (const auto& [name, ids] : n.results) read_all(net, ids, all[name]);
  for (const auto& [name, ids] : n.sources) {
    std::vector<i32> gradients;
    for (const i32 id : ids) gradients.push_back(d.gradients[id]);
    read_all(net, gradients, all["d" + name]);
  }
  return all;
}

void check_same(const known_graph& loops, const known_graph& cells) {
  const auto a = run(loops);
  const auto b = run(cells);
  REQUIRE(a.size() == b.size());
  for (const auto& [name, v] : a) {
    INFO(name);
    const values& w = b.at(name);
    REQUIRE(v.size() == w.size());
    const bool is_gradient = loops.results.count(name) == 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      if (is_gradient) {
        CHECK(v[i] == Approx(w[i]).epsilon(1e-12).margin(1e-12));
      } else {
        CHECK(v[i] == w[i]);
      }
    }
  }
}

struct grid_size {
  i32 rows, columns, batch, features, hidden;
  bool last;
};

known_graph looped_mdlstm(const grid_size& s, mdlstm_options o) {
  known_graph n;
  o.cells = true;
  builder b(n.g, s.batch, purpose::training);
  const i32 x = n.input("x", shape(s.rows, s.columns, s.batch, s.features), 2, s.last);
  const bundle y = detail::build_mdlstm(b, {x}, s.hidden, o);
  n.results["h"] = {y.items[0].id};
  n.results["c"] = {y.items[1].id};
  return n;
}

known_graph unrolled_mdlstm(const grid_size& s, const mdlstm_options& o) {
  known_graph n;
  builder b(n.g, s.batch, purpose::training);
  const auto at = [&](i32 r, i32 c) { return static_cast<std::size_t>(r * s.columns + c); };
  std::vector<i32> x(at(s.rows, 0));
  for (i32& cell : x) cell = n.input("x", shape(s.batch, s.features), 0, s.last);
  std::vector<std::vector<ops::part>> h(x.size());
  std::vector<std::vector<ops::part>> c(x.size());
  for (i32 d = 0; d < o.directions; ++d) {
    const auto& parts = detail::all_mdlstm_parts.of[o.directions == 1 ? 0 : 1 + d];
    const auto w = detail::mdlstm_weights::make(b, s.features, s.hidden, o.peepholes, layer, parts);
    std::vector<detail::mdlstm_state> done(x.size());
    for (i32 i = 0; i < s.rows; ++i) {
      for (i32 k = 0; k < s.columns; ++k) {
        const i32 row = d >= 2 ? s.rows - 1 - i : i;
        const i32 column = d % 2 == 1 ? s.columns - 1 - k : k;
        const i32 above_row = d >= 2 ? row + 1 : row - 1;
        const i32 beside_column = d % 2 == 1 ? column + 1 : column - 1;
        const i32 cell = x[at(row, column)];
        detail::mdlstm_state above{n.zeros(cell, s.hidden), n.zeros(cell, s.hidden)};
        detail::mdlstm_state beside{n.zeros(cell, s.hidden), n.zeros(cell, s.hidden)};
        if (i > 0) above = done[at(above_row, column)];
        if (k > 0) beside = done[at(row, beside_column)];
        const auto made = detail::mdlstm_cell(n.g, cell, above, beside, w, layer);
        done[at(row, column)] = made;
        h[at(row, column)].push_back({made.h});
        c[at(row, column)].push_back({made.c});
      }
    }
  }
  for (const auto& [name, all] : {std::pair{"h", h}, std::pair{"c", c}}) {
    for (const auto& parts : all) {
      n.results[name].push_back(ops::concat(n.g, parts.data(), o.directions, 0, layer));
    }
  }
  return n;
}

TEST_CASE("a multi-dimensional LSTM equals its cells written out", "[passes]") {
  for (const bool peepholes : {false, true}) {
    for (const i32 directions : {1, 4}) {
      for (const grid_size s : {grid_size{3, 4, 2, 3, 2, false}, grid_size{1, 1, 2, 2, 3, false},
                                grid_size{1, 5, 1, 2, 2, true}, grid_size{4, 1, 3, 1, 2, true},
                                grid_size{2, 3, 16, 2, 1, true}}) {
        INFO(s.rows << "x" << s.columns << " directions " << directions << " peep " << peepholes);
        mdlstm_options o;
        o.peepholes = peepholes;
        o.directions = directions;
        check_same(looped_mdlstm(s, o), unrolled_mdlstm(s, o));
      }
    }
  }
}

struct climb {
  i32 time, depth, batch, features, hidden;
  bool last;
};

known_graph looped_grid_lstm(const climb& s, grid_lstm_options o) {
  known_graph n;
  o.states = true;
  builder b(n.g, s.batch, purpose::training);
  const i32 x = n.input("x", shape(s.time, s.batch, s.features), 1, s.last);
  const bundle y = detail::build_grid_lstm(b, {x}, s.hidden, s.depth, o);
  n.results["y"] = {y.items[0].id};
  n.results["h"] = {y.items[1].id};
  n.results["m"] = {y.items[2].id};
  return n;
}

known_graph unrolled_grid_lstm(const climb& s, const grid_lstm_options& o) {
  known_graph n;
  graph& g = n.g;
  builder b(g, s.batch, purpose::training);
  const auto weight = [&](const shape& dims, const char* part) {
    return b.parameter(dims, layer, part, initializer::zeros, 1, 1);
  };
  const i32 w = weight(shape(2 * s.hidden, s.features), "Win");
  const i32 bias = weight(shape(2 * s.hidden), "bin");
  std::vector<detail::grid_weights> weights;
  for (i32 l = 0; l < s.depth; ++l) {
    if (l == 0 || !o.shared_depth) {
      weights.push_back(detail::grid_weights::make(b, s.hidden, 2, o, layer));
    } else {
      weights.push_back(weights[0]);
    }
  }
  std::vector<i32> h(weights.size(), -1);
  std::vector<i32> m(weights.size(), -1);
  for (i32 t = 0; t < s.time; ++t) {
    const i32 x = n.input("x", shape(s.batch, s.features), 0, s.last);
    const i32 halves[] = {s.hidden, s.hidden};
    const auto in = ops::split(g, ops::dense(g, x, w, bias, layer), halves, 2, 0, layer);
    i32 depth_h = in[0];
    i32 depth_m = in[1];
    for (std::size_t l = 0; l < weights.size(); ++l) {
      if (t == 0) {
        h[l] = n.zeros(x, s.hidden);
        m[l] = n.zeros(x, s.hidden);
      }
      const detail::grid_states seen{{h[l], depth_h}, {m[l], depth_m}};
      const auto next = detail::grid_block(g, seen, 2, weights[l], o, layer);
      h[l] = next.h[0];
      m[l] = next.m[0];
      depth_h = next.h[1];
      depth_m = next.m[1];
    }
    n.results["y"].push_back(depth_h);
  }
  n.results["h"] = h;
  n.results["m"] = m;
  return n;
}

TEST_CASE("a Grid LSTM over time and depth equals its blocks written out", "[passes]") {
  for (i32 form = 0; form < 8; ++form) {
    grid_lstm_options o;
    o.shared_depth = (form & 1) != 0;
    o.lstm_output = (form & 2) != 0;
    if ((form & 4) != 0) o.priority[o.priorities++] = 1;
    for (const climb s :
         {climb{4, 3, 2, 3, 2, false}, climb{1, 1, 2, 2, 3, false}, climb{1, 4, 1, 2, 2, true},
          climb{5, 1, 3, 1, 2, true}, climb{2, 2, 16, 2, 3, true}}) {
      INFO("form " << form << ", time " << s.time << ", depth " << s.depth);
      check_same(looped_grid_lstm(s, o), unrolled_grid_lstm(s, o));
    }
  }
}

}  // namespace
