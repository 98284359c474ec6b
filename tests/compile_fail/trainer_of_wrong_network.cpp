// A whole program around a wrong network: still one error.
//
// expect: dense<10>: expected a rank-1 input, got 6x28x28; put flatten before it

#include <tessera/network.hpp>
// The trainer comes after the network, as in the umbrella header.
#include <tessera/backends/reference.hpp>
#include <tessera/train/trainer.hpp>

namespace ts = tessera;

struct plain_loops {
  template <ts::signature S>
  static constexpr ts::kernel kernel_of = ts::reference::kernel_of<S>;
};

struct blank_images {
  ts::i64 size() const { return 20; }
  ts::shape sample_shape() const { return {1, 28, 28}; }
  void read(ts::i64, float* out) const { std::fill_n(out, 784, 0.0f); }
  ts::i32 label(ts::i64 index) const { return static_cast<ts::i32>(index % 10); }
};

#ifdef TESSERA_FIXED
using net = ts::network<ts::image<1, 28, 28>, ts::conv<6, 5, ts::pad<2>>, ts::tanh, ts::flatten,
                        ts::dense<10>>;
#else
using net = ts::network<ts::image<1, 28, 28>, ts::conv<6, 5, ts::pad<2>>, ts::tanh, ts::dense<10>>;
#endif
using job = ts::training<net, ts::softmax_cross_entropy, ts::momentum_sgd, ts::batch<16>>;

int main() {
  ts::trainer<job, plain_loops> t{ts::seed{7}};
  t.fit(blank_images{}, {.epochs = 2, .learning_rate = ts::cosine_rate(0.1)});
  t.step(0.1f);
  const auto result = t.evaluate(blank_images{});
  return t.weights().empty() || result.matrix(1, 1) == 0 || t.loss_scale() > 1 || t.loss() > 1;
}
