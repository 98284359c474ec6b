// A classifier's loss on an image.
//
// expect: softmax_cross_entropy: expected a rank-1 output .one value per class., got 10x24x24; end with flatten and dense<classes>
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using net = network<image<1, 28, 28>, conv<10, 5>, flatten, dense<10>>;
#else
using net = network<image<1, 28, 28>, conv<10, 5>>;
#endif
using job = training<net, softmax_cross_entropy, sgd, batch<16>, mixed<fp16, skip_tensor>>;
static_assert(job::memory.arena_bytes < 4_MiB);
