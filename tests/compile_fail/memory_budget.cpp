// A memory budget that a training step does not keep: the compiler shows both numbers.
//
// expect: the step must fit 128 KiB
// expect: [1-9][0-9]+ < 131072
// lines: 7

#include <tessera/network.hpp>

using namespace tessera;

using net = network<input<64>, dense<64>, relu, dense<10>>;
#ifdef TESSERA_FIXED
using job = training<net, softmax_cross_entropy, adam, batch<32>>;
#else
using job = training<net, softmax_cross_entropy, adam, batch<256>>;
#endif
static_assert(job::memory.total_bytes < 128_KiB, "the step must fit 128 KiB");
