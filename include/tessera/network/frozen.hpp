#pragma once

// Frozen values: what a constant evaluation hands on to the next one.
//
// A growable array cannot leave the evaluation that made it. Each stage therefore runs twice, once
// to learn the sizes and once to copy into arrays of exactly that size; the next stage thaws them.
// Every stage starts with a fresh allowance of constant-evaluation steps.

#include <tessera/ir/graph.hpp>

namespace tessera {

/// An array that may have no elements.
template <class T, i32 Size>
struct frozen_array {
  T items[Size > 0 ? Size : 1] = {};

  static constexpr i32 size() { return Size; }
  constexpr const T& operator[](i32 index) const { return items[index]; }
  constexpr T& operator[](i32 index) { return items[index]; }
  constexpr const T* begin() const { return items; }
  constexpr const T* end() const { return items + Size; }
  constexpr const T* data() const { return items; }
};

template <i32 Size, class T>
constexpr frozen_array<T, Size> freeze(const grow<T>& items) {
  frozen_array<T, Size> result;
  for (i32 i = 0; i < Size; ++i) result[i] = items[i];
  return result;
}

template <i32 Tensors, i32 Operations, i32 Bodies, i32 Scopes>
struct frozen_graph {
  frozen_array<tensor, Tensors> tensors;
  frozen_array<operation, Operations> operations;
  frozen_array<loop_body, Bodies> bodies;
  frozen_array<name_scope, Scopes> scopes;
  endpoints inputs;
  endpoints outputs;
  endpoints targets;
  endpoints losses;
  i32 scaler = -1;
  i32 clip = -1;
  i32 batch = 0;
  i32 forward_operations = 0;
};

struct graph_size {
  i32 tensors = 0;
  i32 operations = 0;
  i32 bodies = 0;
  i32 scopes = 0;
};

constexpr graph_size size_of(const graph& g) {
  return {g.tensors.size(), g.operations.size(), g.bodies.size(), g.scopes.size()};
}

template <graph_size Size>
constexpr auto freeze(const graph& g) {
  using frozen = frozen_graph<Size.tensors, Size.operations, Size.bodies, Size.scopes>;
  return frozen{freeze<Size.tensors>(g.tensors),
                freeze<Size.operations>(g.operations),
                freeze<Size.bodies>(g.bodies),
                freeze<Size.scopes>(g.scopes),
                g.inputs,
                g.outputs,
                g.targets,
                g.losses,
                g.scaler,
                g.clip,
                g.batch,
                g.forward_operations};
}

/// The graph of a finished step, to be read only: nothing is copied.
template <i32 Tensors, i32 Operations, i32 Bodies, i32 Scopes>
constexpr graph borrow(const frozen_graph<Tensors, Operations, Bodies, Scopes>& f) {
  graph g;
  g.tensors = grow<tensor>::borrow(f.tensors.items, Tensors);
  g.operations = grow<operation>::borrow(f.operations.items, Operations);
  g.bodies = grow<loop_body>::borrow(f.bodies.items, Bodies);
  g.scopes = grow<name_scope>::borrow(f.scopes.items, Scopes);
  g.inputs = f.inputs;
  g.outputs = f.outputs;
  g.targets = f.targets;
  g.losses = f.losses;
  g.scaler = f.scaler;
  g.clip = f.clip;
  g.batch = f.batch;
  g.forward_operations = f.forward_operations;
  return g;
}

/// The graph of a finished step, to be changed: what differentiation needs beside it (carries) is
/// not kept.
template <i32 Tensors, i32 Operations, i32 Bodies, i32 Scopes>
constexpr graph thaw(const frozen_graph<Tensors, Operations, Bodies, Scopes>& f) {
  graph g = borrow(f);
  g.tensors = grow<tensor>(g.tensors);
  g.operations = grow<operation>(g.operations);
  g.bodies = grow<loop_body>(g.bodies);
  g.scopes = grow<name_scope>(g.scopes);
  return g;
}

}  // namespace tessera
