#pragma once

// The layout of one body: rows, columns, and the ways of lines between boxes of known size. What
// it is for stands in report/layout.hpp, which puts bodies into each other.
//
//   row     given; boxes of one row that follow each other share it in several bands
//   band    a strip across all columns; between bands are gaps, between columns channels
//   direct  a line to a later band of its column, through places reserved in the bands between
//   other   exit, track of a gap, track of a channel, track of a gap, arrival

#include <tessera/ir/graph.hpp>
#include <tessera/report/geometry.hpp>
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

namespace tessera {

namespace detail {

inline constexpr double letter_width = 6.4;  // of an 11 pixel sans-serif, on the wide side
inline constexpr double line_height = 14;
inline constexpr double margin = 14;
inline constexpr double label_height = 20;
inline constexpr double box_gap = 12;   // between boxes of a row
inline constexpr double row_gap = 22;   // between rows, tracks apart
inline constexpr double track_gap = 6;  // between lines side by side

inline constexpr i32 columns = 3;

constexpr std::size_t at(i32 i) { return static_cast<std::size_t>(i); }
constexpr i32 count_of(std::size_t n) { return static_cast<i32>(n); }

/// What is drawn in a body: an operation, a leaf, a loop, a port of its frame, or the place that a
/// line takes in a row.
struct layout_item {
  i32 operation = -1;
  i32 leaf = -1;
  i32 body = -1;
  i32 port = -1;  // the tensor that crosses the frame
  bool entry = false;
  i32 column = 0;
  double width = 0;
  double height = 0;
  i32 row = 0;
  i32 band = 0;
  double x = 0;  // left, top
  double y = 0;

  bool laid_out() const { return operation >= 0 || leaf >= 0 || body >= 0; }
  double center() const { return x + width / 2; }
};

/// A line within one body.
struct layout_line {
  i32 from = -1;  // items
  i32 to = -1;
  i32 net = -1;  // tensor whose bytes it stands for: lines of one net may share tracks
  bool carried = false;
  std::vector<i32> through;  // places in the rows between
  bool direct = false;       // from row to row within its column; else through gaps and a channel
  double exit = 0;           // x of its two ends
  double arrival = 0;
  std::vector<point> points;
};

/// One body, with coordinates of its own.
class body_layout {
 public:
  body_layout() = default;

  double width = 0;
  double height = 0;
  std::vector<layout_item> items;
  std::vector<layout_line> lines;
  std::map<i32, i32> line_of_link;
  std::map<std::pair<i32, bool>, i32> ports;  // tensor and direction -> item

  double port_x(i32 tensor, bool entry) const {
    return items[at(ports.at({tensor, entry}))].center();
  }

  i32 add_line(i32 from, i32 to, i32 net, bool carried) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const layout_line& l = lines[i];
      if (l.from == from && l.to == to && l.net == net && l.carried == carried) return count_of(i);
    }
    layout_line l;
    l.from = from;
    l.to = to;
    l.net = net;
    l.carried = carried;
    lines.push_back(l);
    return count_of(lines.size() - 1);
  }

  /// Everything from rows to points; `down`: the frame is entered from above. `children` by body.
  void arrange(const std::vector<body_layout>& children, bool framed, bool down) {
    order_rows_into_bands();
    reserve_places();
    place_in_columns();
    attach_ends(children);
    route(framed, down);
  }

 private:
  // Forward boxes are left at the bottom and entered at the top, the others the other way round.
  bool leaves_below(const layout_item& i) const { return i.column == 0; }
  i32 exit_gap(const layout_item& i) const { return i.band + (leaves_below(i) ? 1 : 0); }
  i32 entry_gap(const layout_item& i) const { return i.band + (leaves_below(i) ? 0 : 1); }
  i32 channel_of(const layout_line& l) const {
    return std::max(items[at(l.from)].column, items[at(l.to)].column);
  }

  void order_rows_into_bands();
  void reserve_places();
  void place_in_columns();
  void attach_ends(const std::vector<body_layout>& children);
  void route(bool framed, bool down);

  i32 bands_ = 0;
  std::map<std::pair<i32, i32>, double> channel_x_;  // column, net
};

/// Boxes of one row and column that hand something to each other stand above each other: the last
/// to run at the top.
inline void body_layout::order_rows_into_bands() {
  i32 lowest = 0;
  i32 highest = 0;
  for (const layout_item& i : items) {
    lowest = std::min(lowest, i.row);
    highest = std::max(highest, i.row);
  }
  std::vector<i32> sub(items.size(), 0);
  for (std::size_t round = 0; round < items.size(); ++round) {  // to a fixed point
    bool changed = false;
    for (const layout_line& l : lines) {
      const layout_item& from = items[at(l.from)];
      const layout_item& to = items[at(l.to)];
      if (l.carried || from.row != to.row || from.column != to.column || l.from == l.to) continue;
      if (sub[at(l.to)] > sub[at(l.from)]) continue;
      sub[at(l.to)] = sub[at(l.from)] + 1;
      changed = true;
    }
    if (!changed) break;
  }
  std::vector<i32> depth(at(highest - lowest + 1), 1);
  for (std::size_t i = 0; i < items.size(); ++i) {
    i32& d = depth[at(items[i].row - lowest)];
    d = std::max(d, sub[i] + 1);
  }
  std::vector<i32> first(depth.size(), 0);
  for (std::size_t r = 0; r < depth.size(); ++r) {
    first[r] = bands_;
    bands_ += depth[r];
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t r = at(items[i].row - lowest);
    items[i].band = first[r] + depth[r] - 1 - (items[i].column == 0 ? (depth[r] - 1) / 2 : sub[i]);
  }
}

inline void body_layout::reserve_places() {
  std::map<std::tuple<i32, i32, i32>, i32> places;  // source, net, band
  for (layout_line& l : lines) {
    const layout_item from = items[at(l.from)];
    const layout_item to = items[at(l.to)];
    const i32 step = from.column == 0 ? 1 : -1;
    const i32 distance = (to.band - from.band) * step;
    l.direct = !l.carried && from.column == to.column && distance > 0;
    if (!l.direct) continue;
    for (i32 band = from.band + step; band != to.band; band += step) {
      const auto key = std::make_tuple(l.from, l.net, band);
      if (places.find(key) == places.end()) {
        layout_item place;
        place.column = from.column;
        place.band = band;
        place.width = 2;
        places[key] = count_of(items.size());
        items.push_back(place);
      }
      l.through.push_back(places[key]);
    }
  }
}

/// x of every item, from 0 in its column; then the columns and channels side by side.
inline void body_layout::place_in_columns() {
  std::vector<std::vector<i32>> before(items.size());  // neighbours in the band it comes from
  for (const layout_line& l : lines) {
    if (!l.direct) continue;
    i32 last = l.from;
    for (const i32 place : l.through) {
      before[at(place)].push_back(last);
      last = place;
    }
    before[at(l.to)].push_back(last);
  }
  // Channels: how many lines change rows side by side. Their tracks are found again in route().
  std::vector<std::map<i32, interval>> channels(at(columns));
  for (const layout_line& l : lines) {
    if (l.direct) continue;
    const double a = exit_gap(items[at(l.from)]);
    const double b = entry_gap(items[at(l.to)]);
    if (a == b) continue;
    auto& nets = channels[at(channel_of(l))];
    const auto known = nets.find(l.net);
    interval& i =
        known == nets.end() ? nets.insert({l.net, {a, a, 0}}).first->second : known->second;
    i.low = std::min({i.low, a, b});
    i.high = std::max({i.high, a, b});
  }

  double left = margin;
  for (i32 column = 0; column < columns; ++column) {
    std::vector<interval*> wires;
    for (auto& [net, wire] : channels[at(column)]) wires.push_back(&wire);
    const i32 tracks = assign_tracks(wires, 0.5);
    for (auto& [net, wire] : channels[at(column)]) {
      channel_x_[{column, net}] = left + track_gap * (wire.track + 1);
    }
    if (tracks > 0) left += track_gap * (tracks + 2);

    std::vector<std::vector<i32>> cells(at(bands_));
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].column == column) cells[at(items[i].band)].push_back(count_of(i));
    }
    double least = 0;
    double most = 0;
    bool any = false;
    for (i32 k = 0; k < bands_; ++k) {
      auto& cell = cells[at(column == 0 ? k : bands_ - 1 - k)];
      std::map<i32, double> wanted;
      for (const i32 i : cell) {
        double sum = 0;
        for (const i32 b : before[at(i)]) sum += items[at(b)].center();
        const auto n = static_cast<double>(before[at(i)].size());
        wanted[i] = n > 0 ? sum / n : 0;
      }
      std::stable_sort(cell.begin(), cell.end(),
                       [&](i32 a, i32 b) { return wanted[a] < wanted[b]; });
      double end = -1e9;
      double drift = 0;
      for (const i32 i : cell) {
        layout_item& item = items[at(i)];
        item.x = std::max(wanted[i] - item.width / 2, end);
        end = item.x + item.width + box_gap;
        drift += item.center() - wanted[i];
      }
      // Updates are flush left, the rest is centered below what it reads.
      if (!cell.empty()) drift /= static_cast<double>(cell.size());
      if (column == 2 && !cell.empty()) drift = items[at(cell[0])].x;
      for (const i32 i : cell) {
        items[at(i)].x -= drift;
        least = any ? std::min(least, items[at(i)].x) : items[at(i)].x;
        most = any ? std::max(most, items[at(i)].x + items[at(i)].width)
                   : items[at(i)].x + items[at(i)].width;
        any = true;
      }
    }
    for (layout_item& i : items) {
      if (i.column == column) i.x += left - least;
    }
    if (any) left += most - least + box_gap;
  }
  width = left - box_gap + margin;
}

/// Where lines leave and reach items: side by side in the order in which they come.
inline void body_layout::attach_ends(const std::vector<body_layout>& children) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    const layout_item& item = items[i];
    const i32 self = count_of(i);
    std::vector<i32> out;                               // nets
    std::vector<std::tuple<i32, double, i32, i32>> in;  // column and x it comes from, item, net
    for (const layout_line& l : lines) {
      const layout_item& from = items[at(l.from)];
      if (l.from == self && std::find(out.begin(), out.end(), l.net) == out.end()) {
        out.push_back(l.net);
      }
      const auto key = std::make_tuple(from.column, from.x, l.from, l.net);
      if (l.to == self && std::find(in.begin(), in.end(), key) == in.end()) in.push_back(key);
    }
    std::sort(in.begin(), in.end());
    const auto spread = [&](std::size_t which, std::size_t count) {
      return item.x + item.width * static_cast<double>(which + 1) / static_cast<double>(count + 1);
    };
    for (layout_line& l : lines) {
      if (l.from == self) {
        const auto which = std::find(out.begin(), out.end(), l.net) - out.begin();
        l.exit = item.body >= 0 ? item.x + children[at(item.body)].port_x(l.net, false)
                                : spread(static_cast<std::size_t>(which), out.size());
      }
      if (l.to == self) {
        const layout_item& from = items[at(l.from)];
        const auto key = std::make_tuple(from.column, from.x, l.from, l.net);
        const auto which = std::find(in.begin(), in.end(), key) - in.begin();
        l.arrival = item.body >= 0 ? item.x + children[at(item.body)].port_x(l.net, true)
                                   : spread(static_cast<std::size_t>(which), in.size());
      }
    }
  }
}

/// Tracks in the gaps, y of every item, and the corners of every line.
inline void body_layout::route(bool framed, bool down) {
  std::vector<std::map<i32, interval>> gaps(at(bands_ + 1));
  const auto pass = [&](i32 gap, i32 net, double a, double b) {
    auto& nets = gaps[at(gap)];
    const auto known = nets.find(net);
    if (known == nets.end()) {
      nets[net] = {std::min(a, b), std::max(a, b), 0};
    } else {
      known->second.low = std::min({known->second.low, a, b});
      known->second.high = std::max({known->second.high, a, b});
    }
  };
  for (const layout_line& l : lines) {
    if (l.direct) continue;
    const i32 leave = exit_gap(items[at(l.from)]);
    const i32 enter = entry_gap(items[at(l.to)]);
    if (leave == enter) {
      pass(leave, l.net, l.exit, l.arrival);
    } else {
      const double x = channel_x_.at({channel_of(l), l.net});
      pass(leave, l.net, l.exit, x);
      pass(enter, l.net, x, l.arrival);
    }
  }
  std::vector<double> tops(at(bands_), 0);
  std::vector<double> bottoms(at(bands_), 0);
  std::vector<double> gap_top(at(bands_ + 1), 0);
  double y = framed ? label_height : 0;
  for (i32 k = 0; k <= bands_; ++k) {
    std::vector<interval*> wires;
    for (auto& [net, wire] : gaps[at(k)]) wires.push_back(&wire);
    const i32 tracks = assign_tracks(wires, track_gap);
    gap_top[at(k)] = y + row_gap / 2;
    y += row_gap + track_gap * std::max(0, tracks - 1);
    if (k == bands_) break;
    double tallest = 0;
    for (const layout_item& i : items) {
      if (i.band == k) tallest = std::max(tallest, i.height);
    }
    tops[at(k)] = y;
    y += tallest;
    bottoms[at(k)] = y;
  }
  height = y;
  for (layout_item& i : items) {
    i.y = (tops[at(i.band)] + bottoms[at(i.band)] - i.height) / 2;
  }

  for (layout_line& l : lines) {
    const layout_item& from = items[at(l.from)];
    const layout_item& to = items[at(l.to)];
    const auto add = [&](double px, double py) { l.points.push_back({px, py}); };
    if (from.port >= 0) add(l.exit, down ? 0 : height);
    const bool below = leaves_below(from);
    add(l.exit, below ? from.y + from.height : from.y);
    if (l.direct) {
      add(l.exit, below ? bottoms[at(from.band)] : tops[at(from.band)]);
      for (const i32 p : l.through) {
        const layout_item& place = items[at(p)];
        add(place.center(), below ? tops[at(place.band)] : bottoms[at(place.band)]);
        add(place.center(), below ? bottoms[at(place.band)] : tops[at(place.band)]);
      }
      add(l.arrival, below ? tops[at(to.band)] : bottoms[at(to.band)]);
    } else {
      const auto track = [&](i32 gap) {
        return gap_top[at(gap)] + track_gap * gaps[at(gap)].at(l.net).track;
      };
      const i32 leave = exit_gap(from);
      const i32 enter = entry_gap(to);
      add(l.exit, track(leave));
      if (leave != enter) {
        const double x = channel_x_.at({channel_of(l), l.net});
        add(x, track(leave));
        add(x, track(enter));
      }
      add(l.arrival, track(enter));
    }
    add(l.arrival, leaves_below(to) ? to.y : to.y + to.height);
    if (to.port >= 0) add(l.arrival, down ? height : 0);
  }
}

}  // namespace detail
}  // namespace tessera
