#pragma once

// What a trainer reads: numbered samples with labels.

#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <concepts>

namespace tessera {

/// `read(i, out)` writes the values of sample i as f32, row-major; `label(i)` is its class.
template <class S>
concept sample_source = requires(const S& s, i64 index, float* out) {
  { s.size() } -> std::convertible_to<i64>;
  { s.sample_shape() } -> std::convertible_to<shape>;
  {s.read(index, out)};
  { s.label(index) } -> std::convertible_to<i32>;
};

}  // namespace tessera
