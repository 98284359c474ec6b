#pragma once

// The sizes of losses.

#include <tessera/ir/attributes.hpp>
#include <tessera/ir/signature.hpp>

namespace tessera {

/// Losses that go row by row. logits (batch, classes, inner), target (batch, inner); what compares
/// vectors has their features in `classes`.
struct loss_sizes {
  i32 batch, classes, inner;

  static constexpr loss_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2]}; }
  constexpr void write(signature& s) const { s.n[0] = batch, s.n[1] = classes, s.n[2] = inner; }
  constexpr i64 rows() const { return i64{batch} * inner; }
  /// Rows of samples that are no padding.
  constexpr i64 counted_rows(const loss_attributes& attr, i32 valid) const {
    return attr.samples > 0 ? rows() / attr.samples * valid : i64{valid} * inner;
  }
};

/// Losses that go element by element, in whatever layout: memory is periods of `period` elements,
/// in each of which every sample has `unit` elements, one sample after the other. The channel of
/// element e is e / channel_step mod channels.
struct element_loss_sizes {
  i32 count, period, unit, channels, channel_step, times;

  static constexpr element_loss_sizes of(const signature& s) {
    return {s.n[0], s.n[1], s.n[2], s.n[3], s.n[4], s.n[5]};
  }
  constexpr void write(signature& s) const {
    s.n[0] = count, s.n[1] = period, s.n[2] = unit;
    s.n[3] = channels, s.n[4] = channel_step, s.n[5] = times;
  }
  /// Elements of a period that are no padding, where `valid` samples are none.
  constexpr i64 counted_of_period(i32 valid) const { return i64{valid} * unit; }
  /// What a sum is divided by: the number of elements that count, or of samples at points in time.
  constexpr double divisor(reduction reduce, i32 valid) const {
    if (reduce == reduction::mean) {
      return static_cast<double>(count / period * counted_of_period(valid));
    }
    return reduce == reduction::batch_mean ? static_cast<double>(i64{times} * valid) : 1;
  }
};

/// ctc and its gradient: logits (time, batch, classes), at most `labels` labels a sample.
struct ctc_sizes {
  i32 time, batch, classes, labels;

  static constexpr ctc_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2], s.n[3]}; }
  constexpr void write(signature& s) const {
    s.n[0] = time, s.n[1] = batch, s.n[2] = classes, s.n[3] = labels;
  }
  constexpr i32 states() const { return 2 * labels + 1; }
  /// A frame of alpha: 16 that are impossible, then the states, up to a multiple of 16.
  static constexpr i32 margin = 16;
  static constexpr i32 whole(i32 n) { return (n + 15) / 16 * 16; }
  constexpr i32 state_row() const { return margin + whole(states()); }
  /// Room of a sample on the way back: beta and 16 that are impossible, then a sum for each class.
  constexpr i32 room_row() const { return state_row() + whole(classes); }
  /// Where class 0 of a frame of a sample lies, and how far the next.
  constexpr i64 first(bool batch_last, i64 t, i64 n) const {
    return t * batch * classes + (batch_last ? n : n * classes);
  }
  constexpr i64 class_step(bool batch_last) const { return batch_last ? batch : 1; }
};

}  // namespace tessera
