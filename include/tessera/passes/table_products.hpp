#pragma once

// Products of rows that are looked up in a table: where there are more lookups than rows, the table
// is multiplied instead, once, and its product looked up.
//
//   y[i] = w table[index[i]] + b   becomes   product = table w',  y[i] = product[index[i]] + b
//
//   embedding -> x   loop T: dense(x[t], w, b)            2048 lookups x 64 x 512 multiply-adds
//   dense(table, w) -> p   loop T: embedding(index[t], p), bias_add      65 rows x 64 x 512
//
// So a recurrence over characters looks up its input's gates, and what was looked up before, a
// stack over time, and its gradient never exist. Forward values are those of the product to the
// bit, but for where the bias is added; weight gradients are sums of the same terms, those of a row
// of the table first. An index that is no row gives the bias alone, as before.
//
// Done where at least twice as many rows are looked up as there are, the products are no larger
// than the rows they replace, and every reader of these is such a product, with weights that all
// trips share. Tables with a padding row or sparse updates stay: their rows have gradients of their
// own. O(operations x tables).

#include <tessera/ops/ops.hpp>

namespace tessera::passes {

namespace detail {

class table_multiplier {
 public:
  constexpr table_multiplier(graph& g, i32 lookup)
      : g_(g), lookup_(lookup), replaced_(g.operations.size()) {}

  /// False where the table stays as it is.
  constexpr bool run() {
    if (!fits() || !find_products() || !pays()) return false;
    rewrite();
    return true;
  }

 private:
  constexpr i32 rows_looked_up() const { return g_.operations[lookup_].out[0]; }
  constexpr i32 table() const { return g_.operations[lookup_].in[1]; }
  constexpr i32 width() const { return g_.tensors[table()].dims[1]; }

  /// A parameter of the step itself, whole.
  constexpr bool is_whole_parameter(i32 id) const {
    const tensor& t = g_.tensors[id];
    return t.what == role::parameter && t.of < 0 && t.stack == 0 && t.body == 0;
  }

  constexpr bool fits() const {
    const operation& op = g_.operations[lookup_];
    if (op.what != kind::embedding || op.attr.padding_index >= 0 || op.attr.sparse) return false;
    const tensor& y = g_.tensors[op.out[0]];
    return y.body == 0 && y.of < 0 && is_whole_parameter(op.in[1]);
  }

  /// True where `id` shows looked-up rows, whole ones.
  constexpr bool shows_rows(i32 id) const {
    while (id != rows_looked_up()) {
      const tensor& t = g_.tensors[id];
      if (t.of < 0 || t.dims.rank < 1 || t.dims[t.dims.rank - 1] != width()) return false;
      const i64 rows = width() * (t.batch_last ? i64{t.batch()} : 1);
      if (t.base % rows != 0 || t.step % rows != 0) return false;
      if (t.batch_last != g_.tensors[t.of].batch_last || t.batch() != g_.tensors[t.of].batch()) {
        if (t.batch_last) return false;
      }
      id = t.of;
    }
    return true;
  }

  /// Finds the products of what is looked up; false where somebody else reads it.
  constexpr bool find_products() {
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
        if (op.in[slot] < 0 || storage_of(g_, op.in[slot]) != rows_looked_up()) continue;
        const bool product = op.what == kind::dense && slot == 0 && shows_rows(op.in[0]) &&
                             is_whole_parameter(op.in[1]) &&
                             (op.in[2] < 0 || is_whole_parameter(op.in[2]));
        if (!product) return false;
        replaced_[i] = true;
        columns_ += g_.tensors[op.in[1]].dims[0];
      }
      for (const i32 out : op.out) {
        if (out >= 0 && i != lookup_ && storage_of(g_, out) == rows_looked_up()) return false;
      }
    }
    for (const endpoints* known : {&g_.outputs, &g_.losses}) {
      for (const i32 id : *known) {
        if (storage_of(g_, id) == rows_looked_up()) return false;
      }
    }
    return columns_ > 0;
  }

  constexpr bool pays() const {
    const i64 rows = g_.tensors[table()].dims[0];
    const i64 elements = g_.tensors[rows_looked_up()].dims.count();
    return 2 * rows * width() <= elements && rows * columns_ <= elements;
  }

  /// The indices of the rows that `id` shows, as the body of `id` sees them.
  constexpr i32 indices_of(i32 id) {
    if (id == rows_looked_up()) return g_.operations[lookup_].in[0];
    const tensor rows = g_.tensors[id];
    shape dims = rows.dims;
    dims[--dims.rank] = 0;
    const i32 of = indices_of(rows.of);
    const i32 seen = ops::view_into(g_, of, dims, rows.stack, rows.body, rows.base / width(),
                                    rows.step / width());
    g_.tensors[seen].batched = rows.batched;
    g_.tensors[seen].batch_last = rows.batch_last;
    return seen;
  }

  constexpr void rewrite() {
    const i32 table_of_all = table();
    grow<operation> all;
    all.reserve(g_.operations.size() + 8);
    grow<operation> inside;  // what follows the lookup, with lookups in the place of products
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation op = g_.operations[i];
      if (i == lookup_) continue;
      if (!replaced_[i]) {
        (i < lookup_ ? all : inside).push(op);
        continue;
      }
      operation lookup;
      lookup.what = kind::embedding;
      lookup.layer = op.layer;
      lookup.in[0] = indices_of(op.in[0]);
      lookup.in[1] = multiply(table_of_all, op, all);
      lookup.out[0] = op.out[0];
      if (op.in[2] >= 0) {
        tensor plain = g_.tensors[op.out[0]];
        plain.of = -1;
        plain.base = plain.step = 0;
        if (plain.what == role::result) plain.what = role::activation;
        lookup.out[0] = g_.add(plain);
      }
      inside.push(lookup);
      if (op.in[2] < 0) continue;
      operation add;
      add.what = kind::bias_add;
      add.layer = op.layer;
      add.in[0] = lookup.out[0];
      add.in[1] = op.in[2];
      add.out[0] = op.out[0];
      inside.push(add);
    }
    for (const operation& op : inside) all.push(op);
    g_.operations = static_cast<grow<operation>&&>(all);
  }

  /// The table times the weight of `product`: appended to `to`.
  constexpr i32 multiply(i32 rows, const operation& product, grow<operation>& to) {
    const i32 body = g_.body;
    g_.body = 0;
    const i32 y = ops::dense(g_, rows, product.in[1], -1, product.layer);
    g_.body = body;
    to.push(g_.operations[g_.operations.size() - 1]);
    g_.operations.resize(g_.operations.size() - 1);
    return y;
  }

  graph& g_;
  i32 lookup_;
  grow<bool> replaced_;  // by operation: a product of what is looked up
  i64 columns_ = 0;      // of all products
};

}  // namespace detail

/// Multiplies tables instead of what is looked up in them, in a forward pass that has not been
/// differentiated. Returns how many.
constexpr i32 multiply_tables(graph& g) {
  i32 done = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (g.operations[i].what != kind::embedding) continue;
    if (detail::table_multiplier(g, i).run()) ++done;
  }
  return done;
}

}  // namespace tessera::passes
