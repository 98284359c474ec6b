// A residual whose branch changes the channels: both shapes, and the projection that helps.
//
// expect: residual: expected the branch to give 16x8x8, got 32x8x8; add project<conv<32, 1>> at its end
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using block = residual<conv<32, 3, pad<1>>, relu, project<conv<32, 1>>>;
#else
using block = residual<conv<32, 3, pad<1>>, relu>;
#endif
using net = network<image<16, 8, 8>, block, flatten, dense<10>>;
static_assert(training<net, mse, sgd, batch<2>>::memory.arena_bytes < 1_MiB);
