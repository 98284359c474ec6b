#pragma once

// The networks whose single answers are timed, and who gives them.

#include <support/numbers.hpp>
#include <support/rounds.hpp>

#include <string>
#include <vector>

namespace inference {

/// Parameters in the order of the layers, each weight before its bias, in PyTorch's layouts.
using weights = std::vector<std::vector<float>>;

enum class network { lenet5, mlp };
struct named_network {
  const char* name;
  network what;
  int inputs;
  double flops;  // of the products and convolutions
};
inline constexpr named_network networks[] = {
    // conv 1 -> 6 and 6 -> 16 of 5x5, relu and max pooling after each, dense 120, 84, 10
    {"lenet5.b1", network::lenet5, 28 * 28,
     2.0 * (25 * 6 * 28 * 28 + 6 * 25 * 16 * 100 + 400 * 120 + 120 * 84 + 84 * 10)},
    {"mlp784-500-250-10.b1", network::mlp, 784, 2.0 * (784 * 500 + 500 * 250 + 250 * 10)},
};
inline constexpr int outputs = 10;

inline std::vector<float> make_input(const named_network& n) {
  std::vector<float> x;
  for (int i = 0; i < n.inputs; ++i) x.push_back(bench::number_at(7, i));
  return x;
}

using contestants = std::vector<bench::contestant>;

// Who computes it; nobody where a peer was not found. One translation unit each. Weights are those
// that our trainers would start from.
weights first_weights(network what);
contestants ours(network what, const weights& w, const std::vector<float>& x, int threads);
contestants onednn(network what, const weights& w, const std::vector<float>& x);
contestants torch(network what, const weights& w, const std::vector<float>& x, int threads);

/// Versions, for the record.
std::string onednn_version();
std::string torch_name();

}  // namespace inference
