#pragma once

// Dot-product units in step: cycles of a product of `positions` x `in` by `in` x `out`.
//
//   out group |  weights of one step: in group x out group
//             |  ------------------------------------------  max(load them, multiply) for every
//   positions |  a block of positions whose sums are held    block of positions
//
// Multiplying takes the multiplications of whole micro-blocks, those of the padding included, over
// those that the units do in a cycle. With a window (a convolution) inputs are channels x taps, and
//   * a step takes either one tap of `in_group` channels, or `taps` taps of in_group / taps
//     channels, whichever needs fewer steps: Ethos-U's two traversals, within 8 x 8 taps;
//   * a stride may fold its cells into channels: ceil(c s_h s_w / group) groups, 1 / (s_h s_w) of
//     the taps; and 3 x 3 windows may be computed as Winograd does, 2.25 times faster: NVDLA.
//
// Sources: Arm's Vela compiler, the rule by which it estimates convolutions (4 cycles a micro-block
// of 32 inputs, 8 bytes of weights a cycle); NVDLA's published performance workbook, which this
// equals on every layer.

#include <tessera/machine/systolic.hpp>
#include <tessera/machine/vector_cost.hpp>

namespace tessera::dots_cost {

using systolic::ceil_div;

/// The window of a convolution; a plain product has one cell.
struct window {
  i32 kernel_h = 1;
  i32 kernel_w = 1;
  i32 stride_h = 1;
  i32 stride_w = 1;

  constexpr i64 taps() const { return i64{kernel_h} * kernel_w; }
  constexpr i64 strides() const { return i64{stride_h} * stride_w; }
};

/// Steps over `taps` cells of a window, some at a time, in pieces of at most 8 x 8.
constexpr i64 tap_steps(const window& w, i64 at_a_time) {
  i64 steps = 0;
  for (i32 h = 0; h < w.kernel_h; h += 8) {
    for (i32 v = 0; v < w.kernel_w; v += 8) {
      const i32 rows = w.kernel_h - h < 8 ? w.kernel_h - h : 8;
      const i32 cols = w.kernel_w - v < 8 ? w.kernel_w - v : 8;
      steps += ceil_div(i64{rows} * cols, at_a_time);
    }
  }
  return steps;
}

/// Steps over the inputs of an output. Where a stride is folded these are so many times the steps,
/// to be divided by the cells of the stride.
constexpr i64 input_steps(const dot_units& d, i64 in, const window& w) {
  const bool whole = in % w.taps() == 0;
  if (!whole) return ceil_div(in, d.in_group) * (d.folds_stride ? w.strides() : 1);
  const i64 channels = in / w.taps();
  if (d.folds_stride) return w.taps() * ceil_div(channels * w.strides(), d.in_group);
  const i64 deep = w.taps() * ceil_div(channels, d.in_group);
  if (d.taps < 2) return deep;
  const i64 wide = tap_steps(w, d.taps) * ceil_div(channels, ceil_div(d.in_group, d.taps));
  return deep < wide ? deep : wide;
}

/// Without units of a type: the vector unit's multiply-adds, one after another for each output.
constexpr i64 on_vector_unit(const vector_unit& v, i64 positions, i64 in, i64 out, element type) {
  return vector_cost::elementwise(v, positions * out, type, in * v.simple);
}

/// Cycles of C (positions, out) = A (positions, in) B (in, out) on the units of one tile.
constexpr i64 product(const machine& m, i64 positions, i64 in, i64 out, element type,
                      const window& w = {}) {
  const dot_units& d = m.matrix.dots;
  const i64 macs = d.macs(type);
  if (positions <= 0 || in <= 0 || out <= 0) return 0;
  if (macs == 0) return on_vector_unit(m.vector, positions, in, out, type);
  const i64 steps = input_steps(d, in, w) * ceil_div(out, d.out_group);
  const i64 weights = i64{d.in_group} * d.out_group;
  const auto multiplications = [&](i64 n) {  // of one step
    return ceil_div(n, d.positions) * d.positions * weights;
  };
  const i64 load = m.matrix.weight_load_bytes == 0
                       ? 0
                       : ceil_div(weights * bytes_of(type), m.matrix.weight_load_bytes);
  const i64 folded = d.folds_stride ? w.strides() : 1;
  const bool winograd = d.winograd_16ths > 16 && w.kernel_h == 3 && w.kernel_w == 3;
  const i64 faster = winograd ? d.winograd_16ths : 16;
  const i64 start = m.matrix.supervisor_cycles;
  if (load == 0) {
    return start + ceil_div(steps * multiplications(positions) * 16, macs * faster * folded);
  }
  const i64 block =
      d.block_positions > 0 && d.block_positions < positions ? i64{d.block_positions} : positions;
  const auto cycles = [&](i64 n) {  // of one step
    const i64 multiply = ceil_div(multiplications(n) * 16, macs * faster);
    return multiply > load ? multiply : load;
  };
  const i64 rest = positions % block;
  const i64 each = positions / block * cycles(block) + (rest > 0 ? cycles(rest) : 0);
  return start + ceil_div(steps * each, folded);
}

/// Are windows of `type` pooled by the units?
constexpr bool pools(const machine& m, element type) {
  return m.matrix.form == matrix_form::dots && m.matrix.dots.pool_cycles > 0 &&
         m.matrix.dots.macs(type) > 0;
}

/// Pooling of `outputs` elements: a cycle for each cell of the window and micro-block, four at
/// least on Ethos-U; twice as many where a type is multiplied at half the rate.
constexpr i64 pool(const machine& m, i64 outputs, i64 window, element type) {
  const dot_units& d = m.matrix.dots;
  if (outputs <= 0) return 0;
  const i64 slower = d.macs_i8 > d.macs(type) ? ceil_div(d.macs_i8, d.macs(type)) : 1;
  const i64 cycles = window > d.pool_cycles ? window : i64{d.pool_cycles};
  return m.matrix.supervisor_cycles +
         ceil_div(outputs, i64{d.positions} * d.out_group) * cycles * slower;
}

/// Multiplications per cycle at best, of a product without a window.
constexpr i64 peak_macs(const machine& m, element type) {
  const i64 macs = m.matrix.dots.macs(type);
  return macs > 0 ? macs : vector_cost::peak(m.vector, type);
}

/// Bytes read and written in the tile's SRAM: the field once per group of outputs, the weights once
/// per block of positions, complete sums written once.
constexpr i64 sram_bytes(const machine& m, i64 positions, i64 in, i64 out, element type) {
  const dot_units& d = m.matrix.dots;
  const i64 bytes = bytes_of(type);
  const i64 sums = positions * out * 4;
  if (d.macs(type) == 0) return positions * in * (out + 1) * bytes + sums;
  const i64 blocks = d.block_positions > 0 ? ceil_div(positions, d.block_positions) : 1;
  return positions * in * bytes * ceil_div(out, d.out_group) + in * out * bytes * blocks + sums;
}

}  // namespace tessera::dots_cost
