#pragma once

// Vertex work: what a block of a problem costs the tile that has it. Cycles, operations, bytes that
// it receives, reads, writes and holds.
//
// Sizes alone decide, never the block's place. The cycles are those of machine/*_cost.hpp.

#include <tessera/backends/accelerator/vector_work.hpp>
#include <tessera/backends/accelerator/windows.hpp>
#include <tessera/machine/window_cost.hpp>
#include <initializer_list>

namespace tessera::accelerator {

/// The pieces in which a block of `size` along the serial axis is taken.
struct piece_count {
  i64 size = 0;  // of a whole one
  i64 count = 1;
};

constexpr piece_count pieces_of(const problem& p, i64 size) {
  if (p.rounds <= 1) return {size, 1};
  const i64 grain = p.grain[p.serial];
  const i64 piece = ceil_div(ceil_div(size, p.rounds), grain) * grain;
  if (piece >= size) return {size, 1};
  return {piece, ceil_div(size, piece)};
}

/// The work of a vertex with blocks of `size`; `user`: the definition of a user's operation.
constexpr vertex_work work_of(const machine& m, const signature& s, const problem& p,
                              const i32* size, const user_operation* user = nullptr) {
  vertex_work w;
  const i64 g = size[axis_g];
  const i64 positions = i64{size[axis_b]} * size[axis_h] * size[axis_w];
  const i64 o = size[axis_o];
  const i64 c = size[axis_c];
  switch (p.what) {
    case family::forward:
    case family::data_gradient:
    case family::weight_gradient: {
      const bool weights = p.what == family::weight_gradient;
      const element type = s.input_type(weights ? 1 : 0);
      const i64 bytes = bytes_of(type);
      w.outputs = g * (weights ? o * c * p.taps : positions * (p.transposed ? c : o));
      const piece_count n = pieces_of(p, size[p.serial]);
      const i64 piece_b = p.serial == axis_b ? n.size : size[axis_b];
      const i64 piece_o = p.serial == axis_o ? n.size : o;
      const i64 piece_c = p.serial == axis_c ? n.size : c;
      // The field of a tap: positions for which it meets a cell, on average over the taps. Only AMP
      // leaves out those that meet none.
      window_cost::field field{ceil_div(piece_b * most_pairs(p, 0, size[axis_h]), p.kernel[0]),
                               ceil_div(most_pairs(p, 1, size[axis_w]), p.kernel[1]), p.kernel[0],
                               p.kernel[1]};
      if (m.matrix.form != matrix_form::amp) {
        field.rows = piece_b * size[axis_h];
        field.row = size[axis_w];
      }
      const i64 rows = weights ? piece_o : field.positions();
      const i64 cols = p.what == family::forward ? piece_o : weights ? piece_c * p.taps : piece_c;
      const i64 in = p.what == family::forward ? piece_c * p.taps
                     : weights                 ? field.positions()
                                               : piece_o * p.taps;
      const bool spread = p.transposed;  // a filter over spread cells
      const i64 cycles =
          weights ? window_cost::weights(m, field, piece_c, piece_o, type)
                  : window_cost::product(m, field, in / p.taps, cols, type,
                                         spread ? 1 : p.stride[0], spread ? 1 : p.stride[1]);
      w.cycles = n.count * g * cycles;
      if (p.reduced[p.serial]) {  // the sums so far are read back and added to, piece by piece
        const i64 added = (n.count - 1) * w.outputs;
        w.vector_ops += added;
        w.cycles += (n.count - 1) *
                    vector_cost::elementwise(m.vector, w.outputs, element::f32, m.vector.simple);
      }
      w.sram_bytes = n.count * g * matrix_cost::sram_bytes(m, rows, in, cols, type);
      if (p.reduced[p.serial]) w.sram_bytes += (n.count - 1) * w.outputs * 8;
      const i64 fetched = p.what == family::data_gradient ? o : c;  // channels of the image
      w.cell_bytes = g * size[axis_b] * fetched * bytes;
      w.fixed_bytes = weights ? g * o * positions * bytes : g * o * c * p.taps * bytes;
      if (!weights && n.count == 1) w.weight_bytes = w.fixed_bytes;
      if (n.count > 1) {
        const bool image = p.serial == axis_b || p.serial == (p.transposed ? axis_o : axis_c);
        const bool other = weights ? p.serial != axis_c : p.serial != axis_b;
        const i64 later = size[p.serial] - n.size;  // along the axis
        if (image) w.cell_later = w.cell_bytes / size[p.serial] * later;
        if (other) w.fixed_later = w.fixed_bytes / size[p.serial] * later;
      }
      if (p.what == family::forward && s.has_input(2)) {
        w.fixed_bytes += g * o * bytes_of(s.input_type(2));
      }
      if (is_quantized_product(s.what)) {  // multipliers, shifts, zeros, limits
        for (const i32 slot : {4, 5}) w.fixed_bytes += s.has_input(slot) ? g * o * 4 : 0;
        w.fixed_bytes += s.has_input(6) ? 20 : 8;
      }
      w.sum_bytes = 4 * w.outputs;
      if (n.count > 1 && !p.reduced[p.serial]) {
        w.sum_bytes = w.sum_bytes / size[p.serial] * n.size;
      }
      if (has_slices(s)) {  // added one by one
        const i64 adds = w.outputs * size[axis_h];
        w.vector_ops += adds;
        w.cycles += vector_cost::elementwise(m.vector, adds, type, m.vector.simple);
      }
      break;
    }
    case family::bias: {
      const bool reduction = ops::is_reduction(s.what);
      const element type = s.input_type(reduction ? 0 : 1);
      w.outputs = o;
      const bool products =
          s.what == kind::channel_scale_gradient || s.what == kind::prelu_slope_gradient;
      const i64 operands = products ? 2 : 1;
      w.vector_ops = o * positions;
      w.cycles = vector_cost::elementwise(m.vector, o * positions, type, m.vector.simple);
      w.sram_bytes = o * positions * operands * bytes_of(type);
      w.fixed_bytes = o * positions * operands * bytes_of(type);
      w.sum_bytes = 4 * o;
      break;
    }
    case family::pool: {
      const element type = p.transposed ? s.output_type(0) : s.input_type(0);
      w.outputs = positions * o;
      w.vector_ops = w.outputs * p.taps;
      w.cycles = matrix_cost::pool(m, w.outputs, i64{size[axis_h]} * o, p.taps, type);
      i64 bytes = bytes_of(s.input_type(0));
      i64 written = bytes_of(s.output_type(0));
      if (s.has_input(1)) bytes += bytes_of(s.input_type(1));
      if (s.has_output(1)) written += bytes_of(s.output_type(1));
      w.sram_bytes = w.vector_ops * bytes + w.outputs * written;
      w.cell_bytes = size[axis_b] * o * bytes;
      break;
    }
    case family::unpool: {
      const bool back = s.what == kind::max_unpool2d_gradient;
      const i64 values = positions * o * p.taps;
      const i64 cells = positions * o * p.classes;
      const i64 read = bytes_of(s.input_type(0));
      const i64 written = bytes_of(s.output_type(0));
      w.vector_ops = values + (back ? 0 : cells);  // what no value goes to is zero
      w.fixed_bytes = (back ? cells : values) * read + values * bytes_of(s.input_type(1));
      w.sram_bytes =
          values * (read + bytes_of(s.input_type(1))) + (back ? values : cells) * written;
      w.cycles =
          vector_cost::elementwise(m.vector, w.vector_ops, s.output_type(0), m.vector.simple);
      break;
    }
    case family::loss: return loss_work(m, s, p, positions);
    case family::norm: {
      const auto n = norm_sizes::of(s);
      const bool batch = is_batch_norm(s.what);
      const bool gradient = ops::is_norm_gradient(s.what);
      const norm_element_work each = norm_elements(s);
      const i64 statistics = batch ? o : o * positions;
      const i64 scales = batch ? o : o * (is_group_norm(s.what) ? n.features : p.classes);
      const i64 elements = o * positions * p.classes;
      const i64 bytes = norm_element_bytes(s);
      const bool returned = batch && p.reduced[axis_b] && size[axis_b] < p.extent[axis_b];
      if (sums_over_vertices(s)) w.outputs = 2 * (batch ? o : scales);
      if (!batch && !gradient) w.outputs = statistics;
      w.vector_ops = elements * each.simple;
      w.cycles = vector_cost::elementwise(m.vector, elements, s.input_type(0),
                                          each.simple * m.vector.simple);
      w.fixed_bytes = elements * bytes + 4 * scales * norm_scale_operands(s) +
                      4 * statistics * norm_statistic_operands(s) + (returned ? 8 * statistics : 0);
      w.sram_bytes = elements * bytes * each.reads +
                     (s.has_output(0) ? elements * bytes_of(s.output_type(0)) : 0);
      w.sum_bytes = 4 * w.outputs;
      break;
    }
    case family::response: {
      const i64 elements = positions * p.classes;
      const i64 window = response_sizes::of(s).window;
      const i64 bytes = norm_element_bytes(s);
      w.vector_ops = elements * (window + 4) * (s.has_input(1) ? 2 : 1);
      w.cycles = vector_cost::elementwise(m.vector, elements, s.input_type(0),
                                          response_cycles(m.vector, s.what, window));
      w.fixed_bytes = elements * bytes;
      w.sram_bytes = elements * (window * bytes + bytes_of(s.output_type(0)));
      break;
    }
    case family::groups: {  // two passes: ties, then the gradient
      const i64 elements = positions * p.classes;
      const i64 bytes = bytes_of(s.input_type(0));
      w.vector_ops = elements * 2;
      w.cycles =
          vector_cost::elementwise(m.vector, elements, s.input_type(0), 4 * m.vector.simple) +
          vector_cost::elementwise(m.vector, positions, element::f32, m.vector.divide);
      w.fixed_bytes = (elements + 2 * positions) * bytes;
      w.sram_bytes = 2 * elements * bytes + elements * bytes_of(s.output_type(0));
      break;
    }
    case family::softmax:
    case family::additive: {
      const row_cost cost = p.what == family::softmax ? softmax_cost(m, s, positions)
                                                      : additive_cost(m, s, positions, o);
      w.cycles = cost.cycles;
      w.vector_ops = cost.ops;
      w.fixed_bytes = cost.received;
      w.sram_bytes = cost.received + cost.written;
      break;
    }
    case family::attention: {
      const attention_work cost = attention_cost(m, s, positions);
      w.cycles = cost.row.cycles;
      w.vector_ops = cost.row.ops;
      w.macs = cost.macs;
      w.fixed_bytes = cost.row.received;
      w.sram_bytes = cost.row.received + cost.row.written;
      w.sum_bytes = cost.held;
      break;
    }
    case family::cell: {
      const cell_work cell = cell_work_of(m, s);
      const element type = s.what == kind::select_by_length ? s.output_type(0) : s.input_type(0);
      w.vector_ops = positions * cell.ops;
      w.sram_bytes = positions * cell.bytes;
      w.cycles = vector_cost::elementwise(m.vector, positions, type, cell.cycles_per_vector);
      break;
    }
    case family::lookup: {
      const element type = s.input_type(1);
      if (is_bag(s.what)) {
        const i64 entries = p.classes == 1 ? p.taps : i64{p.taps} * positions;
        const bool back = s.what == kind::embedding_bag_weight_gradient;
        const i64 width = back ? bag_sizes::of(s).width : o;
        const i64 added = entries * width;
        w.vector_ops = added + (back ? 0 : positions * o);
        const i64 table = bytes_of(s.input_type(back ? 2 : 1));
        w.fixed_bytes = added * table + entries * 4 +
                        (back ? positions * width * bytes_of(type) : 0) +
                        (s.has_input(6) ? entries * bytes_of(s.input_type(6)) : 0);
        w.sram_bytes =
            added * bytes_of(type) + (back ? entries : positions * o) * bytes_of(s.output_type(0));
        w.cycles = vector_cost::elementwise(m.vector, w.vector_ops, element::f32, m.vector.simple);
        break;
      }
      const i64 elements = positions * o;
      w.vector_ops = elements;
      w.fixed_bytes = elements * bytes_of(type) + positions * 4;
      w.sram_bytes = elements * (bytes_of(type) + bytes_of(s.output_type(0)));
      w.cycles = vector_cost::elementwise(m.vector, elements, s.output_type(0), m.vector.simple);
      break;
    }
    case family::scatter: {
      const element type = s.input_type(1);
      const i64 added = i64{p.taps} * o;
      const bool whole = !is_lookup_update(s.what) && !is_lookup_test(s.what);
      // Of the rows that occur there are at most as many as entries.
      const i64 stored = (whole || c < p.taps ? c : i64{p.taps}) * o;
      const i64 states = states_of(s);
      w.fixed_bytes = i64{p.classes} * o * bytes_of(type) + i64{p.taps} * 4;
      if (is_bag(s.what)) {
        if (s.has_input(6)) w.fixed_bytes += i64{p.taps} * bytes_of(s.input_type(6));
        if (s.has_input(5)) w.fixed_bytes += i64{p.classes} * o * 4;
      }
      w.sum_bytes = 4 * stored;
      w.cycles = vector_cost::elementwise(m.vector, added, element::f32, m.vector.simple);
      if (is_lookup_update(s.what)) {
        w.vector_ops = added + stored * (2 + 2 * states);
        w.sram_bytes = w.fixed_bytes + added * 8 + stored * (4 + 8 * (1 + states));
        w.cycles += vector_cost::elementwise(m.vector, stored, element::f32,
                                             update_cycles(m.vector, s.what, states_of(s)));
      } else {
        w.vector_ops = added + stored;
        w.sram_bytes =
            w.fixed_bytes + added * 8 + stored * (4 + (whole ? bytes_of(s.output_type(0)) : 0));
        w.cycles += vector_cost::elementwise(
            m.vector, stored, whole ? s.output_type(0) : element::f32, m.vector.simple);
      }
      break;
    }
    case family::elementwise: {
      if (is_user(s.what)) return user_work(m, s, positions, user);
      if (is_quantization(s.what)) {
        quantization_work(m, s, positions, w);
        break;
      }
      const bool update = ops::is_update(s.what);
      i64 bytes = 0;  // per element
      if (is_over_axes(s.what)) {
        const auto n = axes_sizes::of(s);
        for (i32 slot = 0; slot < 3; ++slot) {
          if (!s.has_input(slot)) continue;
          const i64 elements = slot < 2 ? n.count_of(slot) : n.count();
          if (elements == n.count()) {
            bytes += bytes_of(s.input_type(slot));
          } else {  // as many different values as so many elements can need
            w.fixed_bytes +=
                (elements < positions ? elements : positions) * bytes_of(s.input_type(slot));
          }
        }
      } else if (is_gate(s.what)) {
        const bool gradient = s.what == kind::glu_gradient;
        bytes = (gradient ? 4 : 2) * bytes_of(s.input_type(0));
      } else {
        const bool one = is_by_channel(s.what) || s.what == kind::weigh_samples;
        for (i32 slot = 0; slot < (one ? 1 : 2); ++slot) {
          if (s.has_input(slot)) bytes += bytes_of(s.input_type(slot));
        }
        if (is_by_channel(s.what) && s.has_input(2)) bytes += bytes_of(s.input_type(2));
      }
      if (is_by_channel(s.what)) {  // numbers of the most channels that so many elements touch
        const auto n = bias_sizes::of(s);
        const i64 touched = (positions + n.inner - 2) / n.inner + 1;
        w.fixed_bytes = (touched < n.channels ? touched : n.channels) * bytes_of(s.input_type(1));
      }
      if (s.what != kind::overflow_test) {
        for (i32 slot = 0; slot < 4; ++slot) {
          if (!s.has_output(slot)) continue;
          bytes += (update ? 2 : 1) * bytes_of(s.output_type(slot));
        }
        if (update) bytes += 2 * (parameter_bytes(s) - bytes_of(s.output_type(0)));
      }
      w.vector_ops = positions * (update ? 2 + 2 * states_of(s) : 1);
      w.sram_bytes = positions * bytes + w.fixed_bytes;
      if (ops::is_norm_update(s.what)) {  // sums first: all operands are read once more
        const i64 sums = norm_update_sums(m, s, p);
        w.fixed_bytes = 4 * sums;
        w.vector_ops += 2 * positions + sums;
        w.sram_bytes += positions * (bytes_of(s.input_type(0)) + 4 * (1 + states_of(s))) + 4 * sums;
        w.cycles = vector_cost::elementwise(m.vector, sums, element::f32, m.vector.simple);
      }
      w.cycles += s.what == kind::cast
                      ? vector_cost::cast(m.vector, positions, s.input_type(0), s.output_type(0))
                      : vector_cost::elementwise(
                            m.vector, positions,
                            s.what == kind::overflow_test ? s.input_type(0) : s.output_type(0),
                            elementwise_cycles(m, s));
      break;
    }
    case family::exchange: {
      // Sent from where it lies to where it belongs, zeros too: no unit has anything to do.
      const i64 bytes = bytes_of(s.has_output(0) ? s.output_type(0) : s.input_type(0));
      w.fixed_bytes = positions * bytes;
      w.sram_bytes = positions * bytes;
      break;
    }
    case family::gate: {
      const auto n = expert_sizes::of(s);
      const gate_work each = gate_work_of(m.vector, s.what, n.k);
      const i64 elements = positions * p.classes;
      i64 written = 0;
      for (i32 slot = 0; slot < 4; ++slot) {
        if (s.has_input(slot)) w.fixed_bytes += elements * bytes_of(s.input_type(slot));
        const bool of_gates = slot == 0 || s.what == kind::gate_load_gradient;
        if (s.has_output(slot) && of_gates) written += elements * bytes_of(s.output_type(slot));
      }
      if (s.what == kind::balance_loss) written = 4 * (i64{n.experts} + 1);
      if (s.what == kind::top_k_gates) written += 4 * positions * n.k;
      if (s.what == kind::route_tokens) written += i64{4} * n.experts * n.capacity;
      w.vector_ops = elements * each.ops;
      w.sram_bytes = w.fixed_bytes + written;
      w.cycles = vector_cost::elementwise(m.vector, elements, element::f32, each.cycles);
      break;
    }
    case family::tokens: {
      const auto n = expert_sizes::of(s);
      const bool routed = s.what != kind::gather_tokens || s.has_input(1);
      const bool to_tokens =
          s.what == kind::combine_experts || s.what == kind::gather_tokens_gradient;
      const i64 rows = to_tokens ? n.k : s.what == kind::combine_experts_gradient ? 2 : 1;
      const i64 elements = positions * o;
      const i64 bytes = bytes_of(s.input_type(0));
      w.vector_ops = elements * rows;
      w.fixed_bytes = elements * rows * bytes + (routed ? positions * rows * (4 + bytes) : 0);
      w.sram_bytes = w.fixed_bytes + elements * bytes;
      w.cycles =
          vector_cost::elementwise(m.vector, elements, s.input_type(0), rows * m.vector.simple);
      break;
    }
    case family::single: {
      // The four numbers of the loss scale; the norms of all gradients, joined to one.
      const i64 n = 4 + (s.what == kind::clip_factor ? elementwise_sizes::of(s).count : 0);
      w.vector_ops = n;
      w.sram_bytes = 16 + 4 * n;
      w.cycles = vector_cost::elementwise(m.vector, n, element::f32, 2 * m.vector.simple);
      break;
    }
  }
  return w;
}

}  // namespace tessera::accelerator
