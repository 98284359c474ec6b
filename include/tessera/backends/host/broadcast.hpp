#pragma once

// Operations on two values whose shapes broadcast (ops/broadcast.hpp states what they mean).
//
// Elements are walked as the output lies in memory, by rows of its innermost axis: along a row each
// operand either runs on or stands still, so a row is one loop over vectors with loads or with a
// value set before it. Nothing is copied for an operand that lacks an axis. Neighbouring axes that
// nobody tells apart are one, so (batch, channels, height, width) + (channels, 1, 1) has rows of
// height x width and (batch, features) + (features) rows of features.
// Rows shorter than a vector are put together in a buffer first, element by element.
// Cost, of 50,000 elements in the second-level cache (ps an element, AVX-512; a copy takes 71, the
// sum of two values of one shape 129): 64 channels of 196 positions 100, rows of 128 features 240,
// rows of 10 features 800.

#include <tessera/backends/host/vector_math.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/broadcast.hpp>

namespace tessera::host {

/// Counts through the axes of a whole, all but the innermost, and knows where operands are.
class axis_walk {
 public:
  /// Starts at row `row`.
  axis_walk(const axes_sizes& n, i64 row) : outer_(n.axes - 1) {
    for (i32 axis = outer_ - 1; axis >= 0; --axis) {
      extent_[axis] = n.extent[axis];
      at_[axis] = static_cast<i32>(row % n.extent[axis]);
      row /= n.extent[axis];
      for (i32 operand = 0; operand < 2; ++operand) {
        step_[operand][axis] = n.step(operand, axis);
        place_[operand] += at_[axis] * step_[operand][axis];
      }
    }
  }

  /// Where the row's first value of an operand lies.
  i64 place(i32 operand) const { return place_[operand]; }

  void next() {
    for (i32 axis = outer_ - 1; axis >= 0; --axis) {
      place_[0] += step_[0][axis];
      place_[1] += step_[1][axis];
      if (++at_[axis] < extent_[axis]) return;
      at_[axis] = 0;
      place_[0] -= extent_[axis] * step_[0][axis];
      place_[1] -= extent_[axis] * step_[1][axis];
    }
  }

 private:
  i32 outer_;
  i32 extent_[axes_sizes::max_axes] = {};
  i32 at_[axes_sizes::max_axes] = {};
  i64 step_[2][axes_sizes::max_axes] = {};
  i64 place_[2] = {};
};

/// y[i] = f(i, lanes) for i < n, a vector at a time.
template <class T, class Function>
void store_row(T* y, i64 n, Function f) {
  using simd::lanes;
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) simd::store(y + i, f(i, lanes));
  if (i < n) {
    const i32 rest = static_cast<i32>(n - i);
    simd::store_partial(y + i, f(i, rest), rest);
  }
}

template <class T>
simd::vec load_up_to(const T* p, i32 n) {
  return n == simd::lanes ? simd::load(p) : simd::load_partial(p, n);
}

/// Elements [first, first + count) of the whole for rows that are shorter than a vector: operand
/// `operand` where it has all axes, else its values put side by side in `buffer`.
template <class T>
const T* gather(const axes_sizes& n, i32 operand, const T* from, i64 first, i64 count, T* buffer) {
  if (n.times(operand) == 1) return from + first;
  const i64 length = n.extent[n.axes - 1];
  const i64 step = n.step(operand, n.axes - 1);
  axis_walk walk(n, first / length);
  i64 column = first % length;
  for (i64 i = 0; i < count; walk.next(), column = 0) {
    const T* const row = from + walk.place(operand);
    for (; column < length && i < count; ++column) buffer[i++] = row[column * step];
  }
  return buffer;
}

/// y = f(a, b, dy) for rows that are shorter than a vector.
template <class T, class Function>
void map_short_rows(const call& c, const axes_sizes& n, Function f) {
  constexpr i64 piece = 16 * simd::lanes;
  const T* const dy = c.in[2] == nullptr ? nullptr : c.input<T>(2);
  T* const y = c.output<T>(0);
  parallel_ranges(c.step->threads, n.count(), [&](i64 first, i64 last) {
    T buffers[2][piece];
    for (i64 begin = first; begin < last; begin += piece) {
      const i64 here = last - begin < piece ? last - begin : piece;
      const T* const a = gather(n, 0, c.input<T>(0), begin, here, buffers[0]);
      const T* const b = gather(n, 1, c.input<T>(1), begin, here, buffers[1]);
      const T* const third = dy == nullptr ? a : dy + begin;
      store_row(y + begin, here, [&](i64 i, i32 lanes) {
        return f(load_up_to(a + i, lanes), load_up_to(b + i, lanes), third + i, lanes);
      });
    }
  });
}

/// y = f(a, b, dy); `dy`, where it is, has all axes.
template <class T, class Function>
void map_broadcast(const call& c, Function f) {
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const i64 length = n.extent[n.axes - 1];
  if (length < simd::lanes && n.axes > 1) return map_short_rows<T>(c, n, f);
  const T* const dy = c.in[2] == nullptr ? nullptr : c.input<T>(2);
  T* const y = c.output<T>(0);
  const bool a_runs = n.has_axis(0, n.axes - 1);
  const bool b_runs = n.has_axis(1, n.axes - 1);
  parallel_ranges(c.step->threads, n.count(), [&](i64 first, i64 last) {
    axis_walk walk(n, first / length);
    for (i64 begin = first / length * length; begin < last; begin += length, walk.next()) {
      const i64 from = first > begin ? first - begin : 0;
      const i64 to = last - begin < length ? last - begin : length;
      const T* const a = c.input<T>(0) + walk.place(0) + (a_runs ? from : 0);
      const T* const b = c.input<T>(1) + walk.place(1) + (b_runs ? from : 0);
      const T* const third = dy == nullptr ? y + begin + from : dy + begin + from;
      const auto rows = [&](auto left, auto right) {
        store_row(y + begin + from, to - from, [&](i64 i, i32 lanes) {
          return f(left(i, lanes), right(i, lanes), third + i, lanes);
        });
      };
      const auto runs = [](const T* p) {
        return [p](i64 i, i32 lanes) { return load_up_to(p + i, lanes); };
      };
      const auto stands = [](const T* p) {
        return [v = simd::set(simd::as_float(*p))](i64, i32) { return v; };
      };
      if (a_runs && b_runs) {
        rows(runs(a), runs(b));
      } else if (a_runs) {
        rows(runs(a), stands(b));
      } else {
        rows(stands(a), runs(b));
      }
    }
  });
}

/// The broadcasting operation `What`, stored as T.
template <class T, kind What>
void broadcast(const call& c) {
  using simd::select;
  using simd::vec;
  if constexpr (ops::is_broadcast_gradient(What)) {
    map_broadcast<T>(c, [](vec a, vec b, const T* third, i32 lanes) {
      const vec dy = load_up_to(third, lanes);
      const vec half = dy * simd::set(0.5f);
      if constexpr (What == kind::divide_gradient) {
        return -(dy * a) / (b * b);
      } else if constexpr (What == kind::maximum_gradient) {
        return select(a > b, dy, select(a == b, half, simd::zero()));
      } else {
        return select(a < b, dy, select(a == b, half, simd::zero()));
      }
    });
  } else {
    map_broadcast<T>(c, [](vec a, vec b, const T*, i32) {
      if constexpr (What == kind::broadcast_add) return a + b;
      if constexpr (What == kind::broadcast_subtract) return a - b;
      if constexpr (What == kind::broadcast_multiply) return a * b;
      if constexpr (What == kind::divide) return a / b;
      if constexpr (What == kind::maximum) return select((a > b) | simd::is_nan(a), a, b);
      if constexpr (What == kind::minimum) return select((a < b) | simd::is_nan(a), a, b);
    });
  }
}

}  // namespace tessera::host
