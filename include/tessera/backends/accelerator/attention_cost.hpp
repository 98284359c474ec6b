#pragma once

// What softmax and additive scores cost a tile, from which vertex_work.hpp makes vertices.
//
//   softmax           a vertex has whole rows: the largest and the sum by trees of lanes, an
//                     exponential an element, a division or logarithm a row; a mask is one
//                     operation more an element and is received like the scores
//   additive scores   a vertex has consecutive pairs of query and key, with all their features
//   its gradient      a vertex has some features of all queries, keys and scores: no sum is shared

#include <tessera/machine/machine.hpp>
#include <tessera/machine/vector_cost.hpp>
#include <tessera/ops/additive.hpp>
#include <tessera/ops/softmax.hpp>

namespace tessera::accelerator {

/// Cycles, elements through the vector unit, and bytes received and written.
struct row_cost {
  i64 cycles = 0;
  i64 ops = 0;
  i64 received = 0;
  i64 written = 0;
};

/// Numbers in a row of a softmax.
constexpr i64 softmax_row(const signature& s) {
  return s.what == kind::masked_softmax ? masked_softmax_sizes::of(s).columns
                                        : softmax_sizes::of(s).along;
}
constexpr i64 softmax_rows(const signature& s) {
  return s.what == kind::masked_softmax ? masked_softmax_sizes::of(s).all_rows()
                                        : softmax_sizes::of(s).rows();
}

/// `rows` rows of a softmax or its gradient.
constexpr row_cost softmax_cost(const machine& m, const signature& s, i64 rows) {
  const vector_unit& v = m.vector;
  const i64 along = softmax_row(s);
  const i64 vectors = vector_cost::ceil_div(along, v.lanes_f32);
  const i64 tree = vector_cost::tree(along, v.lanes_f32);
  const bool masked = s.what == kind::masked_softmax;
  i64 per_vector = 3 * v.simple;
  i64 per_row = tree;
  i64 ops = 3;
  switch (s.what) {
    case kind::softmax_gradient: break;
    case kind::log_softmax_gradient:
      per_vector += v.exponential;
      ++ops;
      break;
    default:
      per_vector += v.exponential;
      per_row += tree + (s.what == kind::log_softmax ? v.logarithm : v.divide);
      ops = 4;
      break;
  }
  row_cost c;
  const i64 elements = rows * along;
  c.received = elements * bytes_of(s.input_type(0));
  if (masked) {
    const auto n = masked_softmax_sizes::of(s);
    for (const i32 slot : {1, 2}) {
      if (!s.has_input(slot)) continue;
      per_vector += v.simple;
      ++ops;
      c.received += elements * bytes_of(s.input_type(slot));
    }
    if (s.has_input(3) || n.causal != 0) {
      per_vector += v.simple;
      ++ops;
    }
    if (s.has_input(3)) c.received += 4 * rows;
  } else if (s.has_input(1)) {
    c.received += elements * bytes_of(s.input_type(1));
  }
  c.ops = elements * ops;
  c.written = elements * bytes_of(s.output_type(0));
  c.cycles =
      v.supervisor_cycles + v.turns() * (v.worker_cycles + vector_cost::ceil_div(rows, v.threads) *
                                                               (per_row + vectors * per_vector));
  return c;
}

/// `pairs` consecutive scores, or all of them for `features` features of the gradient.
constexpr row_cost additive_cost(const machine& m, const signature& s, i64 pairs, i64 features) {
  const vector_unit& v = m.vector;
  const auto n = additive_sizes::of(s);
  const element type = s.input_type(0);
  const i64 bytes = bytes_of(type);
  const i64 tanh = bytes <= 2 ? v.tanh_f16 : v.tanh_f32;
  row_cost c;
  if (s.what == kind::additive_scores) {
    const i64 all_queries = i64{n.samples} * n.queries;
    const i64 all_keys = i64{n.samples} * n.keys;
    const i64 queries = (pairs + n.keys - 2) / n.keys + 1;
    const i64 elements = pairs * n.features;
    c.ops = 3 * elements;
    c.cycles = vector_cost::elementwise(v, elements, type, tanh + 2 * v.simple);
    c.received = ((pairs < all_keys ? pairs : all_keys) +
                  (queries < all_queries ? queries : all_queries) + 1) *
                 n.features * bytes;
    c.written = pairs * bytes;
    return c;
  }
  const i64 passes = n.queries > 1 && s.has_output(0) ? 2 : 1;
  const i64 elements = n.pairs() * features;
  const i64 queries = i64{n.samples} * n.queries * features;
  const i64 keys = i64{n.samples} * n.keys * features;
  c.ops = passes * 5 * elements;
  c.cycles = passes * vector_cost::elementwise(v, elements, type, tanh + 4 * v.simple);
  c.received = (queries + keys + features + n.pairs()) * bytes;
  c.written = ((s.has_output(0) ? queries : 0) + (s.has_output(1) ? keys : 0) +
               (s.has_output(2) ? features : 0)) *
              bytes;
  return c;
}

}  // namespace tessera::accelerator
