#pragma once

// The command line that all benchmarks of peers have in common.

#include <support/rounds.hpp>

#include <string>

namespace bench {

inline constexpr const char* options_help =
    "  --case NAME        only the cases that have NAME in their names\n"
    "  --list             names the cases and ends\n"
    "  --rounds N         rounds, in each of which every contestant runs for a slot (15)\n"
    "  --slot MS          milliseconds of a slot (20)\n"
    "  --clock wall|cpu   what is measured with (wall)\n"
    "  --core N           the core to run on (the last one that this process may use)\n"
    "  --threads N        threads, each on a core of its own: --core and the ones before it (1)\n"
    "  --json FILE        writes the results there as well, whole or not at all\n";

struct options {
  std::string only;
  std::string json;
  int core = -1;
  int threads = 1;
  bool list = false;
  round_options rounds;
};

/// Reads a command line; what is wrong with it is a tessera::error that says so in one line.
/// Answers --help itself.
options read_options(int argc, char** argv);

}  // namespace bench
