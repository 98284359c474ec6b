#pragma once

// The reference kernels, compiled once for all test programs (support/kernels/reference.cpp): nine
// seconds for each source that runs them otherwise.

#include <tessera/backends/reference.hpp>

namespace tessera::reference {
extern template void run_in<float>(const call&);
extern template void run_in<double>(const call&);
}  // namespace tessera::reference
