#include <support/kernel_finders.hpp>

template tessera::kernel tessera::host::find_kernel<void>(const tessera::signature&);
