// How fast are matrix products at the sizes of networks, beside oneDNN, OpenBLAS and Eigen?
//
// A case is a layer, batch x in x out, and a form: the forward pass of dense (no suffix), its
// gradients (.data, .weight), and plain products with either operand transposed or not (.nn, .nt,
// .tn, .tt). Ours are the kernels that a compiled program calls: with the layout that a plan takes
// for the batch (samples innermost where it is a multiple of 16, else the batch first) and the
// other one, stored in f32, f16 and bf16 (sums in f32 always). oneDNN gets plain matrices and, as
// "packed", weights that it laid out itself ahead of time, for nothing; Eigen gets sizes that are
// known when it is compiled where that is what its users would do.

#include <support/results.hpp>
#include <host/products/products.hpp>

namespace {

void run(bench::results& all) {
  all.about("oneDNN", products::onednn_version());
  all.about("OpenBLAS", products::openblas_version());
  all.about("Eigen", products::eigen_version());
  const int threads = all.asked().threads;
  for (std::size_t i = 0; i < products::size_count; ++i) {
    for (const auto& [suffix, what] : products::forms) {
      const products::layer_size n = products::sizes[i];
      const std::string name = std::to_string(n.batch) + 'x' + std::to_string(n.in) + 'x' +
                               std::to_string(n.out) + suffix;
      if (!all.wants(name)) continue;
      const products::problem p = products::make_problem(i, what);
      bench::comparison c{.name = name,
                          .contestants = products::ours(p, threads),
                          .flops = p.flops(),
                          .beside = {"oneDNN packed", "oneDNN", "OpenBLAS", "Eigen"},
                          .expected = products::expected_values(p)};
      for (const products::contestants& peers :
           {products::onednn(p), products::openblas(p), products::eigen(p, threads)}) {
        c.contestants.insert(c.contestants.end(), peers.begin(), peers.end());
      }
      all.add(c);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program("bench_host_products", argc, argv, &run);
}
