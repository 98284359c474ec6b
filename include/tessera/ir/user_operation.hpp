#pragma once

// Operations of a user's own: kernels and costs that a graph carries as pointers.
//
// One definition, a constant with static storage, describes the operation for all backends:
//
//   inline constexpr user_operation swish{
//       .name = "swish", .forward = &swish_kernel, .gradient = &swish_gradient_kernel};
//
// The forward kernel reads up to 4 inputs and writes one output. The gradient kernel finds the same
// inputs in slots 0 to 3, the forward output in slot 4 and its gradient in slot 5; it writes the
// gradient of input i to output i where that is wanted (else the output is null). Sizes: number of
// elements of operand i in `sizes->n[i]`, inputs 0 to 3, output 4; the batch in n[5]. A gradient
// kernel that keeps no inputs (or no output) finds null in their place.
//
// Values are f32. Kernels for f64 are for the fp64 policy and for gradient checks; usually both are
// one function template. The accelerator model prices an operation by the stated number of
// operations on its vector units, as cut by output elements, and calls the same kernels; codelets
// (backends/accelerator/codelet.hpp) give it functions of its own and a formula for their cycles.

#include <tessera/ir/call.hpp>

namespace tessera {

namespace accelerator {
struct codelet;
}

struct user_operation {
  static constexpr i32 max_inputs = 4;

  const char* name = "user";
  kernel forward = nullptr;
  kernel gradient = nullptr;  // null: no gradient goes through
  kernel forward_f64 = nullptr;
  kernel gradient_f64 = nullptr;
  bool in_place = false;               // the output may take over the bytes of input 0
  bool keeps_inputs = true;            // the gradient reads the inputs
  bool keeps_output = false;           // the gradient reads the output
  float vector_ops_per_element = 1;    // for prices: of the forward and of the gradient kernel,
  float gradient_ops_per_element = 1;  // by output element
  const accelerator::codelet* codelet = nullptr;  // on the accelerator model, of the forward kernel
  const accelerator::codelet* gradient_codelet = nullptr;
};

constexpr bool is_user(kind what) { return what == kind::user || what == kind::user_gradient; }

/// Runs the kernel of a user's that `c` asks for, for values of f32 or of f64.
inline void run_user_kernel(const call& c, bool in_double) {
  const user_operation& what = *c.attr->user;
  if (c.sizes->what == kind::user) {
    (in_double ? what.forward_f64 : what.forward)(c);
  } else {
    (in_double ? what.gradient_f64 : what.gradient)(c);
  }
}

}  // namespace tessera
