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

template <class T, i32 Size>
constexpr grow<T> thaw(const frozen_array<T, Size>& items) {
  grow<T> result(Size);
  for (i32 i = 0; i < Size; ++i) result[i] = items[i];
  return result;
}

template <i32 Tensors, i32 Operations>
struct frozen_graph {
  frozen_array<tensor, Tensors> tensors;
  frozen_array<operation, Operations> operations;
  i32 input = -1;
  i32 output = -1;
  i32 target = -1;
  i32 loss = -1;
  i32 scaler = -1;
  i32 batch = 0;
};

struct graph_size {
  i32 tensors = 0;
  i32 operations = 0;
};

constexpr graph_size size_of(const graph& g) { return {g.tensors.size(), g.operations.size()}; }

template <graph_size Size>
constexpr frozen_graph<Size.tensors, Size.operations> freeze(const graph& g) {
  return {freeze<Size.tensors>(g.tensors),
          freeze<Size.operations>(g.operations),
          g.input,
          g.output,
          g.target,
          g.loss,
          g.scaler,
          g.batch};
}

template <i32 Tensors, i32 Operations>
constexpr graph thaw(const frozen_graph<Tensors, Operations>& f) {
  graph g;
  g.tensors = thaw(f.tensors);
  g.operations = thaw(f.operations);
  g.input = f.input;
  g.output = f.output;
  g.target = f.target;
  g.loss = f.loss;
  g.scaler = f.scaler;
  g.batch = f.batch;
  return g;
}

}  // namespace tessera
