#pragma once

// Fewer and larger steps on a frame, and where each value lies.
//
//   dense, dense, add                     one dense with two operands
//   dense, dense, add, lstm_cell          lstm_cell of x, h and c: gates never leave registers
//   dense, dense, gru_cell                gru_cell of x and h
//   dense or conv2d, tanh                 dense or conv2d with tanh `after` it
//   lstm_cell -> h', copy h' over h       lstm_cell that replaces h
//
// Steps whose results nobody reads are dropped. Values and rings get places one after another: a
// network's frames are some kilobytes.

#include <tessera/network/frames.hpp>
#include <tessera/network/frozen.hpp>

namespace tessera {

namespace detail {

class frame_fuser {
 public:
  constexpr explicit frame_fuser(frame_list& list) : list_(list) {}

  constexpr void run() {
    for (i32 i = 0; i < list_.steps.size() && !list_.wrong.wrong(); ++i) {
      const kind what = list_.steps[i].what;
      if (what == kind::add) join_products(i);
      if (what == kind::lstm_cell) fuse_lstm(i);
      if (what == kind::gru_cell) fuse_gru(i);
      if (ops::is_activation(what)) fuse_activation(i);
    }
    drop_unread();
    for (i32 i = 0; i < list_.steps.size(); ++i) replace_states(i);
    drop_unread();
  }

 private:
  constexpr i32 reads_of(i32 value) const {
    i32 n = value == list_.output ? 1 : 0;
    for (const frame_step& s : list_.steps) {
      for (i32 k = 0; k < s.inputs; ++k) n += s.in[k] == value ? 1 : 0;
    }
    return n;
  }

  /// The step before number `end` that makes `value`; -1: none.
  constexpr i32 writer_of(i32 value, i32 end) const {
    for (i32 i = end - 1; i >= 0; --i) {
      if (list_.steps[i].out[0] == value || list_.steps[i].out[1] == value) return i;
    }
    return -1;
  }

  /// The plain dense step that makes `value` for one reader only; -1: there is none. What it reads
  /// is not written between it and step `end`.
  constexpr i32 product_for(i32 value, i32 end) const {
    const i32 i = writer_of(value, end);
    if (i < 0 || reads_of(value) != 1) return -1;
    const frame_step& s = list_.steps[i];
    if (s.what != kind::dense || s.after != kind::none) return -1;
    for (i32 k = 0; k < s.inputs; ++k) {
      if (writer_of(s.in[k], end) > i) return -1;
    }
    return i;
  }

  /// Step `i` does the products of dense steps `a` and `b` itself.
  constexpr void take_products(i32 i, i32 a, i32 b) {
    frame_step& s = list_.steps[i];
    const frame_step& first = list_.steps[a];
    const frame_step& second = list_.steps[b];
    s.in[0] = first.in[0];
    s.in[1] = second.in[0];
    s.weight[0] = first.weight[0];
    s.weight[1] = second.weight[0];
    s.bias[0] = first.bias[0];
    s.bias[1] = second.bias[0];
  }

  constexpr void join_products(i32 i) {
    const i32 a = product_for(list_.steps[i].in[0], i);
    const i32 b = product_for(list_.steps[i].in[1], i);
    if (a < 0 || b < 0 || a == b) return;
    if (list_.steps[a].inputs != 1 || list_.steps[b].inputs != 1) return;
    take_products(i, a, b);
    list_.steps[i].what = kind::dense;
  }

  constexpr void refuse_cell(const char* name) {
    list_.wrong = {name, "gates that are the sum of a product of the input and one of the state",
                   "others", "use lstm<...> or gru<...>"};
  }

  constexpr void fuse_lstm(i32 i) {
    frame_step& s = list_.steps[i];
    const i32 p = product_for(s.in[0], i);
    if (p < 0 || list_.steps[p].inputs != 2) return refuse_cell("lstm");
    const i32 cell = s.in[1];
    const frame_step product = list_.steps[p];
    s.in[0] = product.in[0];
    s.in[1] = product.in[1];
    s.in[2] = cell;
    s.inputs = 3;
    for (i32 k = 0; k < 2; ++k) {
      s.weight[k] = product.weight[k];
      s.bias[k] = product.bias[k];
    }
    if (list_.values[s.in[1]].size != list_.values[cell].size) refuse_cell("lstm");
  }

  constexpr void fuse_gru(i32 i) {
    const i32 a = product_for(list_.steps[i].in[0], i);
    const i32 b = product_for(list_.steps[i].in[1], i);
    if (a < 0 || b < 0 || list_.steps[a].inputs != 1 || list_.steps[b].inputs != 1 ||
        list_.steps[b].in[0] != list_.steps[i].in[2]) {
      return refuse_cell("gru");
    }
    take_products(i, a, b);
  }

  constexpr void fuse_activation(i32 i) {
    const frame_step s = list_.steps[i];
    const i32 p = writer_of(s.in[0], i);
    if (p < 0 || reads_of(s.in[0]) != 1 || s.in[0] == list_.output) return;
    frame_step& product = list_.steps[p];
    if ((product.what != kind::dense && product.what != kind::conv2d) ||
        product.after != kind::none) {
      return;
    }
    // Moved to where the activation stands, so that later steps find their operands made.
    frame_step fused = product;
    fused.after = s.what;
    fused.after_activation = s.activation;
    fused.out[0] = s.out[0];
    for (i32 k = 0; k < fused.inputs; ++k) {
      if (writer_of(fused.in[k], i) > p) return;
    }
    product.what = kind::none;
    product.out[0] = -1;
    product.inputs = 0;
    list_.steps[i] = fused;
  }

  /// A cell that reads all of its states before it writes one writes over them, where only it reads
  /// them and the copy comes after.
  constexpr void replace_states(i32 i) {
    const kind what = list_.steps[i].what;
    if (what != kind::lstm_cell && what != kind::gru_cell) return;
    for (i32 k = 0; k < 2; ++k) {
      const i32 made = list_.steps[i].out[k];
      if (made < 0) continue;
      const i32 state = list_.steps[i].in[what == kind::lstm_cell ? 1 + k : 2];
      for (i32 c = i + 1; c < list_.steps.size(); ++c) {
        const frame_step& later = list_.steps[c];
        const bool copies =
            later.what == kind::copy && later.in[0] == made && later.out[0] == state;
        bool reads = false;
        for (i32 n = 0; n < later.inputs; ++n) reads = reads || later.in[n] == state;
        if (reads) break;
        if (!copies) continue;
        list_.steps[c].what = kind::none;
        list_.steps[c].inputs = 0;
        list_.steps[c].out[0] = -1;
        rename(made, state);
        break;
      }
    }
  }

  constexpr void rename(i32 from, i32 to) {
    for (frame_step& s : list_.steps) {
      for (i32& in : s.in) in = in == from ? to : in;
      for (i32& out : s.out) out = out == from ? to : out;
    }
    if (list_.output == from) list_.output = to;
  }

  /// Steps that make nothing, or what nobody reads.
  constexpr void drop_unread() {
    for (bool more = true; more;) {
      more = false;
      grow<frame_step> kept;
      for (const frame_step& s : list_.steps) {
        bool read = false;
        for (const i32 out : s.out) read = read || (out >= 0 && reads_of(out) > 0);
        if (read) kept.push(s);
      }
      more = kept.size() != list_.steps.size();
      list_.steps = kept;
    }
  }

  frame_list& list_;
};

constexpr void place_frames(frame_list& list) {
  for (frame_value& v : list.values) {
    v.at = list.value_floats;
    list.value_floats += (v.size + frame_padding - 1) / frame_padding * frame_padding;
  }
  for (frame_ring& r : list.rings) {
    r.at = list.ring_floats;
    list.ring_floats += (r.floats() + frame_padding - 1) / frame_padding * frame_padding;
  }
}

}  // namespace detail

/// What a network does to one frame. Empty but for the mistake where it cannot.
constexpr frame_list lower_to_frames(const graph& g) {
  frame_list list;
  list.wrong = g.wrong;
  if (list.wrong.wrong()) return list;
  list = detail::frame_lowering(g).lower();
  if (!list.wrong.wrong()) detail::frame_fuser(list).run();
  if (!list.wrong.wrong()) detail::place_frames(list);
  return list;
}

namespace detail {

template <i32 Steps, i32 Values, i32 Rings>
struct frozen_frames {
  frozen_array<frame_step, Steps> steps;
  frozen_array<frame_value, Values> values;
  frozen_array<frame_ring, Rings> rings;
  i32 input = -1;
  i32 output = -1;
  bool tokens = false;
  i64 value_floats = 0;
  i64 ring_floats = 0;
};

/// The list as a constant, and what is wrong with it.
template <network_type Network>
struct framed {
  static constexpr frame_list make() {
    return lower_to_frames(make_forward<Network, void>(1, purpose::inference));
  }
  struct facts {
    i32 steps = 0;
    i32 values = 0;
    i32 rings = 0;
    text<360> wrong;
  };
  static constexpr facts about = [] {
    const frame_list list = make();
    return facts{list.steps.size(), list.values.size(), list.rings.size(), spell(list.wrong)};
  }();
  static constexpr bool fits = about.wrong.empty();
  using mistake = network_error<cut<about.wrong.size>(about.wrong)>;
  static constexpr auto list = [] {
    const frame_list made = make();
    return frozen_frames<about.steps, about.values, about.rings>{freeze<about.steps>(made.steps),
                                                                 freeze<about.values>(made.values),
                                                                 freeze<about.rings>(made.rings),
                                                                 made.input,
                                                                 made.output,
                                                                 made.tokens,
                                                                 made.value_floats,
                                                                 made.ring_floats};
  }();
};

}  // namespace detail

}  // namespace tessera
