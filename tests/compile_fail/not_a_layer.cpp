// A type that is no layer among the layers: the error names it and the concept.
//
// expect: constraints not satisfied|template constraint failure
// expect: batch<10>
// expect: does not satisfy 'layer'|layer<Layers>.*evaluated to 'false'

#include <tessera/network.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using last = dense<10>;
#else
using last = batch<10>;
#endif
using net = network<image<1, 28, 28>, flatten, last>;
