#pragma once

// Vector work: what operations without products cost the vector unit of a tile. Elementwise
// functions, losses, quantization, gates, cells of recurrences, and what users have written.

#include <tessera/backends/accelerator/codelet.hpp>
#include <tessera/backends/accelerator/finish_work.hpp>
#include <tessera/ops/activation.hpp>

namespace tessera::accelerator {

/// What one vertex does, whatever its place: counts that depend on the sizes of its blocks only.
struct vertex_work {
  i64 cycles = 0;
  i64 vector_ops = 0;
  i64 macs = 0;  // by the matrix unit, in families that are not products
  i64 sram_bytes = 0;   // read and written by the units, without what is received
  i64 cell_bytes = 0;   // received per cell of its (height, width) span
  i64 fixed_bytes = 0;  // received besides
  i64 cell_later = 0;   // of these, what is not there at the same time: per cell, besides
  i64 fixed_later = 0;
  i64 weight_bytes = 0;  // of fixed_bytes: weights that can stay where they are
  i64 sum_bytes = 0;     // f32 sums it holds
  i64 outputs = 0;  // elements of its output block, each summed over all vertices that share it

  constexpr i64 received(i64 cells) const { return cell_bytes * cells + fixed_bytes; }
  /// The most that the tile holds at a time.
  constexpr i64 held(i64 cells) const {
    return received(cells) - cell_later * cells - fixed_later + sum_bytes;
  }
};

/// An operation of a user's own on `positions` output elements: at the price that its codelet or
/// its definition states. An operand with as many elements as the output is where the vertex is;
/// another input is received whole, and another input's gradient is written whole.
constexpr vertex_work user_work(const machine& m, const signature& s, i64 positions,
                                const user_operation* user) {
  const user_sizes n = user_sizes::of(s);
  vertex_work w;
  i64 local = 0;  // bytes per element
  i64 whole = 0;
  const auto place = [&](i64 elements, element type, i64& apart) {
    const bool here = elements == n.output;
    (here ? local : apart) += bytes_of(type) * (here ? 1 : elements);
  };
  for (i32 i = 0; i < 4; ++i) {
    if (s.has_input(i)) place(n.inputs[i], s.input_type(i), w.fixed_bytes);
    if (s.what == kind::user_gradient && s.has_output(i)) {
      place(n.inputs[i], s.output_type(i), whole);
    }
  }
  for (const i32 slot : {4, 5, 8}) {  // output and its gradient; the output of the forward kernel
    if (slot == 8 ? s.what == kind::user : s.has_input(slot)) local += bytes_of(s.input_type(slot));
  }
  if (const codelet* own = codelet_of(s, user); own != nullptr && own->cost != nullptr) {
    const codelet_cost stated = own->cost(m, {positions, n});
    w.sram_bytes = positions * local + whole;
    w.vector_ops = stated.vector_ops;
    w.cycles = stated.cycles;
    return w;
  }
  w.vector_ops = ceil_div(positions * n.sixteenths, 16);
  w.sram_bytes = positions * local + whole;
  w.cycles = vector_cost::elementwise(m.vector, positions, element::f32,
                                      ceil_div(m.vector.simple * n.sixteenths, 16));
  return w;
}

/// Cycles per vector of so many functions.
constexpr i64 function_cycles(const vector_unit& v, const ops::function_counts& n) {
  return i64{n.simple} * v.simple + i64{n.divide} * v.divide + i64{n.exponential} * v.exponential;
}

/// A loss, or its gradient, of `positions` rows or elements.
constexpr vertex_work loss_work(const machine& m, const signature& s, const problem& p,
                                i64 positions) {
  const vector_unit& v = m.vector;
  const i64 elements = positions * p.classes;
  vertex_work w;
  const auto receive = [&](i32 slot, i64 count) {
    if (s.has_input(slot)) w.fixed_bytes += count * bytes_of(s.input_type(slot));
  };
  receive(0, elements);
  if (loss_of(s.what) == kind::ctc) {
    const ctc_sizes n = ctc_sizes::of(s);
    const ctc_work each = ctc_work_of(v, s.what, n);
    const i64 table = positions * n.time * n.state_row();
    receive(1, positions * n.labels);
    receive(3, p.extent[axis_b]);  // the mean divides by the numbers of labels of all
    receive(5, p.extent[axis_b]);
    receive(6, table);
    receive(7, positions * (n.time + 1));
    const i64 saved = is_loss(s.what) ? table + positions * (n.time + 1) : positions * n.room_row();
    w.vector_ops = positions * each.ops;
    w.cycles = v.supervisor_cycles +
               v.turns() * (v.worker_cycles + ceil_div(positions, v.threads) * each.cycles);
    w.outputs = p.reduced[axis_b] ? 1 : elements;
    w.sram_bytes =
        w.fixed_bytes + 4 * saved + (p.reduced[axis_b] ? 4 : elements * bytes_of(s.output_type(0)));
    w.sum_bytes = p.reduced[axis_b] ? 4 + 4 * table : 4 * positions * n.room_row();
    return w;
  }
  if (is_element_loss(s.what)) {
    const element_loss_work each = element_loss_work_of(v, s.what);
    w.vector_ops = elements * each.ops;
    w.cycles = vector_cost::elementwise(v, elements, element::f32, each.cycles);
    receive(1, elements);
    receive(3, elements);
    receive(5, element_loss_sizes::of(s).channels);
  } else {
    const row_loss_work row = row_loss_work_of(v, s.what, p.classes);
    w.vector_ops = elements * row.ops;
    w.cycles = v.supervisor_cycles +
               v.turns() * (v.worker_cycles + ceil_div(positions, v.threads) * row.cycles);
    // Every vertex counts the targets of the whole batch: the mean divides by their number.
    if (names_classes(s.what)) {
      w.fixed_bytes += i64{4} * p.extent[axis_b];
      receive(3, p.classes);
    } else {
      receive(1, elements);
      receive(3, loss_of(s.what) == kind::triplet            ? elements
                 : loss_of(s.what) == kind::cosine_embedding ? positions
                                                             : p.classes);
    }
  }
  w.outputs = p.reduced[axis_b] ? 1 : elements * loss_outputs(s);
  w.sram_bytes = w.fixed_bytes + (p.reduced[axis_b] ? 4 : w.outputs * loss_output_bytes(s));
  w.sum_bytes = p.reduced[axis_b] ? 4 : 0;
  return w;
}

/// Cycles per vector of an elementwise operation.
constexpr i64 elementwise_cycles(const machine& m, const signature& s) {
  const vector_unit& v = m.vector;
  const bool narrow = bytes_of(s.output_type(0)) <= 2;
  switch (s.what) {
    case kind::relu:
    case kind::add:
    case kind::subtract:
    case kind::multiply:
    case kind::copy:
    case kind::zero:
    case kind::bias_add:
    case kind::channel_scale:
    case kind::overflow_test: return v.simple;
    case kind::tanh: return narrow ? v.tanh_f16 : v.tanh_f32;
    case kind::sigmoid: return narrow ? v.sigmoid_f16 : v.sigmoid_f32;
    case kind::gate_noise: return v.exponential + v.logarithm + v.divide + 4 * v.simple;
    case kind::gate_noise_gradient: return v.exponential + v.divide + 3 * v.simple;
    case kind::relu_gradient:
    case kind::tanh_gradient:
    case kind::sigmoid_gradient: return v.gradient;
    case kind::dropout: return v.random + 2 * v.simple;
    case kind::bernoulli: return (s.has_input(1) ? 0 : v.random) + v.simple;
    case kind::gaussian_noise:  // of two words: logarithm, root, sine, cosine, a product each
      return s.has_input(1)
                 ? v.simple
                 : v.random + (v.logarithm + v.root + 2 * v.exponential) / 2 + 3 * v.simple;
    case kind::weigh_samples: return v.simple;
    case kind::adjust_gradient: return (s.has_input(1) ? 5 : 3) * v.simple;
    case kind::glu: return (narrow ? v.sigmoid_f16 : v.sigmoid_f32) + v.simple;
    case kind::glu_gradient: return (narrow ? v.sigmoid_f16 : v.sigmoid_f32) + 4 * v.simple;
    case kind::prelu:
    case kind::prelu_gradient: return 3 * v.simple;
    case kind::divide:
    case kind::reduce_mean_gradient: return v.divide;
    case kind::divide_gradient: return v.divide + 3 * v.simple;
    case kind::maximum:
    case kind::minimum: return 3 * v.simple;
    case kind::maximum_gradient:
    case kind::minimum_gradient: return 5 * v.simple;
    default:
      if (ops::is_activation(s.what)) return function_cycles(v, ops::row_of(s.what).forward);
      if (ops::is_activation_gradient(s.what)) {
        return function_cycles(v, ops::row_of(s.what).gradient);
      }
      return ops::is_update(s.what) ? update_cycles(v, s.what, states_of(s)) : i64{v.simple};
  }
}

/// Work per gate of a token.
struct gate_work {
  i64 cycles = 0;  // per vector
  i64 ops = 0;
};

/// Ranking goes through the gates once for each of the k largest.
constexpr gate_work gate_work_of(const vector_unit& v, kind what, i64 k) {
  switch (what) {
    case kind::top_k_gates: return {2 * k * v.simple + v.exponential + v.divide, 2 * k + 2};
    case kind::top_k_gates_gradient: return {3 * v.simple, 3};
    case kind::gate_load:
      return {(2 * k + 14) * v.simple + 2 * v.exponential + v.logarithm + 2 * v.divide, 2 * k + 19};
    case kind::gate_load_gradient:
      return {(2 * k + 10) * v.simple + 3 * v.exponential + v.logarithm + 3 * v.divide, 2 * k + 17};
    case kind::route_tokens: return {2 * v.simple, 2};
    default: return {v.simple, 1};
  }
}

/// quantize, dequantize, requantize: an element, with the numbers of the most channels that so many
/// elements touch.
constexpr void quantization_work(const machine& m, const signature& s, i64 positions,
                                 vertex_work& w) {
  const vector_unit& v = m.vector;
  const auto n = bias_sizes::of(s);
  const auto counts = quantized_counts::of(s);
  const i64 touched = (positions + n.inner - 2) / n.inner + 1;
  const auto numbers = [&](i64 count) { return 4 * (touched < count ? touched : count); };
  const bool sums = s.what == kind::requantize;
  w.fixed_bytes = numbers(counts.multipliers) + (sums ? numbers(counts.shifts) : 0) + 12;
  w.vector_ops = positions * (sums ? 6 : s.what == kind::quantize ? 5 : 2);
  w.sram_bytes =
      positions * (bytes_of(s.input_type(0)) + bytes_of(s.output_type(0))) + w.fixed_bytes;
  const i64 cycles = sums                       ? 6 * v.simple
                     : s.what == kind::quantize ? v.divide + 4 * v.simple
                                                : 2 * v.simple;
  const element wider =
      bytes_of(s.input_type(0)) > bytes_of(s.output_type(0)) ? s.input_type(0) : s.output_type(0);
  w.cycles = vector_cost::elementwise(v, positions, wider, cycles);
}

/// Work per element of a recurrent cell's state.
struct cell_work {
  i64 cycles_per_vector = 0;
  i64 ops = 0;    // functions and arithmetic
  i64 bytes = 0;  // read and written
};

/// Functions count as in elementwise operations; a derivative from an output as one `gradient`.
constexpr cell_work cell_work_of(const machine& m, const signature& s) {
  const vector_unit& v = m.vector;
  const bool selects = s.what == kind::select_by_length;
  const element type = selects ? s.output_type(0) : s.input_type(0);
  const bool narrow = bytes_of(type) <= 2;
  const i64 sigmoid = narrow ? v.sigmoid_f16 : v.sigmoid_f32;
  const i64 tanh = narrow ? v.tanh_f16 : v.tanh_f32;
  const i64 bytes = bytes_of(type);
  i64 states = 0;  // operands of one number an element
  for (i32 slot = 0; slot < 8; ++slot) states += s.has_input(slot) ? 1 : 0;
  for (i32 slot = 0; slot < 6; ++slot) states += s.has_output(slot) ? 1 : 0;
  const auto more = [](bool has, i64 gates) { return has ? gates - 1 : 0; };
  switch (s.what) {
    case kind::lstm_cell:
      return {3 * sigmoid + 2 * tanh + 3 * v.simple, 8,
              (states + more(true, 4) + more(s.has_output(2), 4)) * bytes};
    case kind::lstm_cell_gradient:
      return {tanh + 4 * v.gradient + 8 * v.simple, 13,
              (states + more(true, 4) + more(s.has_output(0), 4)) * bytes};
    case kind::gru_cell:
      return {2 * sigmoid + tanh + 6 * v.simple, 9,
              (states + 2 * more(true, 3) + more(s.has_output(1), 3)) * bytes};
    case kind::gru_cell_gradient: {
      const i64 gates = more(true, 3) + more(s.has_output(0), 3) + more(s.has_output(1), 3);
      return {3 * v.gradient + 7 * v.simple, 10, (states + gates) * bytes};
    }
    default: return {v.simple, 1, (states - 1) * bytes + 4};  // and a length
  }
}

}  // namespace tessera::accelerator
