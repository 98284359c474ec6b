#include <tessera/optim/sgd.hpp>  // own folder: allowed
