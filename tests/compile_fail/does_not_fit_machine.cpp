// A network that is too large for a machine: how much every tile needs, has, and what helps.
//
// expect: memory: every tile of ipu_mk1 needs [0-9]+ [KM]iB
// expect: KiB of what is alive, [0-9]+ KiB for its vertex\), it has 256 KiB
// expect: use more tiles \([0-9]+ would hold it\), recompute, or a smaller batch
// errors: 1

#include <tessera/tessera.hpp>

namespace ts = tessera;

#ifdef TESSERA_FIXED
constexpr int hidden = 64;
#else
constexpr int hidden = 16384;  // 1 GiB of weights; all tiles together have 304 MiB
#endif

using net = ts::network<ts::input<16384>, ts::dense<hidden>, ts::relu, ts::dense<10>>;
using job = ts::training<net, ts::softmax_cross_entropy, ts::sgd, ts::batch<16>>;
static_assert(ts::fits<job, ts::accelerator::ipu_mk1>);
