#pragma once

// The plain peer: a training step in straightforward loops, batch by channels by height by width.
//
// What someone writes who knows the formulas and leaves the rest to the compiler: loops in an order
// whose innermost one runs along memory wherever the formula allows it, no blocking, no intrinsics.

#include <peers/network.hpp>

#include <algorithm>
#include <cmath>

namespace peers::plain {

/// Values, gradient and velocity of one parameter.
struct parameter {
  explicit parameter(int size) : count(size), w(size), dw(size), v(size) {}

  void load(weight_span& weights) {
    const std::vector<float>& from = take(weights, static_cast<std::size_t>(count));
    std::copy(from.begin(), from.end(), w.data());
  }
  void clear() { std::fill_n(dw.data(), count, 0.0f); }
  void update(float rate) {
    float* const values = w.data();
    float* const velocity = v.data();
    const float* const gradient = dw.data();
    for (int i = 0; i < count; ++i) {
      velocity[i] = momentum * velocity[i] + gradient[i];
      values[i] -= rate * velocity[i];
    }
  }

  int count;
  floats w, dw, v;
};

template <activation Act, int Count>
void activate(float* y) {
  if constexpr (Act == activation::relu) {
    for (int i = 0; i < Count; ++i) y[i] = std::max(y[i], 0.0f);
  } else if constexpr (Act == activation::tanh) {
    for (int i = 0; i < Count; ++i) y[i] = std::tanh(y[i]);
  }
}

template <activation Act, int Count>
void activate_gradient(const float* y, float* dy) {
  if constexpr (Act == activation::relu) {
    for (int i = 0; i < Count; ++i) dy[i] = y[i] > 0 ? dy[i] : 0.0f;
  } else if constexpr (Act == activation::tanh) {
    for (int i = 0; i < Count; ++i) dy[i] *= 1 - y[i] * y[i];
  }
}

/// y = act(x w^T + b).   x (Batch, In)   w (Out, In)   y (Batch, Out)
template <int Batch, int In, int Out, activation Act>
struct dense {
  static constexpr int inputs = In;
  static constexpr int outputs = Out;
  parameter weight{Out * In};
  parameter bias{Out};

  void load(weight_span& weights) {
    weight.load(weights);
    bias.load(weights);
  }

  void forward(const float* x, float* y) {
    for (int n = 0; n < Batch; ++n) {
      for (int o = 0; o < Out; ++o) {
        const float* const row = weight.w.data() + o * In;
        float sum = bias.w[static_cast<std::size_t>(o)];
        for (int i = 0; i < In; ++i) sum += x[n * In + i] * row[i];
        y[n * Out + o] = sum;
      }
    }
    activate<Act, Batch * Out>(y);
  }

  void backward(const float* x, const float* y, float* dy, float* dx, float rate) {
    activate_gradient<Act, Batch * Out>(y, dy);
    weight.clear();
    bias.clear();
    if (dx != nullptr) std::fill_n(dx, Batch * In, 0.0f);
    for (int n = 0; n < Batch; ++n) {
      for (int o = 0; o < Out; ++o) {
        const float g = dy[n * Out + o];
        const float* const row = weight.w.data() + o * In;
        float* const gradient = weight.dw.data() + o * In;
        bias.dw[static_cast<std::size_t>(o)] += g;
        for (int i = 0; i < In; ++i) gradient[i] += g * x[n * In + i];
        if (dx == nullptr) continue;
        for (int i = 0; i < In; ++i) dx[n * In + i] += g * row[i];
      }
    }
    weight.update(rate);
    bias.update(rate);
  }
};

/// y = act(x * w + b), stride 1.   x (Batch, In, Side, Side)   w (Out, In, Kernel, Kernel)
///                                 y (Batch, Out, side_out, side_out)
template <int Batch, int In, int Side, int Out, int Kernel, int Pad, activation Act>
struct conv {
  static constexpr int side_out = Side + 2 * Pad - Kernel + 1;
  static constexpr int inputs = In * Side * Side;
  static constexpr int outputs = Out * side_out * side_out;
  parameter weight{Out * In * Kernel * Kernel};
  parameter bias{Out};

  void load(weight_span& weights) {
    weight.load(weights);
    bias.load(weights);
  }

  /// Calls visit(row of x, row of y, weight's index, first and last + 1 column of y) for every row
  /// that a weight connects; x's column is y's plus the last argument.
  template <class Visit>
  static void for_each_row(int n, int o, Visit visit) {
    for (int c = 0; c < In; ++c) {
      for (int i = 0; i < Kernel; ++i) {
        for (int j = 0; j < Kernel; ++j) {
          const int tap = ((o * In + c) * Kernel + i) * Kernel + j;
          const int shift = j - Pad;
          const int begin = std::max(0, -shift);
          const int end = std::min(side_out, Side - shift);
          for (int h = std::max(0, Pad - i); h < std::min(side_out, Side + Pad - i); ++h) {
            visit(((n * In + c) * Side + h + i - Pad) * Side,
                  ((n * Out + o) * side_out + h) * side_out, tap, begin, end, shift);
          }
        }
      }
    }
  }

  void forward(const float* x, float* y) {
    for (int n = 0; n < Batch; ++n) {
      for (int o = 0; o < Out; ++o) {
        std::fill_n(y + (n * Out + o) * side_out * side_out, side_out * side_out,
                    bias.w[static_cast<std::size_t>(o)]);
        for_each_row(n, o, [&](int from, int to, int tap, int begin, int end, int shift) {
          const float w = weight.w[static_cast<std::size_t>(tap)];
          for (int k = begin; k < end; ++k) y[to + k] += w * x[from + k + shift];
        });
      }
    }
    activate<Act, Batch * outputs>(y);
  }

  void backward(const float* x, const float* y, float* dy, float* dx, float rate) {
    activate_gradient<Act, Batch * outputs>(y, dy);
    weight.clear();
    bias.clear();
    if (dx != nullptr) std::fill_n(dx, Batch * inputs, 0.0f);
    for (int n = 0; n < Batch; ++n) {
      for (int o = 0; o < Out; ++o) {
        const float* const plane = dy + (n * Out + o) * side_out * side_out;
        for (int k = 0; k < side_out * side_out; ++k) {
          bias.dw[static_cast<std::size_t>(o)] += plane[k];
        }
        for_each_row(n, o, [&](int from, int to, int tap, int begin, int end, int shift) {
          float sum = 0;
          for (int k = begin; k < end; ++k) sum += dy[to + k] * x[from + k + shift];
          weight.dw[static_cast<std::size_t>(tap)] += sum;
          if (dx == nullptr) return;
          const float w = weight.w[static_cast<std::size_t>(tap)];
          for (int k = begin; k < end; ++k) dx[from + k + shift] += w * dy[to + k];
        });
      }
    }
    weight.update(rate);
    bias.update(rate);
  }
};

/// The largest of each 2 x 2 window; remembers which.   x (Batch, Channels, Side, Side)
template <int Batch, int Channels, int Side>
struct max_pool {
  static constexpr int side_out = Side / 2;
  static constexpr int inputs = Channels * Side * Side;
  static constexpr int outputs = Channels * side_out * side_out;
  std::vector<int> chosen = std::vector<int>(static_cast<std::size_t>(Batch * outputs));

  void load(weight_span&) {}

  void forward(const float* x, float* y) {
    for (int plane = 0; plane < Batch * Channels; ++plane) {
      for (int h = 0; h < side_out; ++h) {
        for (int w = 0; w < side_out; ++w) {
          const int first = (plane * Side + 2 * h) * Side + 2 * w;
          int best = first;
          for (const int other : {first + 1, first + Side, first + Side + 1}) {
            best = x[other] > x[best] ? other : best;
          }
          const int to = (plane * side_out + h) * side_out + w;
          chosen[static_cast<std::size_t>(to)] = best;
          y[to] = x[best];
        }
      }
    }
  }

  void backward(const float*, const float*, float* dy, float* dx, float) {
    std::fill_n(dx, Batch * inputs, 0.0f);
    for (int k = 0; k < Batch * outputs; ++k) dx[chosen[static_cast<std::size_t>(k)]] += dy[k];
  }
};

/// Mean of -log softmax(y)[label], and its gradient.
template <int Batch, int Classes>
float cross_entropy(const float* y, const int* labels, float* dy) {
  float loss = 0;
  for (int n = 0; n < Batch; ++n) {
    const float* const row = y + n * Classes;
    float* const gradient = dy + n * Classes;
    const float largest = *std::max_element(row, row + Classes);
    float sum = 0;
    for (int c = 0; c < Classes; ++c) sum += gradient[c] = std::exp(row[c] - largest);
    loss += std::log(sum) - (row[labels[n]] - largest);
    for (int c = 0; c < Classes; ++c) gradient[c] /= sum * Batch;
    gradient[labels[n]] -= 1.0f / Batch;
  }
  return loss / Batch;
}

}  // namespace peers::plain
