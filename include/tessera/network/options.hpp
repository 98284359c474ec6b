#pragma once

// Options of a job, in any order: batch<64>, mixed<fp16>, clip_norm<1>.

#include <tessera/network/precision.hpp>
#include <tessera/passes/recompute.hpp>

namespace tessera {

/// Samples per step.
template <i32 Size>
struct batch {
  static_assert(Size > 0, "batch: expected at least 1 sample");
  static constexpr i32 batch_size = Size;
};

/// The norm over the gradients of all parameters is made at most Numerator / Denominator: where it
/// is more, all are multiplied by limit / (norm + 1e-6), after loss scaling is undone. For limits
/// or norms that are no fractions derive and hide a constant:
///
///   struct gentle : clip_norm<> {
///     static constexpr float order = std::numeric_limits<float>::infinity();
///   };
///
/// All gradients are kept until the norm is known, and no update is fused with what computes its
/// gradient; the next loss scale is found as with skip_step. `trainer::gradient_norm()` reads the
/// norm. Source: Pascanu, Mikolov, Bengio 2013
template <i32 Numerator = 1, i32 Denominator = 1, i32 Order = 2>
struct clip_norm {
  static_assert(Numerator > 0 && Denominator > 0, "clip_norm: expected a positive limit");
  static_assert(Order > 0, "clip_norm: expected a norm of order 1 at least");
  static constexpr float largest_norm = static_cast<float>(Numerator) / Denominator;
  static constexpr float order = Order;
};

/// No element of a gradient is larger than Numerator / Denominator in magnitude, after loss scaling
/// is undone; with clip_norm, before the norm is taken. Each gradient is stored for the operation
/// that limits it, one at a time.
template <i32 Numerator = 1, i32 Denominator = 1>
struct clip_value {
  static_assert(Numerator > 0 && Denominator > 0, "clip_value: expected a positive limit");
  static constexpr float largest_value = static_cast<float>(Numerator) / Denominator;
};

/// A training step keeps whatever its backward pass reads: the default.
struct no_recompute {
  static constexpr recompute_policy recomputation{};
};

/// The arena of a training step takes at most `Bytes`: what does not fit is dropped and computed
/// again, at the least extra work that is found. Results are the same bits. A budget that cannot be
/// kept does not compile, and the message says the least that can: budget<100_MiB>.
template <i64 Bytes>
struct budget {
  static_assert(Bytes > 0, "budget: expected a positive number of bytes");
  static constexpr recompute_policy recomputation{recompute_goal::budget, Bytes};
};

/// The arena of a training step is as small as recomputation can make it.
struct least_memory {
  static constexpr recompute_policy recomputation{recompute_goal::least, 0};
};

/// The memory of the step is planned once when the program starts, by the functions that else run
/// while compiling: for networks that are too large for that. `job::memory` is then a function.
/// Kernels are chosen while compiling all the same, and results are the same bits.
struct plan_at_start {
  static constexpr bool planned_at_start = true;
};

/// `Bytes` of a fast memory beside the arena: what a step reads and writes most for its size and
/// life lies there. The trainer takes it as a part of its block, or from the caller, who knows
/// where such memory is: trainer(seed, threads, scratchpad_memory). Results are the same bits.
template <i64 Bytes>
struct scratchpad {
  static_assert(Bytes > 0, "scratchpad: expected a positive number of bytes");
  static constexpr i64 scratchpad_bytes = Bytes / tensor_alignment * tensor_alignment;
};

struct job_options {
  i32 batch = 1;
  precision_policy precision;
  gradient_limits limits;
  recompute_policy recompute;
  bool at_start = false;
  i64 scratchpad_bytes = 0;
};

template <class O>
concept job_option = precision<O> || requires {
  O::batch_size;
} || requires {
  O::largest_norm;
} || requires {
  O::largest_value;
} || requires {
  O::recomputation;
} || requires {
  O::planned_at_start;
} || requires {
  O::scratchpad_bytes;
};

template <job_option... Options>
constexpr job_options read_job_options() {
  job_options o;
  [[maybe_unused]] const auto apply = [&]<class O>(O*) {
    if constexpr (precision<O>) {
      o.precision = O::policy;
    } else if constexpr (requires { O::largest_norm; }) {
      static_assert(O::largest_norm > 0 && O::order >= 1, "clip_norm: expected a positive limit");
      o.limits.norm = O::largest_norm;
      o.limits.order = O::order;
    } else if constexpr (requires { O::largest_value; }) {
      static_assert(O::largest_value > 0, "clip_value: expected a positive limit");
      o.limits.value = O::largest_value;
    } else if constexpr (requires { O::recomputation; }) {
      o.recompute = O::recomputation;
    } else if constexpr (requires { O::planned_at_start; }) {
      o.at_start = O::planned_at_start;
    } else if constexpr (requires { O::scratchpad_bytes; }) {
      o.scratchpad_bytes = O::scratchpad_bytes;
    } else {
      o.batch = O::batch_size;
    }
  };
  (apply(static_cast<Options*>(nullptr)), ...);
  return o;
}

}  // namespace tessera
