// Golden checks of the character model: embedding, LSTM, a dense layer at every step, cross entropy
// over all steps; logits, loss, gradients, and the weights after three steps of SGD and of Adam.

#include <tessera/nn/embedding.hpp>
#include <tessera/nn/recurrent.hpp>
#include <catalogue/goldens/case_graph.hpp>
#include <catalogue/goldens/training.hpp>

namespace tessera::testing {

namespace {

/// The network of a case before differentiation.
struct char_net {
  graph g;
  i32 tokens = -1, target = -1, logits = -1, loss = -1;
  i32 first[2] = {-1, -1};  // h and c of all layers, given
  i32 last[2] = {-1, -1};
  std::map<std::string, i32> weights;
};

struct char_sizes {
  i32 vocabulary, embedding, hidden, layers, steps, batch;
};

char_net make_char_net(const char_sizes& n, bool batch_last) {
  char_net net;
  graph& g = net.g;
  builder b(g, n.batch, purpose::training);
  const auto stacked = [&](const shape& dims, role what, element type) {
    const i32 id = add_tensor(g, dims, {what, type, true, batch_last});
    g.tensors[id].stack = 1;
    return id;
  };
  net.tokens = stacked(shape(n.steps, n.batch), role::input, element::int32);
  net.target = stacked(shape(n.steps, n.batch), role::target, element::int32);
  const i32 table = net.weights["embed.weight"] = add_weight(g, shape(n.vocabulary, n.embedding));
  const i32 x = ops::embedding(g, net.tokens, table, -1, {"embed", 0, ""});
  bundle flow = value{x};
  for (i32& state : net.first) {
    state = stacked(shape(n.layers, n.batch, n.hidden), role::input, element::f32);
    for (const i32 row : rows_of(g, state)) flow.items[flow.size++] = {row};
  }
  recurrent_options o;
  o.layers = n.layers;
  o.states = true;
  const bundle y = detail::build_recurrent(b, flow, o, [&](i32 layer, bool reverse) {
    return gated_cell<lstm_equations>{n.hidden, layer, reverse};
  });
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    if (t.what == role::parameter && t.of < 0 && id != table) net.weights[t.name.part] = id;
  }
  for (i32 s = 0; s < 2; ++s) {
    std::vector<i32> finals;
    for (i32 l = 0; l < n.layers; ++l) finals.push_back(y.items[1 + s * n.layers + l].id);
    net.last[s] = join_rows(g, finals);
    keep(g, net.last[s]);
  }
  const i32 w = net.weights["out.weight"] = add_weight(g, shape(n.vocabulary, n.hidden));
  const i32 bias = net.weights["out.bias"] =
      add_weight(g, shape(n.vocabulary), element::f32, "bias");
  ops::loop_writer steps(g, {.trips = n.steps, .stacked = true}, {"out", 0, ""});
  steps.begin();
  const i32 out = steps.output(ops::dense(g, steps.scan(y.items[0].id), w, bias, {"out", 0, ""}));
  steps.end();
  net.logits = steps.outer(out);
  keep(g, net.logits);
  net.loss = ops::softmax_cross_entropy(g, net.logits, net.target, -1, {});
  g.losses = net.loss;
  if (g.wrong.wrong()) throw error(std::string(spell(g.wrong).view()));
  return net;
}

void fill(interpreter& run, const char_net& net, const golden_case& c) {
  run.write(net.tokens, c.tensor("inputs", "tokens").values);
  run.write(net.target, c.tensor("inputs", "target").values);
  run.write(net.first[0], c.tensor("inputs", "h0").values);
  run.write(net.first[1], c.tensor("inputs", "c0").values);
  for (const auto& [name, id] : net.weights) run.write(id, c.tensor("weights", name).values);
}

void check_gradients(const golden_case& c, findings& f, const graph_backend& b, char_net net,
                     i32 batch) {
  const grow<i32> gradients = passes::differentiate(net.g);
  for (const auto& [name, id] : net.weights) keep(net.g, gradients[id]);
  interpreter run(net.g, b.find);
  fill(run, net, c);
  run.run({.valid = batch});
  f.compare("outputs", "logits", run.read(net.logits));
  f.compare("outputs", "hn", run.read(net.last[0]));
  f.compare("outputs", "cn", run.read(net.last[1]));
  f.compare("outputs", "loss", run.read(net.loss));
  for (const auto& [name, id] : net.weights) {
    f.compare("grad_weights", name, run.read(gradients[id]));
  }
}

}  // namespace

void check_net_char_lstm(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  attrs.get<std::string>("architecture");
  const char_sizes n{attrs.get<i32>("vocab"),  attrs.get<i32>("embed"), attrs.get<i32>("hidden"),
                     attrs.get<i32>("layers"), attrs.get<i32>("T"),     attrs.get<i32>("N")};
  on_all_backends(f, n.batch, [&](const graph_backend& b, bool last) {
    const char_net net = make_char_net(n, last);
    if (net.weights.size() != c.names("weights").size()) f.note("the case has other weights");
    check_gradients(c, f, b, net, n.batch);
    check_trainings(
        f, b, net, n.batch, attrs,
        [&](interpreter& run, const char_net& made) { fill(run, made, c); },
        [&](interpreter& run, const char_net& made, const std::string& section) {
          for (const auto& [name, id] : made.weights) f.compare(section, name, run.read(id));
        });
  });
  attrs.all_must_be_asked();
}

}  // namespace tessera::testing
