#pragma once

// How the weights of a step on one frame lie in memory: in the order in which its kernel reads
// them, once, from front to back.
//
//   product     for each block of outputs: row of biases, then a row for each number of each
//               operand; a row holds the outputs of the block, padded to whole vectors
//   few outputs (dot)   biases, then for each output its weights along each operand
//   lstm        rows of all gates in the order g i f o; state of less than a vector: several gates
//               in one vector
//               |  g   |  i   | |  f   |  o   |      8 units, vectors of 16
//               else for each block of units, as a product
//   gru         r z n n' alike: n of the state, which r multiplies, and n' of the input; else for
//               each block of units biases and input rows of r z n', biases and state rows of r z n
//
// Rows of sigmoids are multiplied by what the functions want (stream_math.hpp). Only this file
// knows the order; kernels walk along it.

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/simd.hpp>
#include <tessera/ir/frame_program.hpp>

namespace tessera::host {

constexpr i32 to_lanes(i32 n) { return (n + simd::lanes - 1) / simd::lanes * simd::lanes; }

/// Vectors of sums of a block, at most.
inline constexpr i32 stream_block = machine_blocks.frame_vectors;

/// A product of one or two operands; `taps` frames of the first.
struct product_layout {
  i32 outs = 1;
  i32 taps = 1;
  i32 in[2] = {1, 0};

  constexpr i32 inputs() const { return taps * in[0] + in[1]; }
  /// Few outputs of many inputs: sums along the inputs.
  constexpr bool dot() const { return outs <= 2 && inputs() > simd::lanes; }
  constexpr i32 vectors() const { return to_lanes(outs) / simd::lanes; }
  constexpr i32 rows() const { return 1 + inputs(); }
  constexpr i64 dot_row() const { return i64{taps} * to_lanes(in[0]) + to_lanes(in[1]); }
  constexpr i64 floats() const {
    return dot() ? to_lanes(outs) + outs * dot_row() : i64{rows()} * to_lanes(outs);
  }
  /// Place of the bias of an output.
  constexpr i64 bias(i32 out) const { return dot() ? out : place(out, 0); }
  /// Place of a weight: tap `tap` of the first operand, or of the second.
  constexpr i64 weight(i32 out, i32 operand, i32 tap, i32 k) const {
    if (dot()) {
      return to_lanes(outs) + out * dot_row() +
             (operand == 0 ? i64{tap} * to_lanes(in[0]) : i64{taps} * to_lanes(in[0])) + k;
    }
    return place(out, 1 + (operand == 0 ? tap * in[0] : taps * in[0]) + k);
  }

 private:
  constexpr i64 place(i32 out, i32 row) const {
    constexpr i32 block = stream_block * simd::lanes;
    const i32 before = out / block * block;
    const i32 width = to_lanes(outs) - before < block ? to_lanes(outs) - before : block;
    return i64{before} * rows() + i64{row} * width + out - before;
  }
};

/// A cell of `hidden` units with gates of an input of `in` numbers and the state.
struct cell_layout {
  i32 in = 1;
  i32 hidden = 1;

  /// Units from gate to gate: a power of two where several gates share a vector.
  constexpr i32 width() const {
    if (hidden > simd::lanes / 2) return to_lanes(hidden);
    i32 w = 1;
    while (w < hidden) w *= 2;
    return w;
  }
  constexpr bool shares() const { return width() < simd::lanes; }
  /// Floats of a row of all four gates where they share vectors.
  constexpr i32 row() const { return to_lanes(4 * width()); }
  /// Vectors of units of a block, at most: four gates' sums are in registers.
  static constexpr i32 block = stream_block / 2;

 protected:
  /// Place in row `r` of `rows` with so many gates, in the block of a unit.
  constexpr i64 place_in(i32 gates, i32 gate, i32 unit, i32 r, i32 rows) const {
    if (shares()) return i64{r} * row() + gate * width() + unit;
    constexpr i32 most = block * simd::lanes;
    const i32 before = unit / most * most;
    const i32 here = width() - before < most ? width() - before : most;
    return i64{gates} * (i64{before} * rows + i64{r} * here) + gate * here + unit - before;
  }
};

struct lstm_layout : cell_layout {
  constexpr i32 rows() const { return 1 + in + hidden; }
  constexpr i64 floats() const { return i64{rows()} * (shares() ? row() : 4 * width()); }
  /// Place of unit `unit` of gate 0 g, 1 i, 2 f, 3 o in row `r`: the bias, inputs, states.
  constexpr i64 place(i32 gate, i32 unit, i32 r) const {
    return place_in(4, gate, unit, r, rows());
  }
};

/// Gates 0 r, 1 z, 2 n of the state, 3 n' of the input.
struct gru_layout : cell_layout {
  constexpr i32 rows() const { return (shares() ? 1 : 2) + in + hidden; }
  constexpr i64 floats() const { return i64{rows()} * (shares() ? row() : 3 * width()); }
  constexpr i64 bias(i32 gate, i32 unit) const {
    return place(gate, unit, gate == 2 && !shares() ? 1 + in : 0);
  }
  constexpr i64 input(i32 gate, i32 unit, i32 k) const { return place(gate, unit, 1 + k); }
  constexpr i64 state(i32 gate, i32 unit, i32 k) const {
    return place(gate, unit, (shares() ? 1 : 2) + in + k);
  }

 private:
  /// Where gates share vectors n and n' have places of their own.
  constexpr i64 place(i32 gate, i32 unit, i32 r) const {
    return shares() ? place_in(4, gate, unit, r, rows())
                    : place_in(3, gate < 2 ? gate : 2, unit, r, rows());
  }
};

}  // namespace tessera::host
