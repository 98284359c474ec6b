// A batch without samples.
//
// expect: batch: expected at least 1 sample

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
constexpr int samples = 1;
#else
constexpr int samples = 0;
#endif
static_assert(batch<samples>::batch_size >= 0);
