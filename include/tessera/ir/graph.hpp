#pragma once

// The graph: an ordinary value made of plain arrays of tensors and operations.
//
// Operations stand in the order in which they run; a tensor names its place in that order through
// the one operation that writes it first. Layers append to a graph, passes rewrite it, both while
// compiling or at run time.

#include <tessera/core/diagnostic.hpp>
#include <tessera/core/element.hpp>
#include <tessera/core/grow.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/ir/attributes.hpp>
#include <tessera/ir/kind.hpp>

namespace tessera {

/// Where a tensor's bytes are and who gives it its first value.
enum class role : u8 {
  input,       // the batch: the caller fills it before a step
  target,      // labels (i32) or wanted values: the caller fills it before a step
  constant,    // weights of classes and the like: the caller fills it once
  parameter,   // lives as long as the network; updated in place
  working,     // 16-bit copy of a parameter, made anew in every step
  state,       // lives as long as the network: optimizer state, step counters, loss scale
  activation,  // arena: outputs of the forward pass
  gradient,    // arena: gradients of activations and parameters
  saved,       // arena: pool indices and what else the backward pass needs
  result       // arena, kept until the step ends: loss, logits
};

/// True for tensors that the memory plan places.
constexpr bool in_arena(role what) { return what >= role::activation; }

/// How a parameter gets its first values; `uniform` and `normal` say the distribution.
/// Glorot, Bengio 2010; He et al. 2015 (gain sqrt 2); torch_uniform: U(+-1/sqrt(fan_in)).
enum class initializer : u8 {
  zeros,
  ones,
  glorot_uniform,
  glorot_normal,
  he_uniform,
  he_normal,
  torch_uniform
};

/// "conv2.weight.gradient" in pieces: layer, its number among its kind (0: none), part of it, and
/// what belongs to that part.
struct tensor_name {
  const char* layer = "";
  i32 ordinal = 0;
  const char* part = "";
  const char* of_part = "";
};

constexpr text<64> spell(const tensor_name& name) {
  text<64> joined(name.layer);
  if (name.ordinal > 0) joined.append(name.ordinal);
  if (*name.part != 0) joined.append('.').append(name.part);
  if (*name.of_part != 0) joined.append('.').append(name.of_part);
  return joined;
}

struct tensor {
  shape dims;  // batch first, whatever the layout
  element type = element::f32;
  role what = role::activation;
  bool batched = false;         // the first extent counts samples
  bool batch_last = false;      // layout: samples are innermost, (channels, height, width, batch)
  bool differentiable = false;  // depends on a parameter, or on an input whose gradient is wanted
  i32 of = -1;                  // a view: the same bytes as that tensor, from its first byte on
  tensor_name name;
  initializer init = initializer::zeros;  // parameters
  i32 fan_in = 0;                         // parameters: for the initializer
  i32 fan_out = 0;
  float fill = 0;      // states: their first value
  i32 parameter = -1;  // working copies, states and gradients: the parameter they belong to

  constexpr i64 bytes() const { return dims.count() * bytes_of(type); }
};

struct operation {
  static constexpr i32 max_inputs = 8;
  static constexpr i32 max_outputs = 6;

  kind what = kind::none;
  i32 in[max_inputs] = {-1, -1, -1, -1, -1, -1, -1, -1};
  i32 out[max_outputs] = {-1, -1, -1, -1, -1, -1};
  attributes attr;
  tensor_name layer;  // who asked for it
};

/// Slots in use, counted to the last one. Each kind gives its slots fixed meanings (ops/), so an
/// optional operand that is absent leaves a -1 between others.
constexpr i32 inputs_of(const operation& op) {
  i32 n = operation::max_inputs;
  while (n > 0 && op.in[n - 1] < 0) --n;
  return n;
}
constexpr i32 outputs_of(const operation& op) {
  i32 n = operation::max_outputs;
  while (n > 0 && op.out[n - 1] < 0) --n;
  return n;
}

/// Tensors and operations, the few tensors the outside world knows by role, and the first mistake.
struct graph {
  grow<tensor> tensors;
  grow<operation> operations;
  diagnostic wrong;
  i32 input = -1;
  i32 output = -1;  // what the network computes: logits, predictions
  i32 target = -1;
  i32 loss = -1;    // scalar f32
  i32 scaler = -1;  // state of loss scaling, see ops/update.hpp
  i32 batch = 0;

  constexpr i32 add(const tensor& t) { return tensors.push(t); }
  constexpr void add(const operation& op) { operations.push(op); }
};

/// The tensor whose bytes `id` views, itself where it is no view.
constexpr i32 storage_of(const graph& g, i32 id) {
  while (g.tensors[id].of >= 0) id = g.tensors[id].of;
  return id;
}

}  // namespace tessera
