// Recurrent operations inside loops: what depends on the point in time, or on the number of the
// trip, must do so in the same way back as it did forth.

#include <tessera/runtime/gradient_check.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <tessera/ops/loop.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"checked", 0, ""};

/// A word and its features at each of 4 points in time, to an LSTM whose samples end one by one;
/// dropout between them. Returns all h and the last c.
std::vector<i32> build_over_time(graph& g, bool last, bool reversed) {
  constexpr i32 steps = 4, batch = 3, width = 2, hidden = 2;
  const i32 words =
      add_tensor(g, shape(steps, batch), {.type = element::int32, .batch_last = last});
  g.tensors[words].stack = 1;
  const i32 lengths = add_tensor(g, shape(batch), {.type = element::int32, .batch_last = last});
  const i32 table = add_weight(g, shape(5, width), element::f32, "table");
  const i32 weight = add_weight(g, shape(4 * hidden, width));
  const i32 recurrent = add_weight(g, shape(4 * hidden, hidden), element::f32, "recurrent");
  const tensor_options state{.batch_last = last, .differentiable = true};
  ops::loop_writer loop(g, {.trips = steps, .reversed = reversed, .stacked = true}, layer);
  const i32 h_carry = loop.carry(add_tensor(g, shape(batch, hidden), state));
  const i32 c_carry = loop.carry(add_tensor(g, shape(batch, hidden), state));
  loop.begin();
  const auto here = [&](i32 id) { return ops::captured(g, id, g.body); };
  const i32 h = loop.in(h_carry);
  const i32 c = loop.in(c_carry);
  const i32 x = ops::embedding(g, loop.scan(words), here(table), 1, layer);
  attributes attr;
  attr.rate = 0.4f;
  attr.salt = 2;
  const i32 kept = ops::unary(g, kind::dropout, x, layer, attr);
  const i32 z = ops::add(g, ops::dense(g, kept, here(weight), -1, layer),
                         ops::dense(g, h, here(recurrent), -1, layer), layer);
  const ops::lstm_outputs next = ops::lstm_cell(g, z, c, layer);
  loop.next(h_carry, ops::select_by_length(g, lengths, next.h, h, layer));
  loop.next(c_carry, ops::select_by_length(g, lengths, next.c, c, layer));
  const i32 all = loop.output(ops::select_by_length(g, lengths, next.h, -1, layer));
  loop.end();
  return {loop.outer(all), loop.final(c_carry)};
}

TEST_CASE("gradients through a loop with words, dropout and lengths agree with differences",
          "[gradients]") {
  for (const bool last : {false, true}) {
    for (const bool reversed : {false, true}) {
      graph g;
      gradient_check options;
      options.outputs = build_over_time(g, last, reversed);
      options.fill = [](i32, const tensor& t, std::span<double> values) {
        if (t.type != element::int32) return;
        const double lengths[] = {2, 4, 1};
        const double words[] = {0, 2, 4, 2, 1, 3, 5, 2, 0, 4, 4, 1};  // 5 is no row, 1 is padding
        for (std::size_t i = 0; i < values.size(); ++i) {
          values[i] = values.size() == 3 ? lengths[i] : words[i];
        }
      };
      INFO((last ? "samples innermost" : "samples outermost") << (reversed ? ", reversed" : ""));
      const gradient_report r = check_gradients(g, options);
      INFO(r.message);
      // The row of the padding index has a derivative that is not handed back: 2 elements.
      CHECK(r.checked == 5 * 2 + 8 * 2 + 8 * 2 + 2 * 3 * 2);
      CHECK(r.wrong.size() <= 2);
      for (const gradient_mismatch& m : r.wrong) {
        CHECK(std::string(g.tensors[m.tensor].name.part) == "table");
        CHECK(m.element / 2 == 1);
        CHECK(m.analytic == 0);
      }
    }
  }
}

TEST_CASE("dropout in a loop drops other elements in every trip", "[gradients]") {
  constexpr i32 steps = 3, batch = 4, features = 50;
  graph g;
  const i32 x = add_tensor(g, shape(steps, batch, features), {.differentiable = true});
  g.tensors[x].stack = 1;
  ops::loop_writer loop(g, {.trips = steps}, layer);
  loop.begin();
  attributes attr;
  attr.rate = 0.5f;
  attr.salt = 1;
  const i32 y = loop.output(ops::unary(g, kind::dropout, loop.scan(x), layer, attr));
  loop.end();
  const i32 out = loop.outer(y);
  keep(g, out);
  interpreter net(g, &reference::find_kernel);
  net.write(x, std::vector<double>(steps * batch * features, 1.0));
  net.run(step_values{.seed = 5, .valid = batch});
  const std::vector<double> got = net.read(out);
  for (i32 trip = 0; trip < steps; ++trip) {
    const philox generator{5, u64{1} + (static_cast<u64>(trip) << 32)};
    for (i32 i = 0; i < batch * features; ++i) {
      const bool drop = uniform(generator(static_cast<u64>(i / 4))[i % 4]) < 0.5f;
      REQUIRE(got[static_cast<std::size_t>(trip * batch * features + i)] == (drop ? 0 : 2));
    }
  }
}

}  // namespace
