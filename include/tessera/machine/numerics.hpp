#pragma once

// How a machine computes with numbers: the order in which a sum is added up, how its result becomes
// a stored number, and what happens at the ends of a type's range.
//
// Arithmetic and prices read the same values, so that what a machine costs and what it computes
// cannot drift apart.

#include <tessera/core/element.hpp>
#include <tessera/core/types.hpp>

namespace tessera {

/// How the products of one output are summed. p_i is the exact product of two 16-bit numbers, or an
/// f32 product inside a fused multiply-add; every addition rounds to the accumulator's type, which
/// starts at +0. Sums of integers are exact whatever the order.
///
///   chain    acc = acc + p_i for i in order; an array whose outputs stay in place, or one whose
///            columns begin with the sums of the fold before
///   block4   acc = acc + ((p_0 + p_1) + (p_2 + p_3)) for each four in order; missing ones are 0
///   folds    a chain for each `rows` products, from +0; the chains are added up in order: an array
///            whose weights or inputs stay in place; outputs in place cannot make it
///   tree     acc = acc + (balanced tree of `depth` products) for each `depth` in order, neighbours
///            first, missing ones are 0; block4 is the tree of depth 4. A power of two up to 256;
///            of another depth the power of two below it
enum class accumulation : u8 { chain, block4, folds, tree };

/// How a sum becomes a stored 16-bit number. `stochastic` rounds up with the probability of the
/// part that does not fit, from a generator that the machine's seed starts.
enum class rounding : u8 { nearest_even, toward_zero, stochastic };

/// Element types of a matrix unit and what it does where they end.
struct number_handling {
  element in = element::f16;   // of the operands that it is made for
  element sum = element::f32;  // of the accumulator: f32 or i32
  element out = element::f16;  // of what it stores for such operands
  bool flush_inputs = false;   // subnormal operands count as zeros of their sign
  bool flush_outputs = false;  // subnormal results become zeros of their sign
  bool saturate = false;       // beyond the range: its end in place of an infinity
  u32 seed = 0;                // of stochastic rounding

  friend constexpr bool operator==(const number_handling&, const number_handling&) = default;
};

}  // namespace tessera
