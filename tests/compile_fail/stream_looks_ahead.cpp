// A convolution whose window reaches past its own frame, in a stream.
//
// expect: conv1d2: expected a window that ends at its own frame and moves by one, got padding of 1 before and 1 behind, stride 1; use pad_ends<2, 0> without stride
// lines: 12

#include <tessera/runtime/stream.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using centred = conv1d<8, 3, pad_ends<2, 0>>;
#else
using centred = conv1d<8, 3, pad<1>>;
#endif

using net = network<signal<1, 100>, conv1d<4, 2, pad_ends<1, 0>>, relu, centred>;
static_assert(stream<net>::outputs >= 1);
