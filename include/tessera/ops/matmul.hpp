#pragma once

// matmul: products of matrices that both are activations, one for each sample and head.
//
//   y = scale a b,   y[s][h][r][c] = scale sum over i of a[s][h][r][i] b[s][h][i][c]
//
// An operand is seen as matrices in one of two ways (product_attributes), and then transposed or
// not; nothing is copied, the kernels take strides:
//
//   heads = 0   (leading ..., rows, columns)           leading extents repeat as in numpy
//   heads > 0   a sequence (time, batch, features), (batch, time, features), or one point of it
//               (batch, features): rows are times, a head has features / heads columns
//
//   scores of attention   a = q, heads H     b = k, heads H, transposed   y (batch, H, Tq, Tk)
//   their sums of values  a = p, plain       b = v, heads H               y = a sequence, heads H
//
// Gradients are products again, da = scale dy b', db = scale a' dy, written where a and b repeat as
// sums over what they repeat for. Saved: a and b. In place: nothing. Sums are f32 (f64 where
// operands are); one rounding when y is stored.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// How far elements are apart along each extent of a tensor, as it lies in memory.
struct extent_strides {
  i32 of[shape::max_rank] = {};

  constexpr explicit extent_strides(const tensor& t) {
    const bool last = t.batched && t.batch_last;
    i32 step = last ? t.dims[t.stack] : 1;
    for (i32 axis = t.dims.rank - 1; axis >= 0; --axis) {
      if (last && axis == t.stack) {
        of[axis] = 1;
        continue;
      }
      of[axis] = step;
      step *= t.dims[axis];
    }
  }
  constexpr i32 operator[](i32 axis) const { return of[axis]; }
};

/// A tensor seen as matrices: leading extents from the innermost on, rows and columns.
struct matrix_reading {
  static constexpr i32 max_leading = 3;

  bool fits = false;
  i32 extent[max_leading] = {1, 1, 1};
  i32 stride[max_leading] = {0, 0, 0};
  i32 batch = -1;  // which of the leading extents counts samples
  i32 rows = 1;
  i32 columns = 1;
  i32 row_stride = 0;
  i32 column_stride = 0;
};

constexpr matrix_reading read_matrices(const tensor& t, i32 heads, bool transposed) {
  matrix_reading m;
  const extent_strides strides(t);
  const i32 rank = t.dims.rank;
  const auto lead = [&](i32 place, i32 extent, i32 stride) {
    m.extent[place] = extent;
    m.stride[place] = extent == 1 ? 0 : stride;
  };
  if (heads > 0) {
    const i32 times = rank - (t.batched ? 2 : 1);  // extents that are neither batch nor features
    if (times < 0 || times > 1 || t.dims[rank - 1] % heads != 0) return m;
    m.columns = t.dims[rank - 1] / heads;
    m.column_stride = strides[rank - 1];
    lead(0, heads, m.columns * m.column_stride);
    if (t.batched) {
      lead(1, t.dims[t.stack], strides[t.stack]);
      m.batch = 1;
    }
    if (times == 1) {
      const i32 axis = t.batched && t.stack == 0 ? 1 : 0;
      m.rows = t.dims[axis];
      m.row_stride = strides[axis];
    }
  } else {
    if (rank < 2 || rank > 2 + matrix_reading::max_leading) return m;
    if (t.batched && t.stack >= rank - 2) return m;
    m.rows = t.dims[rank - 2];
    m.columns = t.dims[rank - 1];
    m.row_stride = strides[rank - 2];
    m.column_stride = strides[rank - 1];
    for (i32 place = 0; place < rank - 2; ++place) {
      lead(place, t.dims[rank - 3 - place], strides[rank - 3 - place]);
    }
    if (t.batched) m.batch = rank - 3 - t.stack;
  }
  if (transposed) {
    const matrix_reading before = m;
    m.rows = before.columns;
    m.columns = before.rows;
    m.row_stride = before.column_stride;
    m.column_stride = before.row_stride;
  }
  m.fits = true;
  return m;
}

/// The sizes of y = a b; all zeros where the operands do not fit together.
constexpr matmul_sizes sizes_of_product(const tensor& a, const tensor& b, const tensor& y,
                                        const product_attributes& how) {
  const matrix_reading m[] = {read_matrices(a, how.heads[0], how.transposed[0]),
                              read_matrices(b, how.heads[1], how.transposed[1]),
                              read_matrices(y, how.heads[2], how.transposed[2])};
  constexpr i32 places = matrix_reading::max_leading;
  i32 full[places] = {1, 1, 1};
  i32 batch = -1;
  for (const matrix_reading& r : m) {
    if (!r.fits || (batch >= 0 && r.batch >= 0 && r.batch != batch)) return {};
    if (r.batch >= 0) batch = r.batch;
    for (i32 p = 0; p < places; ++p) full[p] = full[p] > r.extent[p] ? full[p] : r.extent[p];
  }
  for (const matrix_reading& r : m) {
    for (i32 p = 0; p < places; ++p) {
      if (r.extent[p] != 1 && r.extent[p] != full[p]) return {};
    }
  }
  if (m[0].rows != m[2].rows || m[0].columns != m[1].rows || m[1].columns != m[2].columns) {
    return {};
  }
  if (batch < 0) batch = full[2] > 1 ? 2 : 1;
  const i32 inner = batch == 0 ? 1 : 0;  // the other two leading extents, seen as one
  const i32 outer = batch == 2 ? 1 : 2;
  matmul_sizes n{
      full[batch], full[inner] * full[outer], m[0].rows, m[0].columns, m[1].columns, {}, {}, {}};
  for (i32 i = 0; i < 3; ++i) {
    i32(&strides)[4] = i == 0 ? n.a : i == 1 ? n.b : n.y;
    const matrix_reading& r = m[i];
    if (full[inner] > 1 && full[outer] > 1 && r.stride[outer] != full[inner] * r.stride[inner]) {
      return {};
    }
    strides[0] = r.stride[batch];
    strides[1] = full[inner] > 1 ? r.stride[inner] : r.stride[outer];
    strides[2] = r.row_stride;
    strides[3] = r.column_stride;
  }
  return n;
}

namespace detail {

constexpr i32 append_matmul(graph& g, i32 a, i32 b, i32 y, const product_attributes& how,
                            tensor_name layer) {
  operation op;
  op.what = kind::matmul;
  op.in[0] = a;
  op.in[1] = b;
  op.out[0] = y;
  op.attr.product = how;
  op.layer = layer;
  g.add(op);
  return y;
}

}  // namespace detail

/// y = scale a b with operands as `how` sees them; y has shape `dims`, and batch, layout and type
/// of `like` (`stack` extents before the batch). Returns y.
constexpr i32 matmul_as(graph& g, i32 a, i32 b, const product_attributes& how, i32 like,
                        const shape& dims, i32 stack, tensor_name layer) {
  const i32 y = append_activation(g, like, dims, layer, "out");
  g.tensors[y].stack = stack;
  g.tensors[y].differentiable = g.tensors[a].differentiable || g.tensors[b].differentiable;
  if (sizes_of_product(g.tensors[a], g.tensors[b], g.tensors[y], how).rows == 0) {
    refuse(g, {spell(layer), "matrices that can be multiplied",
               spell_all<64>(g.tensors[a].dims, " and ", g.tensors[b].dims),
               "make the columns of the first the rows of the second, and leading extents equal"});
  }
  return detail::append_matmul(g, a, b, y, how, layer);
}

/// y = a' b' of (leading ..., rows, columns), where ' is the transposed where that is asked for.
/// Leading extents are those of both, 1 repeats. Returns y.
constexpr i32 matmul(graph& g, i32 a, i32 b, bool transpose_a, bool transpose_b,
                     tensor_name layer) {
  product_attributes how;
  how.transposed[0] = transpose_a;
  how.transposed[1] = transpose_b;
  const tensor& ta = g.tensors[a];
  const tensor& tb = g.tensors[b];
  const i32 rank = ta.dims.rank > tb.dims.rank ? ta.dims.rank : tb.dims.rank;
  if (ta.dims.rank < 2 || tb.dims.rank < 2) {
    refuse(g, {spell(layer), "two matrices", spell_all<64>(ta.dims, " and ", tb.dims),
               "give each rows and columns"});
    return a;
  }
  const i32 like = tb.batched && !ta.batched ? b : a;
  shape dims;
  dims.rank = rank;
  for (i32 place = 1; place <= rank; ++place) {  // from the last extent on
    const i32 of_a = place <= ta.dims.rank ? ta.dims[ta.dims.rank - place] : 1;
    const i32 of_b = place <= tb.dims.rank ? tb.dims[tb.dims.rank - place] : 1;
    dims[rank - place] = of_a > of_b ? of_a : of_b;
  }
  dims[rank - 2] = ta.dims[ta.dims.rank - (transpose_a ? 1 : 2)];
  dims[rank - 1] = tb.dims[tb.dims.rank - (transpose_b ? 2 : 1)];
  const tensor& t = g.tensors[like];
  return matmul_as(g, a, b, how, like, dims, t.batched ? t.stack + rank - t.dims.rank : 0, layer);
}

constexpr void differentiate_matmul(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  const product_attributes& how = forward.attr.product;
  for (const i32 side : {0, 1}) {
    const i32 x = forward.in[side];
    if (!a.wanted(x)) continue;
    const i32 other = 1 - side;
    // da = dy b': places of (first, second, result) among a, b, y; db = a' dy.
    const i32 from[] = {side == 0 ? 2 : 0, side == 0 ? 1 : 2, side};
    product_attributes back;
    back.scale = how.scale;
    for (i32 i = 0; i < 3; ++i) {
      back.heads[i] = how.heads[from[i]];
      back.transposed[i] = how.transposed[from[i]] != (from[i] == other);
    }
    const i32 dx = a.make(x, forward.layer);
    detail::append_matmul(g, side == 0 ? dy : forward.in[0], side == 0 ? forward.in[1] : dy, dx,
                          back, forward.layer);
    a.contribute(x, dx);
  }
}

constexpr matmul_sizes sizes_of_matmul(const graph& g, const operation& op) {
  return sizes_of_product(g.tensors[op.in[0]], g.tensors[op.in[1]], g.tensors[op.out[0]],
                          op.attr.product);
}

/// True where vectors run over samples: they lie side by side in every operand that has them.
constexpr bool runs_over_samples(const graph& g, const operation& op, const matmul_sizes& n) {
  const auto side_by_side = [](i32 stride) { return stride == 0 || stride == 1; };
  if (!side_by_side(n.a[0]) || !side_by_side(n.b[0]) || !side_by_side(n.y[0])) return false;
  for (const i32 id : {op.in[0], op.in[1], op.out[0]}) {
    if (g.tensors[id].batched && g.tensors[id].batch_last) return true;
  }
  return false;
}

}  // namespace tessera::ops
