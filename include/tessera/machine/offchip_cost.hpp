#pragma once

// Memory off the chip: cycles of a transfer, and of one that is hidden behind computing.
//
//   transfer     set-up + latency + bytes, in whole bursts, over the rate
//   overlapped   max(compute, (D_i - H_i) / rate_i over the operands), H_i the half of a double
//                buffer that was filled before: what SCALE-Sim's runs with a limited rate come to
//   blocks       n equal blocks, each transferred while the one before is computed:
//                n max(compute, transfer) + min(compute, transfer)
//
// Sources: SCALE-Sim v2, user bandwidth mode; Arm's Vela (bursts, latency, blocks).

#include <tessera/machine/systolic.hpp>  // ceil_div
#include <initializer_list>

namespace tessera::offchip_cost {

using systolic::ceil_div;

/// ceil(a b / c) for non-negative a, b and positive c; exact also where a b does not fit.
constexpr i64 ceil_scaled(i64 a, i64 b, i64 c) {
  const i64 whole = a / c;
  u64 rest = static_cast<u64>(a % c);  // < c
  u64 quotient = 0;                    // of rest b / c, found bit by bit of b
  u64 left = 0;
  const u64 by = static_cast<u64>(c);
  for (i32 bit = 62; bit >= 0; --bit) {
    quotient *= 2;
    left *= 2;
    if (left >= by) left -= by, ++quotient;
    if ((static_cast<u64>(b) >> bit & 1) == 0) continue;
    left += rest;
    if (left >= by) left -= by, ++quotient;
  }
  return whole * b + static_cast<i64>(quotient) + (left > 0 ? 1 : 0);
}

/// Cycles for `bytes` at a rate of bytes per second.
constexpr i64 cycles_at(i64 clock_hz, i64 bytes, i64 bytes_per_second) {
  return bytes <= 0 || bytes_per_second <= 0 ? 0 : ceil_scaled(bytes, clock_hz, bytes_per_second);
}

/// Bytes that are moved for `bytes` in pieces of `contiguous` bytes: whole bursts.
constexpr i64 moved(const offchip_unit& o, i64 bytes, i64 contiguous) {
  if (contiguous <= 0 || contiguous > bytes) contiguous = bytes;
  if (bytes <= 0) return 0;
  const i64 pieces = bytes / contiguous;
  const i64 rest = bytes % contiguous;
  const i64 burst = o.burst_bytes;
  return (pieces * ceil_div(contiguous, burst) + ceil_div(rest, burst)) * burst;
}

/// Cycles for bytes in whole bursts at the rate of all channels: a burst of each at a time.
constexpr i64 bursts(const machine& m, i64 moved_bytes, i64 bytes_per_second) {
  const i64 of_all = i64{m.offchip.burst_bytes} * m.offchip.channels;
  return cycles_at(m.clock_hz, ceil_div(moved_bytes, of_all) * of_all, bytes_per_second);
}

/// Cycles in which `bytes` come from memory (0 contiguous: all in one piece).
constexpr i64 read(const machine& m, i64 bytes, i64 contiguous = 0) {
  if (bytes <= 0 || !m.offchip.exists()) return 0;
  return m.dma.setup_cycles + m.offchip.latency_cycles +
         bursts(m, moved(m.offchip, bytes, contiguous), m.offchip.read_bytes_per_second);
}

/// Cycles in which `bytes` go to memory.
constexpr i64 write(const machine& m, i64 bytes, i64 contiguous = 0) {
  if (bytes <= 0 || !m.offchip.exists()) return 0;
  const i64 rate = m.offchip.write_bytes_per_second > 0 ? m.offchip.write_bytes_per_second
                                                        : m.offchip.read_bytes_per_second;
  return m.dma.setup_cycles + m.offchip.latency_cycles +
         bursts(m, moved(m.offchip, bytes, contiguous), rate);
}

/// Cycles in which both are done: at the same time where there are engines for it, else in turn.
constexpr i64 read_and_write(const machine& m, i64 read_bytes, i64 written_bytes) {
  const i64 in = read(m, read_bytes);
  const i64 out = write(m, written_bytes);
  if (m.dma.engines < 2) return in + out;
  return in > out ? in : out;
}

/// Words of one operand that come from memory while the array computes.
struct stream {
  i64 words = 0;        // D
  i64 half_buffer = 0;  // H, filled before the first cycle

  /// Cycles of the transfer that computing has to wait for, at best.
  constexpr i64 cycles(i64 words_per_cycle) const {
    return words <= half_buffer ? 0 : ceil_div(words - half_buffer, words_per_cycle);
  }
};

/// Cycles of a computation with operands that stream in beside it, each at its own port.
constexpr i64 overlapped(i64 compute, i64 words_per_cycle, std::initializer_list<stream> operands) {
  i64 most = compute;
  for (const stream& s : operands) {
    const i64 cycles = s.cycles(words_per_cycle);
    if (cycles > most) most = cycles;
  }
  return most;
}

/// `count` equal blocks under double buffering; one after another without.
constexpr i64 blocks(i64 count, i64 compute, i64 transfer, bool overlap = true) {
  if (count <= 0) return 0;
  if (!overlap) return count * (compute + transfer);
  const i64 more = compute > transfer ? compute : transfer;
  const i64 less = compute > transfer ? transfer : compute;
  return count * more + less;
}

/// What an array does while the weights of its folds stream in from memory off the chip.
struct weight_stream {
  i64 folds = 0;
  i64 active = 0;  // cycles per fold in which it multiplies
  i64 shift = 0;   // in which weights move into place and nothing else goes on
  i64 stall = 0;   // in which it waits for weights

  constexpr i64 period() const { return active + shift + stall; }
  constexpr i64 cycles() const { return folds * period(); }
};

/// Weights (in, out) that lie off the chip, met by `rows` rows of inputs, on an array with
/// stationary weights: a fold takes the longest of streaming its weights, multiplying, and shifting
/// weights in. Where streaming is the longest, the shift begins when the weights are there: the
/// array multiplies after it and waits. Weights of edge folds are padded to whole folds where
/// `padded`.
constexpr weight_stream streamed(const machine& m, i64 rows, i64 in, i64 out, element type,
                                 bool padded = true) {
  const matrix_unit& u = m.matrix;
  weight_stream w;
  w.folds = padded ? ceil_div(in, u.rows) * ceil_div(out, u.cols)
                   : ceil_div(in * out, i64{u.rows} * u.cols);
  w.active = rows * u.passes(type);
  const i64 fold_bytes = i64{u.rows} * u.cols * bytes_of(type);
  const i64 fetch = cycles_at(m.clock_hz, fold_bytes, m.offchip.read_bytes_per_second);
  i64 period = w.active;
  if (!u.double_buffered_weights) {
    period = (m.dma.overlap && fetch > w.active + u.rows) ? fetch : w.active + u.rows;
  } else {
    if (u.rows > period) period = u.rows;
    if (fetch > period) period = fetch;
  }
  if (!m.dma.overlap) period = w.active + u.rows + fetch;
  const i64 idle = period - w.active;
  w.shift = idle < u.rows ? idle : u.rows;
  w.stall = idle - w.shift;
  return w;
}

}  // namespace tessera::offchip_cost
