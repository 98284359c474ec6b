// Eigen: matrices whose sizes are known when the program runs, and, for the forward pass of layers
// that a stack would hold, when it is compiled.

#define EIGEN_STACK_ALLOCATION_LIMIT 0

#include <host/products/products.hpp>

#include <Eigen/Core>
#include <array>
#include <memory>
#include <utility>

namespace products {

namespace {

using dynamic = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using map = Eigen::Map<const dynamic, Eigen::Aligned64>;

struct operands {
  bench::buffer<float> a, b, y;
};

std::shared_ptr<operands> make_operands(const problem& p) {
  return std::make_shared<operands>(operands{p.a.make<float>(), p.b.make<float>(),
                                             bench::buffer<float>(i64{p.rows()} * p.columns())});
}

/// The matrix in memory: transposed where it is stored so.
map stored(const matrix& m, const float* values) {
  return m.transposed ? map(values, m.columns, m.rows) : map(values, m.rows, m.columns);
}

void multiply(const problem& p, operands& o) {
  const map a = stored(p.a, o.a.data());
  const map b = stored(p.b, o.b.data());
  Eigen::Map<dynamic, Eigen::Aligned64> y(o.y.data(), p.rows(), p.columns());
  if (p.a.transposed && p.b.transposed) {
    y.noalias() = a.transpose() * b.transpose();
  } else if (p.a.transposed) {
    y.noalias() = a.transpose() * b;
  } else if (p.b.transposed) {
    y.noalias() = a * b.transpose();
  } else {
    y.noalias() = a * b;
  }
}

template <int Rows, int Columns>
using fixed_matrix =
    Eigen::Matrix<float, Rows, Columns, Columns == 1 ? Eigen::ColMajor : Eigen::RowMajor>;
template <int Rows, int Columns>
using fixed_map = Eigen::Map<fixed_matrix<Rows, Columns>, Eigen::Aligned64>;

template <std::size_t Number>
void multiply_fixed(operands& o) {
  constexpr layer_size n = sizes[Number];
  fixed_map<n.batch, n.out> y(o.y.data());
  y.noalias() = fixed_map<n.batch, n.in>(o.a.data()) * fixed_map<n.in, n.out>(o.b.data());
}

constexpr bool fits_a_stack(layer_size n) { return n.in <= 1024 && n.out <= 512 && n.batch <= 512; }

template <std::size_t Number>
constexpr auto fixed_product() -> void (*)(operands&) {
  if constexpr (fits_a_stack(sizes[Number])) return &multiply_fixed<Number>;
  return nullptr;
}

constexpr auto fixed_products = []<std::size_t... I>(std::index_sequence<I...>) {
  return std::array{fixed_product<I>()...};
}
(std::make_index_sequence<size_count>{});

}  // namespace

contestants eigen(const problem& p, int threads) {
  Eigen::setNbThreads(threads);
  contestants all;
  const auto o = make_operands(p);
  const auto values = [p, o] { return values_of(p, o->y.data()); };
  all.push_back({.name = "Eigen",
                 .run = [p, o] { multiply(p, *o); },
                 .values = values,
                 .tolerance = bench::tolerance_of<float>});
  const auto fixed = fixed_products[p.number];
  if (p.what == form::dense && fixed != nullptr) {
    all.push_back({.name = "Eigen, fixed sizes",
                   .run = [fixed, o] { fixed(*o); },
                   .values = values,
                   .tolerance = bench::tolerance_of<float>});
  }
  return all;
}

std::string eigen_version() {
  return std::to_string(EIGEN_WORLD_VERSION) + '.' + std::to_string(EIGEN_MAJOR_VERSION) + '.' +
         std::to_string(EIGEN_MINOR_VERSION);
}

}  // namespace products
