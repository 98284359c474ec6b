#pragma once

// What flows between layers while a graph is built: symbolic values, alone or in bundles.

#include <tessera/core/types.hpp>
#include <initializer_list>

namespace tessera {

/// A symbolic value: what some operation will put out.
struct value {
  i32 id = -1;
  constexpr bool valid() const { return id >= 0; }
};

/// Several values side by side; a value is a bundle of one.
struct bundle {
  static constexpr i32 capacity = 16;

  value items[capacity];
  i32 size = 0;

  constexpr bundle() = default;
  constexpr bundle(value x) : items{x}, size(1) {}  // NOLINT: a value is a bundle
  constexpr bundle(std::initializer_list<value> values) {
    for (const value x : values) {
      if (size < capacity) items[size++] = x;
    }
  }

  constexpr const value* begin() const { return items; }
  constexpr const value* end() const { return items + size; }
};

}  // namespace tessera
