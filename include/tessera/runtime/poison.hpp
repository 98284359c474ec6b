#pragma once

// Poison: bytes of the arena that nobody needs any more are filled with signalling NaNs, so that an
// operation that reads them shows in its results.
//
//   conv1   tanh1   conv2   [poison tanh1.out's bytes]   conv3 ...
//
// A tool to find mistakes in lives, in-place rules and kernels that read past their operands. A
// step with poison computes the same bits as one without, or something is wrong. In a loop, what a
// trip leaves of its own tensors is poisoned trip by trip; what lies outside, after the loop.
// Results, which live until the step ends, are left alone.
//
// Halves and floats both see NaNs: the pattern 7fa0 7da0 is one to either. Doubles get their own.

#include <tessera/ir/call.hpp>
#include <tessera/passes/liveness.hpp>
#include <tessera/runtime/sequence.hpp>
#include <cstring>
#include <vector>

namespace tessera {

inline void fill_with_poison(std::byte* to, i64 bytes, element type) {
  const u64 pattern = type == element::f64 ? 0x7ff4000000000000u : 0x7fa07da07fa07da0u;
  for (i64 i = 0; i < bytes; i += i64{sizeof(pattern)}) {
    const auto rest = static_cast<std::size_t>(bytes - i);
    std::memcpy(to + i, &pattern, rest < sizeof(pattern) ? rest : sizeof(pattern));
  }
}

/// Fills output 0 of `c`, whose bytes are n[0] + 2^24 n[1].
inline void fill_with_poison(const call& c) {
  const i64 bytes = c.sizes->n[0] + (i64{c.sizes->n[1]} << 24);
  fill_with_poison(c.out[0], bytes, c.sizes->output_type(0));
}

/// What is poisoned after which operation.
class poison_plan {
 public:
  poison_plan() = default;

  /// Of a step whose lives are found in the same way as for its plan.
  poison_plan(const graph& g, bool in_place) : first_(1) {
    const passes::liveness live = passes::find_liveness(g, in_place);
    const auto operations = static_cast<std::size_t>(g.operations.size());
    std::vector<std::vector<i32>> dying(operations);
    for (i32 b = 0; b < live.buffers.size(); ++b) {
      const auto dies = static_cast<std::size_t>(live.buffers[b].dies);
      if (dies < operations) dying[dies].push_back(b);
    }
    operations_.reserve(static_cast<std::size_t>(live.buffers.size()));
    signatures_.reserve(static_cast<std::size_t>(live.buffers.size()));
    for (const auto& buffers : dying) {
      for (const i32 b : buffers) {
        const buffer& dead = live.buffers[b];
        operation fill;
        fill.out[0] = dead.tensor;
        operations_.push_back(fill);
        signature s;
        s.set_type(8, g.tensors[dead.tensor].type);
        s.n[0] = static_cast<i32>(dead.bytes & 0xffffff);
        s.n[1] = static_cast<i32>(dead.bytes >> 24);
        signatures_.push_back(s);
      }
      first_.push_back(operations_.size());
    }
  }

  /// Appends what follows operation `i`. The entries point into this plan.
  void append(i32 i, std::vector<sequence_entry>& entries) const {
    const auto at = static_cast<std::size_t>(i);
    if (at + 1 >= first_.size()) return;
    for (std::size_t k = first_[at]; k < first_[at + 1]; ++k) {
      entries.push_back({static_cast<kernel>(&fill_with_poison), &signatures_[k], &operations_[k]});
    }
  }

 private:
  std::vector<std::size_t> first_;  // by operation: the first of its fills
  std::vector<operation> operations_;
  std::vector<signature> signatures_;
};

}  // namespace tessera
