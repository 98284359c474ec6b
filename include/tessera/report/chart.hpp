#pragma once

// Charts with logarithmic axes: what rooflines, scaling curves and Pareto fronts are drawn on.

#include <tessera/report/columns.hpp>
#include <tessera/report/svg.hpp>
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace tessera::detail {

/// Values from `low` to `high`, both positive, on pixels from `from` to `to`.
struct log_axis {
  double low = 1;
  double high = 10;
  double from = 0;
  double to = 1;

  double at(double value) const {
    return from + (to - from) * std::log(value / low) / std::log(high / low);
  }

  /// 1, 2 and 5 of each decade, or its 1 alone where there are many.
  std::vector<double> ticks() const {
    std::vector<double> all;
    const bool few = high / low < 3e3;
    for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high; decade *= 10) {
      for (const double step : {1.0, 2.0, 5.0}) {
        const double value = decade * step;
        if ((few || step == 1) && value >= low * 0.9999 && value <= high * 1.0001) {
          all.push_back(value);
        }
      }
    }
    return all;
  }
};

/// An axis that shows all positive `values`, with some room on both sides.
inline log_axis axis_of(const std::vector<double>& values, double from, double to) {
  log_axis axis{1, 10, from, to};
  bool first = true;
  for (const double v : values) {
    if (!(v > 0) || !std::isfinite(v)) continue;
    axis.low = first ? v : std::min(axis.low, v);
    axis.high = first ? v : std::max(axis.high, v);
    first = false;
  }
  axis.low /= 1.5;
  axis.high *= 1.5;
  return axis;
}

/// A figure with its axes: a frame, grid lines with numbers, names of both axes, a title.
struct chart {
  rectangle frame;  // of the plot itself
  log_axis x;
  log_axis y;

  point at(double across, double up) const { return {x.at(across), y.at(up)}; }

  void draw(svg_writer& svg, const std::string& title, const std::string& across,
            const std::string& up) const {
    const double bottom = frame.y + frame.height;
    const double right = frame.x + frame.width;
    svg.text({frame.x, frame.y - 10}, title, "start", "#111111", true);
    for (const double tick : x.ticks()) {
      svg.rule({x.at(tick), frame.y}, {x.at(tick), bottom}, "#e4e4e4", false);
      svg.text({x.at(tick), bottom + 15}, spell_tick(tick), "middle", "#555555");
    }
    for (const double tick : y.ticks()) {
      svg.rule({frame.x, y.at(tick)}, {right, y.at(tick)}, "#e4e4e4", false);
      svg.text({frame.x - 6, y.at(tick) + 4}, spell_tick(tick), "end", "#555555");
    }
    svg.box(frame, 0, "none", "#888888");
    svg.text({frame.x + frame.width / 2, bottom + 32}, across, "middle", "#333333");
    svg.text({frame.x, frame.y - 26}, up, "start", "#333333");
  }

  /// "0.01", "5", "20k", "1M".
  static std::string spell_tick(double value) {
    if (value < 0.999) {
      std::string digits = spell_fixed(value, 6);
      digits.erase(digits.find_last_not_of('0') + 1);
      return digits;
    }
    const char* unit = "";
    for (const char* next : {"k", "M", "G", "T", "P"}) {
      if (value < 999.9) break;
      value /= 1000;
      unit = next;
    }
    return spell_fixed(value, 0) + unit;
  }
};

}  // namespace tessera::detail
