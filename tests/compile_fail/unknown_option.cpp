// An option of another kind given to a layer: the error names it and the concept.
//
// expect: constraints not satisfied|template constraint failure
// expect: relu
// expect: does not satisfy 'layer_option'|layer_option<Options>.*evaluated to 'false'

#include <tessera/nn.hpp>

using namespace tessera;

#ifdef TESSERA_FIXED
using padded = conv<6, 3, pad<1>>;
#else
using padded = conv<6, 3, relu>;
#endif
