#pragma once

// A table of kernel calls with their addresses filled in: what is left of a network at run time.

#include <tessera/ir/call.hpp>
#include <tessera/ir/graph.hpp>
#include <tessera/runtime/bases.hpp>
#include <span>
#include <vector>

namespace tessera {

/// One operation, ready to run. Without a kernel: `loop` or `end_loop`.
struct sequence_entry {
  kernel run = nullptr;
  const signature* sizes = nullptr;
  const operation* what = nullptr;
  bool keeps_weights = false;  // they are the same in all trips of the loop around
  i32 joined = 0;              // so many entries after it are done by its kernel as well
};

/// Calls the kernels of a step in order. Built once; running it allocates nothing, throws nothing
/// and tests no shape. Operands that move from trip to trip of a loop get their addresses before
/// each call: one multiply-add per operand and loop around it.
class call_sequence {
 public:
  call_sequence() = default;

  /// `entries` point to signatures and operations that outlive the sequence; `locations` by tensor.
  call_sequence(std::span<const sequence_entry> entries, std::span<const location> locations,
                std::span<const loop_body> bodies, const region_bases& bases) {
    constexpr std::size_t slots = operation::max_inputs + operation::max_outputs;
    pointers_.resize(entries.size() * slots);
    entries_.reserve(entries.size());
    calls_.reserve(entries.size());
    std::byte** slot = pointers_.data();
    std::vector<std::size_t> open;
    for (const sequence_entry& entry : entries) {
      std::byte** const in = slot;
      entry_state state;
      state.run = entry.run;
      state.first_move = moves_.size();
      state.keeps_weights = entry.keeps_weights;
      state.joined = static_cast<std::size_t>(entry.joined);
      const auto put = [&](i32 id) {
        if (id >= 0) {
          const location& at = locations[static_cast<std::size_t>(id)];
          *slot = bases.at(at);
          if (at.moves()) moves_.push_back({slot, *slot, {at.step[0], at.step[1], at.step[2]}});
        }
        ++slot;
      };
      for (const i32 id : entry.what->in) put(id);
      std::byte** const out = slot;
      for (const i32 id : entry.what->out) put(id);
      state.last_move = moves_.size();
      if (entry.what->what == kind::loop) {
        const loop_body& b = bodies[static_cast<std::size_t>(entry.what->body)];
        state.trips = b.trips;
        state.depth = b.depth - 1;
        state.reversed = b.reversed;
        open.push_back(entries_.size());
      } else if (entry.what->what == kind::end_loop) {
        entries_[open.back()].end = entries_.size();
        open.pop_back();
      }
      entries_.push_back(state);
      calls_.push_back({in, out, entry.sizes, &entry.what->attr, nullptr, 0, 0,
                        static_cast<i32>(calls_.size())});
    }
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      for (std::size_t k = i; k < i + entries_[i].joined; ++k) calls_[k].then = &calls_[k + 1];
      entries_[i].last_move = entries_[i + entries_[i].joined].last_move;
    }
  }

  std::size_t size() const { return calls_.size(); }

  void run(const step_values& step) { run(0, calls_.size(), step); }

  /// Operations begin to end - 1, which stand outside all loops or bring their loops along.
  void run(std::size_t begin, std::size_t end, const step_values& step) {
    i32 trips[location::max_depth] = {};
    run(begin, end, step, trips, 0, 0, true);
  }

 private:
  struct entry_state {
    kernel run = nullptr;
    std::size_t first_move = 0;
    std::size_t last_move = 0;
    std::size_t end = 0;     // of a loop
    std::size_t joined = 0;  // entries after it whose moves are its own
    i32 trips = 0;
    i32 depth = 0;
    bool reversed = false;
    bool keeps_weights = false;
  };

  /// An operand whose address depends on the trips of the loops around.
  struct move {
    std::byte** slot;
    std::byte* start;
    i64 step[location::max_depth];
  };

  void run(std::size_t begin, std::size_t end, const step_values& step, i32* trips, i32 index,
           i32 trip, bool first) {
    for (std::size_t i = begin; i < end; ++i) {
      const entry_state& entry = entries_[i];
      if (entry.run == nullptr) {
        for (i32 t = 0; t < entry.trips; ++t) {
          trips[entry.depth] = t;
          const i32 slice = entry.reversed ? entry.trips - 1 - t : t;
          run(i + 1, entry.end, step, trips, slice, trip * entry.trips + slice, t == 0);
        }
        trips[entry.depth] = 0;
        i = entry.end;
        continue;
      }
      for (std::size_t k = entry.first_move; k < entry.last_move; ++k) {
        const move& m = moves_[k];
        *m.slot = m.start + m.step[0] * trips[0] + m.step[1] * trips[1] + m.step[2] * trips[2];
      }
      call& c = calls_[i];
      c.step = &step;
      c.index = index;
      c.trip = trip;
      c.kept = entry.keeps_weights && !first;
      entry.run(c);
      i += entry.joined;
    }
  }

  std::vector<std::byte*> pointers_;
  std::vector<entry_state> entries_;
  std::vector<move> moves_;
  std::vector<call> calls_;
};

}  // namespace tessera
