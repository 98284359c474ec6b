#pragma once

// All kernels of the host and of three machines of the model, compiled once for all test programs
// (support/kernels/*.cpp): a minute for each, whoever else calls `find_kernel`.

#include <tessera/backends/accelerator.hpp>
#include <tessera/backends/host.hpp>

namespace tessera::host {
extern template kernel find_kernel<void>(const signature&);
}  // namespace tessera::host

namespace tessera::accelerator {
extern template kernel find_kernel<ipu_mk1>(const signature&);
extern template kernel find_kernel<small_array>(const signature&);
extern template kernel find_kernel<tpu_v2_core>(const signature&);
}  // namespace tessera::accelerator
