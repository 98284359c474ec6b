// All machines in one source: the kernels know their machine by a reference, so that the second one
// costs next to nothing.

#include <support/kernel_finders.hpp>

namespace tessera::accelerator {
template kernel find_kernel<ipu_mk1>(const signature&);
template kernel find_kernel<small_array>(const signature&);
template kernel find_kernel<tpu_v2_core>(const signature&);
}  // namespace tessera::accelerator
