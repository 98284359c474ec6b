// A network of more operations than are planned while compiling: the message names the option with
// which its memory is planned when the program starts.
//
// expect: job: expected at most 400 operations in a forward pass planned while compiling, got 451
// expect: give the job the option plan_at_start
// lines: 12

#include <tessera/network.hpp>

using namespace tessera;

/// 225 layers in a line.
struct deep {
  static constexpr value build(builder& b, const bundle& x) {
    value y = x.items[0];
    for (int i = 0; i < 225; ++i) y = b.tanh(dense<8>::build(b, y));
    return y;
  }
};

using net = network<input<8>, deep>;
#ifdef TESSERA_FIXED
using job = training<net, mse, sgd, batch<4>, plan_at_start>;
inline i64 bytes() { return job::memory().total_bytes; }
#else
using job = training<net, mse, sgd, batch<4>>;
static_assert(job::memory.total_bytes > 0);
#endif

// None of these is a second error.
static_assert(job::tensor_count > 0 && job::operation_count > 0);
static_assert(job::plan::kernel_count > 0);
