#pragma once

// What a trainer reads: numbered samples with what is wanted of the network for them.
//
//   size()                                 number of samples
//   sample_shape() [sample_shape(which)]   of input `which`; only its count must agree
//
// Inputs, f32, or i32 for an input of i32, row-major over the shape of one sample:
//   read(i, out)                           for a network with one input
//   read(i, which, out)                    for several; either form may serve for one
//
// Targets, i32 for a loss over classes, f32 for one that compares values:
//   target(i, which, out)                  target number `which` of sample i; goes first
//   targets(i, i32* out)                   one class for each position: pixels, points in time
//   label(i)                               one class for the sample; where values are compared and
//                                          there is no `target`, a row with a one at the label
//   target(i, float* out)                  values
// A source has what the network's losses call for; what is missing is said while compiling.
//
// What a source may have besides:
//   start_epoch(epoch) const               called before each epoch's samples are read for training
//   static constexpr bool in_order = true  samples are read first to last, never shuffled; what the
//                                          network carries from step to step begins anew with each
//                                          epoch

#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <concepts>

namespace tessera {

template <class S>
concept sample_source = requires(const S& s) {
  { s.size() } -> std::convertible_to<i64>;
};

namespace detail {

template <class S>
concept in_order = requires {
  requires S::in_order;
};

template <class S>
concept has_label = requires(const S& s, i64 i) {
  { s.label(i) } -> std::convertible_to<i32>;
};
template <class S, class T>
concept reads_one = requires(const S& s, i64 i, T* out) {
  {s.read(i, out)};
};
template <class S, class T>
concept reads_several = requires(const S& s, i64 i, i32 which, T* out) {
  {s.read(i, which, out)};
};
template <class S, class T>
concept targets_several = requires(const S& s, i64 i, i32 which, T* out) {
  {s.target(i, which, out)};
};
template <class S>
concept targets_positions = requires(const S& s, i64 i, i32* out) {
  {s.targets(i, out)};
};
template <class S>
concept targets_values = requires(const S& s, i64 i, float* out) {
  {s.target(i, out)};
};

/// Writes the values of input `which` of sample `index` to `out`.
template <class T, class S>
void read_input(const S& source, i64 index, [[maybe_unused]] i32 which, T* out) {
  if constexpr (reads_several<S, T>) {
    source.read(index, which, out);
  } else if constexpr (reads_one<S, T>) {
    source.read(index, out);
  }
}

/// Writes target `which` of sample `index`, `count` values, to `out`.
template <class T, class S>
void read_target(const S& source, i64 index, [[maybe_unused]] i32 which, [[maybe_unused]] i64 count,
                 T* out) {
  if constexpr (targets_several<S, T>) {
    source.target(index, which, out);
  } else if constexpr (std::same_as<T, i32>) {
    if constexpr (targets_positions<S>) {
      source.targets(index, out);
    } else if constexpr (has_label<S>) {
      *out = source.label(index);
    }
  } else if constexpr (targets_values<S>) {
    source.target(index, out);
  } else if constexpr (has_label<S>) {
    for (i64 k = 0; k < count; ++k) out[k] = 0;
    out[source.label(index)] = 1;
  }
}

/// Whether a source gives inputs, and targets, of element type T; `single`: one value per sample.
template <class T, class S>
constexpr bool gives_input(bool only) {
  return reads_several<S, T> || (only && reads_one<S, T>);
}
template <class T, class S>
constexpr bool gives_target(bool single) {
  if (targets_several<S, T>) return true;
  if constexpr (std::same_as<T, i32>) {
    return targets_positions<S> || (single && has_label<S>);
  } else {
    return targets_values<S> || has_label<S>;
  }
}

}  // namespace detail
}  // namespace tessera
