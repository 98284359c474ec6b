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
// Values are f32, and where `any_width` says so what the precision policy stores: f16 or bf16,
// which user_values reads and writes. Kernels for f64 are for the fp64 policy and for gradient
// checks; usually both are one function template. The accelerator model prices an operation by the
// stated number of operations on its vector units, as cut by output elements, and calls the same
// kernels; codelets (backends/accelerator/codelet.hpp) give it functions of its own and a formula
// for their cycles.

#include <tessera/core/bfloat16.hpp>
#include <tessera/core/half.hpp>
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
  bool any_width = false;              // kernels and codelets also know values of 16 bits
  float vector_ops_per_element = 1;    // for prices: of the forward and of the gradient kernel,
  float gradient_ops_per_element = 1;  // by output element
  const accelerator::codelet* codelet = nullptr;  // on the accelerator model, of the forward kernel
  const accelerator::codelet* gradient_codelet = nullptr;
};

constexpr bool is_user(kind what) { return what == kind::user || what == kind::user_gradient; }

/// The values of an operand, stored as f32, f16 or bf16; slots 0 to 7 are inputs, 8 and on outputs.
class user_values {
 public:
  user_values(const call& c, i32 slot)
      : type_(c.sizes->input_type(slot)), bytes_(slot < 8 ? c.in[slot] : c.out[slot - 8]) {}

  explicit operator bool() const { return bytes_ != nullptr; }

  float operator[](i64 i) const {
    switch (type_) {
      case element::f16: return to_float(reinterpret_cast<const half*>(bytes_)[i]);
      case element::bf16: return to_float(reinterpret_cast<const bfloat16*>(bytes_)[i]);
      default: return reinterpret_cast<const float*>(bytes_)[i];
    }
  }
  /// Rounds once, to nearest even.
  void set(i64 i, float x) const {
    switch (type_) {
      case element::f16: reinterpret_cast<half*>(bytes_)[i] = to_half(x); return;
      case element::bf16: reinterpret_cast<bfloat16*>(bytes_)[i] = to_bfloat16(x); return;
      default: reinterpret_cast<float*>(bytes_)[i] = x;
    }
  }

 private:
  element type_;
  std::byte* bytes_;
};

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
