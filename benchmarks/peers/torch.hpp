#pragma once

// The libtorch peer: PyTorch's C++ interface, used as its documentation shows. What makes it fast
// is set outside, see support/process.hpp.

#ifdef TESSERA_WITH_TORCH

#include <peers/network.hpp>

#include <torch/torch.h>

#include <cmath>
#include <dlfcn.h>
#include <functional>
#include <string>
#include <utility>
#include <vector>

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

/// Two convolutions of 3x3 and the way around them: x, or where the stride is 2 every second row
/// and column of it between channels of zeros.
struct torch_block_impl : torch::nn::Module {
  torch_block_impl(int in, int out)
      : more(out - in),
        conv1(register_module("conv1", convolution(in, out, in == out ? 1 : 2))),
        bn1(register_module("bn1", torch::nn::BatchNorm2d(out))),
        conv2(register_module("conv2", convolution(out, out, 1))),
        bn2(register_module("bn2", torch::nn::BatchNorm2d(out))) {}

  static torch::nn::Conv2d convolution(int in, int out, int stride) {
    return torch::nn::Conv2d(
        torch::nn::Conv2dOptions(in, out, 3).padding(1).stride(stride).bias(false));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    using torch::indexing::None, torch::indexing::Slice;
    torch::Tensor around = x;
    if (more > 0) {
      const Slice second(None, None, 2);
      around = torch::constant_pad_nd(x.index({Slice(), Slice(), second, second}),
                                      {0, 0, 0, 0, more / 2, more / 2});
    }
    return torch::relu(bn2(conv2(torch::relu(bn1(conv1(x))))) + around);
  }

  int more;
  torch::nn::Conv2d conv1;
  torch::nn::BatchNorm2d bn1;
  torch::nn::Conv2d conv2;
  torch::nn::BatchNorm2d bn2;
};
TORCH_MODULE_IMPL(torch_block, torch_block_impl);

inline torch::nn::Sequential torch_resnet20() {
  namespace nn = torch::nn;
  nn::Sequential net(torch_block_impl::convolution(3, 16, 1), nn::BatchNorm2d(16), nn::ReLU());
  int channels = 16;
  for (const int out : {16, 16, 16, 32, 32, 32, 64, 64, 64}) {
    net->push_back(torch_block(channels, out));
    channels = out;
  }
  net->push_back(nn::AdaptiveAvgPool2d(1));
  net->push_back(nn::Flatten());
  net->push_back(nn::Linear(64, 10));
  return net;
}

/// Characters in, (time, batch), and for each a score of every character that may come next.
struct torch_char_lstm_impl : torch::nn::Module {
  torch_char_lstm_impl(int characters, int width, int hidden)
      : embedding(register_module("embedding", torch::nn::Embedding(characters, width))),
        lstm(register_module("lstm", torch::nn::LSTM(width, hidden))),
        out(register_module("out", torch::nn::Linear(hidden, characters))) {}

  torch::Tensor forward(const torch::Tensor& x) {
    return out(std::get<0>(lstm(embedding(x)))).flatten(0, 1);  // (time x batch, characters)
  }

  torch::nn::Embedding embedding;
  torch::nn::LSTM lstm;
  torch::nn::Linear out;
};
TORCH_MODULE_IMPL(torch_char_lstm, torch_char_lstm_impl);

/// A transformer's block with the norms first, ReLU, no dropout; x and y (batch, time, width).
/// Products and a softmax in place of MultiheadAttention, which copies more and is slower.
struct torch_transformer_block_impl : torch::nn::Module {
  torch_transformer_block_impl(int width, int heads_, int hidden)
      : heads(heads_),
        norm1(register_module("norm1", norm(width))),
        in(register_module("in", torch::nn::Linear(width, 3 * width))),
        out(register_module("out", torch::nn::Linear(width, width))),
        norm2(register_module("norm2", norm(width))),
        up(register_module("up", torch::nn::Linear(width, hidden))),
        down(register_module("down", torch::nn::Linear(hidden, width))) {}

  static torch::nn::LayerNorm norm(int width) {
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}));
  }

  torch::Tensor forward(torch::Tensor x) {
    const std::int64_t batch = x.size(0), time = x.size(1), width = x.size(2);
    const auto qkv = in(norm1(x))
                         .view({batch, time, 3, heads, width / heads})
                         .permute({2, 0, 3, 1, 4})
                         .unbind(0);
    const double scale = 1 / std::sqrt(static_cast<double>(width / heads));
    const auto weights =
        torch::softmax(torch::matmul(qkv[0], qkv[1].transpose(-2, -1)) * scale, -1);
    const auto seen = torch::matmul(weights, qkv[2]).transpose(1, 2).reshape({batch, time, width});
    x = x + out(seen);
    return x + down(torch::relu(up(norm2(x))));
  }

  std::int64_t heads;
  torch::nn::LayerNorm norm1;
  torch::nn::Linear in, out;
  torch::nn::LayerNorm norm2;
  torch::nn::Linear up, down;
};
TORCH_MODULE_IMPL(torch_transformer_block, torch_transformer_block_impl);

/// Parameters, their optimizer, and what says how wrong they are on one batch.
class torch_trainer {
 public:
  torch_trainer(std::vector<torch::Tensor> parameters, weight_span weights,
                std::function<torch::Tensor()> loss_of_batch)
      : parameters_(std::move(parameters)),
        optimizer_(parameters_, torch::optim::SGDOptions(0).momentum(momentum)),
        loss_of_batch_(std::move(loss_of_batch)) {
    const torch::NoGradGuard fixed;
    for (torch::Tensor& p : parameters_) {
      const auto& from = take(weights, static_cast<std::size_t>(p.numel()));
      p.copy_(torch::from_blob(const_cast<float*>(from.data()), p.sizes()));
    }
  }

  void step(float rate) {
    for (auto& group : optimizer_.param_groups()) group.options().set_lr(rate);
    // Dropped, not zeroed: saves a pass here and another where they are added up.
    for (torch::Tensor& p : parameters_) p.mutable_grad().reset();
    loss_ = loss_of_batch_();
    loss_.backward();
    optimizer_.step();
  }

  float loss() const { return loss_.item<float>(); }

 private:
  std::vector<torch::Tensor> parameters_;
  torch::optim::SGD optimizer_;
  std::function<torch::Tensor()> loss_of_batch_;
  torch::Tensor loss_;
};

/// Whole numbers as libtorch's classes and indices are.
inline torch::Tensor torch_integers(const int* values, const std::vector<std::int64_t>& shape) {
  return torch::from_blob(const_cast<int*>(values), shape, torch::kInt32).to(torch::kInt64);
}

/// The mean cross entropy of what `net` makes of `x`.
template <class Net>
std::function<torch::Tensor()> torch_loss(Net net, torch::Tensor x, torch::Tensor labels) {
  net->train();
  return [net = net.ptr(), x, labels] {
    return torch::nn::functional::cross_entropy(net->forward(x), labels);
  };
}

}  // namespace peers

#endif
