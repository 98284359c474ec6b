// libtorch's contestants, alone because of what its headers cost to compile.

#include <support/results.hpp>
#include <host/steps/cases.hpp>
#include <peers/torch.hpp>

namespace steps {

#ifdef TESSERA_WITH_TORCH

namespace {

template <class Net>
entries make(Net net, const peers::weight_values& weights, torch::Tensor x, torch::Tensor labels) {
  const auto loss = peers::torch_loss(net, std::move(x), std::move(labels));
  auto t = std::make_shared<peers::torch_trainer>(net->parameters(), weights, loss);
  return {make_entry("libtorch", t, f32_tolerance)};
}

entries make(torch::nn::Sequential net, const peers::weight_values& weights,
             const std::vector<std::int64_t>& shape, const float* x, const int* labels) {
  return make(net, weights, torch::from_blob(const_cast<float*>(x), shape).clone(),
              peers::torch_integers(labels, {shape[0]}));
}

}  // namespace

entries torch_lenet5(const peers::weight_values& weights, int batch, const float* x,
                     const int* labels) {
  return make(peers::torch_lenet5(), weights, {batch, 1, 28, 28}, x, labels);
}

entries torch_mlp(const std::vector<int>& sizes, const peers::weight_values& weights, int batch,
                  const float* x, const int* labels) {
  return make(peers::torch_mlp(sizes), weights, {batch, sizes.front()}, x, labels);
}

entries torch_resnet20(const peers::weight_values& weights, int batch, const float* x,
                       const int* labels) {
  return make(peers::torch_resnet20(), weights, {batch, 3, 32, 32}, x, labels);
}

entries torch_char_lstm(const peers::weight_values& weights, const text_sizes& n, const int* x,
                        const int* labels) {
  return make(peers::torch_char_lstm(n.characters, n.width, n.hidden), weights,
              peers::torch_integers(x, {n.time, n.batch}),
              peers::torch_integers(labels, {n.time * n.batch}));
}

entries torch_block(const peers::weight_values& weights, const block_sizes& n, const float* x,
                    const float* targets) {
  const std::vector<std::int64_t> shape{n.batch, n.time, n.width};
  const auto copied = [&](const float* from) {
    return torch::from_blob(const_cast<float*>(from), shape).clone();
  };
  peers::torch_transformer_block net(n.width, n.heads, n.hidden);
  net->train();
  const auto loss = [net = net.ptr(), in = copied(x), goal = copied(targets)] {
    return torch::nn::functional::mse_loss(net->forward(in), goal);
  };
  auto t = std::make_shared<peers::torch_trainer>(net->parameters(), weights, loss);
  return {make_entry("libtorch", t, f32_tolerance)};
}

void limit_torch(int threads) {
  at::set_num_threads(threads);
  if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
}

std::string torch_name() { return peers::torch_version() + " with " + peers::blas_name(); }

#else

entries torch_lenet5(const peers::weight_values&, int, const float*, const int*) { return {}; }
entries torch_mlp(const std::vector<int>&, const peers::weight_values&, int, const float*,
                  const int*) {
  return {};
}
entries torch_resnet20(const peers::weight_values&, int, const float*, const int*) { return {}; }
entries torch_char_lstm(const peers::weight_values&, const text_sizes&, const int*, const int*) {
  return {};
}
entries torch_block(const peers::weight_values&, const block_sizes&, const float*, const float*) {
  return {};
}
void limit_torch(int) {}
std::string torch_name() { return bench::not_installed; }

#endif

}  // namespace steps
