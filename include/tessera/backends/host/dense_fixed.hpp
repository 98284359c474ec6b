#pragma once

// dense and its data gradient for one sample, with sizes as constants: small layers of programs
// that answer or learn sample by sample.
//
// The same code as for sizes of run time (gemm_dots.hpp, gemm_row.hpp), hence the same bits; what
// is left out is choosing, calling and reckoning addresses, which take longer than a product of 64
// x 64. Larger layers gain nothing: their weights come from L2 or beyond.
//
// A program has at most `constant_kernels` kernels with constant sizes (network/planned.hpp).

#include <tessera/backends/host/dense.hpp>

namespace tessera::host {

/// True where constant sizes pay: the weights stay in L1.
constexpr bool fixes_dense(const signature& s) {
  if (!s.fixed || s.batch_last) return false;
  if (s.what != kind::dense && s.what != kind::dense_data_gradient) return false;
  const dense_sizes n = dense_sizes::of(s);
  return n.batch == 1 && n.in <= 128 && n.out <= 128;
}

template <class T, i32 In, i32 Out>
void dense_fixed(const call& c) {
  dot_operands<T> p;
  p.w = c.input<T>(1);
  p.w_row = In;
  p.x = c.input<T>(0);
  p.depth = In;
  p.bias = c.input<T>(2);
  p.y = c.output<T>(0);
  dots_of_one(p, 0, Out);
}

template <class T, i32 In, i32 Out>
void dense_data_gradient_fixed(const call& c) {
  row_operands<T> p;
  const T* const dy = c.input<T>(0);
  float floats[Out];
  if constexpr (sizeof(T) == sizeof(float)) {
    p.a = dy;
  } else {
    copy_floats(dy, floats, Out);
    p.a = floats;
  }
  p.b = c.input<T>(1);
  p.b_row = In;
  p.depth = Out;
  p.y = c.output<T>(0);
  row_of_columns<true>(p, 0, In);
}

/// The kernel of a signature that `fixes_dense`.
template <signature S, class T>
constexpr kernel fixed_dense_kernel() {
  constexpr dense_sizes n = dense_sizes::of(S);
  if constexpr (S.what == kind::dense) return &dense_fixed<T, n.in, n.out>;
  return &dense_data_gradient_fixed<T, n.in, n.out>;
}

}  // namespace tessera::host
