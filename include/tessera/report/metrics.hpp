#pragma once

// Metrics as text: one line, and for a classifier its confusion matrix.

#include <tessera/runtime/metrics.hpp>
#include <iomanip>
#include <ostream>

namespace tessera {

/// Rows are true classes, columns predicted ones; the last column is the share of the row that is
/// right.
///
///          0     1     2
///    0   978     0     1   99.9 %
///    1     0  1134     1   99.9 %
inline void report(std::ostream& out, const confusion& matrix) {
  out << "     ";
  for (i32 c = 0; c < matrix.classes(); ++c) out << std::setw(6) << c;
  out << "\n";
  for (i32 truth = 0; truth < matrix.classes(); ++truth) {
    i64 total = 0;
    out << std::setw(5) << truth;
    for (i32 predicted = 0; predicted < matrix.classes(); ++predicted) {
      out << std::setw(6) << matrix(truth, predicted);
      total += matrix(truth, predicted);
    }
    const auto right = static_cast<double>(matrix(truth, truth));
    const double share = total > 0 ? right / static_cast<double>(total) : 0;
    out << std::setw(7) << std::fixed << std::setprecision(1) << 100 * share << " %\n";
  }
}

inline void report(std::ostream& out, const metrics& m) {
  out << m.samples << " samples: loss " << std::fixed << std::setprecision(4) << m.loss;
  if (m.losses.size() > 1) {
    for (std::size_t k = 0; k < m.losses.size(); ++k) out << (k == 0 ? " (" : " + ") << m.losses[k];
    out << ")";
  }
  if (m.matrix.classes() > 0) {
    out << ", accuracy " << std::setprecision(2) << 100 * m.accuracy << " %\n";
    report(out, m.matrix);
  } else {
    out << "\n";
  }
}

}  // namespace tessera
