#pragma once

// The plan validator: replays a planned step byte by byte and says what is wrong with the plan.
//
//   bytes of the arena   0         64        128       192
//   conv1.out written    [1 1 1 1 1][1 1 1 1 1][. . . . .]     each byte carries the tensor
//   tanh1.out written    [2 2 2 2 2][2 2 2 2 2][. . . . .]     whose value it holds
//   conv1.out read       ^ byte 0 holds tanh1.out: the plan is wrong
//
// A read finds all bytes of its operand marked with the operand, or with what it is a view of: with
// the same element of it, from the trip at hand. An output may lie over an input of its own
// operation only in the ways of the table below. What is kept must still be there at the end. All
// regions are replayed, so that weights, states and the batch are checked with the arena.
//
// Loops run trip by trip. A tensor of a body is made anew in each trip, so what an earlier trip has
// left of it is not its value. Where a view lies follows from the graph (base, step and trip, level
// by level) and from the plan (offset and steps): both must name the same bytes. Two views of the
// same bytes that do not view each other, such as what a trip finds in a carry and what it leaves
// there, are two values: within a trip, writing one ends the other, unless the operation adds to
// what it writes. A view that is larger than what was written reads all slots of a stack at once.
//
// Knows nothing of lives, buffers or placement.

#include <tessera/ir/graph.hpp>
#include <tessera/ir/memory.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace tessera::testing {

/// The ways in which an element of an output may replace the element of an input at the same place:
/// the operation reads nothing else of that input afterwards.
inline bool may_overwrite(kind what, i32 out_slot, i32 in_slot) {
  // Cells go unit by unit: all that one unit reads is read before anything of it is written.
  if (what == kind::lstm_cell && out_slot > 0) return in_slot == (out_slot == 1 ? 1 : 0);
  if (what == kind::lstm_cell_gradient && out_slot == 1) return in_slot == 4;
  if (what == kind::gru_cell && out_slot == 1) return in_slot == 0;
  if (what == kind::gru_cell_gradient && out_slot == 2) return in_slot == 3;
  if (what == kind::cosine_embedding_gradient || what == kind::triplet_gradient) {
    // Each gradient over its own vectors; of a row all sums are made before, elements go together.
    return out_slot < 2 ? in_slot == out_slot : what == kind::triplet_gradient && in_slot == 3;
  }
  if (out_slot != 0) return false;
  // The activations, and their gradients over dy; y may be read in another order.
  if (what >= kind::relu && what <= kind::abs) return in_slot == 0;
  if (what >= kind::relu_gradient && what <= kind::abs_gradient) return in_slot == 1;
  if (is_loss_gradient(what)) return in_slot == 0;
  switch (what) {
    case kind::gate_noise:
    case kind::broadcast_add:  // where a is as large as the output
    case kind::broadcast_subtract:
    case kind::broadcast_multiply:
    case kind::divide:
    case kind::maximum:
    case kind::minimum: return in_slot == 0;
    case kind::gate_noise_gradient:
    case kind::prelu_gradient:
    case kind::divide_gradient:
    case kind::maximum_gradient:
    case kind::minimum_gradient: return in_slot == 2;
    case kind::prelu:
    case kind::glu_gradient:                               // both halves of a pair are read first
    case kind::reduce_amax_gradient: return in_slot == 0;  // ties are counted first
    case kind::dropout: return in_slot == 0;
    case kind::add:
    case kind::subtract:
    case kind::multiply:
    case kind::bias_add:
    case kind::channel_scale:
    case kind::copy:
    case kind::adjust_gradient:
    case kind::bernoulli:
    case kind::gaussian_noise:
    case kind::weigh_samples:
    case kind::softmax:  // a row is read whole before any of it is written
    case kind::log_softmax:
    case kind::masked_softmax:
    case kind::batch_norm:
    case kind::batch_norm_inference:
    case kind::group_norm:
    case kind::layer_norm:
    case kind::rms_norm: return in_slot == 0;
    case kind::top_k_gates_gradient:
    case kind::softmax_gradient:  // over dy, whose sum of the row is made before
    case kind::log_softmax_gradient:
    case kind::batch_norm_gradient:
    case kind::batch_norm_inference_gradient:
    case kind::group_norm_gradient:
    case kind::layer_norm_gradient:
    case kind::rms_norm_gradient:
      return in_slot == 1;         // dx over dy, all of which was summed before
    case kind::gru_cell_gradient:  // dzx, dz over the gates
    case kind::lstm_cell_gradient: return in_slot == 0;
    case kind::select_by_length: return in_slot == 1;
    default: return false;
  }
}

class plan_validator {
 public:
  /// `locations` by tensor; `memory` states the size of each region.
  plan_validator(const graph& g, const location* locations, const memory_summary& memory)
      : g_(g),
        at_(locations),
        trip_(static_cast<std::size_t>(g.bodies.size())),
        instance_(static_cast<std::size_t>(g.bodies.size())) {
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
    size(region::scratchpad, memory.scratchpad_bytes);
  }

  /// Replays the step. Empty where the plan is right, else the first thing that is wrong.
  std::string replay() {
    // Before the step: what the caller fills and what lives as long as the network.
    for (i32 id = 0; id < g_.tensors.size() && ok(); ++id) {
      const tensor& t = g_.tensors[id];
      const bool here = t.what == role::input || t.what == role::target ||
                        t.what == role::constant || lasts(t.what);
      if (t.of < 0 && here) write(id, -1, false);
    }
    run_body(0, 0, g_.operations.size());
    for (i32 id = 0; id < g_.tensors.size() && ok(); ++id) {
      const tensor& t = g_.tensors[id];
      const bool stays = t.what == role::result || lasts(t.what);
      if (stays && t.body == 0 && at_[id].where != region::none) read(id, g_.operations.size());
    }
    return fault_;
  }

 private:
  /// One output of one operation, or what was there before the step.
  struct written {
    i32 root = -1;      // the tensor that owns the bytes
    i32 as = -1;        // the name under which it was written
    i32 when = -1;      // the operation
    i64 root_trip = 0;  // the run of the root's body, and of that of the name
    i64 name_trip = 0;
    bool added = false;  // the operation reads the name, too: a sum goes on
  };

  static bool lasts(role what) {
    return what == role::parameter || what == role::state || what == role::statistic;
  }

  bool ok() const { return fault_.empty(); }

  void wrong(i32 id, i32 when, const std::string& what) {
    if (!ok()) return;
    fault_ = "operation " + std::to_string(when) + ": tensor " + std::to_string(id) + " (" +
             std::string(spell(g_.tensors[id].name).view()) + ") " + what;
    for (std::size_t b = 1; b < trip_.size(); ++b) {
      fault_ += ", loop " + std::to_string(b) + " in trip " + std::to_string(trip_[b]);
    }
  }

  /// Operations begin to end - 1, all of one body or of loops in it.
  void run_body(i32 body, i32 begin, i32 end) {
    for (i32 i = begin; i < end && ok(); ++i) {
      const operation& op = g_.operations[i];
      if (op.what != kind::loop) {
        run_operation(op, i, body);
        continue;
      }
      i32 last = i;
      while (g_.operations[last].what != kind::end_loop || g_.operations[last].body != op.body) {
        ++last;
      }
      const auto inner = static_cast<std::size_t>(op.body);
      for (i64 trip = 0; trip < g_.bodies[op.body].trips && ok(); ++trip) {
        trip_[inner] = trip;
        instance_[inner] = ++instances_;
        run_body(op.body, i + 1, last);
      }
      trip_[inner] = 0;
      instance_[inner] = -1;  // nothing made inside is there afterwards
      i = last;
    }
  }

  void run_operation(const operation& op, i32 i, i32 body) {
    for (const i32 in : op.in) {
      if (in < 0 || !ok()) continue;
      if (!is_seen_in(in, body)) wrong(in, i, "belongs to another loop");
      read(in, i);
    }
    check_overlaps(op, i);
    for (const i32 out : op.out) {
      if (out < 0 || !ok()) continue;
      if (!is_seen_in(out, body)) wrong(out, i, "belongs to another loop");
      bool added = false;
      for (const i32 in : op.in) added = added || in == out;
      write(out, i, added);
    }
  }

  /// True where `body` is that of the tensor or lies within it.
  bool is_seen_in(i32 id, i32 body) const {
    while (body != g_.tensors[id].body && body > 0) body = g_.bodies[body].parent;
    return body == g_.tensors[id].body;
  }

  i64 instance_of(i32 id) const { return instance_[static_cast<std::size_t>(g_.tensors[id].body)]; }

  i32 root_of(i32 id) const {
    while (g_.tensors[id].of >= 0) id = g_.tensors[id].of;
    return id;
  }

  bool views(i32 id, i32 other) const {
    while (id >= 0 && id != other) id = g_.tensors[id].of;
    return id == other;
  }

  /// First byte of the tensor in its root, in the trips at hand, as the graph says.
  i64 place_in_root(i32 id) const {
    i64 elements = 0;
    for (i32 v = id; g_.tensors[v].of >= 0; v = g_.tensors[v].of) {
      const tensor& t = g_.tensors[v];
      elements += t.base + t.step * trip_[static_cast<std::size_t>(t.body)];
    }
    return elements * bytes_of(g_.tensors[id].type);
  }

  /// First byte in its region, in the trips at hand, as the plan says.
  i64 place_in_region(i32 id) const {
    i64 offset = at_[id].offset;
    for (i32 body = g_.tensors[id].body; body > 0; body = g_.bodies[body].parent) {
      offset += at_[id].step[g_.bodies[body].depth - 1] * trip_[static_cast<std::size_t>(body)];
    }
    return offset;
  }

  /// The bytes of a tensor in its region; null where they lie outside.
  i32* bytes_of_tensor(i32 id, i32 when) {
    const location& at = at_[id];
    if (at.where == region::none) {
      wrong(id, when, "has no place");
      return nullptr;
    }
    auto& holder = holder_[static_cast<std::size_t>(at.where)];
    const i64 offset = place_in_region(id);
    const i64 in_root = place_in_root(id);
    const i32 root = root_of(id);
    if (offset < 0 || at_[root].offset % tensor_alignment != 0) {
      wrong(id, when, "is not aligned");
      return nullptr;
    }
    if (in_root < 0 || in_root + g_.tensors[id].bytes() > g_.tensors[root].bytes()) {
      wrong(id, when, "reaches past the end of what it views");
      return nullptr;
    }
    if (at.where != at_[root].where || offset != at_[root].offset + in_root) {
      wrong(id, when, "lies elsewhere than what it views");
      return nullptr;
    }
    if (offset + g_.tensors[id].bytes() > static_cast<i64>(holder.size())) {
      wrong(id, when, "reaches past the end of its region");
      return nullptr;
    }
    return holder.data() + offset;
  }

  void write(i32 id, i32 when, bool added) {
    i32* const holder = bytes_of_tensor(id, when);
    if (holder == nullptr) return;
    const i32 root = root_of(id);
    const auto event = static_cast<i32>(events_.size());
    events_.push_back({root, id, when, instance_of(root), instance_of(id), added});
    const i64 bytes = g_.tensors[id].bytes();
    for (i64 k = 0; k < bytes; ++k) {
      if (when < 0 && holder[k] != -1) return wrong(id, when, "shares bytes that are to last");
      holder[k] = event;
    }
  }

  void read(i32 id, i32 when) {
    const i32* const holder = bytes_of_tensor(id, when);
    if (holder == nullptr) return;
    const i64 bytes = g_.tensors[id].bytes();
    i32 known = -2;
    for (i64 k = 0; k < bytes && ok(); ++k) {
      if (holder[k] == known) continue;
      known = holder[k];
      const std::string fault = misread(id, known, when);
      if (!fault.empty()) wrong(id, when, fault + " in its byte " + std::to_string(k));
    }
  }

  /// What is wrong with a read of tensor `id` where the bytes hold `event`.
  std::string misread(i32 id, i32 event, i32 when) const {
    const i32 root = root_of(id);
    if (event < 0) return "finds nothing";
    const written& w = events_[static_cast<std::size_t>(event)];
    if (w.root != root) return "finds tensor " + std::to_string(w.as);
    if (w.root_trip != instance_of(root)) return "finds what an earlier trip has left";
    const bool ended = when == g_.operations.size();
    if (g_.tensors[root].what == role::parameter && w.when >= 0 && !ended) {
      return "is read after its update";
    }
    const bool same_trip = g_.tensors[w.as].body == g_.tensors[id].body && w.when >= 0 &&
                           !w.added && w.name_trip == instance_of(id);
    const bool same_size = g_.tensors[w.as].bytes() == g_.tensors[id].bytes();
    if (same_trip && same_size && !views(id, w.as) && !views(w.as, id)) {
      return "finds what replaces it, tensor " + std::to_string(w.as) + ",";
    }
    return "";
  }

  bool overlap(i32 a, i32 b) const {
    const i64 first = place_in_region(a);
    const i64 second = place_in_region(b);
    return at_[a].where == at_[b].where && first < second + g_.tensors[b].bytes() &&
           second < first + g_.tensors[a].bytes();
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
        const bool same_bytes = place_in_region(in) == place_in_region(out) &&
                                g_.tensors[in].bytes() == g_.tensors[out].bytes();
        if (!same_bytes || !may_overwrite(op.what, o, k)) {
          wrong(out, when, "is written over operand " + std::to_string(k) + " while it is read");
        }
      }
    }
  }

  const graph& g_;
  const location* at_;
  std::vector<i64> trip_;      // by body: the trip at hand, 0 outside
  std::vector<i64> instance_;  // by body: which of all trips of all loops it is
  i64 instances_ = 0;
  std::vector<written> events_;
  std::vector<i32> holder_[region_count];  // by byte: the event that wrote it last, -1: none
  std::string fault_;
};

/// Empty where the plan is right, else the first thing that is wrong with it.
inline std::string fault_of(const graph& g, const location* locations,
                            const memory_summary& memory) {
  return plan_validator(g, locations, memory).replay();
}

}  // namespace tessera::testing
