#pragma once

// Mapping: how one operation is cut into vertices, one per tile.
//
//   axis     g        b       h, w        o               c              (groups, batch, positions,
//            groups   batch   positions   out channels    in channels     channels of a product)
//
//   operation         one vertex computes                     reduced over, in tile order
//   forward           b x h x w positions, o channels         c
//   data gradient     b x h x w positions of x, c channels    o
//   weight gradient   o x c x kernel weights                  h, w, b
//   pooling           b x h x w positions, o channels         -
//   bias gradient     o channels                              b (samples and positions in one)
//   elementwise       b consecutive elements                  -
//   losses            b rows (sample, position)               b, the loss; -, its gradient
//
// Every axis is cut into equal blocks, the last may be smaller; a vertex is one block of each axis.
// A vertex receives the slices of its operands (exchange), computes, and where an axis that is
// summed over is cut, the partial sums of the vertices that share an output go to them in a second
// exchange: each adds up its share, in the order of the blocks. Elementwise operations run where
// their operands lie.
//
// Of at most a few hundred ways to cut a product the one with the fewest cycles is taken, among
// equals the one with the least exchange. The choice depends on signature and machine only, so it
// is a constant. Source: the planner of graphcore/poplibs in its simplest form.

#include <tessera/ir/call.hpp>
#include <tessera/machine/exchange_cost.hpp>
#include <tessera/machine/matrix_cost.hpp>
#include <tessera/machine/vector_cost.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::accelerator {

using systolic::ceil_div;

enum axis : i32 { axis_g, axis_b, axis_h, axis_w, axis_o, axis_c, axis_count };

enum class family : u8 {
  forward,
  data_gradient,
  weight_gradient,
  pool,
  bias,
  elementwise,
  loss,
  single
};

constexpr family family_of(kind what) {
  switch (what) {
    case kind::dense:
    case kind::conv2d: return family::forward;
    case kind::dense_data_gradient:
    case kind::conv2d_data_gradient: return family::data_gradient;
    case kind::dense_weight_gradient:
    case kind::dense_weight_update:
    case kind::conv2d_weight_gradient:
    case kind::conv2d_weight_update: return family::weight_gradient;
    case kind::bias_gradient:
    case kind::bias_update: return family::bias;
    case kind::max_pool2d:
    case kind::max_pool2d_gradient:
    case kind::avg_pool2d:
    case kind::avg_pool2d_gradient: return family::pool;
    case kind::softmax_cross_entropy:
    case kind::softmax_cross_entropy_gradient:
    case kind::mse:
    case kind::mse_gradient: return family::loss;
    case kind::scaler_update: return family::single;
    default: return family::elementwise;
  }
}

/// What is to be cut: the extents of the six axes and the window that ties positions to cells.
struct problem {
  family what = family::elementwise;
  bool transposed = false;  // positions are cells of the input: gradients of conv2d's x, of pools
  i32 extent[axis_count] = {1, 1, 1, 1, 1, 1};
  i32 grain[axis_count] = {1, 1, 1, 1, 1, 1};  // blocks are multiples of it
  bool reduced[axis_count] = {};
  i32 taps = 1;     // cells of a window
  i32 classes = 1;  // losses
  // height and width of the window, index 0 is height
  i32 kernel[2] = {1, 1};
  i32 stride[2] = {1, 1};
  i32 pad[2] = {0, 0};
  i32 dilation[2] = {1, 1};
  i32 cells[2] = {1, 1};  // extents of the tensor that the window reads
};

/// Fetched cells along an axis: `begin` to `begin + count`, within the tensor.
struct cell_span {
  i32 begin = 0;
  i32 count = 0;
};

/// Cells that positions [first, first + size) read along `axis` (0 height, 1 width).
constexpr cell_span span_of(const problem& p, i32 axis, i32 first, i32 size) {
  const i32 reach = (p.kernel[axis] - 1) * p.dilation[axis];
  i32 begin = 0;
  i32 end = 0;
  if (p.transposed) {
    const i32 low = first + p.pad[axis] - reach;
    begin = low <= 0 ? 0 : (low + p.stride[axis] - 1) / p.stride[axis];
    end = (first + size - 1 + p.pad[axis]) / p.stride[axis] + 1;
  } else {
    begin = first * p.stride[axis] - p.pad[axis];
    end = (first + size - 1) * p.stride[axis] - p.pad[axis] + reach + 1;
  }
  if (begin < 0) begin = 0;
  if (end > p.cells[axis]) end = p.cells[axis];
  return end > begin ? cell_span{begin, end - begin} : cell_span{};
}

/// The problem that `s` states.
constexpr problem problem_of(const signature& s) {
  problem p;
  p.what = family_of(s.what);
  switch (p.what) {
    case family::forward:
    case family::data_gradient:
    case family::weight_gradient: {
      const bool dense = s.what == kind::dense || s.what == kind::dense_data_gradient ||
                         s.what == kind::dense_weight_gradient ||
                         s.what == kind::dense_weight_update;
      p.transposed = p.what == family::data_gradient;
      if (dense) {
        const auto n = dense_sizes::of(s);
        p.extent[axis_b] = n.batch;
        p.extent[axis_o] = n.out;
        p.extent[axis_c] = n.in;
      } else {
        const auto n = conv_sizes::of(s);
        p.extent[axis_g] = n.groups;
        p.extent[axis_b] = n.batch;
        p.extent[axis_h] = p.transposed ? n.in_height : n.out_height;
        p.extent[axis_w] = p.transposed ? n.in_width : n.out_width;
        p.extent[axis_o] = n.group_out();
        p.extent[axis_c] = n.group_in();
        p.taps = n.kernel_height * n.kernel_width;
        p.kernel[0] = n.kernel_height, p.kernel[1] = n.kernel_width;
        p.stride[0] = n.stride_height, p.stride[1] = n.stride_width;
        p.pad[0] = n.pad_top, p.pad[1] = n.pad_left;
        p.dilation[0] = n.dilation_height, p.dilation[1] = n.dilation_width;
        p.cells[0] = p.transposed ? n.out_height : n.in_height;
        p.cells[1] = p.transposed ? n.out_width : n.in_width;
      }
      // Samples that lie side by side stay together; channels fill groups of the matrix unit.
      p.grain[axis_b] = s.batch_last ? 16 : 1;
      p.grain[axis_o] = 8;
      p.grain[axis_c] = p.taps >= 16 ? 1 : 16 / p.taps;
      if (p.what == family::forward) p.reduced[axis_c] = true;
      if (p.what == family::data_gradient) p.reduced[axis_o] = true;
      if (p.what == family::weight_gradient) {
        p.reduced[axis_b] = p.reduced[axis_h] = p.reduced[axis_w] = true;
      }
      break;
    }
    case family::pool: {
      const auto n = pool_sizes::of(s);
      p.transposed = s.what == kind::max_pool2d_gradient || s.what == kind::avg_pool2d_gradient;
      p.extent[axis_b] = n.batch;
      p.extent[axis_h] = p.transposed ? n.in_height : n.out_height;
      p.extent[axis_w] = p.transposed ? n.in_width : n.out_width;
      p.extent[axis_o] = n.channels;
      p.taps = n.kernel_height * n.kernel_width;
      p.kernel[0] = n.kernel_height, p.kernel[1] = n.kernel_width;
      p.stride[0] = n.stride_height, p.stride[1] = n.stride_width;
      p.pad[0] = n.pad_top, p.pad[1] = n.pad_left;
      p.dilation[0] = n.dilation_height, p.dilation[1] = n.dilation_width;
      p.cells[0] = p.transposed ? n.out_height : n.in_height;
      p.cells[1] = p.transposed ? n.out_width : n.in_width;
      p.grain[axis_b] = s.batch_last ? 16 : 1;
      break;
    }
    case family::bias: {
      const auto n = bias_sizes::of(s);
      p.extent[axis_o] = n.channels;
      p.extent[axis_b] = n.batch * n.inner;
      p.grain[axis_b] = 16;
      p.reduced[axis_b] = true;
      break;
    }
    case family::loss: {
      const auto n = loss_sizes::of(s);
      p.extent[axis_b] = n.batch * n.inner;
      p.grain[axis_b] = 8;
      p.classes = n.classes;
      p.reduced[axis_b] = s.what == kind::softmax_cross_entropy || s.what == kind::mse;
      break;
    }
    case family::elementwise:
      p.extent[axis_b] = elementwise_sizes::of(s).count;
      p.grain[axis_b] = 32;  // 6 workers with a vector each; 64 bytes of halves
      break;
    case family::single: break;
  }
  return p;
}

/// What one vertex does, whatever its place: counts that depend on the sizes of its blocks only.
struct vertex_work {
  i64 cycles = 0;
  i64 macs = 0;
  i64 vector_ops = 0;
  i64 sram_bytes = 0;   // read and written by the units, without what is received
  i64 cell_bytes = 0;   // received per cell of its (height, width) span
  i64 fixed_bytes = 0;  // received besides
  i64 sum_bytes = 0;    // f32 sums it holds
  i64 outputs = 0;      // elements of its output block, each summed over all vertices that share it

  constexpr i64 received(i64 cells) const { return cell_bytes * cells + fixed_bytes; }
};

/// What follows the sum of an output element: bias and rounding, or the parameter's update.
struct finish_work {
  i64 cycles_per_vector = 0;
  i64 ops = 0;         // per element
  i64 sram_bytes = 0;  // per element
};

constexpr bool is_fused_update(kind what) {
  return what == kind::dense_weight_update || what == kind::conv2d_weight_update ||
         what == kind::bias_update;
}

/// Optimizer states of an update: its output slots 1 to 3.
constexpr i32 states_of(const signature& s) {
  return (s.has_output(1) ? 1 : 0) + (s.has_output(2) ? 1 : 0) + (s.has_output(3) ? 1 : 0);
}

/// Cycles per vector of an optimizer's step: unscale and apply; momentum two more; Adam's two
/// moments, root and division.
constexpr i64 update_cycles(const vector_unit& v, i32 states) {
  if (states == 0) return 2 * v.simple;
  if (states == 1) return 4 * v.simple;
  return 7 * v.simple + v.root + v.divide;
}

constexpr finish_work finish_of(const machine& m, const signature& s) {
  finish_work f;
  if (is_fused_update(s.what)) {
    const i32 states = states_of(s);
    f.cycles_per_vector = update_cycles(m.vector, states);
    f.ops = 2 + 2 * states;
    f.sram_bytes = 4 + 8 * (1 + states);
  } else {
    const bool bias = family_of(s.what) == family::forward && s.has_input(2);
    f.cycles_per_vector = (bias ? 2 : 1) * m.vector.simple;
    f.ops = bias ? 2 : 1;
    f.sram_bytes = 4 + bytes_of(s.output_type(0));
  }
  return f;
}

constexpr i64 finish_cycles(const machine& m, const finish_work& f, i64 elements) {
  return vector_cost::elementwise(m.vector, elements, element::f32, f.cycles_per_vector);
}

/// Cycles per vector of an elementwise operation.
constexpr i64 elementwise_cycles(const machine& m, const signature& s) {
  const vector_unit& v = m.vector;
  const bool narrow = bytes_of(s.output_type(0)) <= 2;
  switch (s.what) {
    case kind::relu:
    case kind::add:
    case kind::overflow_test: return v.simple;
    case kind::tanh: return narrow ? v.tanh_f16 : v.tanh_f32;
    case kind::sigmoid: return narrow ? v.sigmoid_f16 : v.sigmoid_f32;
    case kind::relu_gradient:
    case kind::tanh_gradient:
    case kind::sigmoid_gradient: return v.gradient;
    case kind::dropout: return v.random + 2 * v.simple;
    case kind::update: return update_cycles(v, states_of(s));
    default: return v.simple;
  }
}

/// The work of a vertex with blocks of `size`.
constexpr vertex_work work_of(const machine& m, const signature& s, const problem& p,
                              const i32* size) {
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
      const i64 rows = weights ? o : positions;
      const i64 cols = p.what == family::forward ? o : weights ? c * p.taps : c;
      const i64 in = p.what == family::forward ? c * p.taps : weights ? positions : o * p.taps;
      w.outputs = g * rows * cols;
      w.macs = w.outputs * in;
      w.cycles = g * matrix_cost::product(m, rows, in, cols, type);
      w.sram_bytes = g * matrix_cost::sram_bytes(m, rows, in, cols, type);
      const i64 fetched = p.what == family::data_gradient ? o : c;  // channels of the image
      w.cell_bytes = g * size[axis_b] * fetched * bytes;
      w.fixed_bytes = weights ? g * o * positions * bytes : g * o * c * p.taps * bytes;
      if (p.what == family::forward && s.has_input(2)) {
        w.fixed_bytes += g * o * bytes_of(s.input_type(2));
      }
      w.sum_bytes = 4 * w.outputs;
      break;
    }
    case family::bias: {
      const element type = s.input_type(1);
      w.outputs = o;
      w.vector_ops = o * positions;
      w.cycles = vector_cost::elementwise(m.vector, o * positions, type, m.vector.simple);
      w.sram_bytes = o * positions * bytes_of(type);
      w.fixed_bytes = o * positions * bytes_of(type);
      w.sum_bytes = 4 * o;
      break;
    }
    case family::pool: {
      const element type = p.transposed ? s.output_type(0) : s.input_type(0);
      w.outputs = positions * o;
      w.vector_ops = w.outputs * p.taps;
      w.cycles = vector_cost::pool(m.vector, w.outputs, i64{size[axis_h]} * o, p.taps, type);
      i64 bytes = bytes_of(s.input_type(0));
      i64 written = bytes_of(s.output_type(0));
      if (s.has_input(1)) bytes += bytes_of(s.input_type(1));
      if (s.has_output(1)) written += bytes_of(s.output_type(1));
      w.sram_bytes = w.vector_ops * bytes + w.outputs * written;
      w.cell_bytes = size[axis_b] * o * bytes;
      break;
    }
    case family::loss: {
      const bool entropy =
          s.what == kind::softmax_cross_entropy || s.what == kind::softmax_cross_entropy_gradient;
      const vector_unit& v = m.vector;
      const i64 lanes = v.lanes_f32;
      const i64 vectors = ceil_div(p.classes, lanes);
      const i64 row = entropy ? 2 * vector_cost::tree(p.classes, lanes) +
                                    vectors * (2 * v.simple + v.exponential) + v.logarithm
                              : 2 * vectors * v.simple;
      const i64 elements = positions * p.classes;
      w.outputs = p.reduced[axis_b] ? 1 : elements;
      w.vector_ops = elements * (entropy ? 4 : 2);
      w.cycles = v.supervisor_cycles +
                 v.threads * (v.worker_cycles + ceil_div(positions, v.threads) * row);
      w.fixed_bytes = elements * bytes_of(s.input_type(0));
      // Every vertex counts the targets of the whole batch: the mean divides by their number.
      w.fixed_bytes += entropy ? i64{4} * p.extent[axis_b] : elements * bytes_of(s.input_type(1));
      w.sram_bytes =
          w.fixed_bytes + (p.reduced[axis_b] ? 4 : elements * bytes_of(s.output_type(0)));
      w.sum_bytes = p.reduced[axis_b] ? 4 : 0;
      break;
    }
    case family::elementwise: {
      i64 bytes = 0;  // per element
      for (i32 slot = 0; slot < 2; ++slot) {
        if (s.has_input(slot)) bytes += bytes_of(s.input_type(slot));
      }
      if (s.what != kind::overflow_test) {
        for (i32 slot = 0; slot < 4; ++slot) {
          if (!s.has_output(slot)) continue;
          bytes += (s.what == kind::update ? 2 : 1) * bytes_of(s.output_type(slot));
        }
      }
      w.vector_ops = positions * (s.what == kind::update ? 2 + 2 * states_of(s) : 1);
      w.sram_bytes = positions * bytes;
      w.cycles = s.what == kind::cast
                     ? vector_cost::cast(m.vector, positions, s.input_type(0), s.output_type(0))
                     : vector_cost::elementwise(
                           m.vector, positions,
                           s.what == kind::overflow_test ? s.input_type(0) : s.output_type(0),
                           elementwise_cycles(m, s));
      break;
    }
    case family::single:
      w.vector_ops = 4;
      w.sram_bytes = 32;
      w.cycles = vector_cost::elementwise(m.vector, 4, element::f32, 2 * m.vector.simple);
      break;
  }
  return w;
}

/// A problem cut into blocks.
struct mapping {
  problem of;
  i32 block[axis_count] = {1, 1, 1, 1, 1, 1};

  constexpr i32 count(i32 a) const { return (of.extent[a] + block[a] - 1) / block[a]; }
  constexpr i32 begin(i32 a, i32 i) const { return i * block[a]; }
  constexpr i32 size(i32 a, i32 i) const {
    const i32 rest = of.extent[a] - i * block[a];
    return rest < block[a] ? rest : block[a];
  }
  constexpr i64 vertices() const {
    i64 n = 1;
    for (i32 a = 0; a < axis_count; ++a) n *= count(a);
    return n;
  }
  /// Vertices that share an output block: the partial sums of each output.
  constexpr i64 partials() const {
    i64 n = 1;
    for (i32 a = 0; a < axis_count; ++a) n *= of.reduced[a] ? count(a) : 1;
    return n;
  }
  constexpr i64 output_blocks() const { return vertices() / partials(); }
};

/// Does an operation end in a question to all tiles, such as whether any gradient overflowed?
constexpr bool votes(const signature& s) {
  return s.what == kind::overflow_test ||
         ((is_fused_update(s.what) || s.what == kind::update) && s.has_input(2));
}

/// Work of the vertex that sums and finishes a share of an output block.
struct share_work {
  i64 elements = 0;  // the largest share
  i64 received = 0;  // bytes of the other vertices' partial sums
  i64 cycles = 0;
};

constexpr share_work share_of(const machine& m, const finish_work& f, i64 partials, i64 outputs) {
  share_work w;
  w.elements = ceil_div(outputs, partials);
  w.received = (partials - 1) * 4 * w.elements;
  w.cycles = vector_cost::reduce(m.vector, partials, w.elements) + finish_cycles(m, f, w.elements);
  return w;
}

/// Which families end in a finish per output; the others write their outputs as they go.
constexpr bool finishes(family what) {
  return what == family::forward || what == family::data_gradient ||
         what == family::weight_gradient || what == family::bias || what == family::loss;
}

namespace detail {

struct estimate {
  i64 cycles = 0;
  i64 received = 0;  // by the busiest tile
  i64 tile_bytes = 0;
};

/// What a mapping costs, by its largest vertex.
constexpr estimate estimate_of(const machine& m, const signature& s, const mapping& map,
                               const finish_work& finish) {
  const problem& p = map.of;
  const vertex_work w = work_of(m, s, p, map.block);
  i64 cells = 1;
  for (i32 a = 0; a < 2; ++a) {
    const i64 size = map.block[axis_h + a];
    const i64 reach = i64{p.kernel[a] - 1} * p.dilation[a];
    const i64 span =
        p.transposed ? (size - 1 + reach) / p.stride[a] + 1 : (size - 1) * p.stride[a] + reach + 1;
    cells *= span < p.cells[a] ? span : p.cells[a];
  }
  estimate e;
  e.received = w.received(cells);
  e.tile_bytes = e.received + w.sum_bytes;
  e.cycles = w.cycles + exchange_cost::transfer(m.exchange, e.received);
  const i64 partials = map.partials();
  if (partials > 1) {
    const share_work share = share_of(m, finish, partials, w.outputs);
    e.cycles +=
        share.cycles + exchange_cost::transfer(m.exchange, share.received) + m.exchange.sync_cycles;
  } else if (finishes(p.what)) {
    e.cycles += finish_cycles(m, finish, w.outputs);
  }
  return e;
}

/// Blocks along axis `a` so that there are at most `parts` of them.
constexpr i32 cut(const problem& p, i32 a, i64 parts) {
  if (parts < 1) parts = 1;
  const i64 even = ceil_div(p.extent[a], parts);
  const i64 block = ceil_div(even, p.grain[a]) * p.grain[a];
  return static_cast<i32>(block < p.extent[a] ? block : p.extent[a]);
}

/// Cuts the given axes in turn until there are `parts` blocks or nothing is left to cut.
constexpr void cut_in_turn(mapping& map, const i32* axes, i32 count, i64 parts) {
  for (i32 i = 0; i < count; ++i) {
    map.block[axes[i]] = cut(map.of, axes[i], parts);
    parts /= map.count(axes[i]);
  }
}

}  // namespace detail

/// The mapping of `s` on `m`.
constexpr mapping map(const machine& m, const signature& s) {
  mapping best;
  best.of = problem_of(s);
  const problem& p = best.of;
  for (i32 a = 0; a < axis_count; ++a) best.block[a] = p.extent[a];
  if (p.what == family::single) return best;
  if (p.what == family::elementwise) {
    best.block[axis_b] = detail::cut(p, axis_b, m.tiles);
    return best;
  }
  if (p.what == family::pool) {
    const i32 axes[] = {axis_o, axis_h, axis_w, axis_b};
    const i32 samples_first[] = {axis_b, axis_o, axis_h, axis_w};
    detail::cut_in_turn(best, s.batch_last ? axes : samples_first, 4, m.tiles);
    return best;
  }

  const finish_work finish = finish_of(m, s);
  detail::estimate least;
  bool found = false;
  const auto consider = [&](const mapping& candidate) {
    const detail::estimate e = detail::estimate_of(m, s, candidate, finish);
    if (found) {
      const bool fits = e.tile_bytes <= m.tile_bytes;
      const bool least_fits = least.tile_bytes <= m.tile_bytes;
      if (fits != least_fits) {
        if (least_fits) return;
      } else if (!fits) {
        if (e.tile_bytes >= least.tile_bytes) return;
      } else if (e.cycles > least.cycles ||
                 (e.cycles == least.cycles && e.received >= least.received)) {
        return;
      }
    }
    found = true;
    least = e;
    best = candidate;
  };

  mapping candidate = best;
  candidate.block[axis_g] = detail::cut(p, axis_g, m.tiles);
  const i64 tiles_of_group = m.tiles / candidate.count(axis_g);
  // Halos make cutting height and width dear, so samples first is tried too.
  const i32 positions[] = {axis_h, axis_w, axis_b};
  const i32 samples[] = {axis_b, axis_h, axis_w};
  const bool two_orders = p.extent[axis_h] > 1 && p.extent[axis_b] > p.grain[axis_b];
  i32 last_o = -1;
  for (i64 parts_o = 1; parts_o <= tiles_of_group; parts_o *= 2) {
    candidate.block[axis_o] = detail::cut(p, axis_o, parts_o);
    if (candidate.block[axis_o] == last_o) break;
    last_o = candidate.block[axis_o];
    i32 last_c = -1;
    const i64 tiles_of_o = tiles_of_group / candidate.count(axis_o);
    for (i64 parts_c = 1; parts_c <= tiles_of_o; parts_c *= 2) {
      candidate.block[axis_c] = detail::cut(p, axis_c, parts_c);
      if (candidate.block[axis_c] == last_c) break;
      last_c = candidate.block[axis_c];
      i64 last_vertices = 0;
      for (i64 parts = tiles_of_o / candidate.count(axis_c); parts >= 1; parts /= 2) {
        detail::cut_in_turn(candidate, positions, 3, parts);
        if (candidate.vertices() == last_vertices) continue;
        last_vertices = candidate.vertices();
        consider(candidate);
        if (!two_orders) continue;
        detail::cut_in_turn(candidate, samples, 3, parts);
        consider(candidate);
      }
    }
  }
  return best;
}

}  // namespace tessera::accelerator
