#pragma once

// Pareto fronts: of many designs, those that no other beats in everything.
//
//   energy ^   o   .  .       o  on the front: nothing is at least as good in all costs and better
//          |     o    .          in one
//          |       o  .       .  beaten
//          +----------o-->  cycles
//
// A study has three costs, all to be small. Designs that are not allowed, such as those that a step
// does not fit, are drawn but neither beat nor are beaten.

#include <tessera/io/json.hpp>
#include <tessera/report/chart.hpp>
#include <array>
#include <numeric>
#include <ostream>

namespace tessera {

struct design_point {
  std::string name;
  std::array<double, 3> cost{};  // positive
  bool allowed = true;
  bool best = false;  // on the front
};

struct design_study {
  std::string title;
  std::array<std::string, 3> costs;  // what they are, with units
  std::vector<design_point> points;
};

/// True where `a` is at least as good as `b` in all costs and better in one.
inline bool beats(const std::array<double, 3>& a, const std::array<double, 3>& b) {
  return a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2] && a != b;
}

/// Marks the points of the front. In the order of their first cost a point can only be beaten by
/// earlier ones, and then by one that is on the front: O(points x front).
inline void find_front(design_study& study) {
  std::vector<std::size_t> order(study.points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return study.points[a].cost < study.points[b].cost;
  });
  std::vector<std::size_t> front;
  for (const std::size_t i : order) {
    design_point& p = study.points[i];
    p.best = p.allowed && std::none_of(front.begin(), front.end(), [&](std::size_t f) {
               return beats(study.points[f].cost, p.cost);
             });
    if (p.best) front.push_back(i);
  }
}

/// A row of two panels for each study: the first cost against the second and against the third.
inline void write_pareto_svg(std::ostream& out, const std::vector<design_study>& studies) {
  constexpr double left = 70, top = 90, width = 480, height = 340, apart = 90, below = 130;
  constexpr double all = left + 2 * width + apart + 24;
  const double bottom = static_cast<double>(studies.size()) * (height + below) + 10;
  detail::svg_writer svg(out, all, bottom);
  svg.box({0, 0, all, bottom}, 0, "#ffffff", "none");
  for (std::size_t s = 0; s < studies.size(); ++s) {
    const design_study& study = studies[s];
    const double y = top + static_cast<double>(s) * (height + below);
    svg.text({left, y - 50}, study.title, "start", "#111111", true);
    for (std::size_t k = 1; k < 3; ++k) {
      const double x = left + static_cast<double>(k - 1) * (width + apart);
      std::vector<double> across, up;
      for (const design_point& p : study.points) {
        across.push_back(p.cost[0]);
        up.push_back(p.cost[k]);
      }
      const detail::chart chart{{x, y, width, height},
                                detail::axis_of(across, x, x + width),
                                detail::axis_of(up, y + height, y)};
      chart.draw(svg, "", study.costs[0], study.costs[k]);
      for (const bool best : {false, true}) {  // the front on top
        for (const design_point& p : study.points) {
          if (p.best != best) continue;
          svg.titled_dot(chart.at(p.cost[0], p.cost[k]), best ? 4 : 2.5,
                         best        ? "#b0601c"
                         : p.allowed ? "#8fa9c4"
                                     : "#d8d8d8",
                         p.name);
        }
      }
    }
  }
}

inline io::json to_json(const design_study& study) {
  io::json points = io::json::array();
  for (const design_point& p : study.points) {
    points.push_back({{"name", p.name},
                      {study.costs[0], p.cost[0]},
                      {study.costs[1], p.cost[1]},
                      {study.costs[2], p.cost[2]},
                      {"fits", p.allowed},
                      {"front", p.best}});
  }
  return {{"title", study.title}, {"points", points}};
}

}  // namespace tessera
