// OpenBLAS: sgemm, and sgemv where there is one row.

#include <support/results.hpp>
#include <host/products/products.hpp>

#ifdef TESSERA_WITH_OPENBLAS
#include <cblas-openblas.h>
#endif

#include <memory>

namespace products {

#ifdef TESSERA_WITH_OPENBLAS

namespace {

struct operands {
  bench::buffer<float> a, b, y;
};

void multiply(const problem& p, operands& o) {
  const auto turn = [](const matrix& m) { return m.transposed ? CblasTrans : CblasNoTrans; };
  const auto step = [](const matrix& m) { return m.transposed ? m.rows : m.columns; };
  if (p.rows() == 1) {
    const bool turned = p.b.transposed;
    cblas_sgemv(CblasRowMajor, turned ? CblasNoTrans : CblasTrans, turned ? p.columns() : p.inner(),
                turned ? p.inner() : p.columns(), 1, o.b.data(), step(p.b), o.a.data(), 1, 0,
                o.y.data(), 1);
    return;
  }
  cblas_sgemm(CblasRowMajor, turn(p.a), turn(p.b), p.rows(), p.columns(), p.inner(), 1, o.a.data(),
              step(p.a), o.b.data(), step(p.b), 0, o.y.data(), p.columns());
}

}  // namespace

contestants openblas(const problem& p) {
  const auto o = std::make_shared<operands>(operands{
      p.a.make<float>(), p.b.make<float>(), bench::buffer<float>(i64{p.rows()} * p.columns())});
  return {{.name = "OpenBLAS",
           .run = [p, o] { multiply(p, *o); },
           .values = [p, o] { return values_of(p, o->y.data()); },
           .tolerance = bench::tolerance_of<float>}};
}

std::string openblas_version() {
  return std::string(openblas_get_config()) + ", kernels of " + openblas_get_corename();
}

#else

contestants openblas(const problem&) { return {}; }
std::string openblas_version() { return bench::not_installed; }

#endif

}  // namespace products
