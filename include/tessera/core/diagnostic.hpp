#pragma once

// Mistakes are data: a builder records the first one, and whoever asked for the network reports it,
// the compiler in one static_assert, a program known at run time by throwing the same words.

#include <tessera/core/text.hpp>

namespace tessera {

/// Where, what was expected, what was found, what to do. Empty `where` means nothing is wrong.
struct diagnostic {
  text<64> where;
  text<120> expected;
  text<64> got;
  text<96> fix;

  constexpr bool wrong() const { return !where.empty(); }
};

/// "dense<10>: expected a rank-1 input, got 1x28x28; put flatten before it"
constexpr text<360> spell(const diagnostic& d) {
  text<360> message;
  if (!d.wrong()) return message;
  message.append(d.where).append(": expected ").append(d.expected);
  if (!d.got.empty()) message.append(", got ").append(d.got);
  if (!d.fix.empty()) message.append("; ").append(d.fix);
  return message;
}

/// Carries a message into a compiler's output, as the argument of a test that fails.
template <text Message>
struct network_error {
  static constexpr bool ok = Message.empty();
};

/// `message` in the smallest text type that holds it, for use as a template argument.
template <i32 Size>
constexpr text<Size> cut(const text<360>& message) {
  text<Size> result;
  for (i32 i = 0; i < Size && i < message.size; ++i) result.append(message.letters[i]);
  return result;
}

}  // namespace tessera
