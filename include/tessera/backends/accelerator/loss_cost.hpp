#pragma once

// What losses cost a tile: cycles and operations of an element or a row.
//
// Rows go to workers one each; within a row the classes fill vectors of f32, sums fold them in a
// tree. Elements go like any elementwise operation, in f32.

#include <tessera/backends/accelerator/problem.hpp>
#include <tessera/machine/vector_cost.hpp>

namespace tessera::accelerator {

/// Cycles per vector and operations per element of a loss over elements.
struct element_loss_work {
  i64 cycles = 0;
  i64 ops = 0;
};

constexpr element_loss_work element_loss_work_of(const vector_unit& v, kind what) {
  const bool slope = is_loss_gradient(what);
  switch (loss_of(what)) {
    case kind::smooth_l1:
    case kind::huber: return {4 * v.simple + v.divide, 5};
    case kind::bce_with_logits:
      return slope ? element_loss_work{v.sigmoid_f32 + 3 * v.simple, 4}
                   : element_loss_work{v.exponential + v.logarithm + v.divide + 6 * v.simple, 9};
    case kind::bce:
      return slope ? element_loss_work{v.divide + 4 * v.simple, 5}
                   : element_loss_work{2 * v.logarithm + 4 * v.simple, 6};
    case kind::kl_div: return {(slope ? v.exponential : v.logarithm) + 2 * v.simple, 3};
    case kind::binary_hinge:
    case kind::hinge_embedding: return {3 * v.simple, 3};
    default: return {2 * v.simple, 2};  // mse, l1
  }
}

/// Cycles of one row of `classes` elements, and operations per element.
struct row_loss_work {
  i64 cycles = 0;
  i64 ops = 0;
};

constexpr row_loss_work row_loss_work_of(const vector_unit& v, kind what, i64 classes) {
  const i64 width = v.lanes_f32;
  const i64 vectors = vector_cost::ceil_div(classes, width);
  const i64 tree = vector_cost::tree(classes, width);
  const bool slope = is_loss_gradient(what);
  switch (loss_of(what)) {
    case kind::soft_cross_entropy:
      return {4 * tree + vectors * (4 * v.simple + v.exponential) + v.logarithm, 6};
    case kind::nll: return {(slope ? vectors : 1) * v.simple, 1};
    case kind::multiclass_hinge: return {tree + vectors * 4 * v.simple, 4};
    case kind::distillation:
      return {4 * tree + vectors * (8 * v.simple + 2 * v.exponential) + 2 * v.logarithm, 10};
    case kind::cosine_embedding:
      return {3 * tree + vectors * (slope ? 7 : 3) * v.simple + v.root + v.divide, slope ? 10 : 6};
    case kind::triplet:
      return {2 * tree + vectors * (slope ? 9 : 4) * v.simple + 2 * v.root, slope ? 11 : 6};
    default: return {2 * tree + vectors * (2 * v.simple + v.exponential) + v.logarithm, 4};
  }
}

/// Cycles and operations of a sample of CTC or its gradient.
struct ctc_work {
  i64 cycles = 0;
  i64 ops = 0;
};

/// Of each frame: the softmax of its classes, and three exp and a log for every vector of states;
/// backwards their shares besides.
constexpr ctc_work ctc_work_of(const vector_unit& v, kind what, const ctc_sizes& n) {
  const i64 width = v.lanes_f32;
  const i64 classes = vector_cost::ceil_div(n.classes, width);
  const i64 states = vector_cost::ceil_div(n.states(), width);
  const bool slope = is_loss_gradient(what);
  const i64 softmax = classes * (v.exponential + 2 * v.simple) + v.logarithm +
                      (slope ? 0 : 2 * vector_cost::tree(n.classes, width));
  const i64 step = states * (3 * v.exponential + v.logarithm + 8 * v.simple) +
                   vector_cost::tree(n.states(), width);
  const i64 shares = states * (v.exponential + 4 * v.simple) + vector_cost::tree(n.states(), width);
  return {n.time * (softmax + step + (slope ? shares : 0)),
          i64{n.time} * (4 * n.classes + (slope ? 17 : 12) * n.states())};
}

/// Bytes of an element of the first of a loss's outputs that there is.
constexpr i64 loss_output_bytes(const signature& s) {
  for (i32 slot = 0; slot < 3; ++slot) {
    if (s.has_output(slot)) return bytes_of(s.output_type(slot));
  }
  return 0;
}

/// Outputs of a gradient: all of compared vectors that learn.
constexpr i64 loss_outputs(const signature& s) {
  return (s.has_output(0) ? 1 : 0) + (s.has_output(1) ? 1 : 0) + (s.has_output(2) ? 1 : 0);
}

}  // namespace tessera::accelerator
