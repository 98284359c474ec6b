#pragma once

// Options of a job, in any order: batch<64>, mixed<fp16>.

#include <tessera/network/precision.hpp>

namespace tessera {

/// Samples per step.
template <i32 Size>
struct batch {
  static_assert(Size > 0, "batch: expected at least 1 sample");
  static constexpr i32 batch_size = Size;
};

struct job_options {
  i32 batch = 1;
  precision_policy precision;
};

template <class O>
concept job_option = precision<O> || requires {
  O::batch_size;
};

template <job_option... Options>
constexpr job_options read_job_options() {
  job_options o;
  [[maybe_unused]] const auto apply = [&]<class O>(O*) {
    if constexpr (precision<O>) {
      o.precision = O::policy;
    } else {
      o.batch = O::batch_size;
    }
  };
  (apply(static_cast<Options*>(nullptr)), ...);
  return o;
}

}  // namespace tessera
