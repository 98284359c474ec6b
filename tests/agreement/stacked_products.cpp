// Weight gradients over stacks of slices, (time, batch, features), on every backend: against plain
// loops, in both layouts and storages, stored and fused with their update.

#include <catalogue/catalogue.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <tessera/passes/fuse.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/passes/updates.hpp>

namespace tessera::testing {

namespace {

constexpr double half_unit = 0x1p-24;  // in the last place of an f32 in [1, 2)

struct stacked {
  i32 time, batch, in, out;
};

/// dw and db of dy (time, batch, out) and x (time, batch, in); fused: applied to a weight instead.
struct stacked_product {
  graph g;
  i32 x = -1;
  i32 dy = -1;
  i32 weight = -1;
  i32 bias = -1;
  i32 dw = -1;
  i32 db = -1;

  stacked_product(const stacked& s, element storage, bool last, const update_rule* rule) {
    x = add_tensor(g, shape(s.time, s.batch, s.in), {.type = storage, .batch_last = last});
    dy = add_tensor(g, shape(s.time, s.batch, s.out), {.type = storage, .batch_last = last});
    g.tensors[x].stack = g.tensors[dy].stack = 1;
    weight = add_weight(g, shape(s.out, s.in));
    bias = add_weight(g, shape(s.out));
    dw = add_gradient(weight, storage);
    db = add_gradient(bias, storage);
    operation op;
    op.what = kind::dense_weight_gradient;
    op.in[0] = x;
    op.in[1] = dy;
    op.out[0] = dw;
    op.attr.last_first = s.time % 2 == 0;
    op.layer = layer;
    g.add(op);
    op.what = kind::bias_gradient;
    op.in[0] = -1;
    op.out[0] = db;
    op.attr.axis = 1;
    g.add(op);
    if (rule == nullptr) {
      keep(g, dw);
      keep(g, db);
      return;
    }
    grow<i32> gradients(g.tensors.size());
    for (i32& id : gradients) id = -1;
    gradients[weight] = dw;
    gradients[bias] = db;
    passes::append_updates(g, gradients, *rule, {});
    passes::fuse_updates(g);
  }

  /// dw as a loop makes it: slice by slice, each added to the sum.
  void make_slice_by_slice(const stacked& s) {
    operation op = g.operations[0];
    g.operations.resize(0);
    operation start;
    start.what = kind::zero;
    start.out[0] = dw;
    g.add(start);
    const bool last_first = op.attr.last_first;
    for (i32 k = 0; k < s.time; ++k) {
      const i64 slice = last_first ? s.time - 1 - k : k;
      const shape rows_in(s.batch, s.in);
      const shape rows_out(s.batch, s.out);
      op.in[0] = ops::view_into(g, x, rows_in, 0, 0, slice * rows_in.count(), 0);
      op.in[1] = ops::view_into(g, dy, rows_out, 0, 0, slice * rows_out.count(), 0);
      op.out[0] = add_gradient(weight, g.tensors[dw].type);
      g.add(op);
      operation sum;
      sum.what = kind::add;
      sum.in[0] = sum.out[0] = dw;
      sum.in[1] = op.out[0];
      g.add(sum);
    }
  }

  i32 add_gradient(i32 parameter, element storage) {
    tensor t = g.tensors[parameter];
    t.what = role::gradient;
    t.type = storage;
    t.parameter = parameter;
    return g.add(t);
  }
};

std::vector<double> draw(i64 count, u64 seed, element type) {
  random_stream random(seed);
  std::vector<double> all(static_cast<std::size_t>(count));
  for (double& v : all) {
    std::byte bytes[8];
    write_element(bytes, type, 0, 2 * static_cast<double>(random.next_uniform()) - 1);
    v = read_element(bytes, type, 0);
  }
  return all;
}

const stacked cases[] = {{1, 16, 5, 3},    {2, 3, 7, 4},      {7, 16, 33, 19}, {5, 48, 20, 70},
                         {3, 272, 17, 40}, {100, 16, 24, 48}, {13, 1, 9, 9},   {9, 32, 130, 65}};

}  // namespace

TEST_CASE(
    "weight gradients over stacks agree with plain loops, and with loops over slices bit for "
    "bit",
    "[agreement]") {
  for (const stacked& s : cases) {
    for (const element storage : {element::f32, element::f16}) {
      const i64 rows = i64{s.time} * s.batch;
      const std::vector<double> x = draw(rows * s.in, 1, storage);
      const std::vector<double> dy = draw(rows * s.out, 2, storage);
      const auto at = [](i64 row, i64 width, i64 column) {
        return static_cast<std::size_t>(row * width + column);
      };
      std::vector<double> dw(static_cast<std::size_t>(s.out * s.in));
      std::vector<double> db(static_cast<std::size_t>(s.out));
      for (i64 row = 0; row < rows; ++row) {
        for (i32 o = 0; o < s.out; ++o) {
          db[at(0, 0, o)] += dy[at(row, s.out, o)];
          for (i32 i = 0; i < s.in; ++i) {
            dw[at(o, s.in, i)] += dy[at(row, s.out, o)] * x[at(row, s.in, i)];
          }
        }
      }
      for (const graph_backend& backend : backends()) {
        for (const bool last : layouts(backend, s.batch)) {
          INFO(s.time << "x" << s.batch << ", " << s.in << " to " << s.out << ", "
                      << name_of(storage) << (last ? ", samples innermost, " : ", ")
                      << backend.name);
          const stacked_product p(s, storage, last, nullptr);
          std::vector<double> one_thread;
          for (const i32 threads : {1, 3}) {
            interpreter net(p.g, backend.find);
            net.write(p.x, x);
            net.write(p.dy, dy);
            net.run({.valid = s.batch, .threads = threads});
            const std::vector<double> found = net.read(p.dw);
            const std::vector<double> sums = net.read(p.db);
            // Sums of `rows` products below 1 in another order. Halves are rounded to 2^-11 of a
            // sum twice a slice, while sums are a few times sqrt(rows).
            const auto most = static_cast<double>(rows);
            const double off = 2 * (most + 2) * half_unit * most;
            const double half = storage == element::f16 ? 0x1p-10 : 0;
            const double halves = half * s.time * std::sqrt(most);
            bool close = true;
            for (std::size_t e = 0; e < dw.size(); ++e) {
              close = close && std::abs(found[e] - dw[e]) <= off + halves;
            }
            CHECK(close);
            close = true;
            for (std::size_t e = 0; e < db.size(); ++e) {
              close = close && std::abs(sums[e] - db[e]) <= off + half * std::abs(db[e]);
            }
            CHECK(close);
            if (threads == 1) one_thread = found;
            CHECK(found == one_thread);
          }
          stacked_product by_slice(s, storage, last, nullptr);
          by_slice.make_slice_by_slice(s);
          interpreter net(by_slice.g, backend.find);
          net.write(by_slice.x, x);
          net.write(by_slice.dy, dy);
          net.run({.valid = s.batch});
          CHECK(net.read(by_slice.dw) == one_thread);
        }
      }
    }
  }
}

TEST_CASE("a weight gradient over a stack is fused with its update to the same bits",
          "[agreement]") {
  update_rule rule;
  rule.what = optimizer_kind::sgd;
  rule.momentum = 0.9f;
  for (const stacked& s : cases) {
    for (const element storage : {element::f32, element::f16}) {
      for (const graph_backend& backend : backends()) {
        for (const bool last : layouts(backend, s.batch)) {
          INFO(s.time << "x" << s.batch << ", " << s.in << " to " << s.out << ", "
                      << name_of(storage) << (last ? ", samples innermost, " : ", ")
                      << backend.name);
          const stacked_product stored(s, storage, last, nullptr);
          const stacked_product fused(s, storage, last, &rule);
          for (const operation& op : fused.g.operations) CHECK(op.what != kind::update);
          interpreter a(stored.g, backend.find);
          interpreter b(fused.g, backend.find);
          const std::vector<double> x = draw(i64{s.time} * s.batch * s.in, 3, storage);
          const std::vector<double> dy = draw(i64{s.time} * s.batch * s.out, 4, storage);
          for (auto* net : {&a, &b}) {
            net->write(stored.x, x);
            net->write(stored.dy, dy);
            net->write(stored.weight, std::vector<double>(static_cast<std::size_t>(s.out * s.in)));
            net->write(stored.bias, std::vector<double>(static_cast<std::size_t>(s.out)));
            net->run({.learning_rate = -1, .valid = s.batch, .threads = 2});
          }
          CHECK(a.read(stored.dw) == b.read(fused.weight));  // w = 0 + 1 dw
          CHECK(a.read(stored.db) == b.read(fused.bias));
        }
      }
    }
  }
}

}  // namespace tessera::testing
