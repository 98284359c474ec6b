#pragma once

// The host backend: kernels for this machine's processor.
//
//   simd, math       vectors; exp, tanh, sigmoid
//   product          the inner loop of matrix products and convolutions
//   dense, conv, conv_weight, elementwise, pool, loss, update     kernels by family
//   stream           steps on one frame of one sample, included by name (stream_steps.hpp)
//   kernels          kernel_of<signature>, find_kernel(signature), supports(signature)

#include <tessera/backends/host/kernels.hpp>
