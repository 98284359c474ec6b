// Golden checks of recurrence over two dimensions: multi-dimensional LSTM and Grid LSTM, run as
// loops in loops.

#include <tessera/nn/grid_lstm.hpp>
#include <tessera/nn/multi_recurrent.hpp>
#include <catalogue/goldens/case_graph.hpp>

namespace tessera::testing {

namespace {

void throw_what_is_wrong(const graph& g) {
  if (g.wrong.wrong()) throw error(std::string(spell(g.wrong).view()));
}

}  // namespace

void check_mdlstm(const golden_case& c, findings& f) {
  const i32 batch = c.attributes().get<i32>("N");
  check_operation(c, f, batch, [&](case_graph& net, attribute_reader& attrs) {
    mdlstm_options o;
    o.peepholes = attrs.get<bool>("peepholes");
    o.directions = attrs.get<i32>("directions");
    o.cells = c.has("outputs", "c");
    const i32 hidden = attrs.get<i32>("hidden");
    const i32 x = net.input("x");
    net.g.tensors[x].stack = 2;
    const shape dims(attrs.get<i32>("H"), attrs.get<i32>("W"), attrs.get<i32>("N"),
                     attrs.get<i32>("input"));
    if (net.g.tensors[x].dims != dims) f.note("x is of another shape");
    builder build(net.g, batch, purpose::training);
    const bundle y = detail::build_mdlstm(build, {x}, hidden, o);
    throw_what_is_wrong(net.g);
    net.adopt_weights();
    net.output("h", y.items[0].id);
    if (o.cells) net.output("c", y.items[1].id);
  });
}

void check_grid_lstm_block(const golden_case& c, findings& f) {
  const i32 batch = c.attributes().get<i32>("N");
  check_operation(c, f, batch, [&](case_graph& net, attribute_reader& attrs) {
    const i32 dimensions = attrs.get<i32>("dims");
    const i32 hidden = attrs.get<i32>("hidden");
    attrs.get<i32>("N");
    grid_lstm_options o;
    o.lstm_output =
        attrs.choice("output", std::map<std::string, bool>{{"paper", false}, {"lstm", true}});
    for (const i32 d : attrs.get<std::vector<i32>>("priority")) o.priority[o.priorities++] = d;
    for (const i32 d : attrs.get<std::vector<i32>>("nonlinear")) o.nonlinear[d] = true;
    bundle x;
    for (const std::string state : {"h", "m"}) {
      for (i32 d = 0; d < dimensions; ++d) {
        x.items[x.size++] = {net.input(state + std::to_string(d))};
      }
    }
    builder build(net.g, batch, purpose::training);
    const bundle y = detail::build_grid_block(build, x, hidden, dimensions, o);
    throw_what_is_wrong(net.g);
    net.adopt_weights();
    for (i32 d = 0; d < dimensions; ++d) {
      net.output("h" + std::to_string(d), y.items[d].id);
      if (!o.nonlinear[d]) net.output("m" + std::to_string(d), y.items[dimensions + d].id);
    }
  });
}

void check_grid_lstm(const golden_case& c, findings& f) {
  const i32 batch = c.attributes().get<i32>("N");
  check_operation(c, f, batch, [&](case_graph& net, attribute_reader& attrs) {
    for (const char* const size : {"T", "N", "input"}) attrs.get<i32>(size);
    const i32 depth = attrs.get<i32>("depth");
    const i32 hidden = attrs.get<i32>("hidden");
    grid_lstm_options o;
    o.shared_depth = attrs.get<bool>("shared_along_depth");
    o.states = true;
    const i32 x = net.sequence("x");
    builder build(net.g, batch, purpose::training);
    const bundle y = detail::build_grid_lstm(build, {x}, hidden, depth, o);
    throw_what_is_wrong(net.g);
    for (i32 id = 0; id < net.g.tensors.size(); ++id) {
      const tensor& t = net.g.tensors[id];
      if (t.what != role::parameter || t.of >= 0) continue;
      const std::string part = t.name.part;
      std::vector<std::string> names;
      if (part == "Win" || part == "bin") {
        names.push_back(part);
      } else {
        const i32 layers = o.shared_depth ? 1 : depth;
        for (i32 l = 0; l < layers; ++l) names.push_back("l" + std::to_string(l) + "." + part);
      }
      net.adopt_slices(id, names);
    }
    net.output("y", y.items[0].id);
    net.output("hT", y.items[1].id);
    net.output("mT", y.items[2].id);
  });
}

}  // namespace tessera::testing
