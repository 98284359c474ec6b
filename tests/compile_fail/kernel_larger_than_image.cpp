// A convolution that does not fit its image, deep in a network.
//
// expect: conv<16, 5>: expected height and width of at least 5, got 3x3; add padding or use a smaller kernel
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using last = conv<16, 3>;
#else
using last = conv<16, 5>;
#endif

using net = network<image<1, 12, 12>, conv<6, 3, pad<1>>, tessera::tanh, max_pool<2>, conv<6, 3>,
                    relu, chain<max_pool<2, stride<1>>, last>, flatten, dense<10>>;
static_assert(training<net, softmax_cross_entropy, sgd, batch<4>>::memory.arena_bytes < 1_MiB);
