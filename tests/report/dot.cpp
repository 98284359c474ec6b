#include <tessera/report/dot.hpp>

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <support/pictured_graphs.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>

using namespace tessera;
using namespace tessera::testing;

namespace {

std::string dot_of(const graph& g, const dot_options& options = {}) {
  std::ostringstream out;
  write_dot(out, g, options);
  return out.str();
}

std::ptrdiff_t count(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  return std::distance(std::sregex_iterator(text.begin(), text.end(), expression),
                       std::sregex_iterator());
}

}  // namespace

TEST_CASE("DOT has a node for every operation and an edge for every tensor handed on", "[report]") {
  for (const graph& g :
       {step_of<pictured_lenet>(), step_of<pictured_repeat>(), recurrent_step(7)}) {
    const std::string dot = dot_of(g);
    std::ptrdiff_t boxes = 0;
    for (const operation& op : g.operations) {
      boxes += op.what != kind::loop && op.what != kind::end_loop;
    }
    CHECK(count(dot, "\n *o\\d+ \\[label") == boxes);
    CHECK(count(dot, "o\\d+ -> o\\d+ ") == static_cast<std::ptrdiff_t>(find_flow(g).edges.size()));
    CHECK(count(dot, "subgraph cluster_") == g.bodies.size() - 1);
  }
}

TEST_CASE("DOT tells phases apart, and says shapes and trips", "[report]") {
  const std::string lenet = dot_of(step_of<pictured_lenet>());
  CHECK(count(lenet, colours_of(phase::forward).fill) == 12);
  CHECK(count(lenet, colours_of(phase::backward).fill) == 11);
  CHECK(count(lenet, colours_of(phase::update).fill) == 10);
  CHECK(count(lenet, "o0 -> o1 \\[label=\"4x6x28x28 f32\"\\]") == 1);
  const std::string loop = dot_of(step_of<pictured_repeat>());
  CHECK(count(loop, "label=\"repeat 5 times\"") == 1);
  CHECK(count(loop, "style=dashed constraint=false") > 0);
}

TEST_CASE("DOT leaves out parameters, states and shapes when told to", "[report]") {
  const graph g = step_of<pictured_lenet>();
  CHECK(count(dot_of(g), "conv1.weight") == 4);  // and two moments, a counter
  CHECK(count(dot_of(g, {.states = false}), "conv1.weight") == 1);
  CHECK(count(dot_of(g, {.parameters = false, .states = false}), "conv1.weight") == 0);
  CHECK(count(dot_of(g, {.parameters = false, .states = false}), "shape=ellipse") == 2);
  CHECK(count(dot_of(g, {.shapes = false}), "o\\d+ -> o\\d+ \\[label") == 0);
}

TEST_CASE("Graphviz accepts the DOT of steps, whatever their names", "[report]") {
  if (std::system("dot -V > /dev/null 2>&1") != 0) {
    WARN("no Graphviz here (Debian: apt-get install graphviz); its verdict is not asked");
    return;
  }
  const scratch_folder folder;
  const graph hostile = recurrent_step(2, "\"];\n a -> \\\"<b>&\x01\xff{|}");
  for (const graph& g : {step_of<pictured_lenet>(), step_of<pictured_repeat>(), hostile}) {
    const std::string file = folder.file("step.dot");
    std::ofstream(file) << dot_of(g);
    const std::string command =
        "dot -Tsvg '" + file + "' > '" + file + ".svg' 2> '" + file + ".errors'";
    CHECK(std::system(command.c_str()) == 0);
    std::ifstream errors(file + ".errors");
    const std::string said{std::istreambuf_iterator<char>(errors), {}};
    CHECK(count(said, "rror") == 0);
    std::ifstream drawn(file + ".svg");
    const std::string svg{std::istreambuf_iterator<char>(drawn), {}};
    std::ptrdiff_t boxes = 0;
    for (i32 i = 0; i < g.operations.size(); ++i) {
      boxes += count(svg, "<title>o" + std::to_string(i) + "</title>");
    }
    CHECK(boxes == count(dot_of(g), "\n *o\\d+ \\[label"));
  }
}
