#include <support/kernel_finders.hpp>

template tessera::kernel tessera::accelerator::find_kernel<tessera::accelerator::small_array>(
    const tessera::signature&);
