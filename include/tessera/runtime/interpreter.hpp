#pragma once

// The interpreter: runs a graph that is only known at run time, through the kernels' run-time
// forms, on a plan made when it starts.

#include <tessera/core/error.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/runtime/element_access.hpp>
#include <tessera/runtime/poison.hpp>
#include <tessera/runtime/sequence.hpp>
#include <string>

namespace tessera {

/// Finds the run-time form of a kernel; null where a backend has none for these element types.
using kernel_finder = kernel (*)(const signature&);

struct interpreter_options {
  bool in_place = true;
  bool poison = false;  // for debugging: dead bytes hold signalling NaNs (runtime/poison.hpp)
};

/// Owns a graph, its plan and its memory. Fill inputs and parameters, run, read results; tensors of
/// the arena hold their values only while they are alive (give them role `result` to keep them).
class interpreter {
 public:
  /// Throws `error` with the graph's own diagnostic, or naming an operation without a kernel.
  interpreter(graph g, kernel_finder find, const interpreter_options& options = {})
      : graph_(std::move(g)) {
    if (graph_.wrong.wrong()) throw error(std::string(spell(graph_.wrong).view()));
    plan_ = passes::plan_step(graph_, options.in_place);
    block_ = memory_block(plan_.memory.total_bytes);
    bases_ = cut_regions(block_.data(), plan_.memory);
    if (options.poison) {  // nothing may count on what is there before the first step
      fill_with_poison(bases_[region::arena], plan_.memory.arena_bytes, element::f32);
    }
    if (options.poison) poison_ = poison_plan(graph_, options.in_place);
    std::vector<sequence_entry> entries;
    signatures_.reserve(static_cast<std::size_t>(graph_.operations.size()));
    first_entry_.reserve(static_cast<std::size_t>(graph_.operations.size()) + 1);
    const grow<i32> bodies = bodies_of_operations(graph_);
    for (i32 i = 0; i < graph_.operations.size(); ++i) {
      const operation& op = graph_.operations[i];
      if (i > 0) poison_.append(i - 1, entries);  // what nobody needs after that operation
      first_entry_.push_back(entries.size());
      if (op.what == kind::loop || op.what == kind::end_loop) {
        signatures_.emplace_back();
        entries.push_back({nullptr, &signatures_.back(), &op});
        continue;
      }
      signatures_.push_back(ops::sign(graph_, op));
      const kernel found = find(signatures_.back());
      if (found == nullptr) {
        throw error(std::string(ops::name_of(op.what)) +
                    ": this backend has no kernel for these element types");
      }
      entries.push_back({found, &signatures_.back(), &op,
                         runs_with_kept_weights(graph_, op, bodies[i]) > 0});
    }
    if (graph_.operations.size() > 0) poison_.append(graph_.operations.size() - 1, entries);
    first_entry_.push_back(entries.size());
    const auto tensors = static_cast<std::size_t>(graph_.tensors.size());
    sequence_ = call_sequence(
        entries, {plan_.locations.data(), tensors},
        {graph_.bodies.data(), static_cast<std::size_t>(graph_.bodies.size())}, bases_);
    reset_state();
  }

  interpreter(const interpreter&) = delete;
  interpreter& operator=(const interpreter&) = delete;

  const graph& network() const { return graph_; }
  const passes::step_plan& plan() const { return plan_; }

  std::byte* data(i32 id) { return bases_.at(plan_.locations[id]); }

  /// Elements in batch-first order, whatever the tensor's layout and type.
  std::vector<double> read(i32 id) { return read_tensor(graph_.tensors[id], data(id)); }
  void write(i32 id, std::span<const double> values) {
    write_tensor(graph_.tensors[id], data(id), values);
  }

  /// Running statistics, optimizer state, counters, loss scale: as they are before the first step.
  void reset_state() {
    for (i32 id = 0; id < graph_.tensors.size(); ++id) {
      const tensor& t = graph_.tensors[id];
      if (t.what == role::constant) fill_constant(t, data(id));
      if (t.what == role::statistic && t.of < 0) {
        const double first = t.init == initializer::ones ? 1 : 0;
        write(id, std::vector<double>(static_cast<std::size_t>(t.dims.count()), first));
      }
      if (t.what != role::state || t.of >= 0) continue;
      std::fill_n(data(id), t.bytes(), std::byte{0});
      write_element(data(id), t.type, 0, static_cast<double>(t.fill));
    }
  }

  void run(const step_values& step) { run(0, graph_.operations.size(), step); }
  void run(i32 begin, i32 end, const step_values& step) {
    sequence_.run(first_entry_[static_cast<std::size_t>(begin)],
                  first_entry_[static_cast<std::size_t>(end)], step);
  }

 private:
  graph graph_;
  passes::step_plan plan_;
  memory_block block_;
  region_bases bases_;
  std::vector<signature> signatures_;
  poison_plan poison_;
  std::vector<std::size_t> first_entry_;  // by operation, and the end
  call_sequence sequence_;
};

}  // namespace tessera
