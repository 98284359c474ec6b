// Our kernels: conv2d and its two gradients.

#include <support/kernel_call.hpp>
#include <host/convolutions/convolutions.hpp>

#include <array>
#include <memory>
#include <utility>

namespace convolutions {

namespace {

using bench::element_of;
using tessera::kernel;
using tessera::kind;
using tessera::signature;

constexpr kind kind_of(pass what) {
  if (what == pass::forward) return kind::conv2d;
  return what == pass::data ? kind::conv2d_data_gradient : kind::conv2d_weight_gradient;
}

constexpr signature conv_signature(const layer& l, i32 batch, pass what, tessera::element type,
                                   bool batch_last) {
  signature s;
  s.what = kind_of(what);
  s.batch_last = batch_last;
  for (const i32 slot : {0, 1, 8}) s.set_type(slot, type);
  l.sizes(batch).write(s);
  return s;
}

/// The kernel of every layer in the table.
template <i32 Batch, pass What, class T, bool BatchLast>
kernel conv_kernel(std::size_t number) {
  static constexpr auto all = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{bench::compiled_kernel<conv_signature(layers[I], Batch, What, element_of<T>,
                                                            BatchLast)>()...};
  }
  (std::make_index_sequence<layer_count>{});
  return all[number];
}

template <i32 Batch, class T, bool BatchLast>
kernel conv_kernel(const problem& p) {
  if (p.what == pass::forward) return conv_kernel<Batch, pass::forward, T, BatchLast>(p.number);
  if (p.what == pass::data) return conv_kernel<Batch, pass::data, T, BatchLast>(p.number);
  return conv_kernel<Batch, pass::weight, T, BatchLast>(p.number);
}

template <class T, bool BatchLast>
kernel conv_kernel(const problem& p) {
  return p.batch == 1 ? conv_kernel<1, T, BatchLast>(p) : conv_kernel<32, T, BatchLast>(p);
}

/// Where element `i`, row-major with the batch first, lies.
i64 place(const problem& p, operand o, bool batch_last, i64 i) {
  if (!batch_last || o == operand::w) return i;
  const i64 sample = p.count(o) / p.batch;
  return i % sample * p.batch + i / sample;
}

template <class T>
bench::buffer<T> make(const problem& p, operand o, bool batch_last) {
  bench::buffer<T> to(p.count(o));
  for (i64 i = 0; i < p.count(o); ++i) {
    bench::store(problem::at(o, i), to[place(p, o, batch_last, i)]);
  }
  return to;
}

template <class T>
struct convolution_call {
  bench::buffer<T> first, second, result;
  bench::kernel_call call{};
};

/// Inputs are x and w, of the data gradient dy and w, of the weight gradient x and dy.
template <class T, bool BatchLast>
void add(contestants& all, const std::string& name, const problem& p, int threads) {
  const kernel k = conv_kernel<T, BatchLast>(p);
  if (k == nullptr) return;
  const operand first = p.what == pass::data ? operand::y : operand::x;
  const operand second = p.what == pass::weight ? operand::y : operand::w;
  const auto c = std::make_shared<convolution_call<T>>(
      convolution_call<T>{make<T>(p, first, BatchLast), make<T>(p, second, BatchLast),
                          bench::buffer<T>(p.count(p.result()))});
  c->call.sizes = conv_signature(p.of(), p.batch, p.what, element_of<T>, BatchLast);
  c->call.run = k;
  c->call.step.threads = threads;
  c->call.step.valid = p.batch;
  c->call.in[0] = c->first.bytes();
  c->call.in[1] = c->second.bytes();
  c->call.out[0] = c->result.bytes();
  all.push_back({.name = name,
                 .run = [c] { c->call(); },
                 .values =
                     [c, p] {
                       std::vector<double> values;
                       for (const i64 i : compared_elements(p)) {
                         values.push_back(
                             bench::load(c->result[place(p, p.result(), BatchLast, i)]));
                       }
                       return values;
                     },
                 .tolerance = 10 * bench::tolerance_of<T>});  // transformed tiles round more often
}

}  // namespace

contestants ours(const problem& p, int threads) {
  using tessera::bfloat16, tessera::half;
  contestants all;
  if (tessera::ops::batch_goes_last(p.batch)) {
    add<float, true>(all, "tessera", p, threads);
    add<float, false>(all, "tessera, batch first", p, threads);
    add<half, true>(all, "tessera f16", p, threads);
    add<bfloat16, true>(all, "tessera bf16", p, threads);
  } else {
    add<float, false>(all, "tessera", p, threads);
    add<half, false>(all, "tessera f16", p, threads);
    add<bfloat16, false>(all, "tessera bf16", p, threads);
  }
  return all;
}

}  // namespace convolutions
