// Golden checks of a small model of language: tokens and positions, causal transformer layers, a
// score for each token at every point in time; logits, loss, gradients, and the weights after three
// steps of SGD and of Adam.
//
// The case has its samples first and the net its times, so values go in and out transposed. The
// case's projections stand apart and that of the keys has no bias, so its layers are put together
// here, from what the library's own are made of.

#include <tessera/nn/positions.hpp>
#include <tessera/nn/transformer.hpp>
#include <catalogue/goldens/case_graph.hpp>
#include <catalogue/goldens/training.hpp>

namespace tessera::testing {

namespace {

struct language_sizes {
  i32 vocabulary, width, heads, hidden, layers, times, batch;
  bool norm_first;
  float epsilon;
};

struct language_net {
  graph g;
  i32 tokens = -1, target = -1, logits = -1, loss = -1;
  std::map<std::string, i32> weights;
};

/// (a, b, rest) as (b, a, rest).
std::vector<double> swapped(const std::vector<double>& values, i32 a, i32 b) {
  const i64 rest = static_cast<i64>(values.size()) / a / b;
  std::vector<double> to(values.size());
  for (i64 i = 0; i < a; ++i) {
    for (i64 j = 0; j < b; ++j) {
      for (i64 k = 0; k < rest; ++k) {
        to[static_cast<std::size_t>((j * a + i) * rest + k)] =
            values[static_cast<std::size_t>((i * b + j) * rest + k)];
      }
    }
  }
  return to;
}

/// Puts one net together.
class language_writer {
 public:
  language_writer(language_net& net, const language_sizes& n, const golden_case& c)
      : net_(net), n_(n), case_(c), b_(net.g, n.batch, purpose::training) {}

  value weighted(value x, const std::string& name) {
    const i32 weight = parameter(name + ".weight");
    const bool biased = case_.has("weights", name + ".bias");
    return detail::dense_rows(b_, x, weight, biased ? parameter(name + ".bias") : -1, layer());
  }
  value norm(value x, const std::string& name) {
    const i32 weight = parameter(name + ".weight");
    return {ops::layer_norm(net_.g, kind::layer_norm, x.id, weight, parameter(name + ".bias"),
                            {.epsilon = n_.epsilon, .extents = 1}, layer())};
  }
  value attention(value x, const std::string& name) {
    ops::attention_masks masks;
    masks.causal = true;
    const value q = weighted(x, name + ".q");
    const value k = weighted(x, name + ".k");
    const value v = weighted(x, name + ".v");
    return weighted({detail::attend(b_, q, k, v, n_.heads, masks, attention_options{}, layer()).y},
                    name + ".o");
  }
  value feed_forward(value x, const std::string& name) {
    const value h = b_.gelu(weighted(x, name + ".ff1"));
    return weighted(h, name + ".ff2");
  }
  value block(value x, const std::string& name) {
    if (n_.norm_first) {
      x = b_.add(x, attention(norm(x, name + ".ln1"), name));
      return b_.add(x, feed_forward(norm(x, name + ".ln2"), name));
    }
    x = norm(b_.add(x, attention(x, name)), name + ".ln1");
    return norm(b_.add(x, feed_forward(x, name)), name + ".ln2");
  }
  value embedded() {
    const value x{ops::embedding(net_.g, net_.tokens, parameter("tok.weight"), -1, layer())};
    return detail::add_by_time(b_, x, parameter("pos.weight"), layer());
  }

 private:
  static tensor_name layer() { return {"language", 0, ""}; }
  i32 parameter(const std::string& name) {
    return net_.weights[name] =
               add_weight(net_.g, case_.tensor("weights", name).dims_as_they_are());
  }

  language_net& net_;
  const language_sizes& n_;
  const golden_case& case_;
  builder b_;
};

language_net make_language_net(const golden_case& c, const language_sizes& n, bool batch_last) {
  language_net net;
  const auto sequence = [&](role what) {
    const i32 id =
        add_tensor(net.g, shape(n.times, n.batch), {what, element::int32, true, batch_last});
    net.g.tensors[id].stack = 1;
    return id;
  };
  net.tokens = sequence(role::input);
  net.target = sequence(role::target);
  language_writer w(net, n, c);
  value x = w.embedded();
  for (i32 i = 0; i < n.layers; ++i) x = w.block(x, "l" + std::to_string(i));
  if (c.has("weights", "lnf.weight")) x = w.norm(x, "lnf");
  net.logits = w.weighted(x, "head").id;
  keep(net.g, storage_of(net.g, net.logits));
  net.loss = ops::softmax_cross_entropy(net.g, net.logits, net.target, -1, {});
  net.g.losses = net.loss;
  if (net.g.wrong.wrong()) throw error(std::string(spell(net.g.wrong).view()));
  return net;
}

}  // namespace

void check_net_transformer(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  attrs.get<std::string>("architecture");
  const language_sizes n{
      attrs.get<i32>("vocab"), attrs.get<i32>("embed"),       attrs.get<i32>("heads"),
      attrs.get<i32>("ff"),    attrs.get<i32>("layers"),      attrs.get<i32>("T"),
      attrs.get<i32>("N"),     attrs.get<bool>("norm_first"), attrs.get<float>("ln_eps")};
  const auto fill = [&](interpreter& run, const language_net& net) {
    run.write(net.tokens, swapped(c.tensor("inputs", "tokens").values, n.batch, n.times));
    run.write(net.target, swapped(c.tensor("inputs", "target").values, n.batch, n.times));
    for (const auto& [name, id] : net.weights) run.write(id, c.tensor("weights", name).values);
  };
  on_all_backends(f, n.batch, [&](const graph_backend& b, bool last) {
    const language_net net = make_language_net(c, n, last);
    if (net.weights.size() != c.names("weights").size()) f.note("the case has other weights");
    language_net checked = net;
    const grow<i32> gradients = passes::differentiate(checked.g);
    for (const auto& [name, id] : checked.weights) keep(checked.g, gradients[id]);
    interpreter run(checked.g, b.find);
    fill(run, checked);
    run.run({.valid = n.batch});
    f.compare("outputs", "logits", swapped(run.read(checked.logits), n.times, n.batch));
    f.compare("outputs", "loss", run.read(checked.loss));
    for (const auto& [name, id] : checked.weights) {
      f.compare("grad_weights", name, run.read(gradients[id]));
    }
    check_trainings(
        f, b, net, n.batch, attrs, fill,
        [&](interpreter& trained, const language_net& made, const std::string& section) {
          for (const auto& [name, id] : made.weights) {
            f.compare(section, name, trained.read(id));
          }
        });
  });
  attrs.all_must_be_asked();
}

}  // namespace tessera::testing
