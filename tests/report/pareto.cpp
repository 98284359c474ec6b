#include <tessera/report/pareto.hpp>

#include <support/catch.hpp>
#include <support/well_formed.hpp>

#include <random>
#include <string>

using namespace tessera;
using namespace tessera::testing;

namespace {

design_study random_study(u32 seed, int points, int values) {
  std::mt19937 random(seed);
  design_study study{"study", {"cycles", "mJ", "SRAM MiB"}, {}};
  for (int i = 0; i < points; ++i) {
    design_point p{"design " + std::to_string(i), {}, random() % 5 != 0, false};
    for (double& cost : p.cost)
      cost = 1.0 + static_cast<double>(random() % static_cast<u32>(values));
    study.points.push_back(p);
  }
  return study;
}

}  // namespace

TEST_CASE("a front is what nothing else beats", "[report][price]") {
  for (u32 seed = 0; seed < 200; ++seed) {
    design_study study = random_study(seed, 60, seed % 2 == 0 ? 6 : 1000);
    find_front(study);
    for (const design_point& p : study.points) {
      bool beaten = false;
      for (const design_point& q : study.points) {
        beaten = beaten || (q.allowed && beats(q.cost, p.cost));
      }
      CHECK(p.best == (p.allowed && !beaten));
    }
  }
}

TEST_CASE("equal designs do not beat each other", "[report][price]") {
  CHECK(!beats({1, 2, 3}, {1, 2, 3}));
  CHECK(beats({1, 2, 2}, {1, 2, 3}));
  CHECK(!beats({1, 3, 2}, {1, 2, 3}));
  design_study study{"twins", {"a", "b", "c"}, {{"one", {1, 2, 3}}, {"other", {1, 2, 3}}}};
  find_front(study);
  CHECK(study.points[0].best);
  CHECK(study.points[1].best);
}

TEST_CASE("a front is drawn and written whole", "[report][price]") {
  std::vector<design_study> studies{random_study(1, 40, 1000), random_study(2, 1, 10)};
  studies[1].title = "one <point> & no more";
  studies.push_back({"none", {"a", "b", "c"}, {}});
  for (design_study& study : studies) find_front(study);
  const std::string svg = text_of([&](std::ostream& out) { write_pareto_svg(out, studies); });
  CHECK(well_formed(svg));
  std::size_t dots = 0;
  for (std::size_t at = 0; (at = svg.find("<circle", at)) != std::string::npos; ++at) ++dots;
  CHECK(dots == 2 * 41);
  const io::json report = io::parse_json(to_json(studies[0]).dump(), "front");
  REQUIRE(report.at("points").size() == 40);
  for (std::size_t i = 0; i < 40; ++i) {
    CHECK(report.at("points")[i].at("cycles") == studies[0].points[i].cost[0]);
    CHECK(report.at("points")[i].at("front") == studies[0].points[i].best);
  }
}
