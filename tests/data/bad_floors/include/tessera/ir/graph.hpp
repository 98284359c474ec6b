#include "../core/up.hpp"  // unseen path: refused
#include <zlib.h>  // not at its door: refused
#include <vector>
