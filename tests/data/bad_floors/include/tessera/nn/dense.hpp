#include <tessera/optim.hpp>  // sideways: refused
#  include <tessera/core/up.hpp>  // down: allowed
