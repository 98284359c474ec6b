#pragma once

// Random values that make sense to a graph: for gradient checks, comparisons of backends,
// benchmarks.

#include <tessera/core/random.hpp>
#include <tessera/ops/ops.hpp>

#include <vector>

namespace tessera {

/// Values for tensor `id` in batch-first order: uniform in [-1, 1), labels from 0 to the number of
/// classes, rows of tables and places of planes and one more, what losses call for (shares, signs),
/// 0.5 to 1.5 for weights of classes and running statistics.
inline std::vector<double> draw_values(const graph& g, i32 id, random_stream& random) {
  const tensor& t = g.tensors[id];
  std::vector<double> values(static_cast<std::size_t>(t.dims.count()));
  whole_values whole{0, 2};
  operand_values range = operand_values::any;
  for (const operation& op : g.operations) {
    if (names_classes(op.what) && storage_of(g, op.in[1]) == id) {
      whole.count = g.tensors[op.in[0]].dims[1];
    }
    if (is_loss(op.what)) {
      for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
        if (op.in[slot] < 0 || storage_of(g, op.in[slot]) != id) continue;
        const operand_values wanted = values_of_operand(op.what, slot);
        if (wanted != operand_values::any) range = wanted;
        if (op.what == kind::ctc) {
          whole = ops::whole_values_of_ctc(ops::sizes_of_ctc(g, op), slot, op.attr.loss.blank);
        }
      }
    }
    if (op.what == kind::embedding && op.in[0] == id) {  // one of them is no row of the table
      whole.count = g.tensors[op.in[1]].dims[0] + 1;
    }
    if (op.what == kind::embedding_bag && (op.in[0] == id || op.in[4] == id)) {
      whole.count = g.tensors[op.in[1]].dims[0] + 1;
    }
    if (op.what == kind::max_unpool2d && op.in[1] == id) {
      const shape& y = g.tensors[op.out[0]].dims;
      whole.count = y[2] * y[3] + 1;
    }
  }
  for (double& v : values) {
    if (t.type == element::int32) {
      v = whole.at(static_cast<i32>(random.next_below(static_cast<u32>(whole.draws()))));
      continue;
    }
    // 53 bits: floats would be tied now and then
    v = static_cast<double>((u64{random.next_u32()} << 21) ^ random.next_u32()) * 0x1p-53;
    const bool positive = t.what == role::constant || t.what == role::statistic;
    switch (range) {
      case operand_values::shares: v = 0.05 + 0.9 * v; break;
      case operand_values::signs: v = v < 0.5 ? -1 : 1; break;
      case operand_values::positive: v += 0.5; break;
      case operand_values::any: v = positive ? v + 0.5 : 2 * v - 1; break;
    }
  }
  return values;
}

inline bool filled_by_caller(const tensor& t) {
  return t.of < 0 && (t.what == role::input || t.what == role::target || t.what == role::constant ||
                      t.what == role::parameter || t.what == role::statistic);
}

}  // namespace tessera
