#include <tessera/nn/dense.hpp>  // up: refused, [ as this comment may hold
