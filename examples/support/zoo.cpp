// The networks of the zoo, compiled once for all examples that are built together.

#include "zoo_networks.hpp"
