#pragma once

#include <tessera/backends/parallel.hpp>

namespace tessera::host {

template <class Body>
void parallel_for(i32 workers, i32 count, const Body& body) {
  tessera::parallel_for(threads{workers}, count, body);
}
template <class Body>
void parallel_ranges(i32 workers, i64 count, const Body& body) {
  tessera::parallel_ranges(threads{workers}, count, body);
}

}  // namespace tessera::host
