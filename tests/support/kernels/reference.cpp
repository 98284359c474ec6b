#include <support/reference_kernels.hpp>

template void tessera::reference::run_in<float>(const tessera::call&);
template void tessera::reference::run_in<double>(const tessera::call&);
