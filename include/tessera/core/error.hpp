#pragma once

// What the library throws when a file, an option or a network known only at run time is wrong.
// Nothing inside a training or inference step throws.

#include <stdexcept>
#include <string>

namespace tessera {

/// One clear line: where, what was expected, what was found, what to do. Programs print it on
/// stderr and end with exit code 2.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace tessera
