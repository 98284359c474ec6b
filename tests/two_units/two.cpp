// The second of the two units; see one.cpp.

#include <every_header.hpp>

int second_unit();

int second_unit() { return 0; }
