#pragma once

// A systolic array whose folds follow one another without waiting, cycle by cycle: how soon the
// next fold may start. For tests only.
//
//   outputs in place     a finished sum goes to its element's drain register, beside which the next
//                        fold begins; when the lowest row has finished, the column's registers move
//                        down and out, one row a cycle
//   an operand in place  the next fold's values move down a column of shadow registers; an element
//                        takes its own with the first value of the fold that passes
//
// In both, moves of a column follow a front that goes down one row a cycle: of drain registers
// those at or below it move, of shadow registers those at or above it. A register that is written
// before it was read is counted as a collision; what was in it is lost, and the sums come out
// wrong.

#include <tessera/machine/systolic.hpp>
#include <cmath>
#include <vector>

namespace tessera::testing {

/// What came of a run with folds that start every so many cycles.
struct pipelined_run {
  i64 cycles = 0;  // until the last product is made (outputs) or the last sum is out (operands)
  i64 collisions = 0;
  std::vector<float> c;  // [m][n]
};

/// One product on an array of rows x cols. Operands by a(m, k) and b(k, n).
template <class A, class B>
class pipelined_array {
 public:
  pipelined_array(const systolic::product& p, i64 rows, i64 cols, A a, B b)
      : p_(p), rows_(rows), cols_(cols), a_(a), b_(b) {}

  pipelined_run keep_outputs(i64 distance) {
    result_ = {};
    result_.c.resize(static_cast<std::size_t>(p_.m * p_.n));
    const i64 across = systolic::ceil_div(p_.n, cols_);
    const i64 folds = systolic::ceil_div(p_.m, rows_) * across;
    grid<element> elements(rows_, cols_);
    std::vector<i64> steps_left(static_cast<std::size_t>(cols_));  // of a column's drain
    std::vector<i64> drained(static_cast<std::size_t>(cols_));     // folds
    const i64 last = (folds - 1) * distance + p_.k + rows_ + cols_ - 3;
    for (i64 t = 0; t <= last + rows_; ++t) {
      for (i64 j = 0; j < cols_; ++j) {  // drain registers move first
        i64& left = steps_left[static_cast<std::size_t>(j)];
        if (left == 0) continue;
        const i64 step = rows_ - left--;
        const i64 fold = drained[static_cast<std::size_t>(j)];
        put(fold / across * rows_ + rows_ - 1 - step, fold % across * cols_ + j,
            elements(rows_ - 1, j).drain);
        for (i64 r = rows_ - 1; r > step; --r) elements(r, j).drain = elements(r - 1, j).drain;
        elements(step, j).drain_full = false;
        if (left == 0) ++drained[static_cast<std::size_t>(j)];
      }
      for (i64 r = 0; r < rows_; ++r) {
        for (i64 j = 0; j < cols_; ++j) {
          // Values arrive r + j cycles after those of the corner.
          const i64 since = t - r - j;
          if (since < 0 || since / distance >= folds || since % distance >= p_.k) continue;
          const i64 fold = since / distance;
          const i64 k = since % distance;
          const i64 m = fold / across * rows_ + r;
          const i64 n = fold % across * cols_ + j;
          element& e = elements(r, j);
          if (k == 0) e.sum = 0;
          e.sum = std::fma(m < p_.m ? a_(m, k) : 0, n < p_.n ? b_(k, n) : 0, e.sum);
          result_.cycles = t + 1;
          if (k + 1 < p_.k) continue;
          result_.collisions += e.drain_full ? 1 : 0;
          e.drain = e.sum;
          e.drain_full = true;
          if (r + 1 == rows_) steps_left[static_cast<std::size_t>(j)] = rows_;
        }
      }
    }
    return result_;
  }

  /// B in place.
  pipelined_run keep_weights(i64 distance) {
    result_ = {};
    result_.c.resize(static_cast<std::size_t>(p_.m * p_.n));
    const i64 across = systolic::ceil_div(p_.n, cols_);
    const i64 folds = systolic::ceil_div(p_.k, rows_) * across;
    grid<element> elements(rows_, cols_);
    const i64 last = rows_ + (folds - 1) * distance + p_.m + rows_ + cols_ - 3;
    for (i64 t = 0; t <= last; ++t) {
      for (i64 r = rows_ - 1; r >= 0; --r) {  // from below, so that sums from above are old
        for (i64 j = 0; j < cols_; ++j) {
          const i64 since = t - rows_ - r - j;
          if (since < 0 || since / distance >= folds || since % distance >= p_.m) continue;
          const i64 fold = since / distance;
          const i64 m = since % distance;
          const i64 k = fold / across * rows_ + r;
          element& e = elements(r, j);
          if (m == 0) {
            e.held = e.drain;
            e.drain_full = false;
          }
          e.sum = std::fma(k < p_.k ? a_(m, k) : 0, e.held, r > 0 ? elements(r - 1, j).sum : 0);
          if (r + 1 < rows_) continue;
          result_.cycles = t + 1;
          const i64 n = fold % across * cols_ + j;
          if (n >= p_.n) continue;
          float& sum = result_.c[static_cast<std::size_t>(m * p_.n + n)];
          sum = fold < across ? e.sum : sum + e.sum;
        }
      }
      for (i64 j = 0; j < cols_; ++j) {  // then shadow registers move
        const i64 since = t - j;
        if (since < 0 || since / distance >= folds || since % distance >= rows_) continue;
        const i64 fold = since / distance;
        const i64 step = since % distance;
        result_.collisions += elements(step, j).drain_full ? 1 : 0;
        for (i64 r = step; r > 0; --r) elements(r, j).drain = elements(r - 1, j).drain;
        const i64 k = fold / across * rows_ + rows_ - 1 - step;  // the lowest row goes first
        const i64 n = fold % across * cols_ + j;
        elements(0, j).drain = k < p_.k && n < p_.n ? b_(k, n) : 0;
        if (step + 1 < rows_) continue;
        for (i64 r = 0; r < rows_; ++r) elements(r, j).drain_full = true;
      }
    }
    return result_;
  }

 private:
  struct element {
    float sum = 0;
    float held = 0;
    float drain = 0;  // or shadow
    bool drain_full = false;
  };

  template <class T>
  struct grid {
    grid(i64 rows, i64 width) : cols(width), cells(static_cast<std::size_t>(rows * width)) {}
    T& operator()(i64 r, i64 j) { return cells[static_cast<std::size_t>(r * cols + j)]; }
    i64 cols;
    std::vector<T> cells;
  };

  void put(i64 m, i64 n, float value) {
    if (m < p_.m && n < p_.n) result_.c[static_cast<std::size_t>(m * p_.n + n)] = value;
  }

  systolic::product p_;
  i64 rows_;
  i64 cols_;
  A a_;
  B b_;
  pipelined_run result_;
};

}  // namespace tessera::testing
