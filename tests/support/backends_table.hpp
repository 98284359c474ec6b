#pragma once

// Defines the table that backends.hpp declares; included by one source of a test program.

#include <support/backends.hpp>
#include <tessera/backends/accelerator.hpp>
#include <tessera/backends/host.hpp>

namespace tessera::testing {

const std::vector<graph_backend>& backends() {
  static const std::vector<graph_backend> all{
      reference_backend,
      {"host", &host::find_kernel, false},
      {"ipu_mk1", &accelerator::find_kernel<accelerator::ipu_mk1>, true},
      {"small_array", &accelerator::find_kernel<accelerator::small_array>, true}};
  return all;
}

}  // namespace tessera::testing
