#pragma once

// The gated linear unit and its gradient (ops/glu.hpp states what they mean).
//
// A row is two runs of contiguous elements, values and gates. Cost: a sigmoid an element of y, else
// the speed of memory.

#include <tessera/backends/host/broadcast.hpp>  // store_row, load_up_to

namespace tessera::host {

/// body(row, first, last): pieces of rows, shared among the threads.
template <class Body>
void for_gate_pieces(const call& c, const Body& body) {
  const gate_sizes n = gate_sizes::of(*c.sizes);
  parallel_ranges(c.step->threads, n.count(), [&](i64 first, i64 last) {
    for (i64 i = first; i < last;) {
      const i64 row = i / n.run;
      const i64 begin = i - row * n.run;
      const i64 end = last - row * n.run < n.run ? last - row * n.run : n.run;
      body(row, begin, end);
      i += end - begin;
    }
  });
}

template <class T>
void glu(const call& c) {
  const i64 run = gate_sizes::of(*c.sizes).run;
  for_gate_pieces(c, [&](i64 row, i64 begin, i64 end) {
    const T* const a = c.input<T>(0) + row * 2 * run + begin;
    store_row(c.output<T>(0) + row * run + begin, end - begin, [&](i64 i, i32 lanes) {
      return load_up_to(a + i, lanes) * host::sigmoid(load_up_to(a + run + i, lanes));
    });
  });
}

template <class T>
void glu_gradient(const call& c) {
  using simd::vec;
  const i64 run = gate_sizes::of(*c.sizes).run;
  for_gate_pieces(c, [&](i64 row, i64 begin, i64 end) {
    const T* const a = c.input<T>(0) + row * 2 * run + begin;
    const T* const dy = c.input<T>(1) + row * run + begin;
    T* const da = c.output<T>(0) + row * 2 * run + begin;
    store_row(da + run, end - begin, [&](i64 i, i32 lanes) {
      const vec value = load_up_to(a + i, lanes);  // all is read before da is written
      const vec s = host::sigmoid(load_up_to(a + run + i, lanes));
      const vec passed = load_up_to(dy + i, lanes) * s;
      simd::store_partial(da + i, passed, lanes);
      return (passed * value) * (simd::set(1.0f) - s);
    });
  });
}

}  // namespace tessera::host
