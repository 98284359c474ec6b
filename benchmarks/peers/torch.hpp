#pragma once

// The libtorch peer: PyTorch's C++ interface, used as its documentation shows. What makes it fast
// is set outside, see peers/torch_settings.hpp.

#ifdef TESSERA_WITH_TORCH

#include <peers/network.hpp>

#include <torch/torch.h>

#include <dlfcn.h>
#include <string>

namespace peers {

/// "OpenBLAS Zen", or "not OpenBLAS" (Debian's libblas3 is several times slower).
inline std::string blas_name() {
  using core_name = char* (*)();
  void* const found = dlsym(RTLD_DEFAULT, "openblas_get_corename");
  if (found == nullptr) return "not OpenBLAS";
  return std::string("OpenBLAS ") + reinterpret_cast<core_name>(found)();
}

inline std::string torch_version() {
  return "libtorch " + std::to_string(TORCH_VERSION_MAJOR) + "." +
         std::to_string(TORCH_VERSION_MINOR);
}

inline torch::nn::Sequential torch_lenet5() {
  namespace nn = torch::nn;
  return nn::Sequential(nn::Conv2d(nn::Conv2dOptions(1, 6, 5).padding(2)), nn::Tanh(),
                        nn::MaxPool2d(2), nn::Conv2d(nn::Conv2dOptions(6, 16, 5)), nn::Tanh(),
                        nn::MaxPool2d(2), nn::Flatten(), nn::Linear(400, 120), nn::Tanh(),
                        nn::Linear(120, 84), nn::Tanh(), nn::Linear(84, 10));
}

inline torch::nn::Sequential torch_mlp(const std::vector<int>& sizes) {
  torch::nn::Sequential net;
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
    if (i > 0) net->push_back(torch::nn::ReLU());
    net->push_back(torch::nn::Linear(sizes[i], sizes[i + 1]));
  }
  return net;
}

/// A network, its optimizer and one batch.
class torch_trainer {
 public:
  torch_trainer(torch::nn::Sequential net, weight_span weights,
                const std::vector<std::int64_t>& shape, const float* x, const int* labels)
      : net_(std::move(net)),
        parameters_(net_->parameters()),
        optimizer_(parameters_, torch::optim::SGDOptions(0).momentum(momentum)) {
    const torch::NoGradGuard fixed;
    x_ = torch::from_blob(const_cast<float*>(x), shape).clone();
    labels_ =
        torch::from_blob(const_cast<int*>(labels), {shape[0]}, torch::kInt32).to(torch::kInt64);
    for (torch::Tensor& p : parameters_) {
      const auto& from = take(weights, static_cast<std::size_t>(p.numel()));
      p.copy_(torch::from_blob(const_cast<float*>(from.data()), p.sizes()));
    }
    net_->train();
  }

  void step(float rate) {
    for (auto& group : optimizer_.param_groups()) group.options().set_lr(rate);
    // Dropped, not zeroed: saves a pass here and another where they are added up.
    for (torch::Tensor& p : parameters_) p.mutable_grad().reset();
    loss_ = torch::nn::functional::cross_entropy(net_->forward(x_), labels_);
    loss_.backward();
    optimizer_.step();
  }

  float loss() const { return loss_.item<float>(); }

 private:
  torch::nn::Sequential net_;
  std::vector<torch::Tensor> parameters_;
  torch::optim::SGD optimizer_;
  torch::Tensor x_, labels_, loss_;
};

}  // namespace peers

#endif
