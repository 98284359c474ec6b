// libtorch's contestants, alone because of what its headers cost to compile.

#include <host/steps/cases.hpp>
#include <peers/torch.hpp>

namespace steps {

#ifdef TESSERA_WITH_TORCH

namespace {

entries make(torch::nn::Sequential net, const peers::weight_values& weights,
             const std::vector<std::int64_t>& shape, const float* x, const int* labels) {
  auto t = std::make_shared<peers::torch_trainer>(std::move(net), weights, shape, x, labels);
  return {make_entry("libtorch", t, f32_tolerance)};
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

void limit_torch() {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
}

std::string torch_name() { return peers::torch_version() + " with " + peers::blas_name(); }

#else

entries torch_lenet5(const peers::weight_values&, int, const float*, const int*) { return {}; }
entries torch_mlp(const std::vector<int>&, const peers::weight_values&, int, const float*,
                  const int*) {
  return {};
}
void limit_torch() {}
std::string torch_name() { return "not installed"; }

#endif

}  // namespace steps
