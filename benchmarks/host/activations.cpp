// How fast are the host's activations, and how far from the speed of memory?
//
// Forward and backward of 16,384 floats (64 KiB, in the second-level cache), one thread, each
// beside a plain loop over the standard library and, where installed, libtorch's operation on a
// tensor of its own (out of place there, in place here: its output is allocated by a cache). relu's
// row is the floor: what moving the bytes costs. Time of the process, lower quartile of 25 rounds,
// in picoseconds an element.

#include <support/rounds.hpp>
#include <tessera/backends/host.hpp>
#include <tessera/backends/reference/activation.hpp>
#include <tessera/ops/ops.hpp>  // name_of

#ifdef TESSERA_WITH_TORCH
#include <support/process.hpp>
#include <torch/torch.h>
#endif

#include <map>

namespace {

using namespace tessera;

constexpr i32 count = 16384;

struct data {
  std::vector<float> x = std::vector<float>(count);
  std::vector<float> dy = std::vector<float>(count);
  std::vector<float> y = std::vector<float>(count);

  data() {
    u32 state = 1;
    for (i32 i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      x[static_cast<std::size_t>(i)] = static_cast<float>(state >> 8) * 0x1p-21f - 4;  // -4 to 4
      dy[static_cast<std::size_t>(i)] = 1;
    }
  }
  double sum() const {
    double s = 0;
    for (const float v : y) s += static_cast<double>(v);
    return s;
  }
};

/// One call of a host kernel on `d`.
std::function<void()> kernel_run(data& d, kind what) {
  signature s;
  s.what = what;
  elementwise_sizes{count}.write(s);
  s.set_type(0, element::f32);
  if (ops::is_activation_gradient(what)) s.set_type(1, element::f32);
  s.set_type(8, element::f32);
  const kernel run = host::find_kernel<>(s);
  return [&d, s, run] {
    std::byte* in[8] = {reinterpret_cast<std::byte*>(d.x.data()),
                        reinterpret_cast<std::byte*>(d.dy.data())};
    std::byte* out[8] = {reinterpret_cast<std::byte*>(d.y.data())};
    static const attributes attr;
    static const step_values step;
    run(call{in, out, &s, &attr, &step});
  };
}

/// The same as a plain loop.
template <kind What>
void plain_loop(data& d) {
  constexpr bool gradient = ops::is_activation_gradient(What);
  constexpr kind forward = gradient ? ops::activation_kind(What) : What;
  const activation_attributes a;
  for (std::size_t i = 0; i < count; ++i) {
    if constexpr (gradient) {
      d.y[i] = d.dy[i] * reference::derivative_of(forward, a, d.x[i]);
    } else {
      d.y[i] = reference::activation_of(forward, a, d.x[i]);
    }
  }
}

#ifdef TESSERA_WITH_TORCH
using torch_function = std::function<torch::Tensor(const torch::Tensor&)>;

const std::map<kind, torch_function> torch_functions{
    {kind::relu, [](const torch::Tensor& x) { return torch::relu(x); }},
    {kind::tanh, [](const torch::Tensor& x) { return torch::tanh(x); }},
    {kind::sigmoid, [](const torch::Tensor& x) { return torch::sigmoid(x); }},
    {kind::elu, [](const torch::Tensor& x) { return torch::elu(x); }},
    {kind::gelu_erf, [](const torch::Tensor& x) { return torch::gelu(x); }},
    {kind::gelu_tanh, [](const torch::Tensor& x) { return torch::gelu(x, "tanh"); }},
    {kind::silu, [](const torch::Tensor& x) { return torch::silu(x); }},
    {kind::softplus, [](const torch::Tensor& x) { return torch::softplus(x); }},
    {kind::hardswish, [](const torch::Tensor& x) { return torch::hardswish(x); }},
    {kind::mish, [](const torch::Tensor& x) { return torch::mish(x); }},
    {kind::exp, [](const torch::Tensor& x) { return torch::exp(x); }}};
#endif

template <kind Forward>
void compare() {
  for (const bool gradient : {false, true}) {
    constexpr kind backward = ops::gradient_kind(Forward);
    static data ours;
    static data plain;
    std::vector<bench::contestant> all{
        {"tessera", kernel_run(ours, gradient ? backward : Forward), [] { return ours.sum(); }},
        {"plain",
         [gradient] { gradient ? plain_loop<backward>(plain) : plain_loop<Forward>(plain); },
         [] { return plain.sum(); }}};
#ifdef TESSERA_WITH_TORCH
    const auto found = torch_functions.find(Forward);
    torch::Tensor x = torch::from_blob(plain.x.data(), {count}, torch::kFloat32).clone();
    torch::Tensor y;
    if (!gradient && found != torch_functions.end()) {
      all.push_back({"libtorch",
                     [&] {
                       torch::NoGradGuard no_gradients;
                       y = found->second(x);
                     },
                     [&] { return y.sum().template item<double>(); }});
    }
#endif
    const auto timings = bench::run_rounds(
        all, {.rounds = 25, .slot_seconds = 0.004, .clock = bench::clock_kind::cpu});
    std::printf("%-12s %-9s", ops::name_of(Forward), gradient ? "backward" : "forward");
    for (const bench::timing& t : timings) {
      std::printf("  %s %6.0f", t.name.c_str(), bench::quantile(t.seconds, 0.25) / count * 1e12);
    }
    std::printf("   plain / tessera %.1f\n", bench::median(bench::ratios(timings[0], timings[1])));
  }
}

}  // namespace

int main([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
#ifdef TESSERA_WITH_TORCH
  bench::tune(argv, 1);
  torch::set_num_threads(1);
#endif
  std::printf("picoseconds an element, vectors of %d floats\n", host::simd::lanes);
  compare<kind::relu>();
  compare<kind::leaky_relu>();
  compare<kind::tanh>();
  compare<kind::sigmoid>();
  compare<kind::elu>();
  compare<kind::gelu_erf>();
  compare<kind::gelu_tanh>();
  compare<kind::silu>();
  compare<kind::softplus>();
  compare<kind::hardswish>();
  compare<kind::mish>();
  compare<kind::softsign>();
  compare<kind::exp>();
}
