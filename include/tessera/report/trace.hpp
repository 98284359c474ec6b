#pragma once

// A step's timeline on a machine, in the trace event format that Perfetto and chrome://tracing
// load.
//
//   row          0 us                                                       37 us
//   pass         | forward                      | backward and update           |
//   layer        | conv1            | tanh1 | ...
//   compute      |        | conv2d |    | tanh |
//   exchange     |   |****|             |
//   sync         |***|              |***|
//   off-chip                                     what no computing hides
//
// Operations follow one another as the graph has them, loops trip by trip, each as sync, waiting
// for memory off the chip, exchange, compute: an operation of two supersteps shows the sum of both.
// The four rows of phases together last as long as the step. Every event says its cycles, since
// microseconds are no whole numbers. Where a step has more events than are asked for, its loops are
// drawn once, with the cycles of all trips. Source: Trace Event Format (Google), complete events.

#include <tessera/io/json.hpp>
#include <tessera/report/price_table.hpp>
#include <ostream>

namespace tessera {

enum class trace_row : u8 { pass, layer, compute, exchange, sync, offchip };

inline const char* name_of(trace_row row) {
  switch (row) {
    case trace_row::pass: return "pass";
    case trace_row::layer: return "layer";
    case trace_row::compute: return "compute";
    case trace_row::exchange: return "exchange";
    case trace_row::sync: return "sync";
    case trace_row::offchip: return "off-chip";
  }
  return "?";
}

/// A stretch of one row of the timeline.
struct trace_event {
  trace_row row = trace_row::compute;
  i64 begin = 0;  // cycles from the start of the step
  i64 cycles = 0;
  i32 operation = -1;                  // of the list; rows of phases only
  i64 runs = 1;                        // that it stands for
  std::string name;                    // rows pass and layer only
  accelerator::operation_price spent;  // by the operation in these runs; rows of phases only
};

/// So many events a browser shows without effort.
inline constexpr i64 most_trace_events = 100'000;

namespace detail {

class timeline {
 public:
  timeline(const price_list& list, i64 most) : list_(list) {
    i64 events = 0;
    for (const priced_operation& op : list.operations) events += 6 * op.runs;
    unrolls_ = events <= most;
  }

  std::vector<trace_event> make() {
    walk(0, static_cast<i32>(list_.operations.size()), 0, 1);
    close(trace_row::pass);
    close(trace_row::layer);
    return std::move(events_);
  }

 private:
  static std::size_t index(i32 i) { return static_cast<std::size_t>(i); }

  /// Operations `begin` to `end - 1`, of which loops from number `loop` on may be a part. Returns
  /// the number of the first loop that is not.
  std::size_t walk(i32 begin, i32 end, std::size_t loop, i64 runs) {
    for (i32 i = begin; i < end;) {
      while (loop < list_.loops.size() && list_.loops[loop].begin == list_.loops[loop].end) ++loop;
      if (loop == list_.loops.size() || list_.loops[loop].begin != i ||
          list_.loops[loop].end > end) {
        add(i++, runs);
        continue;
      }
      const priced_loop body = list_.loops[loop];
      std::size_t after = loop + 1;
      const bool around = first_;
      for (i64 trip = 0; trip < (unrolls_ ? body.trips : 1); ++trip) {
        first_ = trip == 0;
        after = walk(body.begin, body.end, loop + 1, unrolls_ ? runs : runs * body.trips);
      }
      first_ = around;
      loop = after;
      i = body.end;
    }
    return loop;
  }

  void add(i32 i, i64 runs) {
    const priced_operation& op = list_.operations[index(i)];
    const bool all = runs == op.runs;
    const accelerator::operation_price p =
        all ? op.all() : (op.kept > 0 && !first_ ? op.later : op.once).times(runs);
    group(trace_row::pass, op.part == phase::forward ? "forward" : "backward and update");
    group(trace_row::layer, op.layer);
    const auto spend = [&](trace_row row, i64 cycles) {
      if (cycles > 0) events_.push_back({row, now_, cycles, i, runs, {}, p});
      now_ += cycles;
    };
    spend(trace_row::sync, p.sync_cycles);
    spend(trace_row::offchip, p.stall_cycles);
    spend(trace_row::exchange, p.exchange_cycles);
    spend(trace_row::compute, p.compute_cycles);
  }

  /// What is open on a row goes on, or ends for what is called `name`.
  void group(trace_row row, const std::string& name) {
    trace_event& open = open_[index(static_cast<i32>(row))];
    if (open.name == name) return;
    close(row);
    open = {row, now_, 0, -1, 1, name, {}};
  }
  void close(trace_row row) {
    trace_event& open = open_[index(static_cast<i32>(row))];
    open.cycles = now_ - open.begin;
    if (open.cycles > 0) events_.push_back(open);
  }

  const price_list& list_;
  bool unrolls_ = true;
  bool first_ = true;  // trip of the innermost loop
  i64 now_ = 0;
  std::vector<trace_event> events_;
  trace_event open_[2];
};

}  // namespace detail

/// The events of a step, by the time at which they end on their row.
inline std::vector<trace_event> trace_events(const price_list& list, i64 most = most_trace_events) {
  return detail::timeline(list, most).make();
}

/// Writes the events of `list` for Perfetto: {"traceEvents": [...], ...}.
inline void write_trace(std::ostream& out, const price_list& list,
                        const std::string& title = "step", i64 most = most_trace_events) {
  const auto put = [&](const io::json& value) {
    out << value.dump(-1, ' ', false, io::json::error_handler_t::replace);
  };
  const double us = 1e6 / static_cast<double>(list.on.clock_hz);
  out << "{\"displayTimeUnit\": \"ns\",\n\"otherData\": ";
  put({{"machine", list.on.name},
       {"clock_hz", list.on.clock_hz},
       {"batch", list.batch},
       {"cycles", list.total.cycles()}});
  out << ",\n\"traceEvents\": [\n";
  put({{"ph", "M"},
       {"pid", 1},
       {"name", "process_name"},
       {"args", {{"name", title + " on " + list.on.name}}}});
  for (i32 row = 0; row <= static_cast<i32>(trace_row::offchip); ++row) {
    const char* const name = name_of(static_cast<trace_row>(row));
    out << ",\n";
    put({{"ph", "M"},
         {"pid", 1},
         {"tid", row + 1},
         {"name", "thread_name"},
         {"args", {{"name", name}}}});
    out << ",\n";
    put({{"ph", "M"},
         {"pid", 1},
         {"tid", row + 1},
         {"name", "thread_sort_index"},
         {"args", {{"sort_index", row}}}});
  }
  for (const trace_event& e : trace_events(list, most)) {
    io::json event{{"ph", "X"},
                   {"pid", 1},
                   {"tid", static_cast<i32>(e.row) + 1},
                   {"ts", us * static_cast<double>(e.begin)},
                   {"dur", us * static_cast<double>(e.cycles)},
                   {"cat", name_of(e.row)},
                   {"name", e.name}};
    io::json facts{{"cycles", e.cycles}};
    if (e.operation >= 0) {
      const priced_operation& op = list.operations[static_cast<std::size_t>(e.operation)];
      event["name"] = op.layer + " " + ops::name_of(op.what);
      facts["part"] = name_of(op.part);
      if (e.runs > 1) facts["runs"] = e.runs;
      if (e.row == trace_row::offchip) facts["bytes"] = e.spent.offchip_bytes;
      if (e.row == trace_row::exchange) facts["bytes"] = e.spent.exchange_bytes;
      if (e.row == trace_row::compute) {
        facts["vertices"] = e.spent.vertices;
        facts["energy_fJ"] = e.spent.energy_fJ;
        facts["utilization"] = utilization(list.on, op);
      }
    }
    event["args"] = facts;
    out << ",\n";
    put(event);
  }
  out << "\n]}\n";
}

}  // namespace tessera
