// Our kernels: dense, its gradients, and matmul.

#include <support/kernel_call.hpp>
#include <host/products/products.hpp>

#include <array>
#include <memory>
#include <utility>

namespace products {

namespace {

using bench::element_of;
using tessera::kernel;
using tessera::kind;
using tessera::signature;

constexpr kind kind_of(form what) {
  if (what == form::dense) return kind::dense;
  if (what == form::data) return kind::dense_data_gradient;
  if (what == form::weight) return kind::dense_weight_gradient;
  return kind::matmul;
}

constexpr signature empty_signature(kind what, tessera::element type, bool batch_last) {
  signature s;
  s.what = what;
  s.batch_last = batch_last;
  for (const i32 slot : {0, 1, 8}) s.set_type(slot, type);
  return s;
}

constexpr signature dense_signature(layer_size n, form what, tessera::element type,
                                    bool batch_last) {
  signature s = empty_signature(kind_of(what), type, batch_last);
  tessera::dense_sizes{n.batch, n.in, n.out}.write(s);
  return s;
}

/// Strides of (sample, head, row, column).
signature matmul_signature(const problem& p, tessera::element type) {
  signature s = empty_signature(kind::matmul, type, false);
  tessera::matmul_sizes n{1, 1, p.rows(), p.inner(), p.columns(), {}, {}, {}};
  const auto strides = [](i32(&to)[4], const matrix& m) {
    to[2] = m.transposed ? 1 : m.columns;
    to[3] = m.transposed ? m.rows : 1;
  };
  strides(n.a, p.a);
  strides(n.b, p.b);
  strides(n.y, {p.rows(), p.columns(), false, 0});
  n.y[0] = n.y[1] = p.rows() * p.columns();  // 0 would be a sum over samples or heads
  n.write(s);
  return s;
}

/// The kernel of every size in the table.
template <form What, class T, bool BatchLast>
kernel dense_kernel(std::size_t number) {
  static constexpr auto all = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{
        bench::compiled_kernel<dense_signature(sizes[I], What, element_of<T>, BatchLast)>()...};
  }
  (std::make_index_sequence<size_count>{});
  return all[number];
}

template <class T, bool BatchLast>
kernel dense_kernel(const problem& p) {
  if (p.what == form::dense) return dense_kernel<form::dense, T, BatchLast>(p.number);
  if (p.what == form::data) return dense_kernel<form::data, T, BatchLast>(p.number);
  return dense_kernel<form::weight, T, BatchLast>(p.number);
}

/// A kernel and the memory that it works on.
template <class T>
struct product_call {
  bench::buffer<T> a, b, y;
  bench::kernel_call call{};
};

/// `y_transposed`: how the kernel leaves y.
template <class T>
void add(contestants& all, const std::string& name, const problem& p, const signature& s, kernel k,
         product_call<T> operands, bool y_transposed, int threads) {
  if (k == nullptr) return;
  const auto shared = std::make_shared<product_call<T>>(std::move(operands));
  shared->call.sizes = s;
  shared->call.run = k;
  shared->call.step.threads = threads;
  shared->call.step.valid = p.size.batch;
  shared->call.in[0] = shared->a.bytes();
  shared->call.in[1] = shared->b.bytes();
  shared->call.out[0] = shared->y.bytes();
  all.push_back(
      {.name = name,
       .run = [shared] { shared->call(); },
       .values = [shared, p, y_transposed] { return values_of(p, shared->y.data(), y_transposed); },
       .tolerance = bench::tolerance_of<T>});
}

/// Inputs of dense are x and w, of its data gradient dy and w, of its weight gradient x and dy.
/// Weights are (out, in) in both layouts; samples innermost turn all else.
template <class T, bool Last>
void add_dense(contestants& all, const std::string& name, const problem& p, int threads) {
  const signature s = dense_signature(p.size, p.what, element_of<T>, Last);
  const i64 count = i64{p.rows()} * p.columns();
  if (p.what == form::weight) {
    // p: dw (out, in) = dy^T x, where a is dy^T, stored as dy
    product_call<T> operands{p.b.make<T>(Last), p.a.make<T>(Last), bench::buffer<T>(count)};
    add(all, name, p, s, dense_kernel<T, Last>(p), std::move(operands), false, threads);
    return;
  }
  const bool turn_weights = p.what == form::dense;  // b is w^T
  product_call<T> operands{p.a.make<T>(Last), p.b.make<T>(turn_weights), bench::buffer<T>(count)};
  add(all, name, p, s, dense_kernel<T, Last>(p), std::move(operands), Last, threads);
}

template <class T>
void add_matmul(contestants& all, const std::string& name, const problem& p, int threads) {
  const i64 count = i64{p.rows()} * p.columns();
  product_call<T> operands{p.a.make<T>(), p.b.make<T>(), bench::buffer<T>(count)};
  constexpr kernel k =
      bench::compiled_kernel<empty_signature(kind::matmul, element_of<T>, false)>();
  add(all, name, p, matmul_signature(p, element_of<T>), k, std::move(operands), false, threads);
}

}  // namespace

contestants ours(const problem& p, int threads) {
  using tessera::bfloat16, tessera::half;
  contestants all;
  if (kind_of(p.what) == kind::matmul) {
    add_matmul<float>(all, "tessera", p, threads);
    add_matmul<half>(all, "tessera f16", p, threads);
    add_matmul<bfloat16>(all, "tessera bf16", p, threads);
    return all;
  }
  if (tessera::ops::batch_goes_last(p.size.batch)) {
    add_dense<float, true>(all, "tessera", p, threads);
    add_dense<float, false>(all, "tessera, batch first", p, threads);
    add_dense<half, true>(all, "tessera f16", p, threads);
    add_dense<bfloat16, true>(all, "tessera bf16", p, threads);
  } else {
    add_dense<float, false>(all, "tessera", p, threads);
    add_dense<float, true>(all, "tessera, samples innermost", p, threads);
    add_dense<half, false>(all, "tessera f16", p, threads);
    add_dense<bfloat16, false>(all, "tessera bf16", p, threads);
  }
  return all;
}

}  // namespace products
