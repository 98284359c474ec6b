#pragma once

// Recurrent cells (ops/recurrent.hpp states what they mean).
//
// With samples innermost every gate is one contiguous piece of features x batch elements; with
// samples outermost each sample has its own short pieces. One loop serves both:
//
//   samples innermost   1 piece of H x batch      i i i i ... f f f f ... g g g g ... o o o o ...
//   samples outermost   batch pieces of H         i i f f g g o o | i i f f g g o o | ...
//
// All vectors of an element are read before any is written, so outputs may lie in an input's bytes.
// Threads share the elements of a state; no result depends on how.
//
// Cost in ns an element of a state of 32 x 128 floats, beside the functions alone (tanh 0.39,
// sigmoid 0.47 in AVX-512; 0.58 and 0.73 in AVX2; g++ 12 -O2, EPYC, one thread, caches warm):
//
//                       lstm   functions   its gradient   gru    functions   its gradient
//   AVX-512             2.5    2.2         0.8            1.6    1.3         0.5 to 0.9
//   AVX2                4.2    3.4         1.2 to 1.4     2.9    2.0         0.5 to 1.1
//
// The least of 200 runs on a machine that had other work. The slower gradients are those with
// samples innermost, where the gates of 32 x 128 lie 16 KiB apart; at 32 x 100 they take 0.5.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>
#include <cstring>

namespace tessera::host {

/// Vector access to `count` elements of a piece: whole vectors, the last partial.
struct whole_vector {
  template <class T>
  simd::vec load(const T* p) const {
    return simd::load(p);
  }
  template <class T>
  void store(T* p, simd::vec x) const {
    simd::store(p, x);
  }
};
struct partial_vector {
  i32 count;

  template <class T>
  simd::vec load(const T* p) const {
    return simd::load_partial(p, count);
  }
  template <class T>
  void store(T* p, simd::vec x) const {
    simd::store_partial(p, x, count);
  }
};

/// Calls work(access, state, gate, next) for all vectors of a state of (batch, features): the
/// element's place in a state, in the first of `gates` gates, and how far the next gate is.
template <class Work>
void for_state_vectors(const call& c, i32 gates, const Work& work) {
  const auto n = cell_sizes::of(*c.sizes);
  const i64 length = c.sizes->batch_last ? i64{n.batch} * n.features : n.features;
  parallel_ranges(c.step->threads, i64{n.batch} * n.features, [&](i64 first, i64 last) {
    while (first < last) {
      const i64 piece = first / length;
      const i64 end = (piece + 1) * length < last ? (piece + 1) * length : last;
      const i64 shift = piece * length * (gates - 1);
      for (; first + simd::lanes <= end; first += simd::lanes) {
        work(whole_vector{}, first, first + shift, length);
      }
      if (first < end) {
        work(partial_vector{static_cast<i32>(end - first)}, first, first + shift, length);
      }
      first = end;
    }
  });
}

/// s (1 - s) d: back through a sigmoid, from its output.
inline simd::vec through_sigmoid(simd::vec s, simd::vec d) { return d * s * (simd::set(1.0f) - s); }

/// (1 - t t) d: back through a tanh, from its output.
inline simd::vec through_tanh(simd::vec t, simd::vec d) {
  return d * simd::fnma(t, t, simd::set(1.0f));
}

template <class T>
void lstm_cell(const call& c) {
  const T* const z = c.input<T>(0);
  const T* const c_prev = c.input<T>(1);
  T* const h = c.output<T>(0);
  T* const cell = c.output<T>(1);
  T* const gates = c.sizes->has_output(2) ? c.output<T>(2) : nullptr;
  for_state_vectors(c, 4, [=](auto access, i64 s, i64 at, i64 next) {
    const simd::vec i = host::sigmoid(access.load(z + at));
    const simd::vec f = host::sigmoid(access.load(z + at + next));
    const simd::vec g = host::tanh(access.load(z + at + 2 * next));
    const simd::vec o = host::sigmoid(access.load(z + at + 3 * next));
    const simd::vec value = simd::fma(i, g, f * access.load(c_prev + s));
    access.store(h + s, o * host::tanh(value));
    access.store(cell + s, value);
    if (gates == nullptr) return;
    access.store(gates + at, i);
    access.store(gates + at + next, f);
    access.store(gates + at + 2 * next, g);
    access.store(gates + at + 3 * next, o);
  });
}

template <class T>
void lstm_cell_gradient(const call& c) {
  const T* const gates = c.input<T>(0);
  const T* const c_prev = c.input<T>(1);
  const T* const cell = c.input<T>(2);
  const T* const dh = c.sizes->has_input(3) ? c.input<T>(3) : nullptr;
  const T* const dc = c.sizes->has_input(4) ? c.input<T>(4) : nullptr;
  T* const dz = c.sizes->has_output(0) ? c.output<T>(0) : nullptr;
  T* const dc_prev = c.sizes->has_output(1) ? c.output<T>(1) : nullptr;
  for_state_vectors(c, 4, [=](auto access, i64 s, i64 at, i64 next) {
    const simd::vec i = access.load(gates + at);
    const simd::vec f = access.load(gates + at + next);
    const simd::vec g = access.load(gates + at + 2 * next);
    const simd::vec o = access.load(gates + at + 3 * next);
    const simd::vec t = host::tanh(access.load(cell + s));
    const simd::vec from_h = dh == nullptr ? simd::zero() : access.load(dh + s);
    const simd::vec from_c = dc == nullptr ? simd::zero() : access.load(dc + s);
    const simd::vec before = access.load(c_prev + s);
    const simd::vec d = simd::fma(from_h * o, simd::fnma(t, t, simd::set(1.0f)), from_c);
    if (dc_prev != nullptr) access.store(dc_prev + s, d * f);
    if (dz == nullptr) return;
    access.store(dz + at, through_sigmoid(i, d * g));
    access.store(dz + at + next, through_sigmoid(f, d * before));
    access.store(dz + at + 2 * next, through_tanh(g, d * i));
    access.store(dz + at + 3 * next, through_sigmoid(o, from_h * t));
  });
}

template <class T>
void gru_cell(const call& c) {
  const T* const zx = c.input<T>(0);
  const T* const zh = c.input<T>(1);
  const T* const h_prev = c.input<T>(2);
  T* const h = c.output<T>(0);
  T* const gates = c.sizes->has_output(1) ? c.output<T>(1) : nullptr;
  T* const kept = c.sizes->has_output(2) ? c.output<T>(2) : nullptr;
  for_state_vectors(c, 3, [=](auto access, i64 s, i64 at, i64 next) {
    const simd::vec r = host::sigmoid(access.load(zx + at) + access.load(zh + at));
    const simd::vec z = host::sigmoid(access.load(zx + at + next) + access.load(zh + at + next));
    const simd::vec hidden = access.load(zh + at + 2 * next);
    const simd::vec n = host::tanh(simd::fma(r, hidden, access.load(zx + at + 2 * next)));
    const simd::vec before = access.load(h_prev + s);
    access.store(h + s, simd::fma(simd::set(1.0f) - z, n, z * before));
    if (kept != nullptr) access.store(kept + s, hidden);
    if (gates == nullptr) return;
    access.store(gates + at, r);
    access.store(gates + at + next, z);
    access.store(gates + at + 2 * next, n);
  });
}

template <class T>
void gru_cell_gradient(const call& c) {
  const T* const gates = c.input<T>(0);
  const T* const kept = c.input<T>(1);
  const T* const h_prev = c.input<T>(2);
  const T* const dh = c.input<T>(3);
  T* const dzx = c.sizes->has_output(0) ? c.output<T>(0) : nullptr;
  T* const dzh = c.sizes->has_output(1) ? c.output<T>(1) : nullptr;
  T* const dh_prev = c.sizes->has_output(2) ? c.output<T>(2) : nullptr;
  for_state_vectors(c, 3, [=](auto access, i64 s, i64 at, i64 next) {
    const simd::vec r = access.load(gates + at);
    const simd::vec z = access.load(gates + at + next);
    const simd::vec n = access.load(gates + at + 2 * next);
    const simd::vec hidden = access.load(kept + s);
    const simd::vec d = access.load(dh + s);
    const simd::vec before = access.load(h_prev + s);
    const simd::vec dn = through_tanh(n, d * (simd::set(1.0f) - z));
    const simd::vec dz = through_sigmoid(z, d * (before - n));
    const simd::vec dr = through_sigmoid(r, dn * hidden);
    if (dh_prev != nullptr) access.store(dh_prev + s, d * z);
    if (dzx != nullptr) {
      access.store(dzx + at, dr);
      access.store(dzx + at + next, dz);
      access.store(dzx + at + 2 * next, dn);
    }
    if (dzh != nullptr) {
      access.store(dzh + at, dr);
      access.store(dzh + at + next, dz);
      access.store(dzh + at + 2 * next, dn * r);
    }
  });
}

/// Samples outermost: whole samples are copied; innermost: lanes choose. Values stay
/// as they are. Points in time are below 2^24.
template <class T>
void select_by_length(const call& c) {
  const auto n = cell_sizes::of(*c.sizes);
  const i32* const lengths = c.input<i32>(0);
  const T* const a = c.sizes->has_input(1) ? c.input<T>(1) : nullptr;
  const T* const b = c.sizes->has_input(2) ? c.input<T>(2) : nullptr;
  T* const y = c.output<T>(0);
  const i32 index = c.index;
  if (c.sizes->batch_last) {
    const i64 batch = n.batch;
    const simd::vec now = simd::set(static_cast<float>(index));
    parallel_ranges(c.step->threads, batch * n.features, [&](i64 first, i64 last) {
      for (i64 row = first / batch; row * batch < last; ++row) {
        const i64 begin = first > row * batch ? first : row * batch;
        const i64 end = (row + 1) * batch < last ? (row + 1) * batch : last;
        const i32* const length = lengths - row * batch;
        i64 i = begin;
        for (; i + simd::lanes <= end; i += simd::lanes) {
          const simd::mask runs = now < simd::load_i32(length + i);
          const simd::vec yes = a == nullptr ? simd::zero() : simd::load(a + i);
          const simd::vec no = b == nullptr ? simd::zero() : simd::load(b + i);
          simd::store(y + i, simd::select(runs, yes, no));
        }
        for (; i < end; ++i) {
          const T* const from = index < length[i] ? a : b;
          y[i] = from == nullptr ? T{} : from[i];
        }
      }
    });
    return;
  }
  parallel_for(c.step->threads, n.batch, [&](i32 sample) {
    const T* const from = index < lengths[sample] ? a : b;
    const i64 at = i64{sample} * n.features;
    const auto bytes = static_cast<std::size_t>(n.features) * sizeof(T);
    if (from == nullptr) {
      std::memset(static_cast<void*>(y + at), 0, bytes);
    } else if (from != y) {
      std::memcpy(static_cast<void*>(y + at), from + at, bytes);
    }
  });
}

}  // namespace tessera::host
