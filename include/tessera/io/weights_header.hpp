#pragma once

// Weights as constants of a C++ program, for targets without a file system: what a header written
// by `save_header` (train/weights_file.hpp) defines. Numbers are kept as bit patterns, so that they
// come back exactly as they were.

#include <tessera/core/element.hpp>
#include <tessera/core/shape.hpp>

namespace tessera::io {

/// One tensor: its elements as unsigned integers of the element's size, row-major.
struct header_tensor {
  const char* name;
  element type;
  shape dims;
  const void* elements;
};

/// All tensors of a header.
struct weights_header {
  const header_tensor* tensors;
  i32 count;
  const char* name;  // in messages
};

}  // namespace tessera::io
