#pragma once

// The vector unit of a tile: lanes, threads, and what each function takes per vector.

#include <tessera/core/element.hpp>
#include <tessera/core/types.hpp>

namespace tessera {

/// How threads share a unit: one instruction each in turn, or one instruction for all at a time.
enum class issue_form : u8 { barrel, lockstep };

/// Functions are counted in cycles per vector; a vector has as many elements as there are lanes for
/// their type.
struct vector_unit {
  i32 threads = 1;
  i32 lanes_f32 = 1;
  i32 lanes_f16 = 1;
  i32 supervisor_cycles = 0;  // to start the workers
  i32 worker_cycles = 0;      // of each worker before its first vector
  // cycles per vector
  i32 simple = 1;  // add, subtract, multiply, multiply-add, maximum, compare, select
  i32 divide = 1;
  i32 root = 1;
  i32 exponential = 1;
  i32 logarithm = 1;
  i32 tanh_f16 = 1;
  i32 tanh_f32 = 1;
  i32 sigmoid_f16 = 1;
  i32 sigmoid_f32 = 1;
  i32 gradient = 1;     // of an activation, from its output
  i32 random = 1;       // a vector of random words
  i32 pool = 1;         // one element of a pooling window
  i32 row_cycles = 0;   // pooling: per output row
  i32 item_cycles = 0;  // pooling: per call of a worker
  i32 cast_cycles = 0;  // conversions: per worker
  i32 lanes_i8 = 0;     // 0: as for halves
  issue_form issue = issue_form::barrel;

  constexpr i32 lanes(element type) const {
    if (bytes_of(type) == 1 && lanes_i8 > 0) return lanes_i8;
    return bytes_of(type) <= 2 ? lanes_f16 : lanes_f32;
  }

  /// How many threads have to wait for each other.
  constexpr i32 turns() const { return issue == issue_form::barrel ? threads : 1; }

  friend constexpr bool operator==(const vector_unit&, const vector_unit&) = default;
};

}  // namespace tessera
