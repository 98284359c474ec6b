// A fully connected layer on an image: the message names layer, shapes and remedy.
//
// expect: dense<10>: expected a rank-1 input, got 16x24x24; put flatten before it
// expect: dense_on_image.cpp:[0-9]+:
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using net = network<image<1, 28, 28>, conv<16, 5>, flatten, dense<10>>;
#else
using net = network<image<1, 28, 28>, conv<16, 5>, dense<10>>;
#endif

using job = training<net, softmax_cross_entropy, adam, batch<64>>;

// None of these is a second error.
constexpr auto first = job::placement(0);
constexpr auto plan = job::memory;
static_assert(job::tensor_count > 0 && job::operation_count > 0);

static_assert(job::memory.total_bytes < 16_MiB);
int main() { return static_cast<int>(first.bytes + plan.arena_bytes); }
