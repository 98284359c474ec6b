// Two branches, and a layer for one value behind them.
//
// expect: bundle: expected one value for the layer that follows, got 2 values; join them with join_concat or join_add
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using joined = chain<branch<dense<4>, dense<4>>, join_add>;
#else
using joined = branch<dense<4>, dense<4>>;
#endif
using net = network<input<8>, joined, dense<10>>;
static_assert(training<net, mse, sgd, batch<2>>::memory.arena_bytes < 1_MiB);
