#pragma once

// A chain of hand-written layers that trains: what the plain and the Eigen peers have in common.
//
// A layer works on rows of f32, one per sample, and owns its parameters. It has
//
//   static constexpr int inputs, outputs                    values per sample
//   void load(weights)                                      takes its parameters from the front
//   void forward(const float* x, float* y)
//   void backward(const float* x, const float* y, float* dy, float* dx, float rate)
//       from dy, the gradient of the loss by y (which it may overwrite), writes dx unless it is
//       null and updates the parameters: SGD with momentum 0.9
//
// All sizes are constants, as someone who writes a network by hand would have them.

#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

namespace peers {

inline constexpr float momentum = 0.9f;

enum class activation { none, relu, tanh };

/// Parameters in the order of the layers, each weight before its bias, in PyTorch's layouts:
/// dense (out, in), convolution (out, in, height, width).
using weight_values = std::vector<std::vector<float>>;
using weight_span = std::span<const std::vector<float>>;

/// The next parameter of a list, which must have `count` values.
inline const std::vector<float>& take(weight_span& weights, std::size_t count) {
  if (weights.empty() || weights.front().size() != count) {
    throw std::logic_error("a peer's layer and its weights have different sizes");
  }
  const std::vector<float>& first = weights.front();
  weights = weights.subspan(1);
  return first;
}

/// Floats on a cache line, zero at first.
class floats {
 public:
  explicit floats(std::size_t count)
      : values_(static_cast<float*>(::operator new(count * sizeof(float), alignment))) {
    std::uninitialized_fill_n(values_, count, 0.0f);
  }
  floats(floats&& other) noexcept : values_(std::exchange(other.values_, nullptr)) {}
  floats& operator=(floats&&) = delete;
  ~floats() {
    if (values_ != nullptr) ::operator delete(values_, alignment);
  }
  float* data() { return values_; }
  const float* data() const { return values_; }
  float& operator[](std::size_t i) { return values_[i]; }
  float operator[](std::size_t i) const { return values_[i]; }

 private:
  static constexpr std::align_val_t alignment{64};
  float* values_;
};

/// `Loss(batch, classes, y, labels, dy)` returns the mean loss and writes the gradient.
template <int Batch, auto Loss, class... Layers>
class network {
  static constexpr std::size_t count = sizeof...(Layers);
  template <std::size_t I>
  using layer = std::tuple_element_t<I, std::tuple<Layers...>>;

 public:
  network(weight_span weights, const float* x, const int* labels) : x_(x), labels_(labels) {
    std::apply([&](auto&... l) { (l.load(weights), ...); }, layers_);
    if (!weights.empty()) throw std::logic_error("a peer has fewer parameters than the network");
    (values_.emplace_back(static_cast<std::size_t>(Batch * Layers::outputs)), ...);
    (gradients_.emplace_back(static_cast<std::size_t>(Batch * Layers::outputs)), ...);
  }

  void step(float rate) {
    forward(std::make_index_sequence<count>{});
    loss_ = Loss(values_.back().data(), labels_, gradients_.back().data());
    backward(rate, std::make_index_sequence<count>{});
  }

  float loss() const { return loss_; }

 private:
  const float* input(std::size_t i) const { return i == 0 ? x_ : values_[i - 1].data(); }

  template <std::size_t... I>
  void forward(std::index_sequence<I...>) {
    (std::get<I>(layers_).forward(input(I), values_[I].data()), ...);
  }

  template <std::size_t... I>
  void backward(float rate, std::index_sequence<I...>) {
    const auto one = [&]<std::size_t L>(std::integral_constant<std::size_t, L>) {
      float* const dx = L == 0 ? nullptr : gradients_[L == 0 ? 0 : L - 1].data();
      std::get<L>(layers_).backward(input(L), values_[L].data(), gradients_[L].data(), dx, rate);
    };
    (one(std::integral_constant<std::size_t, count - 1 - I>{}), ...);
  }

  std::tuple<Layers...> layers_;
  std::vector<floats> values_;     // each layer's output
  std::vector<floats> gradients_;  // of the loss by that output
  const float* x_;
  const int* labels_;
  float loss_ = 0;
};

}  // namespace peers
