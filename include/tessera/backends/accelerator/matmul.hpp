#pragma once

// matmul on the model: a product of two activations for each sample and head, priced like a dense
// layer with groups.
//
// A vertex has some matrices, rows, columns and terms of the sum. Terms are numbered as they are
// added: samples and heads that y sums over, then the columns of a. Each vertex sums in the
// machine's order of accumulation; partial sums are added in the order of the blocks, then the
// scale, then one rounding. Panels as in product.hpp: pieces of the outputs that suit the host.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/panels.hpp>
#include <tessera/backends/accelerator/vector.hpp>

namespace tessera::accelerator {

/// One matmul, as the vertices of its mapping.
template <class T>
class matrix_products {
 public:
  matrix_products(const machine& m, const call& c)
      : run_(m, c), c_(c), n_(matmul_sizes::of(*c.sizes)) {}

  void operator()() {
    const i64 row_pieces = ceil_div(n_.rows, panels::max_rows);
    const i64 col_pieces = ceil_div(n_.columns, cols_per_piece);
    const i64 count = row_pieces * col_pieces * n_.groups();
    const i64 vertices = run_.blocks().vertices();
    run_.run(count, [&](i64 first, i64 last, recorder& r) {
      r.add_range(vertices * first / count, vertices * last / count);
      panels p;
      p.number_groups();
      for (i64 i = first; i < last; ++i) {
        piece(p, r, i / row_pieces / col_pieces, i % row_pieces * panels::max_rows,
              i / row_pieces % col_pieces * cols_per_piece);
      }
    });
  }

 private:
  static constexpr i64 weight_stride = panels::max_k + 16;  // off the power of two
  static constexpr i64 cols_per_piece = panels::max_weights / weight_stride / 4 * 4;

  /// Where term `k` of the sum of a matrix begins in an operand, without its row or column.
  struct term {
    i64 a;
    i64 b;
  };
  term term_at(i64 sample, i64 head, i64 k) const {
    const i64 i = k % n_.inner;
    head += k / n_.inner % n_.summed_heads();
    sample += k / n_.inner / n_.summed_heads();
    return {sample * n_.a[0] + head * n_.a[1] + i * n_.a[3],
            sample * n_.b[0] + head * n_.b[1] + i * n_.b[2]};
  }

  void piece(panels& p, recorder& record, i64 group, i64 row, i64 col) {
    const mapping& map = run_.blocks();
    const i64 heads = n_.heads / n_.summed_heads();
    const i64 sample = group / heads;
    const i64 head = group % heads;
    const i32 rows =
        static_cast<i32>(n_.rows - row < panels::max_rows ? n_.rows - row : panels::max_rows);
    const i32 cols =
        static_cast<i32>(n_.columns - col < cols_per_piece ? n_.columns - col : cols_per_piece);
    const i32 wide = static_cast<i32>(padded(rows));
    const T* const a = c_.input<T>(0) + row * n_.a[2];
    const T* const b = c_.input<T>(1) + col * n_.b[3];
    const i32 partials = map.count(axis_c);
    for (i32 block = 0; block < partials; ++block) {
      clear_sums(run_.on.matrix, p, cols);
      const i64 begin = map.begin(axis_c, block);
      const i64 terms = map.size(axis_c, block);
      record.counts.macs += terms * rows * cols;
      for (i64 k = 0; k < terms; k += panels::max_k) {
        const i64 here = terms - k < panels::max_k ? terms - k : panels::max_k;
        const i64 depth = (here + 3) / 4 * 4;
        std::memset(p.fields, 0, static_cast<std::size_t>(depth * wide) * sizeof(float));
        for (i64 i = 0; i < depth; ++i) {
          if (i >= here) {
            for (i32 j = 0; j < cols; ++j) p.weights[j * weight_stride + i] = 0;
            continue;
          }
          const term t = term_at(sample, head, begin + k + i);
          for (i32 j = 0; j < rows; ++j) p.fields[i * wide + j] = fetch(a[t.a + j * n_.a[2]]);
          for (i32 j = 0; j < cols; ++j) {
            p.weights[j * weight_stride + i] = fetch(b[t.b + j * n_.b[3]]);
          }
        }
        if (run_.on.matrix.numbers.flush_inputs) {
          flush_operands<T>(p.fields, depth * wide);
          for (i32 j = 0; j < cols; ++j) flush_operands<T>(p.weights + j * weight_stride, depth);
        }
        const weight_columns weights{p.weights, weight_stride};
        const i32 groups = static_cast<i32>(depth / 4);
        multiply_in_order(run_.on.matrix, p, wide, cols, weights, groups, k);
      }
      complete_sums(run_.on.matrix, p, wide, cols);
      if (partials > 1) add_partial(p, block == 0, wide, cols);
    }
    const float* const sums = partials > 1 ? p.totals : p.sums;
    const float scale = c_.attr->product.scale;
    T* const y =
        c_.output<T>(0) + sample * n_.y[0] + head * n_.y[1] + row * n_.y[2] + col * n_.y[3];
    for (i32 j = 0; j < cols; ++j) {
      for (i32 i = 0; i < rows; ++i) {
        const float value = sums[j * panels::max_rows + i] * scale;
        put(storing(run_.on, c_), &value, y + i * i64{n_.y[2]} + j * i64{n_.y[3]}, 1);
      }
    }
  }

  execution run_;
  const call& c_;
  matmul_sizes n_;
};

template <class T>
void run_matmul(const machine& m, const call& c) {
  matrix_products<T> products(m, c);
  products();
}

}  // namespace tessera::accelerator
