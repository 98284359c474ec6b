#pragma once

// Texts that are put together while compiling: messages, names, shapes.

#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <string_view>

namespace tessera {

/// Up to `Capacity` characters; what does not fit is cut. A structural type, so that a message can
/// be a template argument and the compiler prints it.
template <i32 Capacity>
struct text {
  char letters[Capacity + 1] = {};
  i32 size = 0;

  constexpr text() = default;
  constexpr text(const char* letters_of) { append(letters_of); }  // NOLINT: a literal is a text

  constexpr text& append(char letter) {
    if (size < Capacity) letters[size++] = letter;
    return *this;
  }
  constexpr text& append(const char* other) {
    for (; *other != 0; ++other) append(*other);
    return *this;
  }
  template <i32 Other>
  constexpr text& append(const text<Other>& other) {
    return append(other.letters);
  }
  constexpr text& append(i64 number) {
    if (number < 0) append('-');
    u64 rest = number < 0 ? 0 - static_cast<u64>(number) : static_cast<u64>(number);
    char digits[20] = {};
    i32 count = 0;
    do {
      digits[count++] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    } while (rest != 0);
    while (count > 0) append(digits[--count]);
    return *this;
  }
  constexpr text& append(i32 number) { return append(static_cast<i64>(number)); }

  /// Shapes are spelled 1x28x28; a scalar is "scalar".
  constexpr text& append(const shape& dims) {
    if (dims.rank == 0) return append("scalar");
    for (i32 axis = 0; axis < dims.rank; ++axis) {
      if (axis > 0) append('x');
      append(dims[axis]);
    }
    return *this;
  }

  constexpr bool empty() const { return size == 0; }
  constexpr std::string_view view() const { return {letters, static_cast<std::size_t>(size)}; }
  constexpr operator std::string_view() const { return view(); }  // NOLINT: reads as a text
  friend constexpr bool operator==(const text& a, std::string_view b) { return a.view() == b; }
};

/// A literal as a template argument is a text of its size: named<"conv1", ...>.
template <std::size_t Size>
text(const char (&)[Size]) -> text<static_cast<i32>(Size) - 1>;

/// Joins texts, literals, numbers and shapes.
template <i32 Capacity = 120, class... Parts>
constexpr text<Capacity> spell_all(const Parts&... parts) {
  text<Capacity> joined;
  (joined.append(parts), ...);
  return joined;
}

}  // namespace tessera
