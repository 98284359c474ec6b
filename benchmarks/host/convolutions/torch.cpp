// libtorch's convolutions, as its users and its automatic differentiation call them.

#include <support/results.hpp>
#include <host/convolutions/convolutions.hpp>
#include <peers/torch.hpp>

#include <array>
#include <memory>

namespace convolutions {

#ifdef TESSERA_WITH_TORCH

namespace {

torch::Tensor filled(const problem& p, operand o) {
  return torch::from_blob(p.make(o).data(), p.dims(o)).clone();
}

/// The operands, and the latest result.
struct convolution {
  problem p;
  torch::Tensor x, w, y, result{};

  void run() {
    const torch::NoGradGuard no_history;
    const layer& l = p.of();
    const std::vector<std::int64_t> stride{l.stride, l.stride};
    const std::vector<std::int64_t> pad{l.pad, l.pad};
    const std::vector<std::int64_t> dilation{l.dilation, l.dilation};
    if (p.what == pass::forward) {
      result = at::conv2d(x, w, {}, stride, pad, dilation, l.groups);
      return;
    }
    const std::array<bool, 3> wanted{p.what == pass::data, p.what == pass::weight, false};
    const auto gradients = at::convolution_backward(y, x, w, c10::nullopt, stride, pad, dilation,
                                                    false, {0, 0}, l.groups, wanted);
    result = p.what == pass::data ? std::get<0>(gradients) : std::get<1>(gradients);
  }

  std::vector<double> values() const {
    const float* const all = result.data_ptr<float>();
    std::vector<double> values;
    for (const i64 i : compared_elements(p)) values.push_back(bench::load(all[i]));
    return values;
  }
};

}  // namespace

contestants torch(const problem& p, int threads) {
  at::set_num_threads(threads);
  const auto c = std::make_shared<convolution>(
      convolution{p, filled(p, operand::x), filled(p, operand::w), filled(p, operand::y)});
  return {{.name = "libtorch",
           .run = [c] { c->run(); },
           .values = [c] { return c->values(); },
           .tolerance = bench::tolerance_of<float>}};
}

std::string torch_name() { return peers::torch_version() + " with " + peers::blas_name(); }

#else

contestants torch(const problem&, int) { return {}; }
std::string torch_name() { return bench::not_installed; }

#endif

}  // namespace convolutions
