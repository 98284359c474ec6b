// Updates of tables that touch only the rows that occur, against the dense update and plain loops.

#include <catalogue/catalogue.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <tessera/passes/fuse.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/passes/updates.hpp>

namespace tessera::testing {

namespace {

/// A table under an embedding or a bag, trained by the squares of what comes out.
struct table_step {
  static constexpr i32 rows = 40;
  static constexpr i32 width = 70;

  graph g;
  i32 indices = -1;
  i32 weights = -1;
  i32 table = -1;
  i32 target = -1;
  std::vector<i32> states;

  struct options {
    i32 batch = 32;
    bool last = false;
    element storage = element::f32;
    skip_rule skip = skip_rule::none;
    update_rule rule;
    bool sparse = false;
    bool fused = true;
    i32 positions = 0;  // 0: no bags
    bag_mode mode = bag_mode::sum;
    bool weighted = false;
    float scale = 1024;
  };

  explicit table_step(const options& o) {
    const i32 n = o.batch;
    g.batch = n;
    indices = add_tensor(g, o.positions > 0 ? shape(n, o.positions) : shape(n),
                         {.type = element::int32, .batch_last = o.last});
    if (o.weighted) {
      weights = add_tensor(g, shape(n, o.positions), {.batch_last = o.last});
    }
    table = add_weight(g, shape(rows, width));
    const i32 y = o.positions > 0 ? ops::embedding_bag(g, indices, table, weights, -1, o.mode, 1,
                                                       layer, o.sparse)
                                  : ops::embedding(g, indices, table, 1, layer, o.sparse);
    target = add_tensor(g, shape(n, width), {.what = role::target, .batch_last = o.last});
    g.losses = ops::mse(g, y, target, {.reduce = reduction::sum});
    precision_policy p;
    p.storage = o.storage;
    p.scaling.skip = o.skip;
    p.scaling.initial = o.skip == skip_rule::none ? 1 : o.scale;
    passes::append_scaler(g, p.scaling);
    const grow<i32> gradients = passes::differentiate(g);
    passes::assign_precision(g, p);
    passes::append_updates(g, gradients, o.rule, p.scaling);
    if (o.fused) passes::fuse_updates(g);
    for (i32 id = 0; id < g.tensors.size(); ++id) {
      const tensor& t = g.tensors[id];
      if (t.what == role::state && t.dims.rank == 2) states.push_back(id);
    }
  }

  bool has(kind what) const {
    for (const operation& op : g.operations) {
      if (op.what == what) return true;
    }
    return false;
  }

  /// Table and states after some steps. `touched`: indices are below it, or no rows. `bias`: how
  /// far table and targets lie apart.
  std::vector<std::vector<double>> train(kernel_finder find, i32 steps, i32 threads, u32 touched,
                                         double bias = 0) const {
    interpreter net(g, find);
    random_stream random(7);
    const auto draw = [&](i32 id, double shift = 0) {
      std::vector<double> values(static_cast<std::size_t>(g.tensors[id].dims.count()));
      for (double& v : values) v = 2 * static_cast<double>(random.next_uniform()) - 1 + shift;
      net.write(id, values);
    };
    draw(table, bias);
    for (i32 step = 0; step < steps; ++step) {
      std::vector<double> chosen(static_cast<std::size_t>(g.tensors[indices].dims.count()));
      for (double& v : chosen) v = static_cast<double>(random.next_below(touched + 1)) - 1;
      net.write(indices, chosen);
      if (weights >= 0) draw(weights);
      draw(target, -bias);
      net.run({.learning_rate = 0.01f, .valid = g.batch, .threads = threads});
    }
    std::vector<std::vector<double>> all{net.read(table)};
    for (const i32 id : states) all.push_back(net.read(id));
    return all;
  }
};

update_rule sgd_rule(float momentum = 0, float decay = 0) {
  update_rule r;
  r.what = optimizer_kind::sgd;
  r.momentum = momentum;
  r.weight_decay = decay;
  return r;
}

update_rule adam_rule() {
  update_rule r;
  r.what = optimizer_kind::adam;
  return r;
}

/// The forms of a table's step: embedding and bags of every mode, in every precision.
std::vector<table_step::options> all_forms(const update_rule& rule) {
  std::vector<table_step::options> all;
  for (const bool last : {false, true}) {
    for (const skip_rule skip : {skip_rule::none, skip_rule::tensor, skip_rule::step}) {
      table_step::options o;
      o.last = last;
      o.rule = rule;
      o.skip = skip;
      o.storage = skip == skip_rule::none ? element::f32 : element::f16;
      all.push_back(o);
      o.positions = 3;
      for (const bag_mode mode : {bag_mode::sum, bag_mode::mean, bag_mode::max}) {
        o.mode = mode;
        all.push_back(o);
      }
      o.mode = bag_mode::sum;
      o.weighted = true;
      all.push_back(o);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("plain SGD touches only rows that occur: the dense result bit for bit", "[agreement]") {
  for (table_step::options o : all_forms(sgd_rule())) {
    const table_step sparse(o);
    const bool bag = o.positions > 0;
    REQUIRE(sparse.has(bag ? kind::embedding_bag_update : kind::embedding_update));
    CHECK_FALSE(sparse.has(bag ? kind::embedding_bag_gradient : kind::embedding_gradient));
    const kind test = bag ? kind::embedding_bag_overflow_test : kind::embedding_overflow_test;
    CHECK(sparse.has(test) == (o.skip == skip_rule::step));
    o.fused = false;
    const table_step dense(o);
    for (const graph_backend& b : backends()) {
      INFO(b.name << ", samples innermost " << o.last << ", skip " << static_cast<int>(o.skip)
                  << ", positions " << o.positions << ", mode " << static_cast<int>(o.mode));
      for (const u32 touched : {3u, 40u}) {
        const auto got = sparse.train(b.find, 3, 1, touched);
        CHECK(got == dense.train(b.find, 3, 1, touched));
        CHECK(got == sparse.train(b.find, 3, 3, touched));
      }
    }
  }
}

TEST_CASE("rules with a state are dense unless the table is sparse", "[agreement]") {
  for (const update_rule& rule : {sgd_rule(0.9f), sgd_rule(0, 0.1f), adam_rule()}) {
    table_step::options o;
    o.rule = rule;
    CHECK_FALSE(table_step(o).has(kind::embedding_update));
    o.sparse = true;
    CHECK(table_step(o).has(kind::embedding_update));
  }
}

TEST_CASE("sparse rules leave rows alone that do not occur", "[agreement]") {
  for (const update_rule& rule : {sgd_rule(0.9f, 0.1f), adam_rule()}) {
    for (table_step::options o : all_forms(rule)) {
      o.sparse = true;
      const table_step sparse(o);
      for (const graph_backend& b : backends()) {
        INFO(b.name << ", positions " << o.positions << ", mode " << static_cast<int>(o.mode));
        const auto before = sparse.train(b.find, 0, 1, 9);
        const auto after = sparse.train(b.find, 3, 1, 9);
        CHECK(after == sparse.train(b.find, 3, 3, 9));
        i32 changed = 0;
        for (i32 row = 0; row < table_step::rows; ++row) {
          const auto begin = static_cast<std::size_t>(row * table_step::width);
          for (std::size_t k = 0; k < after.size(); ++k) {
            const bool same = std::equal(
                before[k].begin() + static_cast<std::ptrdiff_t>(begin),
                before[k].begin() + static_cast<std::ptrdiff_t>(begin + table_step::width),
                after[k].begin() + static_cast<std::ptrdiff_t>(begin));
            if (!same) ++changed;
            if (row >= 9 || row == 1) CHECK(same);  // 1 is padding
          }
        }
        CHECK(changed > 0);
      }
    }
  }
}

TEST_CASE("where every row occurs a sparse rule is the dense one", "[agreement]") {
  for (const update_rule& rule : {sgd_rule(0.9f, 0.1f), adam_rule()}) {
    table_step::options o;
    o.rule = rule;
    o.batch = 512;  // 40 rows: each occurs
    o.sparse = true;
    const table_step sparse(o);
    o.fused = false;
    const table_step dense(o);
    for (const graph_backend& b : backends()) {
      INFO(b.name);
      auto got = sparse.train(b.find, 3, 1, 40);
      auto want = dense.train(b.find, 3, 1, 40);
      for (auto* all : {&got, &want}) {  // all rows but padding, whose weight decays when dense
        for (std::vector<double>& values : *all) {
          values.erase(values.begin() + table_step::width, values.begin() + 2 * table_step::width);
        }
      }
      CHECK(got == want);
    }
  }
}

TEST_CASE("an overflow skips a table's update under both rules", "[agreement]") {
  for (const skip_rule skip : {skip_rule::tensor, skip_rule::step}) {
    for (const i32 positions : {0, 3}) {
      table_step::options o;
      o.rule = sgd_rule();
      o.storage = element::f16;
      o.skip = skip;
      o.positions = positions;
      o.scale = 65536;  // times differences of about 10: more than a half can hold
      const table_step step(o);
      for (const graph_backend& b : backends()) {
        INFO(b.name << ", skip " << static_cast<int>(skip) << ", positions " << positions);
        CHECK(step.train(b.find, 2, 1, 40, 10) == step.train(b.find, 0, 1, 40, 10));
      }
    }
  }
}

}  // namespace tessera::testing
