#pragma once

// Numbers in and out of tensors, whatever their element type and layout. For weights, tests and
// results; not for the inside of a step.

#include <tessera/core/bfloat16.hpp>
#include <tessera/core/half.hpp>
#include <tessera/ir/graph.hpp>
#include <cstring>
#include <span>
#include <vector>

namespace tessera {

inline double read_element(const std::byte* data, element type, i64 index) {
  const auto get = [&]<class T>(T value) {
    std::memcpy(&value, data + index * static_cast<i64>(sizeof(T)), sizeof(T));
    return value;
  };
  switch (type) {
    case element::f32: return static_cast<double>(get(float{}));
    case element::f64: return get(double{});
    case element::f16: return static_cast<double>(to_float(get(half{})));
    case element::bf16: return static_cast<double>(to_float(get(bfloat16{})));
    case element::uint8: return get(u8{});
    case element::int32: return get(i32{});
    case element::int64: return static_cast<double>(get(i64{}));
  }
  return 0;
}

/// Rounds once, to nearest even, to the tensor's type.
inline void write_element(std::byte* data, element type, i64 index, double value) {
  const auto put = [&]<class T>(T rounded) {
    std::memcpy(data + index * static_cast<i64>(sizeof(T)), &rounded, sizeof(T));
  };
  switch (type) {
    case element::f32: return put(static_cast<float>(value));
    case element::f64: return put(value);
    case element::f16: return put(to_half(static_cast<float>(value)));
    case element::bf16: return put(to_bfloat16(static_cast<float>(value)));
    case element::uint8: return put(static_cast<u8>(value));
    case element::int32: return put(static_cast<i32>(value));
    case element::int64: return put(static_cast<i64>(value));
  }
}

/// Where the element lies that is number `logical` in batch-first order.
inline i64 memory_index(const tensor& t, i64 logical) {
  if (!t.batch_last || t.dims.rank == 0) return logical;
  const i64 sample = t.dims.count() / t.dims[0];
  return logical % sample * t.dims[0] + logical / sample;
}

/// All elements in batch-first order.
inline std::vector<double> read_tensor(const tensor& t, const std::byte* data) {
  std::vector<double> values(static_cast<std::size_t>(t.dims.count()));
  for (i64 i = 0; i < t.dims.count(); ++i) {
    values[static_cast<std::size_t>(i)] = read_element(data, t.type, memory_index(t, i));
  }
  return values;
}

inline void write_tensor(const tensor& t, std::byte* data, std::span<const double> values) {
  for (i64 i = 0; i < t.dims.count(); ++i) {
    write_element(data, t.type, memory_index(t, i), values[static_cast<std::size_t>(i)]);
  }
}

}  // namespace tessera
