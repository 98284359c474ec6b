#pragma once

// Weights as Eigen maps, and back: the same bytes, no copy.

#include <Eigen/Core>
#include <string>
#include <tessera/core/error.hpp>
#include <tessera/runtime/weights.hpp>

namespace tessera {

template <class T>
using matrix_map =
    Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

/// A weight as a matrix: its first extent are the rows, all others together the columns; a bias is
/// one column. `T` is float, or double under fp64.
///
/// Errors   an element type that is not T
template <class T = float>
matrix_map<T> as_matrix(const weight& w) {
  constexpr element wanted = sizeof(T) == 8 ? element::f64 : element::f32;
  if (w.about.type != wanted) {
    throw error(w.name + ": expected " + name_of(wanted) + " for a map, got " +
                name_of(w.about.type));
  }
  const i64 rows = w.about.dims.rank > 0 ? w.about.dims[0] : 1;
  return {reinterpret_cast<T*>(w.bytes.data()), rows, w.about.dims.count() / rows};
}

/// The weight of that name.
///
/// Errors   no weight of that name
inline const weight& find_weight(const weight_list& weights, const std::string& name) {
  for (const weight& w : weights) {
    if (w.name == name) return w;
  }
  throw error("weights: there is no \"" + name + "\"");
}

}  // namespace tessera
