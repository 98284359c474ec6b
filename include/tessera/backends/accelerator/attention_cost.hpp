#pragma once

// What softmax and additive scores cost a tile, from which vertex_work.hpp makes vertices.
//
//   softmax           a vertex has whole rows: the largest and the sum by trees of lanes, an
//                     exponential an element, a division or logarithm a row; a mask is one
//                     operation more an element and is received like the scores
//   additive scores   a vertex has consecutive pairs of query and key, with all their features
//   its gradient      a vertex has some features of all queries, keys and scores: no sum is shared
//   attention         a vertex has consecutive queries, with all keys and values of their heads:
//   two
//                     products on the matrix unit and a softmax, 64 keys at a time
//   its gradient      a vertex has whole heads: five products, exponentials of all scores

#include <tessera/machine/machine.hpp>
#include <tessera/machine/matrix_cost.hpp>
#include <tessera/machine/vector_cost.hpp>
#include <tessera/ops/additive.hpp>
#include <tessera/ops/attention.hpp>
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

/// The same for attention, with what the matrix unit does and what is held of scores.
struct attention_work {
  row_cost row;
  i64 macs = 0;
  i64 held = 0;
};

/// `items` consecutive queries, or heads of the gradient.
constexpr attention_work attention_cost(const machine& m, const signature& s, i64 items) {
  constexpr i64 block = 64;  // keys whose scores are there at a time
  const vector_unit& v = m.vector;
  const auto n = attention_sizes::of(s);
  const element type = s.input_type(0);
  const i64 bytes = bytes_of(type);
  const i64 keys_held = n.keys < block ? n.keys : block;
  const i64 features = i64{n.features} + n.value_features;
  const auto product = [&](i64 rows, i64 in, i64 cols) {
    return matrix_cost::product(m, rows, in, cols, type);
  };
  const auto vectors = [&](i64 elements, i64 cycles) {
    return vector_cost::elementwise(v, elements, element::f32, cycles);
  };
  attention_work w;
  if (s.what == kind::attention) {
    const i64 all_heads = i64{n.samples} * n.heads;
    const i64 touched = (items + n.queries - 2) / n.queries + 1;
    const i64 heads = touched < all_heads ? touched : all_heads;
    const i64 rows = items < n.queries ? items : n.queries;  // of one head
    const i64 pairs = items * n.keys;
    w.macs = pairs * features;
    w.held = 4 * rows * (keys_held + n.value_features + 2);
    w.row.ops = 4 * pairs + items * n.value_features;
    w.row.cycles = vector_cost::ceil_div(items, rows) * (product(rows, n.features, n.keys) +
                                                         product(rows, n.keys, n.value_features)) +
                   vectors(pairs, 3 * v.simple + v.exponential) +
                   vectors(items, v.divide + (s.has_output(1) ? v.logarithm : 0)) +
                   vectors(items * n.value_features, v.simple);
    w.row.received =
        (items * n.features + heads * n.keys * features) * bytes + (s.has_input(3) ? 4 * heads : 0);
    w.row.written = items * n.value_features * bytes + (s.has_output(1) ? 4 * items : 0);
    return w;
  }
  const i64 pairs = items * n.queries * n.keys;
  const i64 queries = items * n.queries;
  const i64 keys = items * n.keys;
  const i64 per_query = product(n.queries, n.features, n.keys) +
                        product(n.queries, n.value_features, n.keys) +
                        product(n.queries, n.keys, n.features);
  const i64 per_key =
      product(n.keys, n.queries, n.features) + product(n.keys, n.queries, n.value_features);
  w.macs = pairs * (features * 2 + n.features);
  w.held = 8 * i64{n.queries} * keys_held + 4 * n.keys * features;
  w.row.ops = 4 * pairs + queries * n.value_features;
  w.row.cycles = items * (per_query + per_key) + vectors(pairs, 4 * v.simple + v.exponential) +
                 vectors(queries * n.value_features, v.simple);
  w.row.received = (queries * (n.features + 2 * i64{n.value_features}) + keys * features) * bytes +
                   4 * queries + (s.has_input(3) ? 4 * items : 0);
  w.row.written =
      ((s.has_output(0) ? queries * n.features : 0) + (s.has_output(1) ? keys * n.features : 0) +
       (s.has_output(2) ? keys * n.value_features : 0)) *
      bytes;
  return w;
}

}  // namespace tessera::accelerator
