// The test programs' main. Compiled once for all of them: with Catch2 2.13 it takes 12 s.
// Catch2 3 brings its own main in the library Catch2WithMain; this file is then empty.

#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
