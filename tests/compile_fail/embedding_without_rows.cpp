// A table without rows.
//
// expect: embedding<0, 4>: expected a table of at least 1 row and 1 column, got 0 x 4; count the different numbers of the input
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using words = embedding<10, 4>;
#else
using words = embedding<0, 4>;
#endif
using net = network<tokens<>, words, dense<10>>;
static_assert(training<net, mse, sgd, batch<2>>::memory.arena_bytes < 1_MiB);
