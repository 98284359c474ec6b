#pragma once

// dense and its data gradient (ops/dense.hpp has the formulas; dense_weight.hpp the weights).
//
//   batch last     y (out, batch) = w x          dx (in, batch) = w' dy
//   batch first    y (batch, out) = x w'         dx (batch, in) = dy w
//
// All are products of matrices: gemm.hpp says how they are made.

#include <tessera/backends/host/dense_weight.hpp>
#include <tessera/backends/host/gemm.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// A dense layer's product in blocks: y (rows, columns) of strides as matmul has them.
template <class T>
gemm_operands<T> dense_operands(const call& c, i32 rows, i32 inner, i32 columns) {
  gemm_operands<T> p;
  p.y = c.output<T>(0);
  p.n = {1, 1, rows, inner, columns, {}, {}, {}};
  return p;
}

template <class T>
void dense_batch_last(const call& c, const dense_sizes& n) {
  gemm_operands<T> p = dense_operands<T>(c, n.out, n.in, n.batch);
  p.a = c.input<T>(1);
  p.b = c.input<T>(0);
  p.bias = c.input<T>(2);
  p.bias_of_rows = true;
  p.n.a[2] = n.in, p.n.a[3] = 1;
  p.n.b[2] = n.batch, p.n.b[3] = 1;
  p.n.y[2] = n.batch, p.n.y[3] = 1;
  multiply(c.step->threads, p);
}

template <class T>
void dense_data_gradient_batch_last(const call& c, const dense_sizes& n) {
  gemm_operands<T> p = dense_operands<T>(c, n.in, n.out, n.batch);
  p.a = c.input<T>(1);
  p.b = c.input<T>(0);
  p.n.a[2] = 1, p.n.a[3] = n.in;
  p.n.b[2] = n.batch, p.n.b[3] = 1;
  p.n.y[2] = n.batch, p.n.y[3] = 1;
  multiply(c.step->threads, p);
}

template <class T>
void dense_batch_first(const call& c, const dense_sizes& n) {
  gemm_operands<T> p = dense_operands<T>(c, n.batch, n.in, n.out);
  p.a = c.input<T>(0);
  p.b = c.input<T>(1);
  p.bias = c.input<T>(2);
  p.n.a[2] = n.in, p.n.a[3] = 1;
  p.n.b[2] = 1, p.n.b[3] = n.in;
  p.n.y[2] = n.out, p.n.y[3] = 1;
  multiply(c.step->threads, p);
}

template <class T>
void dense_data_gradient_batch_first(const call& c, const dense_sizes& n) {
  gemm_operands<T> p = dense_operands<T>(c, n.batch, n.out, n.in);
  p.a = c.input<T>(0);
  p.b = c.input<T>(1);
  p.n.a[2] = n.out, p.n.a[3] = 1;
  p.n.b[2] = n.in, p.n.b[3] = 1;
  p.n.y[2] = n.in, p.n.y[3] = 1;
  multiply(c.step->threads, p);
}

template <class T, bool BatchLast>
void dense(const call& c) {
  const dense_sizes n = dense_sizes::of(*c.sizes);
  BatchLast ? dense_batch_last<T>(c, n) : dense_batch_first<T>(c, n);
}

template <class T, bool BatchLast>
void dense_data_gradient(const call& c) {
  const dense_sizes n = dense_sizes::of(*c.sizes);
  BatchLast ? dense_data_gradient_batch_last<T>(c, n) : dense_data_gradient_batch_first<T>(c, n);
}

}  // namespace tessera::host
