#include <tessera/report/picture.hpp>

#include <tessera/nn/branches.hpp>
#include <tessera/nn/recurrent.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>
#include <support/random_graph.hpp>

#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <tuple>

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr double pixel = 0.01;

bool overlap(const rectangle& a, const rectangle& b) {
  return a.x < b.x + b.width - pixel && b.x < a.x + a.width - pixel &&
         a.y < b.y + b.height - pixel && b.y < a.y + a.height - pixel;
}

bool inside(const rectangle& inner, const rectangle& outer) {
  return inner.x >= outer.x - pixel && inner.y >= outer.y - pixel &&
         inner.x + inner.width <= outer.x + outer.width + pixel &&
         inner.y + inner.height <= outer.y + outer.height + pixel;
}

/// On the upper or the lower side.
bool on_border(const point& p, const rectangle& r) {
  const bool level = std::abs(p.y - r.y) < pixel || std::abs(p.y - r.y - r.height) < pixel;
  return level && p.x > r.x - pixel && p.x < r.x + r.width + pixel;
}

/// True where the way from `a` to `b` enters `r`: cuts the segment by the four sides.
bool crosses(const point& a, const point& b, const rectangle& r) {
  double from = 0;
  double to = 1;
  const auto cut = [&](double start, double step, double low, double high) {
    if (std::abs(step) < 1e-9) return start > low && start < high;
    double first = (low - start) / step;
    double second = (high - start) / step;
    if (first > second) std::swap(first, second);
    from = std::max(from, first);
    to = std::min(to, second);
    return true;
  };
  const bool in_x = cut(a.x, b.x - a.x, r.x + 0.5, r.x + r.width - 0.5);
  const bool in_y = cut(a.y, b.y - a.y, r.y + 0.5, r.y + r.height - 0.5);
  return in_x && in_y && from < to;
}

void check(const graph& g) {
  const picture p = lay_out(g);
  const flow f = find_flow(g);
  const rectangle page{0, 0, p.width, p.height};

  // Every operation once, in its phase; the ends of a loop are its frame.
  std::map<i32, i32> box_of;
  for (std::size_t i = 0; i < p.boxes.size(); ++i) {
    const picture_box& b = p.boxes[i];
    CHECK(inside(b.at, page));
    if (b.operation < 0) continue;
    CHECK(box_of.count(b.operation) == 0);
    box_of[b.operation] = static_cast<i32>(i);
    CHECK(b.what == f.phase_of[static_cast<std::size_t>(b.operation)]);
  }
  std::map<i32, rectangle> frame_of;
  for (const picture_frame& frame : p.frames) {
    CHECK(frame_of.count(frame.body) == 0);
    frame_of[frame.body] = frame.at;
    CHECK(inside(frame.at, page));
  }
  CHECK(static_cast<i32>(frame_of.size()) == g.bodies.size() - 1);
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const kind what = g.operations[i].what;
    CHECK(box_of.count(i) == (what == kind::loop || what == kind::end_loop ? 0u : 1u));
  }

  // No two boxes overlap; a box is in the frames of the loops it is in, and in no other.
  for (std::size_t i = 0; i < p.boxes.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) CHECK_FALSE(overlap(p.boxes[i].at, p.boxes[k].at));
    const i32 operation = p.boxes[i].operation;
    const i32 body = operation < 0 ? 0 : f.body_of[static_cast<std::size_t>(operation)];
    for (const auto& [framed, at] : frame_of) {
      if (g.bodies[framed].depth <= g.bodies[body].depth && encloses(g, framed, body)) {
        CHECK(inside(p.boxes[i].at, at));
      } else {
        CHECK_FALSE(overlap(p.boxes[i].at, at));
      }
    }
  }

  // A line for every connection, from the right box to the right box, across no other box.
  std::set<std::tuple<i32, i32, i32, bool>> wanted;
  for (const handover& e : f.edges) {
    wanted.insert({box_of.at(e.from), box_of.at(e.to), storage_of(g, e.tensor), e.carried});
  }
  std::size_t of_operations = 0;
  for (const picture_line& l : p.lines) {
    const picture_box& from = p.boxes[static_cast<std::size_t>(l.from)];
    const picture_box& to = p.boxes[static_cast<std::size_t>(l.to)];
    if (from.operation >= 0) {
      ++of_operations;
      const bool carried = l.what == line_kind::carried;
      CHECK(wanted.count({l.from, l.to, storage_of(g, l.tensor), carried}) == 1);
      const bool kept = !carried && from.what == phase::forward && to.what != phase::forward;
      CHECK((l.what == line_kind::kept) == kept);
    }
    REQUIRE(l.points.size() >= 2);
    CHECK(on_border(l.points.front(), from.at));
    CHECK(on_border(l.points.back(), to.at));
    for (std::size_t k = 0; k + 1 < l.points.size(); ++k) {
      const point a = l.points[k];
      const point b = l.points[k + 1];
      CHECK(inside({b.x, b.y, 0, 0}, page));
      for (const picture_box& box : p.boxes) {
        if (crosses(a, b, box.at)) {
          FAIL_CHECK(from.lines[0] << " to " << to.lines[0] << " crosses " << box.lines[0]);
        }
      }
    }
  }
  CHECK(of_operations == wanted.size());
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("a picture of LeNet's training step has every operation and connection", "[report]") {
  const graph g = step_of<pictured_lenet>();
  check(g);
  const picture p = lay_out(g);
  CHECK(p.boxes.size() == 33 + 2);  // and input, target
  CHECK(p.frames.empty());
}

TEST_CASE("backward operations stand beside their layer's forward operation", "[report]") {
  const graph g = step_of<pictured_lenet>();
  std::map<std::string, std::map<phase, rectangle>> layers;
  for (const picture_box& b : lay_out(g).boxes) layers[b.lines[0]][b.what] = b.at;
  for (const char* name : {"tanh1", "max_pool1", "conv2", "dense2", "loss"}) {
    const rectangle forward = layers.at(name).at(phase::forward);
    const rectangle backward = layers.at(name).at(phase::backward);
    CHECK(forward.x + forward.width < backward.x);
    CHECK(forward.y + forward.height / 2 == Approx(backward.y + backward.height / 2));
  }
  const rectangle update = layers.at("conv2").at(phase::update);
  CHECK(layers.at("conv2").at(phase::backward).x < update.x);
  CHECK(layers.at("conv2").at(phase::backward).y == Approx(update.y));
}

TEST_CASE("bodies of loops are drawn once, in frames with their number of trips", "[report]") {
  check(step_of<pictured_repeat>());
  check(recurrent_step(7));
  const picture p = lay_out(step_of<pictured_repeat>());
  REQUIRE(p.frames.size() == 2);
  std::set<std::string> labels;
  for (const picture_frame& frame : p.frames) labels.insert(frame.label);
  CHECK(labels == std::set<std::string>{"repeat 5 times", "repeat 5 times, last first"});
}

TEST_CASE("loops in loops are frames in frames", "[report]") {
  using block = chain<dense<8>, repeat<2, dense<8>, tessera::tanh>, relu>;
  const graph g = step_of<network<input<8>, repeat<3, block>, dense<3>>>();
  REQUIRE(g.bodies.size() == 5);
  check(g);
}

TEST_CASE("branches that meet and truncated recurrences are drawn correctly", "[report]") {
  using branches = network<image<3, 8, 8>, residual<conv<3, 3, pad<1>>, relu, conv<3, 3, pad<1>>>,
                           concat<conv<4, 1>, conv<6, 3, pad<1>>, max_pool<3, pad<1>, stride<1>>>,
                           residual<conv<8, 3, pad<1>, stride<2>>, project<conv<8, 1, stride<2>>>>,
                           flatten, dense<3>>;
  check(step_of<branches>());
  using pieces =
      network<sequence<12, 6>, lstm<8, tessera::truncate<4>, stateful, last_output>, dense<3>>;
  check(step_of<pieces>());
}

TEST_CASE("a picture as large as ResNet-50's step is correct", "[report]") {
  const graph g = large_step();
  CHECK(g.operations.size() > 250);
  check(g);
}

TEST_CASE("pictures of random steps are correct", "[report]") {
  for (u64 seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    check(random_graph(seed).make());
  }
}

TEST_CASE("an empty graph is an empty picture", "[report]") {
  std::ostringstream out;
  write_svg(out, graph{});
  CHECK(count(out.str(), "<text") == 0);
}

TEST_CASE("an SVG has the layout's boxes, lines and words", "[report]") {
  const graph g = step_of<pictured_repeat>();
  const picture p = lay_out(g);
  std::ostringstream out;
  write_svg(out, g);
  const std::string svg = out.str();
  CHECK(svg.rfind("<svg xmlns=", 0) == 0);
  CHECK(svg.substr(svg.size() - 7) == "</svg>\n");
  CHECK(count(svg, "<rect ") == 1 + p.boxes.size() + p.frames.size());
  CHECK(count(svg, "<polyline ") == p.lines.size());
  CHECK(count(svg, ">body.1-5.inner</text>") == 4);  // forward, data gradient, two updates
}

TEST_CASE("names cannot break out of an SVG", "[report]") {
  const graph g = recurrent_step(2, "<a b=\"&'\x01\xff>\xc3\xa9");
  std::ostringstream out;
  write_svg(out, g);
  const std::string svg = out.str();
  CHECK(count(svg, "&lt;a b=&quot;&amp;&#39;??&gt;\xc3\xa9") > 0);
  CHECK(count(svg, "<a") == 0);
  CHECK(count(svg, "<") == count(svg, ">"));
}

TEST_CASE("bytes that are no UTF-8 become question marks", "[report]") {
  CHECK(detail::escape_xml("a\xe2\x82\xac") == "a\xe2\x82\xac");
  CHECK(detail::escape_xml("\xe2\x82") == "??");            // cut short
  CHECK(detail::escape_xml("\xc0\xaf") == "??");            // overlong
  CHECK(detail::escape_xml("\xed\xa0\x80") == "???");       // a surrogate
  CHECK(detail::escape_xml("\xf4\x90\x80\x80") == "????");  // beyond the last character
  CHECK(detail::escape_xml("\xf0\x9f\x98\x80") == "\xf0\x9f\x98\x80");
  CHECK(detail::escape_dot("a\\\"\n") == "a\\\\\\\"?");
}
