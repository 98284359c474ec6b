// How long does one answer take? LeNet-5 and a perceptron 784-500-250-10 at batch 1, beside oneDNN
// and libtorch.
//
// Everybody gets one sample as row-major f32 and hands out ten scores. Ours is a predictor, with
// weights and activations in f32 and f16 (sums in f32). oneDNN has its weights laid out ahead
// of time, relu fused with the layer before it, and reorders where its layouts change. libtorch
// runs without keeping anything for a backward pass. GFLOP/s count products and convolutions; the
// perceptron is bound by reading its weights, 2.08 MB in f32.

#include <support/results.hpp>
#include <host/inference/inference.hpp>

namespace {

void run(bench::results& all) {
  all.about("oneDNN", inference::onednn_version());
  all.about("libtorch", inference::torch_name());
  const int threads = all.asked().threads;
  for (const inference::named_network& n : inference::networks) {
    if (!all.wants(n.name)) continue;
    const inference::weights w = inference::first_weights(n.what);
    const std::vector<float> x = inference::make_input(n);
    bench::comparison c{.name = n.name,
                        .contestants = inference::ours(n.what, w, x, threads),
                        .flops = n.flops,
                        .beside = {"oneDNN", "libtorch", "tessera"}};
    for (const inference::contestants& peers :
         {inference::onednn(n.what, w, x), inference::torch(n.what, w, x, threads)}) {
      c.contestants.insert(c.contestants.end(), peers.begin(), peers.end());
    }
    all.add(c);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program("bench_host_inference", argc, argv, &run);
}
