// An operation written by a user, whose kernels are for fp32, in a job of mixed precision.
//
// expect: an operation written by a user has no kernels for the job's precision; fp32 has
// lines: 15

#include <tessera/tessera.hpp>

namespace ts = tessera;

void twice(const ts::call& c) {
  for (int i = 0; i < c.sizes->n[4]; ++i) c.output<float>(0)[i] = 2 * c.input<float>(0)[i];
}
void twice_gradient(const ts::call& c) {
  for (int i = 0; i < c.sizes->n[4]; ++i) c.output<float>(0)[i] = 2 * c.input<float>(5)[i];
}
inline constexpr ts::user_operation doubling{
    .name = "doubling", .forward = &twice, .gradient = &twice_gradient, .keeps_inputs = false};

struct doubled {
  static constexpr ts::value build(ts::builder& b, ts::value x) { return b.apply(doubling, x); }
};

#ifdef TESSERA_FIXED
using precision = ts::fp32;
#else
using precision = ts::mixed<ts::fp16>;
#endif
using net = ts::network<ts::input<4>, ts::dense<4>, doubled>;
using job = ts::inference<net, ts::batch<2>, precision>;

int main() { ts::predictor<job> p; }
