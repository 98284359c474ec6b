// libtorch, in inference mode.

#include <support/results.hpp>
#include <host/inference/inference.hpp>
#include <peers/torch.hpp>

#include <memory>

namespace inference {

#ifdef TESSERA_WITH_TORCH

namespace {

torch::nn::Sequential make_network(network what) {
  namespace nn = torch::nn;
  if (what == network::mlp) return peers::torch_mlp({784, 500, 250, 10});
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(1, 6, 5).padding(2)), nn::ReLU(),
                        nn::MaxPool2d(2), nn::Conv2d(nn::Conv2dOptions(6, 16, 5)), nn::ReLU(),
                        nn::MaxPool2d(2), nn::Flatten(), nn::Linear(400, 120), nn::ReLU(),
                        nn::Linear(120, 84), nn::ReLU(), nn::Linear(84, 10));
}

struct answering {
  torch::nn::Sequential net;
  torch::Tensor x, y;

  void run() {
    const c10::InferenceMode fast;
    y = net->forward(x);
  }
};

}  // namespace

contestants torch(network what, const weights& w, const std::vector<float>& x, int threads) {
  at::set_num_threads(threads);
  const auto a = std::make_shared<answering>(answering{make_network(what), {}, {}});
  a->net->eval();
  const torch::NoGradGuard fixed;
  peers::weight_span from(w);
  for (torch::Tensor& p : a->net->parameters()) {
    const auto& values = peers::take(from, static_cast<std::size_t>(p.numel()));
    p.copy_(torch::from_blob(const_cast<float*>(values.data()), p.sizes()));
  }
  const std::vector<std::int64_t> shape = what == network::mlp
                                              ? std::vector<std::int64_t>{1, 784}
                                              : std::vector<std::int64_t>{1, 1, 28, 28};
  a->x = torch::from_blob(const_cast<float*>(x.data()), shape).clone();
  return {{.name = "libtorch",
           .run = [a] { a->run(); },
           .values =
               [a] {
                 const float* const y = a->y.data_ptr<float>();
                 return std::vector<double>(y, y + outputs);
               },
           .tolerance = 1e-5}};
}

std::string torch_name() { return peers::torch_version() + " with " + peers::blas_name(); }

#else

contestants torch(network, const weights&, const std::vector<float>&, int) { return {}; }
std::string torch_name() { return bench::not_installed; }

#endif

}  // namespace inference
