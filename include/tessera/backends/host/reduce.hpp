#pragma once

// Reductions over axes and their gradients (ops/reduce.hpp states what they mean).
//
//   innermost axis kept      lanes are outputs: up to 4 vectors of them walk over what is reduced
//   innermost axis reduced   lanes are elements of one output: 4 sums take turns along a run, runs
//                            follow in order, then across lanes
//
// Sums are f32, halves widened in registers and the result rounded once. The order does not depend
// on the number of threads, which share the outputs; a sum of everything is one thread's work.
// Cost, measured as in broadcast.hpp: a sum of everything 43, of columns 62, a mean of runs of 196
// elements 95, of 49 elements 350, the largest of runs of 196 elements 260.

#include <tessera/backends/host/broadcast.hpp>  // axis_walk, store_row
#include <tessera/ops/reduce.hpp>

namespace tessera::host {

/// The axes of one kind of a whole, those that y has or those that it has not: counts through them
/// and knows where in the whole it is.
class whole_walk {
 public:
  /// `kept`: through the axes that operand 0 has. `skip_inner`: all but the innermost of the whole.
  whole_walk(const axes_sizes& n, bool kept, bool skip_inner) {
    i64 step = 1;
    for (i32 axis = n.axes - 1; axis >= 0; --axis) {
      const bool skipped = skip_inner && axis == n.axes - 1;
      if (n.has_axis(0, axis) == kept && !skipped) {
        extent_[axes_] = n.extent[axis];
        step_[axes_++] = step;
        count_ *= n.extent[axis];
      }
      step *= n.extent[axis];
    }
  }

  i64 count() const { return count_; }
  i64 place() const { return place_; }

  void start(i64 i) {
    place_ = 0;
    for (i32 k = 0; k < axes_; ++k) {  // innermost first
      at_[k] = static_cast<i32>(i % extent_[k]);
      i /= extent_[k];
      place_ += at_[k] * step_[k];
    }
  }
  void next() {
    for (i32 k = 0; k < axes_; ++k) {
      place_ += step_[k];
      if (++at_[k] < extent_[k]) return;
      at_[k] = 0;
      place_ -= extent_[k] * step_[k];
    }
  }

 private:
  i32 axes_ = 0;
  i32 extent_[axes_sizes::max_axes] = {};
  i32 at_[axes_sizes::max_axes] = {};
  i64 step_[axes_sizes::max_axes] = {};
  i64 count_ = 1;
  i64 place_ = 0;
};

/// How elements become one.
struct sum_of {
  static constexpr float missing = 0;  // changes nothing
  static simd::vec first() { return simd::zero(); }
  static simd::vec join(simd::vec all, simd::vec x) { return all + x; }
  static float across(simd::vec x) { return simd::sum(x); }
};
struct largest_of {
  static constexpr float missing = -__builtin_inff();
  static simd::vec first() { return simd::set(-__builtin_inff()); }
  /// NaN stays once it is there.
  static simd::vec join(simd::vec all, simd::vec x) {
    return simd::select((x > all) | simd::is_nan(x), x, all);
  }
  static float across(simd::vec x) {
    float all[simd::lanes];
    simd::store(all, x);
    float best = all[0];
    for (const float one : all) {
      if (one > best || one != one) best = one;
    }
    return best;
  }
};
/// How many elements equal `value`.
struct ties_of {
  static constexpr float missing = __builtin_nanf("");
  simd::vec value;
  static simd::vec first() { return simd::zero(); }
  simd::vec join(simd::vec all, simd::vec x) const {
    return all + simd::select(x == value, simd::set(1.0f), simd::zero());
  }
};

/// The elements of `length` from x on joined into `all`.
template <class T, class Join>
void join_run(const T* x, i64 length, const Join& join, simd::vec (&all)[4]) {
  using simd::lanes;
  i64 i = 0;
  for (; i + 4 * lanes <= length; i += 4 * lanes) {
    TESSERA_UNROLL
    for (i32 k = 0; k < 4; ++k) all[k] = join.join(all[k], simd::load(x + i + k * lanes));
  }
  for (; i + lanes <= length; i += lanes) all[0] = join.join(all[0], simd::load(x + i));
  if (i == length) return;
  static constexpr float numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const simd::mask there = simd::load(numbers) < simd::set(static_cast<float>(length - i));
  const simd::vec rest = simd::load_partial(x + i, static_cast<i32>(length - i));
  all[1] = join.join(all[1], simd::select(there, rest, simd::set(join.missing)));
}

/// Pieces of outputs with the innermost axis kept: body(output, element of the whole, lanes) for
/// every vector of them.
template <class Body>
void for_kept_vectors(const call& c, const axes_sizes& n, const Body& body) {
  constexpr i64 piece = 4 * simd::lanes;
  const i64 length = n.extent[n.axes - 1];
  const i64 pieces = (length + piece - 1) / piece;
  const i64 rows = n.count_of(0) / length;
  const threads workers = c.step->threads.when(n.count() >= 4096);
  parallel_for(workers, static_cast<i32>(rows * pieces), [&](i32 item) {
    whole_walk kept(n, true, true);
    kept.start(item / pieces);
    const i64 i = item % pieces * piece;
    body(item / pieces * length + i, kept.place() + i, length - i < piece ? length - i : piece);
  });
}

/// The reduction of one piece of outputs that lie side by side, at most 4 vectors.
template <class T, class Join>
void join_columns(const T* x, const axes_sizes& n, i64 count, const Join& join,
                  simd::vec (&all)[4]) {
  using simd::lanes;
  whole_walk reduced(n, false, false);
  reduced.start(0);
  if (count == 4 * lanes) {
    for (i64 k = 0; k < reduced.count(); ++k, reduced.next()) {
      TESSERA_UNROLL
      for (i32 v = 0; v < 4; ++v) {
        all[v] = join.join(all[v], simd::load(x + reduced.place() + v * lanes));
      }
    }
    return;
  }
  for (i64 k = 0; k < reduced.count(); ++k, reduced.next()) {
    for (i64 i = 0; i < count; i += lanes) {
      const i32 here = static_cast<i32>(count - i < lanes ? count - i : lanes);
      all[i / lanes] = join.join(all[i / lanes], load_up_to(x + reduced.place() + i, here));
    }
  }
}

/// reduce_sum, reduce_mean, reduce_amax.
template <class T, kind What>
void reduce(const call& c) {
  using simd::vec;
  using join_type = std::conditional_t<What == kind::reduce_amax, largest_of, sum_of>;
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  const vec over = simd::set(What == kind::reduce_mean ? static_cast<float>(n.times(0)) : 1.0f);
  const join_type join;
  if (n.has_axis(0, n.axes - 1)) {
    for_kept_vectors(c, n, [&](i64 output, i64 element, i64 count) {
      vec all[4] = {join.first(), join.first(), join.first(), join.first()};
      join_columns(x + element, n, count, join, all);
      store_row(y + output, count, [&](i64 i, i32) {
        return What == kind::reduce_mean ? all[i / simd::lanes] / over : all[i / simd::lanes];
      });
    });
    return;
  }
  const i64 length = n.extent[n.axes - 1];
  const i64 outputs = n.count_of(0);
  const threads workers = c.step->threads.when(n.count() >= 4096);
  constexpr i64 group = simd::lanes;  // outputs of a piece
  parallel_for(workers, static_cast<i32>((outputs + group - 1) / group), [&](i32 item) {
    whole_walk kept(n, true, false);
    kept.start(item * group);
    const i64 here = outputs - item * group < group ? outputs - item * group : group;
    float results[group] = {};
    for (i64 o = 0; o < here; ++o, kept.next()) {
      whole_walk reduced(n, false, true);
      reduced.start(0);
      vec all[4] = {join.first(), join.first(), join.first(), join.first()};
      for (i64 k = 0; k < reduced.count(); ++k, reduced.next()) {
        join_run(x + kept.place() + reduced.place(), length, join, all);
      }
      results[o] = join.across(join.join(join.join(all[0], all[1]), join.join(all[2], all[3])));
    }
    const vec r = simd::load(results);
    simd::store_partial(y + item * group, What == kind::reduce_mean ? r / over : r,
                        static_cast<i32>(here));
  });
}

/// expand; `Mean`: divided by the number of elements that share a value.
template <class T, bool Mean>
void expand(const call& c) {
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  const simd::vec over = simd::set(Mean ? static_cast<float>(n.times(0)) : 1.0f);
  const auto shared = [&](simd::vec v) { return Mean ? v / over : v; };
  const i64 length = n.extent[n.axes - 1];
  const bool runs = n.has_axis(0, n.axes - 1);
  parallel_ranges(c.step->threads, n.count(), [&](i64 first, i64 last) {
    axis_walk walk(n, first / length);
    for (i64 begin = first / length * length; begin < last; begin += length, walk.next()) {
      const i64 from = first > begin ? first - begin : 0;
      const i64 to = last - begin < length ? last - begin : length;
      const T* const row = x + walk.place(0);
      if (runs) {
        store_row(y + begin + from, to - from,
                  [&](i64 i, i32 lanes) { return shared(load_up_to(row + from + i, lanes)); });
      } else {
        const simd::vec value = shared(simd::set(simd::as_float(*row)));
        store_row(y + begin + from, to - from, [&](i64, i32) { return value; });
      }
    }
  });
}

/// reduce_amax_gradient: the ties of an output are counted before its elements are written, so that
/// dx may lie in x's bytes.
template <class T>
void reduce_amax_gradient(const call& c) {
  using simd::vec;
  const axes_sizes n = axes_sizes::of(*c.sizes);
  const T* const x = c.input<T>(0);
  const T* const y = c.input<T>(1);
  const T* const dy = c.input<T>(2);
  T* const dx = c.output<T>(0);
  const auto passed = [](vec element, vec largest, vec share) {
    return simd::select(element == largest, share, simd::zero());
  };
  if (n.has_axis(0, n.axes - 1)) {
    for_kept_vectors(c, n, [&](i64 output, i64 element, i64 count) {
      for (i64 i = 0; i < count; i += simd::lanes) {
        const i32 here = static_cast<i32>(count - i < simd::lanes ? count - i : simd::lanes);
        const ties_of join{load_up_to(y + output + i, here)};
        vec ties[4] = {join.first(), join.first(), join.first(), join.first()};
        join_columns(x + element + i, n, here, join, ties);
        const vec share = load_up_to(dy + output + i, here) / ties[0];
        whole_walk reduced(n, false, false);
        reduced.start(0);
        for (i64 k = 0; k < reduced.count(); ++k, reduced.next()) {
          const i64 at = element + i + reduced.place();
          simd::store_partial(dx + at, passed(load_up_to(x + at, here), join.value, share), here);
        }
      }
    });
    return;
  }
  const i64 length = n.extent[n.axes - 1];
  const threads workers = c.step->threads.when(n.count() >= 4096);
  parallel_for(workers, static_cast<i32>(n.count_of(0)), [&](i32 o) {
    whole_walk kept(n, true, false);
    kept.start(o);
    whole_walk reduced(n, false, true);
    reduced.start(0);
    const ties_of join{simd::set(simd::as_float(y[o]))};
    vec all[4] = {join.first(), join.first(), join.first(), join.first()};
    for (i64 k = 0; k < reduced.count(); ++k, reduced.next()) {
      join_run(x + kept.place() + reduced.place(), length, join, all);
    }
    const float ties = simd::sum((all[0] + all[1]) + (all[2] + all[3]));
    const vec share = simd::set(simd::as_float(dy[o]) / ties);
    for (i64 k = 0; k < reduced.count(); ++k, reduced.next()) {
      const i64 at = kept.place() + reduced.place();
      store_row(dx + at, length, [&](i64 i, i32 lanes) {
        return passed(load_up_to(x + at + i, lanes), join.value, share);
      });
    }
  });
}

}  // namespace tessera::host
