// A budget that no recomputation keeps: the message says the least that can be kept.
//
// expect: budget<20000>: expected at least [1-9][0-9]+ bytes
// expect: got 20000; raise it, or take a smaller batch or type
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

using net = network<input<64>, dense<64>, batch_norm, relu, dense<64>, batch_norm, relu, dense<10>>;
#ifdef TESSERA_FIXED
using job = training<net, softmax_cross_entropy, adam, batch<64>, budget<100'000>>;
#else
using job = training<net, softmax_cross_entropy, adam, batch<64>, budget<20'000>>;
#endif
static_assert(job::memory.arena_bytes <= 100'000);
