#pragma once

// What normalizations cost the vector unit and the memory of a tile: counts per element, per
// statistic and per scale, from which problem.hpp and vertex_work.hpp make vertices.
//
//   batch norm      a vertex has some channels and a block of their samples and positions. The
//                   partial statistics of a channel are merged in a second superstep, and go back
//                   to all of its vertices before the elements are written: one more sync.
//   row norms       a vertex has whole rows; only the gradients of scales are sums over vertices.
//   response norm   a vertex has all channels of some positions.

#include <tessera/machine/machine.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::accelerator {

/// Is a statistic over samples, one for each channel?
constexpr bool is_batch_norm(kind what) {
  return what == kind::batch_norm || what == kind::batch_norm_gradient ||
         what == kind::batch_norm_inference || what == kind::batch_norm_inference_gradient;
}

/// Does every row have scales of its own?
constexpr bool is_group_norm(kind what) {
  return what == kind::group_norm || what == kind::group_norm_gradient;
}

constexpr bool is_response_norm(kind what) {
  return what == kind::local_response_norm || what == kind::local_response_norm_gradient;
}

/// Are gradients of gamma or beta wanted?
constexpr bool has_scale_gradients(const signature& s) {
  return ops::is_norm_gradient(s.what) && (s.has_output(1) || s.has_output(2));
}

/// Sums over the elements of all vertices that share channels or scales.
constexpr bool sums_over_vertices(const signature& s) {
  return s.what == kind::batch_norm || s.what == kind::batch_norm_gradient ||
         has_scale_gradients(s);
}

/// Work on one element.
struct norm_element_work {
  i64 simple = 0;  // additions, multiplications, multiply-adds
  i64 reads = 0;   // how often the units read it, of each large operand
};

constexpr norm_element_work norm_elements(const signature& s) {
  const bool dx = s.has_output(0);
  switch (s.what) {
    case kind::batch_norm:
    case kind::group_norm:
    case kind::layer_norm: return {5, 3};  // mean; off, square; off, scale
    case kind::rms_norm: return {3, 2};
    case kind::batch_norm_inference: return {2, 1};
    case kind::batch_norm_inference_gradient:
      return {(has_scale_gradients(s) ? 4 : 0) + (dx ? 1 : 0),
              (has_scale_gradients(s) ? 1 : 0) + (dx ? 1 : 0)};
    case kind::batch_norm_gradient: return {4 + (dx ? 3 : 0), dx ? 2 : 1};
    default:  // gradients of rows: sums of a row and dx; sums of scales
      return {(dx ? 8 : 0) + (has_scale_gradients(s) ? 4 : 0),
              (dx ? 2 : 0) + (has_scale_gradients(s) ? 1 : 0)};
  }
}

/// Bytes of the operands that have a number for every element.
constexpr i64 norm_element_bytes(const signature& s) {
  const bool two = ops::is_norm_gradient(s.what) || s.what == kind::local_response_norm_gradient;
  return bytes_of(s.input_type(0)) + (two ? bytes_of(s.input_type(1)) : 0);
}

/// f32 operands with a number for every channel or scale: gamma, beta, running statistics.
constexpr i64 norm_scale_operands(const signature& s) {
  const bool running =
      s.what == kind::batch_norm_inference || s.what == kind::batch_norm_inference_gradient;
  i64 n = s.has_input(2) ? 1 : 0;
  if (!ops::is_norm_gradient(s.what)) n += s.has_input(1) ? 1 : 0;
  for (const i32 slot : {3, 4}) n += running && s.has_input(slot) ? 1 : 0;
  for (const i32 slot : {1, 2}) n += s.what == kind::batch_norm && s.has_output(slot) ? 1 : 0;
  return n;
}

/// Saved statistics that a gradient receives.
constexpr i64 norm_statistic_operands(const signature& s) {
  if (!ops::is_norm_gradient(s.what) || s.what == kind::batch_norm_inference_gradient) return 0;
  return (s.has_input(3) ? 1 : 0) + (s.has_input(4) ? 1 : 0);
}

/// Cycles per vector of a response norm with a window of `size` channels: the energy of the
/// window, a power; the gradient also sums what the window passes on.
constexpr i64 response_cycles(const vector_unit& v, kind what, i64 size) {
  const i64 power = v.logarithm + v.exponential + 2 * v.simple;
  if (what == kind::local_response_norm) return size * v.simple + power + v.simple;
  return 2 * size * v.simple + power + 4 * v.simple + v.divide;
}

}  // namespace tessera::accelerator
