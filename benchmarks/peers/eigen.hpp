#pragma once

// The Eigen peer: a training step as a careful user of Eigen writes it.
//
// Sizes are fixed, buffers aligned and made once, products go without temporaries, activations and
// the loss are vectorised array expressions. A gradient is added to the velocity by the product
// itself, so no gradient of a weight is stored. Convolutions are matrix products over the patches
// of one image at a time (which stay in the second-level cache), made again for the backward pass.

#include <peers/network.hpp>

#ifndef __clang__  // g++ 12 sees an endless loop where a matrix has no full packet
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Waggressive-loop-optimizations"
#endif
#include <Eigen/Core>
#ifndef __clang__
#pragma GCC diagnostic pop
#endif
#include <algorithm>
#include <cmath>

namespace peers::eigen {

/// Row-major (Eigen wants a single column the other way), with both sizes constant.
template <int Rows, int Cols>
using matrix =
    Eigen::Matrix<float, Rows, Cols, Cols == 1 && Rows != 1 ? Eigen::ColMajor : Eigen::RowMajor>;
template <int Rows, int Cols>
using view = Eigen::Map<matrix<Rows, Cols>, Eigen::Aligned16>;
template <int Rows, int Cols>
using const_view = Eigen::Map<const matrix<Rows, Cols>, Eigen::Aligned16>;
// Single images of a batch, and the user's rows, start anywhere.
template <int Rows, int Cols>
using loose_view = Eigen::Map<matrix<Rows, Cols>>;
template <int Rows, int Cols>
using loose_const_view = Eigen::Map<const matrix<Rows, Cols>>;

template <activation Act, class Y>
void activate(Y&& y) {
  if constexpr (Act == activation::relu) y = y.cwiseMax(0.0f);
  if constexpr (Act == activation::tanh) y.array() = y.array().tanh();
}

template <activation Act, class Y, class D>
void activate_gradient(const Y& y, D&& dy) {
  if constexpr (Act == activation::relu) dy = (y.array() > 0.0f).select(dy, 0.0f);
  if constexpr (Act == activation::tanh) dy.array() *= 1.0f - y.array().square();
}

/// Values and velocity of one parameter.
template <int Rows, int Cols>
struct parameter {
  floats values{static_cast<std::size_t>(Rows * Cols)};
  floats velocity{static_cast<std::size_t>(Rows * Cols)};

  view<Rows, Cols> w() { return view<Rows, Cols>(values.data()); }
  view<Rows, Cols> v() { return view<Rows, Cols>(velocity.data()); }
  void update(float rate) { w() -= rate * v(); }
};

/// y = act(x w + b).   x (Batch, In)   w (In, Out)   y (Batch, Out)
template <int Batch, int In, int Out, activation Act>
struct dense {
  static constexpr int inputs = In;
  static constexpr int outputs = Out;
  parameter<In, Out> weight;
  parameter<1, Out> bias;

  void load(weight_span& weights) {
    weight.w() = Eigen::Map<const matrix<Out, In>>(take(weights, Out * In).data()).transpose();
    bias.w() = Eigen::Map<const matrix<1, Out>>(take(weights, Out).data());
  }

  void forward(const float* from, float* to) {
    const const_view<Batch, In> x(from);
    view<Batch, Out> y(to);
    y.noalias() = x * weight.w();
    y.rowwise() += bias.w();
    activate<Act>(y);
  }

  void backward(const float* from, const float* to, float* to_gradient, float* from_gradient,
                float rate) {
    const const_view<Batch, In> x(from);
    view<Batch, Out> dy(to_gradient);
    activate_gradient<Act>(const_view<Batch, Out>(to), dy);
    if (from_gradient != nullptr) {
      view<Batch, In>(from_gradient).noalias() = dy * weight.w().transpose();
    }
    if constexpr (Batch == 1) {
      // An outer product: velocity and weights in one pass over both.
      for (int i = 0; i < In; ++i) {
        auto v = weight.v().row(i);
        v = momentum * v + x(i) * dy;
        weight.w().row(i) -= rate * v;
      }
      bias.v() = momentum * bias.v() + dy;
    } else {
      weight.v() *= momentum;
      weight.v().noalias() += x.transpose() * dy;
      weight.update(rate);
      bias.v() = momentum * bias.v() + dy.colwise().sum();
    }
    bias.update(rate);
  }
};

/// y = act(w patches(x) + b), stride 1.   x (Batch, In, Side, Side)   w (Out, In Kernel Kernel)
///                                        y (Batch, Out, side_out, side_out)
template <int Batch, int In, int Side, int Out, int Kernel, int Pad, activation Act>
struct conv {
  static constexpr int side_out = Side + 2 * Pad - Kernel + 1;
  static constexpr int cells = side_out * side_out;
  static constexpr int taps = In * Kernel * Kernel;
  static constexpr int inputs = In * Side * Side;
  static constexpr int outputs = Out * cells;
  parameter<Out, taps> weight;
  parameter<Out, 1> bias;
  floats patch_values{static_cast<std::size_t>(taps * cells)};

  view<taps, cells> patches() { return view<taps, cells>(patch_values.data()); }

  void load(weight_span& weights) {
    weight.w() = Eigen::Map<const matrix<Out, taps>>(take(weights, Out * taps).data());
    bias.w() = Eigen::Map<const matrix<Out, 1>>(take(weights, Out).data());
  }

  /// Calls visit(row of the image, row of the patches, its first column, columns) for all rows that
  /// are in the image; what is outside stays zero.
  template <class Visit>
  static void for_each_row(Visit visit) {
    for (int tap = 0; tap < taps; ++tap) {
      const int c = tap / (Kernel * Kernel);
      const int i = tap / Kernel % Kernel;
      const int shift = tap % Kernel - Pad;
      const int begin = std::max(0, -shift);
      const int count = std::min(side_out, Side - shift) - begin;
      for (int h = std::max(0, Pad - i); h < std::min(side_out, Side + Pad - i); ++h) {
        visit((c * Side + h + i - Pad) * Side + begin + shift, tap * cells + h * side_out + begin,
              count);
      }
    }
  }

  void gather(const float* image) {
    float* const to = patch_values.data();
    for_each_row([&](int from, int at, int count) { std::copy_n(image + from, count, to + at); });
  }

  void scatter(float* image) {
    const float* const from = patch_values.data();
    std::fill_n(image, inputs, 0.0f);
    for_each_row([&](int to, int at, int count) {
      for (int k = 0; k < count; ++k) image[to + k] += from[at + k];
    });
  }

  void forward(const float* x, float* to) {
    for (int n = 0; n < Batch; ++n) {
      gather(x + n * inputs);
      loose_view<Out, cells> y(to + n * outputs);
      y.noalias() = weight.w() * patches();
      y.colwise() += bias.w();
      activate<Act>(y);
    }
  }

  void backward(const float* x, const float* to, float* to_gradient, float* dx, float rate) {
    weight.v() *= momentum;
    bias.v() *= momentum;
    for (int n = 0; n < Batch; ++n) {
      loose_view<Out, cells> dy(to_gradient + n * outputs);
      activate_gradient<Act>(loose_const_view<Out, cells>(to + n * outputs), dy);
      gather(x + n * inputs);
      weight.v().noalias() += dy * patches().transpose();
      bias.v() += dy.rowwise().sum();
      if (dx == nullptr) continue;
      patches().noalias() = weight.w().transpose() * dy;
      scatter(dx + n * inputs);
      if constexpr (Pad > 0) patches().setZero();  // `gather` leaves what is outside as it is
    }
    weight.update(rate);
    bias.update(rate);
  }
};

/// Mean of -log softmax(y)[label], and its gradient.
template <int Batch, int Classes>
float cross_entropy(const float* logits, const int* labels, float* gradient) {
  const const_view<Batch, Classes> y(logits);
  view<Batch, Classes> dy(gradient);
  float loss = 0;
  for (int n = 0; n < Batch; ++n) {
    const float largest = y.row(n).maxCoeff();
    dy.row(n) = (y.row(n).array() - largest).exp();
    const float sum = dy.row(n).sum();
    loss += std::log(sum) - (y(n, labels[n]) - largest);
    dy.row(n) *= 1.0f / (sum * Batch);
    dy(n, labels[n]) -= 1.0f / Batch;
  }
  return loss / Batch;
}

}  // namespace peers::eigen
