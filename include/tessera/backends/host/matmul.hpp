#pragma once

// matmul on the host: y = scale a b for many matrices with any strides (ops/matmul.hpp).
//
//   samples innermost   vectors run over samples: matmul_samples.hpp
//   else                blocks of rows and columns: gemm.hpp

#include <tessera/backends/host/gemm.hpp>
#include <tessera/backends/host/matmul_samples.hpp>

namespace tessera::host {

template <class T, bool BatchLast>
void matmul(const call& c) {
  if constexpr (BatchLast) {
    matmul_samples<T>(c);
  } else {
    gemm_operands<T> p;
    p.a = c.input<T>(0);
    p.b = c.input<T>(1);
    p.y = c.output<T>(0);
    p.n = matmul_sizes::of(*c.sizes);
    p.scale = c.attr->product.scale;
    multiply(c.step->threads, p);
  }
}

}  // namespace tessera::host
