#pragma once

// The sizes of normalizations and of what goes row by row.

#include <tessera/ir/signature.hpp>

namespace tessera {

/// Normalizations. x (batch, rows, features, inner): a group is a row of channels, else there is
/// one row; of layer_norm and rms_norm a row is what one statistic is over, and inner = 1.
struct norm_sizes {
  i32 batch, rows, features, inner;

  static constexpr norm_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2], s.n[3]}; }
  constexpr void write(signature& s) const {
    s.n[0] = batch, s.n[1] = rows, s.n[2] = features, s.n[3] = inner;
  }
  /// Elements of a row.
  constexpr i64 row() const { return i64{features} * inner; }
  /// Elements of a sample.
  constexpr i64 sample() const { return rows * row(); }
};

/// local_response_norm and its gradient. x (batch, channels, inner), `window` channels wide.
struct response_sizes {
  i32 batch, channels, inner, window;

  static constexpr response_sizes of(const signature& s) {
    return {s.n[0], s.n[1], s.n[2], s.n[3]};
  }
  constexpr void write(signature& s) const {
    s.n[0] = batch, s.n[1] = channels, s.n[2] = inner, s.n[3] = window;
  }
};

/// softmax, log_softmax and their gradients: (outer, along, inner) as it lies in memory.
struct softmax_sizes {
  i32 outer, along, inner;

  static constexpr softmax_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2]}; }
  constexpr void write(signature& s) const { s.n[0] = outer, s.n[1] = along, s.n[2] = inner; }
  constexpr i64 rows() const { return i64{outer} * inner; }
};

}  // namespace tessera
