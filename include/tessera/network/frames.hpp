#pragma once

// From the graph of a network to what it does to one frame (ir/frame_program.hpp).
//
//   over the whole sequence                          on one frame
//   loop over time { dense dense add lstm_cell }     lstm_cell of x, h and c
//   conv2d on a row of samples, padded before        conv2d of x and a ring of past frames
//   six trips of a repeated block                    its steps, six times
//   dense, tanh, add, concat                         the same
//
// A tensor's frame is its slice at one point in time. Views, copies and what crosses the border of
// a loop are other names of a frame and no steps. A carry is a value that lasts; what follows a
// loop's last trip (last_output) is what the sequence up to now would give. A network without time
// has its whole samples as frames.
//
// What looks at later frames, or at all at once, is a mistake, told in the usual form.

#include <tessera/ir/frame_program.hpp>
#include <tessera/ir/loops.hpp>
#include <tessera/network/make.hpp>

namespace tessera {

namespace detail {

/// Where the time of a network's tensors is.
enum class time_axis : u8 { none, first, last };

class frame_lowering {
 public:
  constexpr explicit frame_lowering(const graph& g)
      : g_(g), frame_(g.tensors.size()), trip_(g.bodies.size()), loops_(find_loops(g)) {
    for (i32& f : frame_) f = unknown;
  }

  constexpr frame_list lower() {
    if (g_.inputs.size() != 1 || g_.outputs.size() != 1) {
      refuse("stream", "a network with one input and one output",
             spell_all<64>(g_.inputs.size(), " and ", g_.outputs.size()), "stream its parts");
      return list_;
    }
    const tensor& input = g_.tensors[g_.inputs[0]];
    const shape sample = input.sample();
    if (input.stack == 1) {
      axis_ = time_axis::first;
      time_ = sample[0];
    } else if (input.stack == 0 && sample.rank == 2) {
      axis_ = time_axis::last;
      time_ = sample[1];
    } else if (input.stack == 0 && sample.rank < 2) {
      axis_ = time_axis::none;
    } else {
      refuse("stream", "a sequence, a signal or samples of one extent", spell_all<64>(sample),
             "start from sequence<...>, signal<...> or input<n>");
      return list_;
    }
    list_.tokens = input.type == element::int32;
    list_.input = frame_[g_.inputs[0]] = new_value(frame_size(g_.inputs[0]), false);
    walk(0, g_.operations.size());
    if (list_.wrong.wrong()) return list_;
    list_.output = value_of(g_.outputs[0]);
    if (list_.output < 0) {
      refuse("stream", "one frame out for one frame in",
             spell_all<64>(g_.tensors[g_.outputs[0]].sample()), "keep the length of the input");
    }
    return list_;
  }

 private:
  static constexpr i32 unknown = -1;
  static constexpr i32 zeros = -2;

  constexpr void refuse(const text<64>& where, const text<120>& expected, const text<64>& got,
                        const text<96>& fix) {
    if (!list_.wrong.wrong()) list_.wrong = {where, expected, got, fix};
  }

  constexpr i32 new_value(i32 size, bool lasting) { return list_.values.push({size, lasting, 0}); }

  /// How many numbers a tensor has at one point in time; -1: it has no such points.
  constexpr i32 frame_size(i32 id) const {
    const tensor& t = g_.tensors[id];
    const shape s = t.sample();
    if (axis_ == time_axis::last) {
      if (t.stack == 0 && s.rank == 2 && s[1] == time_) return s[0];
      if (t.stack == 0 && s.rank == 3 && s[1] == 1 && s[2] == time_) return s[0];
      return -1;
    }
    i64 slices = 1;
    for (i32 axis = 0; axis < t.stack; ++axis) slices *= t.dims[axis];
    if (axis_ == time_axis::first && t.stack > 0) {
      i32 left = time_;  // of the time, in the body it stands in
      for (i32 b = t.body; b > 0; b = g_.bodies[b].parent) {
        if (!g_.bodies[b].own_weights) left /= g_.bodies[b].trips;
      }
      if (slices != left) return -1;
    }
    return static_cast<i32>(s.count() / slices);
  }

  /// The value that a tensor's frame is; negative where there is none.
  constexpr i32 value_of(i32 id) const {
    if (frame_[id] != unknown) return frame_[id];
    for (const loop_output& o : g_.loop_outputs) {
      if (o.outer == id && o.inner != id) return value_of(o.inner);
    }
    const tensor& t = g_.tensors[id];
    if (t.of < 0) return unknown;
    const i32 v = value_of(t.of);
    return v >= 0 && list_.values[v].size != frame_size(id) ? unknown : v;
  }

  constexpr frame_weight weight_of(i32 id) const {
    frame_weight w;
    if (id < 0) return w;
    for (; g_.tensors[id].of >= 0; id = g_.tensors[id].of) {
      w.base += g_.tensors[id].base + g_.tensors[id].step * trip_[g_.tensors[id].body];
    }
    w.tensor = id;
    return w;
  }

  constexpr void walk(i32 begin, i32 end) {
    for (i32 i = begin; i < end && !list_.wrong.wrong(); ++i) {
      const operation& op = g_.operations[i];
      if (op.what == kind::loop) {
        const i32 last = loops_[op.body].end;
        if (g_.bodies[op.body].own_weights) {
          walk_blocks(op.body, i + 1, last);
        } else {
          walk_time(op, i + 1, last);
        }
        i = last;
      } else {
        append(op);
      }
    }
  }

  /// The blocks of a repeat, one after another.
  constexpr void walk_blocks(i32 body, i32 begin, i32 end) {
    for (i32 t = 0; t < g_.bodies[body].trips; ++t) {
      trip_[body] = t;
      grow<i32> given(g_.carries.size());
      for (i32 k = 0; k < g_.carries.size(); ++k) {
        const loop_carry& c = g_.carries[k];
        if (c.body == body) given[k] = value_of(t == 0 ? c.init : c.next);
      }
      for (i32 k = 0; k < g_.carries.size(); ++k) {
        if (g_.carries[k].body == body) frame_[g_.carries[k].in] = given[k];
      }
      walk(begin, end);
    }
    for (const loop_carry& c : g_.carries) {
      if (c.body == body) frame_[c.final] = value_of(c.next);
    }
  }

  /// One trip of a loop over time.
  constexpr void walk_time(const operation& loop, i32 begin, i32 end) {
    const i32 body = loop.body;
    if (g_.bodies[body].reversed) {
      return refuse(spell(loop.layer), "loops that run forwards in time",
                    "one that starts at the end", "leave out reversed and both_directions");
    }
    if (axis_ != time_axis::first) {
      return refuse(spell(loop.layer), "loops over time only", "a loop without it",
                    "start from sequence<time, features>");
    }
    for (const loop_carry& c : g_.carries) {
      if (c.body != body) continue;
      const i32 init = value_of(c.init);
      if (init != zeros && !(init >= 0 && list_.values[init].lasting)) {
        return refuse(spell(loop.layer), "states that start at zeros", "states from other layers",
                      "leave the first states out");
      }
      frame_[c.in] = new_value(frame_size(c.in), true);
    }
    walk(begin, end);
    if (list_.wrong.wrong()) return;
    // All next states are known before the first is written.
    grow<i32> next(g_.carries.size());
    for (i32 k = 0; k < g_.carries.size(); ++k) {
      const loop_carry& c = g_.carries[k];
      if (c.body != body) continue;
      next[k] = value_of(c.next);
      if (next[k] >= 0 && list_.values[next[k]].lasting && next[k] != frame_[c.in]) {
        next[k] = append_copy(next[k], new_value(list_.values[next[k]].size, false));
      }
      frame_[c.final] = next[k];
    }
    for (i32 k = 0; k < g_.carries.size(); ++k) {
      const loop_carry& c = g_.carries[k];
      if (c.body == body && next[k] != frame_[c.in]) append_copy(next[k], frame_[c.in]);
    }
  }

  constexpr i32 append_copy(i32 from, i32 to) {
    frame_step s;
    s.what = kind::copy;
    s.in[0] = from;
    s.inputs = 1;
    s.out[0] = to;
    list_.steps.push(s);
    return to;
  }

  constexpr void append(const operation& op) {
    if (op.what == kind::zero) {
      frame_[op.out[0]] = zeros;
      return;
    }
    if (op.what == kind::copy) {
      if (g_.tensors[op.out[0]].what == role::state) return;
      const bool kept = g_.tensors[storage_of(g_, op.in[0])].what == role::state;
      frame_[op.out[0]] = kept ? zeros : value_of(op.in[0]);
      return;
    }
    frame_step s;
    s.what = op.what;
    s.activation = op.attr.activation;
    s.epsilon = op.attr.norm.epsilon;
    i32 frames = 1;  // of the operands
    switch (op.what) {
      case kind::dense:
        s.weight[0] = weight_of(op.in[1]);
        s.bias[0] = weight_of(op.in[2]);
        break;
      case kind::conv2d:
        if (!read_convolution(op, s)) return;
        break;
      case kind::lstm_cell: frames = 2; break;
      case kind::gru_cell: frames = 3; break;
      case kind::batch_norm_inference:
        s.weight[0] = weight_of(op.in[1]);
        s.bias[0] = weight_of(op.in[2]);
        s.weight[1] = weight_of(op.in[3]);
        s.bias[1] = weight_of(op.in[4]);
        break;
      case kind::bias_add:
      case kind::channel_scale:
      case kind::prelu: s.weight[0] = weight_of(op.in[1]); break;
      case kind::embedding:
        s.weight[0] = weight_of(op.in[1]);
        s.rows = g_.tensors[op.in[1]].dims[0];
        if (value_of(op.in[0]) != list_.input) {
          return refuse(spell(op.layer), "rows of the network's input", "of other numbers",
                        "put it first");
        }
        break;
      case kind::add:
      case kind::subtract:
      case kind::multiply: frames = 2; break;
      case kind::broadcast_add:
      case kind::broadcast_subtract:
      case kind::broadcast_multiply:
        frames = 2;
        s.what = op.what == kind::broadcast_add        ? kind::add
                 : op.what == kind::broadcast_subtract ? kind::subtract
                                                       : kind::multiply;
        break;
      case kind::concat: frames = inputs_of(op); break;
      default:
        if (!ops::is_activation(op.what)) return refuse_operation(op);
    }
    s.inputs = frames;
    for (i32 k = 0; k < frames; ++k) {
      s.in[k] = op.in[k] < 0 ? unknown : value_of(op.in[k]);
      if (s.in[k] < 0) return refuse_operation(op);
      if (list_.tokens && s.in[k] == list_.input && op.what != kind::embedding) {
        return refuse_operation(op);
      }
    }
    for (i32 k = 0; k < 2 && (op.what == kind::lstm_cell || k == 0); ++k) {
      const i32 size = frame_size(op.out[k]);
      if (size < 0) return refuse_operation(op);
      s.out[k] = frame_[op.out[k]] = new_value(size, false);
    }
    if (!one_to_one(op, s)) return refuse_operation(op);
    list_.steps.push(s);
  }

  /// Whether sizes are those that a frame alone would have.
  constexpr bool one_to_one(const operation& op, const frame_step& s) const {
    const i32 size = list_.values[s.out[0]].size;
    switch (s.what) {
      case kind::dense: return g_.tensors[op.in[1]].dims[1] == list_.values[s.in[0]].size;
      case kind::conv2d:
      case kind::embedding: return true;
      case kind::lstm_cell: return list_.values[s.in[1]].size == size;
      case kind::gru_cell: return list_.values[s.in[2]].size == size;
      case kind::concat: {
        i32 sum = 0;
        for (i32 k = 0; k < s.inputs; ++k) sum += list_.values[s.in[k]].size;
        const i32 time = axis_ == time_axis::none ? 0 : g_.tensors[op.out[0]].stack;
        const shape dims = g_.tensors[op.out[0]].sample();
        return sum == size && (axis_ == time_axis::last || dims.rank - time == 1);
      }
      case kind::bias_add:
      case kind::channel_scale:
      case kind::prelu: {
        const i64 numbers = g_.tensors[op.in[1]].dims.count();
        return list_.values[s.in[0]].size == size && (numbers == size || numbers == 1);
      }
      case kind::batch_norm_inference:
        return list_.values[s.in[0]].size == size && g_.tensors[op.in[3]].dims.count() == size;
      default:
        for (i32 k = 0; k < s.inputs; ++k) {
          if (list_.values[s.in[k]].size != size) return false;
        }
        return true;
    }
  }

  constexpr bool read_convolution(const operation& op, frame_step& s) {
    const window& w = op.attr.win;
    const i32 channels = axis_ == time_axis::last ? frame_size(op.in[0]) : -1;
    if (channels < 0 || w.kernel[0] != 1) {
      refuse_operation(op);
      return false;
    }
    const i32 back = (w.kernel[1] - 1) * w.dilation[1];
    if (w.stride[1] != 1 || w.pad_begin[1] != back || w.pad_end[1] != 0) {
      refuse(spell(op.layer), "a window that ends at its own frame and moves by one",
             spell_all<64>("padding of ", w.pad_begin[1], " before and ", w.pad_end[1],
                           " behind, stride ", w.stride[1]),
             spell_all<96>("use pad_ends<", back, ", 0> without stride"));
      return false;
    }
    s.weight[0] = weight_of(op.in[1]);
    s.bias[0] = weight_of(op.in[2]);
    s.taps = w.kernel[1];
    s.dilation = w.dilation[1];
    s.groups = op.attr.groups;
    if (back > 0) s.ring = list_.rings.push({back, channels, 0});
    return true;
  }

  constexpr void refuse_operation(const operation& op) {
    const text<64> where = op.layer.layer[0] != 0 ? spell(op.layer) : text<64>("stream");
    refuse(where, "layers that work on each frame by itself", ops::name_of(op.what),
           "run the network on whole sequences: predictor<inference<...>>");
  }

  const graph& g_;
  frame_list list_;
  grow<i32> frame_;  // by tensor: its value, `unknown` or `zeros`
  grow<i32> trip_;   // by body
  grow<loop_span> loops_;
  time_axis axis_ = time_axis::none;
  i32 time_ = 1;
};

}  // namespace detail

}  // namespace tessera
