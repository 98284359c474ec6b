#pragma once

// What an operation is told beside its operands. One plain struct for all kinds: each kind reads
// the part that concerns it and leaves the rest at its defaults.

#include <tessera/core/types.hpp>

namespace tessera {

/// A window that slides over height and width: convolution and pooling. Index 0 is height.
struct window {
  i32 kernel[2] = {1, 1};
  i32 stride[2] = {1, 1};
  i32 pad_begin[2] = {0, 0};
  i32 pad_end[2] = {0, 0};
  i32 dilation[2] = {1, 1};
  bool ceil_mode = false;          // pooling: the last window may start inside and end outside
  bool count_include_pad = false;  // average pooling: padded cells count in the divisor

  friend constexpr bool operator==(const window&, const window&) = default;
};

/// How a loss over samples becomes what it returns. batch_mean: the sum over the number of samples
/// (over time: of points in time of all samples), where mean may divide by that of elements.
enum class reduction : u8 { mean, sum, none, batch_mean };

/// Losses; each reads its part (ops/loss.hpp and what it names).
struct loss_attributes {
  reduction reduce = reduction::mean;
  float label_smoothing = 0;
  i32 ignore_index = -100;  // targets equal to it contribute nothing
  float weight = 1;         // factor on the loss and its gradient
  i32 samples = 0;   // over time: rows are those of this many samples again and again; 0: by batch
  float margin = 1;  // hinge losses, cosine_embedding, triplet
  float delta = 1;   // smooth_l1 (beta), huber: where squares end
  i32 power = 1;     // of the hinge, or of the distance in triplet: 1 or 2
  float epsilon = 1e-6f;       // triplet: added to every difference
  float temperature = 1;       // distillation
  bool log_target = false;     // kl_div: targets are logarithms
  i32 blank = 0;               // ctc: the class that stands for nothing
  bool zero_infinity = false;  // ctc: what cannot be aligned costs nothing
};

enum class optimizer_kind : u8 {
  none,
  sgd,
  adam,
  rmsprop,
  adagrad,
  adadelta,
  adamax,
  nadam,
  radam,
  rprop,
  lion,
  lamb,
  lars
};

/// An optimizer as a value. The learning rate comes with every step.
///
/// sgd   g += weight_decay w; v = first step ? g : momentum v + (1 - dampening) g;
///       w -= lr (nesterov ? g + momentum v : v)        (v only where momentum != 0)
/// adam  g += weight_decay w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g g;
///       w -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
///       amsgrad: the largest v so far stands for v        (Kingma, Ba 2015; Reddi et al. 2018)
///       decoupled: instead of the first line w *= 1 - lr weight_decay     (Loshchilov, Hutter
///       2019)
/// What the other rules mean stands in ops/update_rules.hpp.
struct update_rule {
  optimizer_kind what = optimizer_kind::none;
  float momentum = 0;
  float dampening = 0;
  bool nesterov = false;
  float weight_decay = 0;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  bool amsgrad = false;
  bool decoupled = false;       // adam: weight decay beside the gradient, not in it
  bool centered = false;        // rmsprop
  bool corrected = true;        // lamb: moments without their bias towards zero
  bool adapts = true;           // lamb, lars: the rate by the norms; else they count as equal
  bool spares_vectors = false;  // biases and scales: no weight decay, no L1, no adaptation
  bool splits = false;          // 16-bit parameters have 16 more bits in a state of their own
  float l1 = 0;                 // g += l1 sign(w), see passes/updates.hpp
  float slowing = 0;            // adagrad: of the rate; nadam: of the momentum
  float start = 0;              // adagrad: first value of the sum
  float trust = 0.001f;         // lars
  float shrink = 0.5f;          // rprop: factors of a step's size, and its bounds
  float growth = 1.2f;
  float smallest = 1e-6f;
  float largest = 50;
  bool sums_in_momentum = false;  // sgd: gradients of loops, see passes/sum_in_momentum.hpp
  float fixed_rate = 0;           // sgd, not 0: takes the place of the learning rate
  float share = 1;                // sgd: factor on the gradient, before weight decay

  /// State tensors of the parameter's shape (their names: ops/update_rules.hpp).
  constexpr i32 states() const {
    switch (what) {
      case optimizer_kind::none: return 0;
      case optimizer_kind::sgd:
      case optimizer_kind::lars: return momentum != 0 ? 1 : 0;
      case optimizer_kind::adam: return amsgrad ? 3 : 2;
      case optimizer_kind::rmsprop: return 1 + (centered ? 1 : 0) + (momentum != 0 ? 1 : 0);
      case optimizer_kind::adagrad:
      case optimizer_kind::lion: return 1;
      default: return 2;
    }
  }
};

/// What is done to gradients before the updates read them (passes/updates.hpp). 0: nothing.
struct gradient_limits {
  float norm = 0;   // the norm over all of them together is made at most this
  float order = 2;  // of the norm: at least 1, or infinite for the largest magnitude
  float value = 0;  // the magnitude of every element is made at most this

  constexpr bool used() const { return norm > 0 || value > 0; }
};

/// What an overflowing 16-bit gradient does: skip the whole step, or only its own tensor's update.
enum class skip_rule : u8 { none, step, tensor };

/// Loss scaling. Dynamic: an overflow multiplies the scale by `backoff`, `interval` steps in a row
/// without one multiply it by `growth`. (Micikevicius et al. 2018)
struct loss_scaling {
  skip_rule skip = skip_rule::none;
  bool dynamic = false;
  float initial = 1;
  float growth = 2;
  float backoff = 0.5f;
  i32 interval = 2000;

  constexpr bool used() const { return skip != skip_rule::none; }
};

/// Batch, group, layer and RMS normalization.
struct norm_attributes {
  float epsilon = 1e-5f;
  float momentum = 0.1f;  // batch: running = (1 - momentum) running + momentum batch
  i32 groups = 1;         // group: channels share statistics within a group
  i32 extents = 0;        // layer, RMS: how many trailing extents a statistic is over, 0: all
};

/// Local response normalization across channels:
/// y = x / (k + alpha / size * sum over `size` neighbouring channels of x^2)^beta.
struct response_attributes {
  i32 size = 5;
  float alpha = 1e-4f;
  float beta = 0.75f;
  float k = 2;
};

/// Constants of activations (ops/activation.hpp); each reads its own.
struct activation_attributes {
  float alpha = 1;       // leaky_relu: slope below 0; elu: limit below 0, without the sign
  float scale = 1;       // elu: factor on everything
  float beta = 1;        // softplus: sharpness of the bend
  float threshold = 20;  // softplus: x itself where beta x is larger
  float low = -1;        // hardtanh
  float high = 1;
};

/// Mixtures of experts: how many experts, how many of them a token has, how many tokens one takes;
/// token i (as it lies in memory) belongs to sample i / rows mod samples.
struct routing_attributes {
  i32 experts = 1;
  i32 k = 1;
  i32 capacity = 1;
  i32 tokens = 0;
  i32 samples = 1;
  i32 rows = 1;
};

/// matmul: how its operands a, b and y are seen as matrices (ops/matmul.hpp).
struct product_attributes {
  i32 heads[3] = {0, 0, 0};  // > 0: a sequence whose features are so many heads side by side
  bool transposed[3] = {false, false, false};
  float scale = 1;  // factor on the product
};

/// What embedding_bag makes of the rows of a bag.
enum class bag_mode : u8 { sum, mean, max };

struct user_operation;

struct attributes {
  window win;
  i32 groups = 1;                // convolution
  i32 axis = 0;                  // concat, split: of a sample, or of all where there are no samples
  u32 axes = 0;                  // reductions, expand: bits of extents of the larger operand
  i32 parts[8] = {};             // concat, split: extents of the parts along that axis
  float rate = 0;                // dropout: probability of a zero
  bool align_corners = false;    // upsample_bilinear: the corners' cells lie on each other
  i32 salt = 0;                  // dropout: which stream of random numbers
  i32 padding_index = -1;        // embedding: whose row gets no gradient
  bag_mode bag = bag_mode::sum;  // embedding_bag
  bool last_first = false;       // weight gradients of a stack: which slice comes first
  bool by_slices = false;        // embedding gradient of a stack: a sum for each slice
  bool sparse = false;           // embedding: rows that do not occur keep their optimizer state
  norm_attributes norm;
  response_attributes response;
  activation_attributes activation;
  product_attributes product;
  bool causal = false;                   // masked_softmax: no key behind its query
  const user_operation* user = nullptr;  // operations written by users (ir/user_operation.hpp)
  routing_attributes routing;
  loss_attributes loss;
  update_rule update;
  gradient_limits limits;
  loss_scaling scaling;
};

}  // namespace tessera
