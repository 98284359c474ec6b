#pragma once

// Rooflines: which operations a machine's arithmetic holds back, and which its memory does.
//
//   multiply-adds          ______________________  the matrix units' rate
//   per cycle             /        o
//     ^                  /  o                      each point is an operation: at its multiply-adds
//     |                 / o                        by byte, and those it gets by cycle
//     |   bytes/cycle  /
//     +---------------+----------------->  multiply-adds by byte
//
// One panel for each way of the bytes: received over the exchange, read and written in the tiles'
// memories, and, for steps that lie there, in memory off the chip. The multiply-adds are those
// without padding. A point hangs below the roof by what its vertices leave idle, by
// synchronisation, and by the other panels' bytes. Bytes that come from off the chip while the
// operation before computes are counted with the operation that needs them, so that its rate there
// is that of the longer of both. Source: Williams, Waterman, Patterson 2009.

#include <tessera/report/chart.hpp>
#include <tessera/report/price_table.hpp>
#include <ostream>

namespace tessera {

/// A way of bytes, and what it carries at best.
struct bandwidth_roof {
  std::string name;
  double bytes_per_cycle = 0;  // of the whole machine; 0: the description does not say
};

struct roofline_point {
  i32 operation = -1;
  double intensity = 0;  // multiply-adds by byte; 0 where no byte goes that way
  double rate = 0;       // multiply-adds by cycle
};

struct roofline_panel {
  bandwidth_roof bandwidth;
  std::vector<roofline_point> points;

  /// The most multiply-adds by cycle at `intensity` that `m` could do with operands of `type`.
  double roof(const machine& m, double intensity, element type) const {
    const double rate = room_for_macs(m, 1, type);
    if (bandwidth.bytes_per_cycle <= 0) return rate;
    return std::min(rate, intensity * bandwidth.bytes_per_cycle);
  }
};

/// Bytes by cycle that all tiles together receive at most.
inline double exchange_rate(const machine& m) {
  return static_cast<double>(m.exchange.bytes_16ths) / 16 * m.tiles;
}

/// Bytes by cycle that go to and from memory off the chip at most.
inline double offchip_rate(const machine& m) {
  const i64 read = m.offchip.read_bytes_per_second;
  const i64 written =
      m.offchip.write_bytes_per_second > 0 ? m.offchip.write_bytes_per_second : read;
  return static_cast<double>(read + written) / static_cast<double>(m.clock_hz);
}

/// The panels of a list: products only, each once however often it runs.
inline std::vector<roofline_panel> find_rooflines(const price_list& list) {
  const machine& m = list.on;
  std::vector<roofline_panel> panels{
      {{"exchange", exchange_rate(m)}, {}},
      {{"SRAM", static_cast<double>(m.sram.bytes_per_cycle()) * m.tiles}, {}}};
  if (list.total.offchip_bytes > 0) panels.push_back({{"off-chip memory", offchip_rate(m)}, {}});
  for (std::size_t i = 0; i < list.operations.size(); ++i) {
    const priced_operation& op = list.operations[i];
    const accelerator::operation_price p = op.all();
    if (op.macs == 0 || p.cycles() == 0) continue;
    const auto macs = static_cast<double>(op.macs * op.runs);
    const i64 bytes[] = {p.exchange_bytes, p.sram_bytes, p.offchip_bytes};
    const i64 cycles[] = {p.cycles(), p.cycles(), std::max(p.cycles(), p.offchip_cycles)};
    for (std::size_t k = 0; k < panels.size(); ++k) {
      if (bytes[k] == 0) continue;
      panels[k].points.push_back({static_cast<i32>(i), macs / static_cast<double>(bytes[k]),
                                  macs / static_cast<double>(cycles[k])});
    }
  }
  return panels;
}

/// One drawing, panels side by side. Points are as large as their share of the step's cycles, in
/// the colour of their part, and say their name when pointed at.
inline void write_roofline_svg(std::ostream& out, const price_list& list,
                               const std::string& title = "roofline") {
  const std::vector<roofline_panel> panels = find_rooflines(list);
  constexpr double left = 70, top = 70, width = 520, height = 400, apart = 90;
  const auto count = static_cast<double>(panels.size());
  const double all = left + count * width + (count - 1) * apart + 24;
  detail::svg_writer svg(out, all, top + height + 70);
  svg.box({0, 0, all, top + height + 70}, 0, "#ffffff", "none");
  svg.text({left, 20}, title, "start", "#111111", true);
  const std::vector<element> types = [&] {
    std::vector<element> used;
    for (const priced_operation& op : list.operations) {
      const bool known = std::any_of(used.begin(), used.end(), [&](element t) {
        return room_for_macs(list.on, 1, t) == room_for_macs(list.on, 1, op.type);
      });
      if (op.macs > 0 && !known) used.push_back(op.type);
    }
    return used;
  }();
  double x = left;
  for (const roofline_panel& panel : panels) {
    std::vector<double> across, up;
    for (const roofline_point& p : panel.points) {
      across.push_back(p.intensity);
      up.push_back(p.rate);
    }
    for (const element t : types) {
      const double rate = room_for_macs(list.on, 1, t);
      up.push_back(rate);
      if (panel.bandwidth.bytes_per_cycle > 0) {
        across.push_back(rate / panel.bandwidth.bytes_per_cycle);
      }
    }
    const detail::chart chart{{x, top, width, height},
                              detail::axis_of(across, x, x + width),
                              detail::axis_of(up, top + height, top)};
    chart.draw(svg, panel.bandwidth.name, "multiply-adds per byte (" + panel.bandwidth.name + ")",
               "multiply-adds per cycle");
    for (const element t : types) {
      const double rate = room_for_macs(list.on, 1, t);
      const double bytes = panel.bandwidth.bytes_per_cycle;
      const double ridge = bytes > 0 ? std::max(chart.x.low, rate / bytes) : chart.x.low;
      svg.rule(chart.at(ridge, rate), chart.at(chart.x.high, rate), "#a02020", false);
      svg.text({x + width - 4, chart.y.at(rate) - 5},
               std::string(name_of(t)) + ": " + detail::with_commas(static_cast<i64>(rate)), "end",
               "#a02020");
      const double start = bytes > 0 ? std::max(chart.x.low, chart.y.low / bytes) : ridge;
      if (start < ridge) {
        svg.rule(chart.at(start, start * bytes), chart.at(ridge, rate), "#a02020", false);
      }
    }
    const auto cycles = static_cast<double>(std::max<i64>(1, list.total.cycles()));
    for (const roofline_point& p : panel.points) {
      const priced_operation& op = list.operations[static_cast<std::size_t>(p.operation)];
      const double share = static_cast<double>(op.all().cycles()) / cycles;
      const phase_colours colours = colours_of(op.part);
      const point at = chart.at(p.intensity, p.rate);
      svg.titled_dot(at, std::clamp(40 * std::sqrt(share), 2.5, 16.0), colours.line,
                     op.layer + " " + ops::name_of(op.what) + ": " +
                         detail::spell_fixed(p.rate, 1) + " multiply-adds per cycle, " +
                         detail::spell_fixed(p.intensity, 2) + " per byte, " +
                         detail::spell_share(share) + " of the step");
    }
    x += width + apart;
  }
  double key = left;
  for (const phase part : {phase::forward, phase::backward, phase::update}) {
    svg.titled_dot({key, top + height + 54}, 5, colours_of(part).line, name_of(part));
    svg.text({key + 10, top + height + 58}, name_of(part), "start", "#333333");
    key += 90;
  }
}

}  // namespace tessera
