// What embeddings and bags of them make of numbers that are no rows, on every backend.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

/// Rows 0 and 2 of (3, 2), and the worst numbers that are no rows.
const std::vector<double> bad_indices{0, -1, 3, -2147483648.0, 2147483647.0, 2};

}  // namespace

TEST_CASE("numbers that are no rows give zeros and no gradient", "[agreement]") {
  for (const graph_backend& b : backends()) {
    INFO(b.name);
    graph g;
    const i32 x = add_tensor(g, shape(6), {.type = element::int32});
    const i32 table = add_weight(g, shape(3, 2));
    const i32 y = ops::embedding(g, x, table, -1, layer);
    const differentiated d = differentiate_from(g, {y});
    keep(g, y);
    interpreter net(g, b.find);
    net.write(x, bad_indices);
    net.write(table, std::vector<double>{1, 2, 3, 4, 5, 6});
    net.write(d.seeds[0], std::vector<double>{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    net.run({.valid = 6});
    CHECK(net.read(y) == std::vector<double>{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 5, 6});
    CHECK(net.read(d.gradients[table]) == std::vector<double>{1, 1, 0, 0, 1, 1});
  }
}

TEST_CASE("sums slice by slice are those of the reference, bit for bit", "[agreement]") {
  for (const i32 batch : {3, 16, 32}) {
    for (const i32 width : {5, 40, 70}) {
      const i32 rows = width == 40 ? 130 : 6;
      graph g;
      const i32 x = add_tensor(g, shape(4, batch), {.type = element::int32});
      const i32 dy = add_tensor(g, shape(4, batch, width));
      const i32 sum = add_tensor(g, shape(rows, width), {role::result, element::f32, false});
      g.tensors[x].stack = g.tensors[dy].stack = 1;
      operation op;
      op.what = kind::embedding_gradient;
      op.in[0] = x;
      op.in[1] = dy;
      op.out[0] = sum;
      op.attr.by_slices = op.attr.last_first = true;
      op.layer = layer;
      g.add(op);
      for (const element type : {element::f32, element::f16}) {
        g.tensors[dy].type = g.tensors[sum].type = type;
        std::vector<double> wanted;
        for (const graph_backend& b : backends()) {
          for (const bool last : layouts(b, batch)) {
            INFO(b.name << ", batch " << batch << " x " << width << (last ? ", last" : ""));
            g.tensors[x].batch_last = g.tensors[dy].batch_last = last;
            interpreter net(g, b.find);
            random_stream random(7);
            std::vector<double> values(static_cast<std::size_t>(4 * batch));
            for (double& v : values)
              v = static_cast<double>(random.next_below(static_cast<u32>(rows + 2))) - 1;
            for (std::size_t i = 0; i < values.size(); i += 2) values[i] = 2;
            net.write(x, values);
            values.resize(static_cast<std::size_t>(4 * batch * width));
            for (double& v : values) v = static_cast<double>(random.next_normal());
            net.write(dy, values);
            net.run({.valid = batch});
            if (wanted.empty()) wanted = net.read(sum);  // of the reference
            CHECK(net.read(sum) == wanted);
          }
        }
      }
    }
  }
}

TEST_CASE("bags leave out numbers that are no rows; empty ones are zero", "[agreement]") {
  for (const graph_backend& b : backends()) {
    for (const bag_mode mode : {bag_mode::sum, bag_mode::mean, bag_mode::max}) {
      INFO(b.name << ", mode " << static_cast<int>(mode));
      graph g;
      const i32 x = add_tensor(g, shape(2, 6), {.type = element::int32});
      const i32 table = add_weight(g, shape(3, 2));
      const i32 y = ops::embedding_bag(g, x, table, -1, -1, mode, 1, layer);
      const differentiated d = differentiate_from(g, {y});
      keep(g, y);
      interpreter net(g, b.find);
      std::vector<double> indices = bad_indices;
      for (const double none : {1, 1, -5, 9, 1, 1}) indices.push_back(none);
      net.write(x, indices);
      net.write(table, std::vector<double>{1, 8, 3, 4, 5, 6});
      net.write(d.seeds[0], std::vector<double>{2, 4, 2, 4});
      net.run({.valid = 2});
      const std::vector<double> got = net.read(y);
      const std::vector<double> gradient = net.read(d.gradients[table]);
      if (mode == bag_mode::sum) {
        CHECK(got == std::vector<double>{6, 14, 0, 0});
        CHECK(gradient == std::vector<double>{2, 4, 0, 0, 2, 4});
      } else if (mode == bag_mode::mean) {
        CHECK(got == std::vector<double>{3, 7, 0, 0});
        CHECK(gradient == std::vector<double>{1, 2, 0, 0, 1, 2});
      } else {
        CHECK(got == std::vector<double>{5, 8, 0, 0});
        CHECK(gradient == std::vector<double>{0, 4, 0, 0, 2, 0});
      }
    }
  }
}

TEST_CASE("offsets that fall or lie outside count as the nearest that do not", "[agreement]") {
  for (const graph_backend& b : backends()) {
    INFO(b.name);
    graph g;
    const i32 starts = add_tensor(g, shape(5), {.type = element::int32});
    const i32 x = add_tensor(g, shape(4), {.type = element::int32, .batched = false});
    const i32 weights = add_tensor(g, shape(4), {.batched = false, .differentiable = true});
    const i32 table = add_weight(g, shape(4, 1));
    const i32 y = ops::embedding_bag(g, x, table, weights, starts, bag_mode::sum, -1, layer);
    const differentiated d = differentiate_from(g, {y});
    keep(g, y);
    interpreter net(g, b.find);
    net.write(starts, std::vector<double>{1, 3, -7, 2147483647.0, 2});  // 1 3 3 4 4
    net.write(x, std::vector<double>{0, 1, 2, 3});
    net.write(weights, std::vector<double>{1, 1, 1, 1});
    net.write(table, std::vector<double>{1, 10, 100, 1000});
    net.write(d.seeds[0], std::vector<double>{1, 2, 3, 4, 5});
    net.run({.valid = 5});
    CHECK(net.read(y) == std::vector<double>{110, 0, 1000, 0, 0});
    CHECK(net.read(d.gradients[table]) == std::vector<double>{0, 1, 1, 3});
    CHECK(net.read(d.gradients[weights]) == std::vector<double>{0, 10, 100, 3000});
  }
}

}  // namespace tessera::testing
