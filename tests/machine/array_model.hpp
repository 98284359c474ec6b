#pragma once

// A systolic array that moves values from element to element, cycle by cycle: what the closed form
// is held against. For tests only; nothing of it comes from the closed form.
//
//        B (moves down)                 outputs in place: every element multiplies what comes from
//        |  |  |                        the left by what comes from above, adds to its own sum and
//   A -> #--#--#   row r of the array   passes both on
//   A -> #--#--#   gets its values      weights or inputs in place: every element multiplies what
//        |  |  |   r cycles later       comes from the left by what it holds, adds what comes from
//        sums (move down)               above, and passes both on
//
// A row of elements is eight lanes of a vector, of which up to seven are used: moving right is a
// shuffle, moving down a copy. Absent values are zeros that flow along with a token that says so.

#include <tessera/machine/systolic.hpp>
#include <cmath>

namespace tessera::testing {

/// What an array did.
struct array_run {
  i64 cycles = 0;
  i64 a_reads = 0;
  i64 b_reads = 0;
  i64 c_writes = 0;
  i64 partial_reads = 0;
};

/// Products of up to 20 x 20 x 20 on arrays of up to 5 x 7.
class array_model {
 public:
  static constexpr i32 most = 20;
  static constexpr i32 most_rows = 5;
  static constexpr i32 most_cols = 7;

  float a[most][most] = {};  // [m][k]
  float b[most][most] = {};  // [k][n]
  float c[most][most] = {};  // [m][n], of the last run

  array_run run(dataflow flow, i32 m, i32 n, i32 k, i32 rows, i32 cols) {
    rows_ = rows;
    cols_ = cols;
    result_ = {};
    switch (flow) {
      case dataflow::output_stationary: keep_outputs(m, n, k); break;
      case dataflow::weight_stationary:  // down the array k, across it n, in time m
        keep_operand<true>(k, n, m);
        break;
      case dataflow::input_stationary:  // down the array k, across it m, in time n
        keep_operand<false>(k, m, n);
        break;
    }
    return result_;
  }

 private:
  using lanes = float __attribute__((vector_size(32)));
  using places = i32 __attribute__((vector_size(32)));

  static lanes moved_right(lanes x, float from_left) {
#if defined(__clang__)
    lanes y = __builtin_shufflevector(x, x, 0, 0, 1, 2, 3, 4, 5, 6);
#else
    lanes y = __builtin_shuffle(x, places{0, 0, 1, 2, 3, 4, 5, 6});
#endif
    y[0] = from_left;
    return y;
  }

  static lanes multiply_add(lanes x, lanes y, lanes z) {
    for (i32 i = 0; i < 8; ++i) z[i] = std::fma(x[i], y[i], z[i]);
    return z;
  }

  /// One token per element and product: an element passes one on a cycle after it has had it. A
  /// fold is over when the last element has had all.
  struct tokens {
    u32 row[most_rows] = {};
    i64 left = 0;

    tokens(i32 rows, i32 cols, i32 time) : left(i64{rows} * cols * time) {}

    void step(i32 rows, i32 cols, i32 t, i32 time) {
      const u32 mask = (1u << cols) - 1;
      for (i32 r = 0; r < rows; ++r) {
        const bool enters = t - r >= 0 && t - r < time;
        row[r] = ((row[r] << 1) | (enters ? 1u : 0u)) & mask;
        left -= __builtin_popcount(row[r]);
      }
    }
  };

  void keep_outputs(i32 m, i32 n, i32 k) {
    for (i32 m0 = 0; m0 < m; m0 += rows_) {
      for (i32 n0 = 0; n0 < n; n0 += cols_) {
        lanes right[most_rows] = {};
        lanes down[most_rows] = {};
        lanes sum[most_rows] = {};
        tokens passing(rows_, cols_, k);
        for (i32 t = 0; passing.left > 0; ++t) {
          ++result_.cycles;
          lanes above = {};  // what enters at the top
          for (i32 j = 0; j < cols_; ++j) {
            const i32 at = t - j;
            if (at < 0 || at >= k || n0 + j >= n) continue;
            above[j] = b[at][n0 + j];
            ++result_.b_reads;
          }
          for (i32 r = rows_ - 1; r >= 0; --r) {
            float left = 0;
            const i32 at = t - r;
            if (at >= 0 && at < k && m0 + r < m) {
              left = a[m0 + r][at];
              ++result_.a_reads;
            }
            right[r] = moved_right(right[r], left);
            down[r] = r > 0 ? down[r - 1] : above;
            sum[r] = multiply_add(right[r], down[r], sum[r]);
          }
          passing.step(rows_, cols_, t, k);
        }
        for (i32 r = 0; r < rows_ && m0 + r < m; ++r) {
          for (i32 j = 0; j < cols_ && n0 + j < n; ++j) {
            c[m0 + r][n0 + j] = sum[r][j];
            ++result_.c_writes;
          }
        }
      }
    }
  }

  /// Weights (or inputs) stay, inputs (or weights) move right, sums move down. `deep` x `wide` is
  /// what stays, `time` how much passes it.
  template <bool Weights>
  void keep_operand(i32 deep, i32 wide, i32 time) {
    i64& stationary_reads = Weights ? result_.b_reads : result_.a_reads;
    i64& moving_reads = Weights ? result_.a_reads : result_.b_reads;
    for (i32 d0 = 0; d0 < deep; d0 += rows_) {
      for (i32 w0 = 0; w0 < wide; w0 += cols_) {
        lanes held[most_rows] = {};
        for (i32 t = 0; t < rows_; ++t) {  // shifted in from the top, the lowest row first
          ++result_.cycles;
          lanes above = {};
          const i32 d = d0 + rows_ - 1 - t;
          for (i32 j = 0; j < cols_ && d < deep; ++j) {
            if (w0 + j >= wide) continue;
            above[j] = Weights ? b[d][w0 + j] : a[w0 + j][d];
            ++stationary_reads;
          }
          for (i32 r = rows_ - 1; r > 0; --r) held[r] = held[r - 1];
          held[0] = above;
        }
        lanes right[most_rows] = {};
        lanes down[most_rows] = {};
        tokens passing(rows_, cols_, time);
        for (i32 t = 0; passing.left > 0; ++t) {
          ++result_.cycles;
          for (i32 r = rows_ - 1; r >= 0; --r) {
            float left = 0;
            const i32 at = t - r;
            if (at >= 0 && at < time && d0 + r < deep) {
              left = Weights ? a[at][d0 + r] : b[d0 + r][at];
              ++moving_reads;
            }
            right[r] = moved_right(right[r], left);
            down[r] = multiply_add(right[r], held[r], r > 0 ? down[r - 1] : lanes{});
          }
          passing.step(rows_, cols_, t, time);
          for (i32 j = 0; j < cols_; ++j) {  // sums that leave at the bottom
            if ((passing.row[rows_ - 1] >> j & 1u) == 0 || w0 + j >= wide) continue;
            const i32 at = t - (rows_ - 1) - j;
            float& sum = Weights ? c[at][w0 + j] : c[w0 + j][at];
            if (d0 > 0) ++result_.partial_reads;
            sum = d0 == 0 ? down[rows_ - 1][j] : sum + down[rows_ - 1][j];
            ++result_.c_writes;
          }
        }
      }
    }
  }

  i32 rows_ = 1;
  i32 cols_ = 1;
  array_run result_;
};

}  // namespace tessera::testing
