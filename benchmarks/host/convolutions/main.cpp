// How fast are convolutions of well-known networks, forward and both gradients, beside oneDNN and
// libtorch?
//
// Ours are the kernels that a compiled program calls: with the layout that a plan takes for the
// batch (samples innermost from a few of them on) and the other one, stored in f32, f16 and bf16.
// oneDNN works in the blocked layouts that it prefers, without the reorders that a network would
// need around them. libtorch is called as its users call it: batch, channels, height, width, a new
// tensor for every result. Arithmetic is counted as that of the direct sum, padding included, for
// whoever does less as well.

#include <support/results.hpp>
#include <host/convolutions/convolutions.hpp>

namespace {

void run(bench::results& all) {
  all.about("oneDNN", convolutions::onednn_version());
  all.about("libtorch", convolutions::torch_name());
  const int threads = all.asked().threads;
  for (const convolutions::i32 batch : convolutions::batches) {
    for (std::size_t i = 0; i < convolutions::layer_count; ++i) {
      for (const auto& [suffix, what] : convolutions::passes) {
        const std::string name =
            std::string(convolutions::layers[i].name) + '.' + suffix + ".b" + std::to_string(batch);
        if (!all.wants(name)) continue;
        const convolutions::problem p{i, batch, what};
        bench::comparison c{.name = name,
                            .contestants = convolutions::ours(p, threads),
                            .flops = p.flops(),
                            .beside = {"oneDNN", "libtorch"},
                            .expected = convolutions::expected_values(p)};
        for (const convolutions::contestants& peers :
             {convolutions::onednn(p), convolutions::torch(p, threads)}) {
          c.contestants.insert(c.contestants.end(), peers.begin(), peers.end());
        }
        all.add(c);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program("bench_host_convolutions", argc, argv, &run);
}
