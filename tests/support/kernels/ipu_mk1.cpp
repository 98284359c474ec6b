#include <support/kernel_finders.hpp>

template tessera::kernel tessera::accelerator::find_kernel<tessera::accelerator::ipu_mk1>(
    const tessera::signature&);
