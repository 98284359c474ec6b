// Pooling after flatten.
//
// expect: max_pool<2>: expected a rank-3 input .channels x height x width., got 3136; put it before flatten
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using net = network<image<4, 28, 28>, relu, max_pool<2>, flatten, dense<10>>;
#else
using net = network<image<4, 28, 28>, relu, flatten, max_pool<2>, dense<10>>;
#endif
static_assert(inference<net, batch<1>>::memory.arena_bytes < 1_MiB);
