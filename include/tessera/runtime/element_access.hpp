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
    case element::int8: return get(i8{});
    case element::uint16: return get(u16{});
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
    case element::int8: return put(static_cast<i8>(value));
    case element::uint16: return put(static_cast<u16>(value));
  }
}

/// Puts the numbers into a constant whose numbers are known.
inline void fill_constant(const tensor& t, std::byte* data) {
  if (t.what != role::constant || t.values == nullptr) return;
  for (i64 i = 0; i < t.dims.count(); ++i) {
    write_element(data, t.type, i, static_cast<double>(t.values[i]));
  }
}

/// A batched tensor in memory: `blocks` of batch x values, or where samples are innermost of
/// values x batch. There is one block for each point in time, without time there is one.
struct batch_blocks {
  i64 blocks = 1;
  i64 batch = 1;
  i64 values = 1;
  bool batch_last = false;

  explicit batch_blocks(const tensor& t) : batch_last(t.batch_last) {
    for (i32 axis = 0; axis < t.dims.rank; ++axis) {
      (axis < t.stack ? blocks : axis == t.stack ? batch : values) *= t.dims[axis];
    }
  }

  i64 at(i64 block, i64 sample, i64 value) const {
    return block * batch * values + (batch_last ? value * batch + sample : sample * values + value);
  }
};

/// Where the element lies that is number `logical` in row-major order of the tensor's extents: time
/// if there is any, then the batch, then the rest.
inline i64 memory_index(const tensor& t, i64 logical) {
  if (!t.batch_last) return logical;
  const batch_blocks b(t);
  return b.at(logical / (b.batch * b.values), logical / b.values % b.batch, logical % b.values);
}

/// Where element `index` of sample `n` lies, counted row-major over `t.sample()`.
inline i64 sample_index(const tensor& t, i64 n, i64 index) {
  const batch_blocks b(t);
  return b.at(index / b.values, n, index % b.values);
}

/// All elements in row-major order of the extents, whatever the layout.
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
