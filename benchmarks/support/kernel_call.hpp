#pragma once

// One kernel of the host with its operands, called as a program calls it.

#include <tessera/backends/host.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/ops.hpp>  // sizes_pay

namespace bench {

struct kernel_call {
  tessera::signature sizes;
  tessera::kernel run = nullptr;
  tessera::attributes attr{};
  tessera::step_values step{};
  std::byte* in[8] = {};
  std::byte* out[6] = {};

  void operator()() const { run({in, out, &sizes, &attr, &step}); }
};

/// The kernel that a compiled program takes for S, with constant sizes where those pay; null where
/// the host has none.
template <tessera::signature S>
constexpr tessera::kernel compiled_kernel() {
  constexpr auto key = [] {
    tessera::signature k = S;
    k.fixed = tessera::ops::sizes_pay(k.what);
    if (!k.fixed) {
      for (tessera::i32& n : k.n) n = 0;
    }
    return k;
  }();
  return tessera::host::kernel_of<key>;
}

template <class T>
inline constexpr tessera::element element_of = tessera::element::f32;
template <>
inline constexpr tessera::element element_of<tessera::half> = tessera::element::f16;
template <>
inline constexpr tessera::element element_of<tessera::bfloat16> = tessera::element::bf16;

}  // namespace bench
