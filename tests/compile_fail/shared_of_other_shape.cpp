// One tag for layers whose weights differ.
//
// expect: shared<a>: expected a weight of 5x7 as before, got 5x5; share layers of one shape on inputs of one shape
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
constexpr int features = 5;
#else
constexpr int features = 7;
#endif
using net = network<input<features>, shared<"a", dense<5>>, relu, shared<"a", dense<5>>>;
static_assert(training<net, mse, sgd, batch<2>>::memory.arena_bytes < 1_MiB);
