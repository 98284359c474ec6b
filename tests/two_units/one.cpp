// Two translation units include every header of the library and are linked into one program: a
// function or a variable that is not inline would be defined twice.

#include <every_header.hpp>

int second_unit();

int main() { return second_unit(); }
