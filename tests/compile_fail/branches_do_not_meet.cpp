// Branches of different height and width put side by side.
//
// expect: concat: expected values that agree in all but channels, got 4x8x8 and 6x6x6; make their strides and padding agree
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using wide = conv<6, 3, pad<1>>;
#else
using wide = conv<6, 3>;
#endif
using net = network<image<1, 8, 8>, concat<conv<4, 1>, wide>, flatten, dense<10>>;
static_assert(training<net, mse, sgd, batch<2>>::memory.arena_bytes < 1_MiB);
