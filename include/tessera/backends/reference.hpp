#pragma once

// The reference backend: plain loops that the other backends are compared with, and the only one
// that computes in f64.

#include <tessera/backends/reference/kernels.hpp>
