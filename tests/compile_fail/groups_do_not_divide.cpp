// Groups that divide neither the channels coming in nor those going out.
//
// expect: conv<8, 3>: expected channels that 3 groups divide, got 4 in and 8 out; change groups or channels
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using grouped = conv<8, 3, groups<4>>;
#else
using grouped = conv<8, 3, groups<3>>;
#endif
using net = network<image<4, 8, 8>, grouped, flatten, dense<10>>;
static_assert(training<net, mse, sgd, batch<2>>::memory.arena_bytes < 1_MiB);
