// Golden checks of mixtures of experts: noisy gates, both balancing losses, experts of two layers,
// with a slot for every token; all gradients.

#include <tessera/nn/experts.hpp>
#include <catalogue/goldens/case_graph.hpp>

namespace tessera::testing {

namespace {

/// The weights that a mixture has made, in the order in which it makes them.
std::vector<i32> parameters_of(const graph& g) {
  std::vector<i32> all;
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    if (g.tensors[id].what == role::parameter && g.tensors[id].of < 0) all.push_back(id);
  }
  return all;
}

}  // namespace

void check_mixture(const golden_case& c, findings& f) {
  const shape dims = c.tensor("inputs", "x").dims_as_they_are();
  const shape first = c.tensor("weights", "W1").dims_as_they_are();   // (experts, hidden, in)
  const shape second = c.tensor("weights", "W2").dims_as_they_are();  // (experts, out, hidden)
  check_operation(c, f, dims[0], [&](case_graph& net, attribute_reader& attrs) {
    mixture_options o;
    o.experts = attrs.get<i32>("experts");
    o.k = attrs.get<i32>("k");
    o.capacity = 0;
    o.noise = attrs.get<bool>("noise");
    o.importance = attrs.get<float>("w_importance");
    o.load = attrs.get<float>("w_load");
    const value x{net.input("x")};
    if (o.noise) o.draws = net.input("eps");
    builder b(net.g, dims[0], purpose::training);
    const detail::mixture made = detail::build_mixture(b, x, o, [&](builder& inner, value rows) {
      graph& g = inner.network();
      const tensor_name expert = inner.begin_layer("expert");
      const auto weight = [&](const shape& s, const char* part) {
        return inner.parameter(s, expert, part, initializer::zeros, 1, 1);
      };
      const i32 w1 = weight(shape(first[1], first[2]), "W1");
      const i32 b1 = weight(shape(first[1]), "b1");
      const i32 w2 = weight(shape(second[1], second[2]), "W2");
      const i32 b2 = weight(shape(second[1]), "b2");
      const i32 hidden = ops::unary(g, kind::relu, ops::dense(g, rows.id, w1, b1, expert), expert);
      return value{ops::dense(g, hidden, w2, b2, expert)};
    });
    if (net.g.wrong.wrong()) return f.note(std::string(spell(net.g.wrong).view()));
    const char* const names[] = {"Wg", "Wn", "W1", "b1", "W2", "b2"};
    i32 which = 0;
    for (const i32 id : parameters_of(net.g)) {
      if (which == 1 && !o.noise) ++which;
      which < 2 ? net.adopt_transposed(id, names[which]) : net.adopt(id, names[which]);
      ++which;
    }
    net.output("y", made.out.id);
    net.output("gates", made.gates.gates);
    net.output("topk", made.gates.chosen);
    if (o.importance > 0) {
      net.output("importance", made.importance.sums);
      net.output("L_importance", made.importance.loss);
      net.output("load", made.load.sums);
      net.output("L_load", made.load.loss);
    } else {
      routing_attributes r;
      r.experts = o.experts;
      r = ops::route_over(net.g.tensors[made.gates.gates], r);
      net.output("importance", ops::balance_loss(net.g, made.gates.gates, 0, r, layer).sums);
    }
  });
}

}  // namespace tessera::testing
