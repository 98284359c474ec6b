// Golden checks of whole networks: logits, loss, all gradients, and the weights after three steps
// of SGD and of Adam.

#include <catalogue/goldens/architectures.hpp>
#include <catalogue/goldens/training.hpp>

namespace tessera::testing {

namespace {

/// Builds a case's network into an empty golden_net.
using net_maker = std::function<void(golden_net&, bool batch_last)>;

void check_gradients_of(const golden_case& c, findings& f, const graph_backend& b, golden_net net) {
  const grow<i32> gradients = passes::differentiate(net.g);
  for (const net_layer& l : net.layers) {
    keep(net.g, gradients[l.weight]);
    keep(net.g, gradients[l.bias]);
  }
  keep(net.g, net.logits());
  interpreter run(net.g, b.find);
  fill(run, net, c);
  run.run({.valid = net.g.tensors[net.x].dims[0]});
  f.compare("outputs", "logits", run.read(net.logits()));
  f.compare("outputs", "loss", run.read(net.loss));
  for (const net_layer& l : net.layers) {
    f.compare("grad_weights", l.name + ".weight", run.read(gradients[l.weight]));
    f.compare("grad_weights", l.name + ".bias", run.read(gradients[l.bias]));
  }
}

void check_net(const golden_case& c, findings& f, attribute_reader& attrs, const net_maker& make) {
  attrs.get<std::string>("architecture");
  const i32 batch = static_cast<i32>(c.tensor("inputs", "x").dims[0]);
  if (attrs.get<i32>("batch", batch) != batch) f.note("\"batch\" is not x's");
  on_all_backends(f, batch, [&](const graph_backend& b, bool last) {
    golden_net net;
    make(net, last);
    check_gradients_of(c, f, b, net);
    check_trainings(
        f, b, net, batch, attrs, [&](interpreter& run, const golden_net& n) { fill(run, n, c); },
        [&](interpreter& run, const golden_net& n, const std::string& section) {
          compare_weights(run, n, section, "", f);
        });
  });
  attrs.all_must_be_asked();
}

}  // namespace

void check_net_mlp(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const auto sizes = attrs.get<std::vector<i32>>("sizes");
  const kind activation = attrs.choice("activation", activations);
  check_net(c, f, attrs,
            [&](golden_net& net, bool last) { build_mlp(net, c, sizes, activation, last); });
}

void check_net_lenet5(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const kind activation = attrs.choice("activation", activations);
  const kind pool = attrs.choice("pool", pools);
  check_net(c, f, attrs,
            [&](golden_net& net, bool last) { build_lenet5(net, c, activation, pool, last); });
}

}  // namespace tessera::testing
