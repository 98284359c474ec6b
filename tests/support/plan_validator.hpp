#pragma once

// The plan validator: replays a planned step byte by byte and says what is wrong with the plan.
//
//   bytes of the arena   0         64        128       192
//   conv1.out written    [1 1 1 1 1][1 1 1 1 1][. . . . .]     each byte carries the tensor
//   tanh1.out written    [2 2 2 2 2][2 2 2 2 2][. . . . .]     whose value it holds
//   conv1.out read       ^ byte 0 holds tanh1.out: the plan is wrong
//
// A read finds all bytes of its operand marked with the operand, or with what it is a view of. An
// output may lie over an input of its own operation only in the ways of the table below. What is
// kept must still be there at the end. All regions are replayed, so that weights, states and the
// batch are checked with the arena. Knows nothing of lives, buffers or placement.

#include <tessera/ir/graph.hpp>
#include <tessera/ir/memory.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace tessera::testing {

/// The ways in which an element of an output may replace the element of an input at the same place:
/// the operation reads nothing else of that input afterwards.
inline bool may_overwrite(kind what, i32 out_slot, i32 in_slot) {
  if (out_slot != 0) return false;
  switch (what) {
    case kind::relu:
    case kind::tanh:
    case kind::sigmoid:
    case kind::dropout: return in_slot == 0;
    case kind::relu_gradient:
    case kind::tanh_gradient:
    case kind::sigmoid_gradient: return in_slot == 1;  // over dy; y may be read in another order
    case kind::add:
    case kind::subtract:
    case kind::multiply:
    case kind::bias_add:
    case kind::channel_scale:
    case kind::copy:
    case kind::batch_norm:
    case kind::batch_norm_inference:
    case kind::group_norm:
    case kind::layer_norm:
    case kind::rms_norm:
    case kind::softmax_cross_entropy_gradient:
    case kind::mse_gradient: return in_slot == 0;
    case kind::batch_norm_gradient:
    case kind::batch_norm_inference_gradient:
    case kind::group_norm_gradient:
    case kind::layer_norm_gradient:
    case kind::rms_norm_gradient: return in_slot == 1;  // dx over dy, all of which was summed before
    default: return false;
  }
}

class plan_validator {
 public:
  /// `locations` by tensor; `memory` states the size of each region.
  plan_validator(const graph& g, const location* locations, const memory_summary& memory)
      : g_(g), at_(locations) {
    const auto size = [&](region r, i64 bytes) {
      holder_[static_cast<std::size_t>(r)].assign(static_cast<std::size_t>(bytes), -1);
    };
    size(region::arena, memory.arena_bytes);
    size(region::parameters, memory.parameter_bytes);
    size(region::working, memory.working_bytes);
    size(region::state, memory.state_bytes);
    size(region::input, memory.input_bytes);
    size(region::target, memory.target_bytes);
    size(region::constant, memory.constant_bytes);
  }

  /// Replays the step. Empty where the plan is right, else the first thing that is wrong.
  std::string replay() {
    // Before the step: what the caller fills and what lives as long as the network.
    for (i32 id = 0; id < g_.tensors.size() && ok(); ++id) {
      const tensor& t = g_.tensors[id];
      if (t.of >= 0) continue;
      const bool here = t.what == role::input || t.what == role::target ||
                        t.what == role::constant || t.what == role::parameter ||
                        t.what == role::state;
      if (here) mark(id, -1, true);
    }
    std::vector<bool> updated(static_cast<std::size_t>(g_.tensors.size()));
    for (i32 i = 0; i < g_.operations.size() && ok(); ++i) {
      const operation& op = g_.operations[i];
      for (const i32 in : op.in) {
        if (in < 0 || !ok()) continue;
        read(in, i);
        if (updated[static_cast<std::size_t>(whole(in))]) {
          wrong(in, i, "is read after its update");
        }
      }
      check_overlaps(op, i);
      for (const i32 out : op.out) {
        if (out < 0 || !ok()) continue;
        if (g_.tensors[out].of >= 0) wrong(out, i, "is a view and written");
        mark(out, i, false);
        if (g_.tensors[out].what == role::parameter) updated[static_cast<std::size_t>(out)] = true;
      }
    }
    for (i32 id = 0; id < g_.tensors.size() && ok(); ++id) {
      const role what = g_.tensors[id].what;
      const bool stays = what == role::result || what == role::parameter || what == role::state;
      if (stays && at_[id].where != region::none) read(id, g_.operations.size());
    }
    return fault_;
  }

 private:
  bool ok() const { return fault_.empty(); }

  /// The tensor that a view, or a view of a view, shows.
  i32 whole(i32 id) const {
    while (g_.tensors[id].of >= 0) id = g_.tensors[id].of;
    return id;
  }

  void wrong(i32 id, i32 when, const std::string& what) {
    if (!ok()) return;
    fault_ = "operation " + std::to_string(when) + ": tensor " + std::to_string(id) + " (" +
             std::string(spell(g_.tensors[id].name).view()) + ") " + what;
  }

  /// First byte and length in the region of a tensor; null where it lies outside.
  i32* bytes_of_tensor(i32 id, i32 when) {
    const location& at = at_[id];
    const i64 bytes = g_.tensors[id].bytes();
    if (at.where == region::none) {
      wrong(id, when, "has no place");
      return nullptr;
    }
    auto& holder = holder_[static_cast<std::size_t>(at.where)];
    if (at.offset < 0 || at.offset % tensor_alignment != 0) {
      wrong(id, when, "is not aligned");
      return nullptr;
    }
    if (at.offset + bytes > static_cast<i64>(holder.size())) {
      wrong(id, when, "reaches past the end of its region");
      return nullptr;
    }
    return holder.data() + at.offset;
  }

  void mark(i32 id, i32 when, bool must_be_free) {
    i32* const holder = bytes_of_tensor(id, when);
    if (holder == nullptr) return;
    const i64 bytes = g_.tensors[id].bytes();
    for (i64 k = 0; k < bytes; ++k) {
      if (must_be_free && holder[k] != -1) return wrong(id, when, "shares bytes that are to last");
      holder[k] = id;
    }
  }

  void read(i32 id, i32 when) {
    const i32* const holder = bytes_of_tensor(id, when);
    if (holder == nullptr) return;
    const i32 expected = whole(id);
    const i64 bytes = g_.tensors[id].bytes();
    for (i64 k = 0; k < bytes; ++k) {
      if (holder[k] == expected) continue;
      return wrong(
          id, when,
          "finds tensor " + std::to_string(holder[k]) + " in its byte " + std::to_string(k));
    }
  }

  bool overlap(i32 a, i32 b) const {
    return at_[a].where == at_[b].where && at_[a].offset < at_[b].offset + g_.tensors[b].bytes() &&
           at_[b].offset < at_[a].offset + g_.tensors[a].bytes();
  }

  void check_overlaps(const operation& op, i32 when) {
    for (i32 o = 0; o < operation::max_outputs; ++o) {
      const i32 out = op.out[o];
      if (out < 0) continue;
      for (i32 other = 0; other < o; ++other) {
        if (op.out[other] >= 0 && overlap(out, op.out[other])) {
          wrong(out, when, "overlaps another output");
        }
      }
      for (i32 k = 0; k < operation::max_inputs; ++k) {
        const i32 in = op.in[k];
        if (in < 0 || !overlap(out, in)) continue;
        const bool same_bytes =
            at_[in].offset == at_[out].offset && g_.tensors[in].bytes() == g_.tensors[out].bytes();
        if (!same_bytes || !may_overwrite(op.what, o, k)) {
          wrong(out, when, "is written over operand " + std::to_string(k) + " while it is read");
        }
      }
    }
  }

  const graph& g_;
  const location* at_;
  std::vector<i32> holder_[region_count];
  std::string fault_;
};

/// Empty where the plan is right, else the first thing that is wrong with it.
inline std::string fault_of(const graph& g, const location* locations,
                            const memory_summary& memory) {
  return plan_validator(g, locations, memory).replay();
}

}  // namespace tessera::testing
