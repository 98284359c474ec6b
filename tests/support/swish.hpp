#pragma once

// Operations as a user writes them, with kernels of their own: swish, x sigmoid(x) (Ramachandran
// et al. 2017), and a product with one learnt number.

#include <tessera/ir/user_operation.hpp>
#include <tessera/nn/builder.hpp>

#include <cmath>

namespace tessera::testing {

template <class T>
void swish_kernel(const call& c) {
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  for (i32 i = 0; i < c.sizes->n[4]; ++i) y[i] = x[i] / (T{1} + std::exp(-x[i]));
}

template <class T>
void swish_gradient_kernel(const call& c) {
  const T* x = c.input<T>(0);
  const T* dy = c.input<T>(5);
  T* dx = c.output<T>(0);
  for (i32 i = 0; i < c.sizes->n[4]; ++i) {
    const T s = T{1} / (T{1} + std::exp(-x[i]));
    dx[i] = dy[i] * (s + x[i] * s * (T{1} - s));
  }
}

inline constexpr user_operation swish{.name = "swish",
                                      .forward = &swish_kernel<float>,
                                      .gradient = &swish_gradient_kernel<float>,
                                      .forward_f64 = &swish_kernel<double>,
                                      .gradient_f64 = &swish_gradient_kernel<double>,
                                      .vector_ops_per_element = 4,
                                      .gradient_ops_per_element = 6.5f};

struct swish_layer {
  static constexpr value build(builder& b, value x) { return b.apply(swish, x); }
};

/// y = a x with a number `a` of the user's, in place.
template <class T>
void scaled_kernel(const call& c) {
  const T* x = c.input<T>(0);
  const T a = *c.input<T>(1);
  T* y = c.output<T>(0);
  for (i32 i = 0; i < c.sizes->n[4]; ++i) y[i] = a * x[i];
}

/// The gradients of x and of a, where they are wanted.
template <class T>
void scaled_gradient_kernel(const call& c) {
  const T* x = c.input<T>(0);
  const T a = *c.input<T>(1);
  const T* dy = c.input<T>(5);
  T sum = 0;
  for (i32 i = 0; i < c.sizes->n[4]; ++i) {
    sum += dy[i] * x[i];
    if (c.out[0] != nullptr) c.output<T>(0)[i] = a * dy[i];
  }
  if (c.out[1] != nullptr) *c.output<T>(1) = sum;
}

inline constexpr user_operation scaled{.name = "scaled",
                                       .forward = &scaled_kernel<float>,
                                       .gradient = &scaled_gradient_kernel<float>,
                                       .forward_f64 = &scaled_kernel<double>,
                                       .gradient_f64 = &scaled_gradient_kernel<double>,
                                       .in_place = true,
                                       .gradient_ops_per_element = 3};

struct scaled_layer {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const tensor_name name = b.begin_layer("factor");
    const value a{b.parameter(shape(1), name, "weight", initializer::ones, 1, 1)};
    return b.apply(scaled, x, a);
  }
};

}  // namespace tessera::testing
