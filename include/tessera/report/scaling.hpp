#pragma once

// Scaling curves: data parallel training of one network on more and more devices.
//
//   weak      every device has the same number of samples, whatever their number
//   strong    all devices together have it, so that each has fewer and fewer
//
// Efficiency is the rate in samples per second beside that of one device times their number; of
// strong scaling, beside one device with the whole batch.

#include <tessera/backends/accelerator/devices.hpp>
#include <tessera/io/json.hpp>
#include <tessera/report/chart.hpp>
#include <functional>
#include <ostream>

namespace tessera {

struct scaling_point {
  i32 devices = 1;
  i32 device_batch = 1;  // the largest of them
  i32 batch = 1;         // of all
  accelerator::parallel_price price;
  double seconds = 0;
  double efficiency = 1;

  double samples_per_second() const { return batch / seconds; }
  /// Share of the step in which gradients are summed.
  double reduction_share() const {
    return static_cast<double>(price.reduction.cycles()) / static_cast<double>(price.cycles());
  }
};

struct scaling_curve {
  std::string name;  // "weak, 16 a device", "strong, 64 in all"
  std::vector<scaling_point> points;
};

/// What a step of a batch costs on one device.
using price_of_batch = std::function<accelerator::step_price(i32 batch)>;

namespace detail {

inline scaling_point scaling_point_of(const machine& m, i32 devices, i32 device_batch, i32 batch,
                                      const accelerator::step_price& step,
                                      const accelerator::gradient_volume& gradients) {
  scaling_point p{devices, device_batch, batch, {}, 0, 1};
  p.price = accelerator::price_on(m, devices, step, gradients);
  p.seconds = static_cast<double>(p.price.cycles()) / static_cast<double>(m.clock_hz);
  return p;
}

inline void find_efficiency(scaling_curve& curve, double rate_of_one) {
  for (scaling_point& p : curve.points) {
    p.efficiency = p.samples_per_second() / (rate_of_one * p.devices);
  }
}

}  // namespace detail

/// `batch` samples on each of so many devices.
inline scaling_curve scale_weakly(const machine& m, const std::vector<i32>& devices, i32 batch,
                                  const price_of_batch& price,
                                  const accelerator::gradient_volume& gradients) {
  scaling_curve curve{"weak, batch " + std::to_string(batch) + " on each", {}};
  const accelerator::step_price step = price(batch);
  for (const i32 n : devices) {
    curve.points.push_back(detail::scaling_point_of(m, n, batch, n * batch, step, gradients));
  }
  detail::find_efficiency(curve, batch / accelerator::seconds(m, step));
  return curve;
}

/// `batch` samples on all devices together; more devices than samples are left out.
inline scaling_curve scale_strongly(const machine& m, const std::vector<i32>& devices, i32 batch,
                                    const price_of_batch& price,
                                    const accelerator::gradient_volume& gradients) {
  scaling_curve curve{"strong, batch " + std::to_string(batch) + " in all", {}};
  for (const i32 n : devices) {
    if (n > batch) continue;
    const i32 each = (batch + n - 1) / n;  // the devices with most samples count
    curve.points.push_back(detail::scaling_point_of(m, n, each, batch, price(each), gradients));
  }
  detail::find_efficiency(curve, batch / accelerator::seconds(m, price(batch)));
  return curve;
}

inline void report_scaling(std::ostream& out, const scaling_curve& curve) {
  std::vector<std::vector<std::string>> rows{{"devices", "batch each", "in all", "step cycles",
                                              "all-reduce", "path", "share", "time", "samples/s",
                                              "efficiency", "energy per sample"}};
  for (const scaling_point& p : curve.points) {
    rows.push_back(
        {std::to_string(p.devices), std::to_string(p.device_batch), std::to_string(p.batch),
         detail::with_commas(p.price.step.cycles()),
         detail::with_commas(p.price.reduction.cycles()), name_of(p.price.reduction.path),
         detail::spell_share(p.reduction_share()), detail::spell_scaled(p.seconds, "s"),
         detail::spell_fixed(p.samples_per_second(), 1), detail::spell_share(p.efficiency),
         detail::spell_scaled(static_cast<double>(p.price.energy_fJ()) * 1e-15 / p.batch, "J")});
  }
  out << curve.name << "\n";
  detail::write_columns(out, rows, 0);
}

inline io::json to_json(const scaling_curve& curve) {
  io::json points = io::json::array();
  for (const scaling_point& p : curve.points) {
    const accelerator::all_reduce_price& r = p.price.reduction;
    points.push_back({{"devices", p.devices},
                      {"device_batch", p.device_batch},
                      {"batch", p.batch},
                      {"cycles", p.price.cycles()},
                      {"step_cycles", p.price.step.cycles()},
                      {"all_reduce_cycles", r.cycles()},
                      {"all_reduce_path", accelerator::name_of(r.path)},
                      {"link_cycles", r.link_cycles},
                      {"meet_cycles", r.meet_cycles},
                      {"add_cycles", r.add_cycles},
                      {"link_bytes", r.link_bytes},
                      {"energy_fJ", p.price.energy_fJ()},
                      {"microseconds", 1e6 * p.seconds},
                      {"samples_per_second", p.samples_per_second()},
                      {"efficiency", p.efficiency}});
  }
  return {{"name", curve.name}, {"points", points}};
}

/// Samples per second over devices, one line for each curve, beside what perfect scaling of the
/// first curve would give (dotted).
inline void write_scaling_svg(std::ostream& out, const std::vector<scaling_curve>& curves,
                              const std::string& title = "data parallel training") {
  static constexpr const char* colours[] = {"#2f6299", "#b0601c", "#3c7a35",
                                            "#7a4a9c", "#a02020", "#555555"};
  constexpr double left = 70, top = 70, width = 560, height = 400, key = 250;
  constexpr double all = left + width + key;
  detail::svg_writer svg(out, all, top + height + 50);
  svg.box({0, 0, all, top + height + 50}, 0, "#ffffff", "none");
  std::vector<double> across, up;
  for (const scaling_curve& curve : curves) {
    for (const scaling_point& p : curve.points) {
      across.push_back(p.devices);
      up.push_back(p.samples_per_second());
    }
  }
  const detail::chart chart{{left, top, width, height},
                            detail::axis_of(across, left, left + width),
                            detail::axis_of(up, top + height, top)};
  chart.draw(svg, title, "devices", "samples per second");
  for (std::size_t k = 0; k < curves.size(); ++k) {
    const scaling_curve& curve = curves[k];
    const char* const colour = colours[k % std::size(colours)];
    std::vector<point> line;
    for (const scaling_point& p : curve.points) {
      line.push_back(chart.at(p.devices, p.samples_per_second()));
      svg.titled_dot(line.back(), 3.5, colour,
                     curve.name + ": " + std::to_string(p.devices) + " devices, " +
                         detail::spell_fixed(p.samples_per_second(), 1) + " samples/s, " +
                         detail::spell_share(p.efficiency) + " efficiency, gradients " +
                         detail::spell_share(p.reduction_share()));
    }
    for (std::size_t i = 1; i < line.size(); ++i) svg.rule(line[i - 1], line[i], colour, false);
    const double y = top + 14 + 18 * static_cast<double>(k);
    svg.rule({left + width + 16, y - 4}, {left + width + 40, y - 4}, colour, false);
    svg.text({left + width + 46, y}, curve.name, "start", "#333333");
    if (k > 0 || curve.points.size() < 2) continue;
    const scaling_point& first = curve.points.front();
    const scaling_point& last = curve.points.back();
    const double perfect =
        first.samples_per_second() / first.devices * static_cast<double>(last.devices);
    svg.rule(line.front(), chart.at(last.devices, std::min(perfect, chart.y.high)), "#999999",
             true);
  }
}

}  // namespace tessera
