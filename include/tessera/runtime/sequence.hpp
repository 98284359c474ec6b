#pragma once

// A table of kernel calls with their addresses filled in: what is left of a network at run time.

#include <tessera/ir/call.hpp>
#include <tessera/ir/graph.hpp>
#include <tessera/runtime/bases.hpp>
#include <span>
#include <vector>

namespace tessera {

/// One operation, ready to run.
struct sequence_entry {
  kernel run = nullptr;
  const signature* sizes = nullptr;
  const operation* what = nullptr;
};

/// Calls the kernels of a step in order. Built once; running it allocates nothing, throws nothing
/// and tests no shape.
class sequence {
 public:
  sequence() = default;

  /// `entries` point to signatures and operations that outlive the sequence; `locations` by tensor.
  sequence(std::span<const sequence_entry> entries, std::span<const location> locations,
           const region_bases& bases) {
    constexpr std::size_t slots = operation::max_inputs + operation::max_outputs;
    pointers_.resize(entries.size() * slots);
    kernels_.reserve(entries.size());
    calls_.reserve(entries.size());
    std::byte** slot = pointers_.data();
    for (const sequence_entry& entry : entries) {
      std::byte** const in = slot;
      const auto address = [&](i32 id) {
        return id < 0 ? nullptr : bases.at(locations[static_cast<std::size_t>(id)]);
      };
      for (const i32 id : entry.what->in) *slot++ = address(id);
      std::byte** const out = slot;
      for (const i32 id : entry.what->out) *slot++ = address(id);
      kernels_.push_back(entry.run);
      calls_.push_back({in, out, entry.sizes, &entry.what->attr, nullptr});
    }
  }

  std::size_t size() const { return calls_.size(); }

  void run(const step_values& step) { run(0, calls_.size(), step); }

  /// Operations begin to end - 1.
  void run(std::size_t begin, std::size_t end, const step_values& step) {
    for (std::size_t i = begin; i < end; ++i) {
      calls_[i].step = &step;
      kernels_[i](calls_[i]);
    }
  }

 private:
  std::vector<std::byte*> pointers_;
  std::vector<kernel> kernels_;
  std::vector<call> calls_;
};

}  // namespace tessera
