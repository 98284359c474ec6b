#include <support/kernel_finders.hpp>

template tessera::kernel tessera::accelerator::find_kernel<tessera::accelerator::tpu_v2_core>(
    const tessera::signature&);
