// Golden checks of recurrent layers: the modules run over time by a loop in the graph.

#include <tessera/nn/recurrent.hpp>
#include <catalogue/goldens/case_graph.hpp>

namespace tessera::testing {

namespace {

template <class Equations>
void check_recurrent(const golden_case& c, findings& f, const std::vector<std::string>& states) {
  const i32 batch = c.attributes().get<i32>("N");
  check_operation(c, f, batch, [&](case_graph& net, attribute_reader& attrs) {
    const i32 hidden = attrs.get<i32>("hidden");
    attrs.get<i32>("T");
    attrs.get<i32>("N");
    attrs.get<i32>("input");
    recurrent_options o;
    o.layers = attrs.get<i32>("layers");
    o.backwards = attrs.get<bool>("bidirectional");
    o.states = true;
    const auto lengths = attrs.get<io::json>("lengths");
    o.masked = !lengths.is_null();
    graph& g = net.g;
    builder build(g, batch, purpose::training);
    bundle flow = value{net.sequence("x")};
    for (const std::string& state : states) {
      for (const i32 row : rows_of(g, net.sequence(state + "0"))) {
        flow.items[flow.size++] = {row};
      }
    }
    if (o.masked) {
      const i32 id = add_tensor(g, shape(batch), {.what = role::constant, .type = element::int32});
      net.given(id, lengths.get<std::vector<double>>());
      flow.items[flow.size++] = {id};
    }
    const bundle y = detail::build_recurrent(build, flow, o, [&](i32 at, bool reverse) {
      return gated_cell<Equations>{hidden, at, reverse};
    });
    if (g.wrong.wrong()) throw error(std::string(spell(g.wrong).view()));
    net.adopt_weights();
    net.output("y", y.items[0].id);
    const i32 rows = o.layers * (o.backwards ? 2 : 1);
    for (std::size_t s = 0; s < states.size(); ++s) {
      std::vector<i32> finals;
      for (i32 row = 0; row < rows; ++row) {
        finals.push_back(y.items[1 + static_cast<i32>(s) * rows + row].id);
      }
      net.output(states[s] + "n", join_rows(g, finals));
    }
  });
}

}  // namespace

void check_rnn(const golden_case& c, findings& f) { check_recurrent<rnn_equations>(c, f, {"h"}); }
void check_lstm(const golden_case& c, findings& f) {
  check_recurrent<lstm_equations>(c, f, {"h", "c"});
}
void check_gru(const golden_case& c, findings& f) { check_recurrent<gru_equations>(c, f, {"h"}); }

}  // namespace tessera::testing
