// oneDNN's matmul: with plain matrices, and with a second operand that it laid out itself.

#include <support/results.hpp>
#include <host/products/products.hpp>
#include <peers/onednn.hpp>

#include <memory>

namespace products {

#ifdef TESSERA_WITH_ONEDNN

namespace {

void add(contestants& all, const problem& p, bool packed) {
  using dnnl::memory;
  constexpr auto f32 = memory::data_type::f32;
  using tag = memory::format_tag;
  const memory::desc a_plain({p.rows(), p.inner()}, f32, p.a.transposed ? tag::ba : tag::ab);
  const memory::desc b_plain({p.inner(), p.columns()}, f32, p.b.transposed ? tag::ba : tag::ab);
  const memory::desc b_any({p.inner(), p.columns()}, f32, tag::any);
  const memory::desc y_plain({p.rows(), p.columns()}, f32, tag::ab);
  const dnnl::matmul::primitive_desc about({a_plain, packed ? b_any : b_plain, y_plain},
                                           peers::dnnl_engine());
  matrix a = p.a;
  matrix b = p.b;
  a.transposed = b.transposed = false;
  const memory x = peers::dnnl_filled(about.src_desc(), a.make<float>().data());
  const memory w = peers::dnnl_filled(about.weights_desc(), b.make<float>().data());
  const memory y(about.dst_desc(), peers::dnnl_engine());
  const auto product = std::make_shared<dnnl::matmul>(about);
  const auto operands = std::make_shared<peers::dnnl_arguments>(
      peers::dnnl_arguments{{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}});
  all.push_back({.name = packed ? "oneDNN packed" : "oneDNN",
                 .run = [product, operands] { peers::dnnl_run(*product, *operands); },
                 .values = [p, y] { return values_of(p, peers::dnnl_values(y).data()); },
                 .tolerance = bench::tolerance_of<float>});
}

}  // namespace

contestants onednn(const problem& p) {
  contestants all;
  if (p.packs) add(all, p, true);
  add(all, p, false);
  return all;
}

std::string onednn_version() { return peers::dnnl_version(); }

#else

contestants onednn(const problem&) { return {}; }
std::string onednn_version() { return bench::not_installed; }

#endif

}  // namespace products
