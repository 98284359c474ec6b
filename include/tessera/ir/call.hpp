#pragma once

// What a kernel is handed: addresses, sizes, attributes and the values of this step.

#include <tessera/ir/attributes.hpp>
#include <tessera/ir/signature.hpp>
#include <tessera/ir/threads.hpp>
#include <cstddef>

namespace tessera {

/// What changes from step to step.
struct step_values {
  float learning_rate = 0;
  u64 seed = 0;   // of dropout masks
  u64 step = 0;   // number of this step, counts dropout masks on
  i32 valid = 0;  // samples of the batch that count; the rest is padding (always the last ones)
  tessera::threads threads = {};  // that a kernel may use; no result depends on them
  void* backend = nullptr;  // the backend's own state, such as the accelerator model's counters
};

/// One call of a kernel. Absent operands are null. Output slots of updates are read and written.
struct call {
  std::byte* const* in;
  std::byte* const* out;
  const signature* sizes;
  const attributes* attr;
  const step_values* step;
  i32 index = 0;      // inside a loop: which slice this is, the point in time; 0 elsewhere
  i32 trip = 0;       // inside loops: number of this slice among all of the loops around, from 0
  i32 number = 0;     // of the operation in its program: tells random numbers of operations apart
  bool kept = false;  // inside loops: the weights are the same as in the trip before
  const call* then = nullptr;  // the operation after it, where the kernel does both (runtime/join)

  template <class T>
  const T* input(i32 slot) const {
    return reinterpret_cast<const T*>(in[slot]);
  }
  template <class T>
  T* output(i32 slot) const {
    return reinterpret_cast<T*>(out[slot]);
  }
};

using kernel = void (*)(const call&);

}  // namespace tessera
