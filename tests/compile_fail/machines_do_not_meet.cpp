// A machine on top of another whose hidden units are not its visible ones.
//
// expect: dbn: machine 2: expected 500 visible units, the hidden ones below, got 400; make the machines meet
// lines: 12

#include <tessera/network/dbn.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using upper = rbm<500, 100>;
#else
using upper = rbm<400, 100>;
#endif
using stack = dbn<rbm<784, 500>, upper>;
static_assert(stack::size == 2);
