// A level of a U-Net that goes down and not up again, in a scope: the message says which.
//
// expect: down1.skip: expected values that agree in all but channels, got 4x8x8 and 8x4x4
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using level = skip<conv<8, 3, pad<1>>>;
#else
using level = skip<max_pool<2>, conv<8, 3, pad<1>>>;
#endif
using net = network<image<4, 8, 8>, scope<"down1", level>, flatten, dense<10>>;
static_assert(training<net, mse, sgd, batch<2>>::memory.arena_bytes < 1_MiB);
