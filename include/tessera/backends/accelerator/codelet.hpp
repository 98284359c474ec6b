#pragma once

// Codelets: how the model runs and prices an operation of a user's own.
//
// A vertex of such an operation has consecutive elements of the output, one tile's share. Its
// codelet is two functions: one computes those elements with the machine's arithmetic, one says
// what that costs. An operation may leave out either: without `compute` the user's kernel for hosts
// runs on the whole, without `cost` a vertex costs the operations that the definition states.
//
//   // y = x sigmoid(x), on lanes; the vector unit needs an exponential, a division, two more
//   inline void swish_on_tiles(const machine& m, const call& c, i64 first, i64 count) {
//     accelerator::map_values(m, c, first, count, [](accelerator::lanes x) {
//       return x * accelerator::sigmoid(x);
//     });
//   }
//   constexpr accelerator::codelet_cost swish_cost(const machine& m,
//                                                  const accelerator::codelet_vertex& v) {
//     const i64 per_vector = m.vector.exponential + m.vector.divide + 2 * m.vector.simple;
//     return {.cycles = vector_cost::elementwise(m.vector, v.elements, element::f32, per_vector),
//             .vector_ops = 4 * v.elements};
//   }
//   inline constexpr accelerator::codelet swish_codelet{&swish_on_tiles, &swish_cost};
//   inline constexpr user_operation swish{.name = "swish", .forward = &swish_kernel,
//                                         .gradient = &swish_gradient_kernel,
//                                         .codelet = &swish_codelet};
//
// The price of a step takes its cycles from there, and the counters of a run read the same, since
// both ask the one function. Bytes received, read and written follow from the operands.

#include <tessera/ir/call.hpp>
#include <tessera/ir/user_operation.hpp>
#include <tessera/machine/machine.hpp>
#include <tessera/machine/vector_cost.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::accelerator {

/// What a vertex has to do.
struct codelet_vertex {
  i64 elements = 0;  // of the output, on this tile
  user_sizes sizes;  // of the whole operation
};

/// What that costs its tile.
struct codelet_cost {
  i64 cycles = 0;
  i64 vector_ops = 0;  // elements through the vector unit: their energy
};

struct codelet {
  /// Writes elements [first, first + count) of the output (gradients: of those inputs that have as
  /// many elements as the output), whatever range it is called with; a range may be that of several
  /// tiles. Values are f32, or as `any_width` allows. Null: the kernel for hosts writes all at
  /// once.
  void (*compute)(const machine& m, const call& c, i64 first, i64 count) = nullptr;

  /// A pure, constexpr function of machine and sizes. Null: the definition's operations per
  /// element.
  codelet_cost (*cost)(const machine& m, const codelet_vertex& v) = nullptr;
};

/// The codelet for operation `s`, or null.
constexpr const codelet* codelet_of(const signature& s, const user_operation* user) {
  if (user == nullptr) return nullptr;
  return s.what == kind::user ? user->codelet : user->gradient_codelet;
}

}  // namespace tessera::accelerator
