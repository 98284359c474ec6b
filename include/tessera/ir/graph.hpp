#pragma once

// The graph: an ordinary value made of plain arrays of tensors and operations.
//
// Operations stand in the order in which they run; a tensor names its place in that order through
// the one operation that writes it first. Layers append to a graph, passes rewrite it, both while
// compiling or at run time.
//
// A loop is a pair of operations with its body between them, run as often as the body has trips:
//
//   dense   loop   lstm   add   end_loop   dense
//           |      \__ body 1 __/  |
//
// Every tensor belongs to a body (0: the step itself). Tensors of a body are made anew in each
// trip. What crosses its border is a view, and goes one level at a time: a tensor in a body whose
// bytes belong to a tensor of the body around it, at `base` in the first trip and moved by `step`
// with each further one (ops/loop.hpp makes them).

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
  statistic,   // lives with the parameters, is saved with them, has no gradient: running means
  working,     // 16-bit copy of a parameter, made anew in every step
  state,       // lives as long as the network: optimizer state, step counters, loss scale
  activation,  // arena: outputs of the forward pass
  gradient,    // arena: gradients of activations and parameters
  saved,       // arena: pool indices and what else the backward pass needs
  result       // arena, kept until the step ends: loss, logits
};

/// True for tensors that the memory plan places.
constexpr bool in_arena(role what) { return what >= role::activation; }

/// How a parameter gets its first values: initializer::he_normal, or with a number of its own
/// {initializer::normal_with, 0.02f}. What each form draws, and what its number is:
/// optim/initialize.hpp.
struct initializer {
  enum form : u8 {
    zeros,
    ones,
    constant,
    glorot_uniform,
    glorot_normal,
    he_uniform,
    he_normal,
    torch_uniform,
    he_uniform_out,
    he_normal_out,
    lecun_uniform,
    lecun_normal,
    uniform_in,
    normal_with,
    truncated_normal,
    orthogonal,
    sinusoidal
  };

  form what = zeros;
  float number = 0;

  constexpr initializer() = default;
  constexpr initializer(form how, float with = 0)
      : what(how), number(with) {}  // NOLINT: a form is one
  friend constexpr bool operator==(const initializer&, const initializer&) = default;
};

/// "conv2.weight.gradient" in pieces: layer, its number among its kind (0: none), part of it, and
/// what belongs to that part. Layers may stand in a named scope ("layer1.0."), see graph::scopes.
struct tensor_name {
  const char* layer = "";
  i32 ordinal = 0;
  const char* part = "";
  const char* of_part = "";
  i32 scope = -1;
};

/// The name of a part of `layer`: conv1 -> conv1.weight.
constexpr tensor_name part_of(const tensor_name& layer, const char* part) {
  return {layer.layer, layer.ordinal, part, "", layer.scope};
}

/// The name without its scope.
constexpr text<64> spell(const tensor_name& name) {
  text<64> joined(name.layer);
  if (name.ordinal > 0) joined.append(name.ordinal);
  if (*name.part != 0) joined.append('.').append(name.part);
  if (*name.of_part != 0) joined.append('.').append(name.of_part);
  return joined;
}

struct tensor {
  shape dims;  // stacks of trips, then batch first, whatever the layout
  element type = element::f32;
  role what = role::activation;
  bool batched = false;         // extent number `stack` counts samples
  bool batch_last = false;      // layout: samples are innermost, (channels, height, width, batch)
  bool repeated = false;        // computed again for the backward pass (passes/recompute.hpp)
  bool differentiable = false;  // depends on a parameter, or on an input whose gradient is wanted
  i32 stack = 0;                // leading extents that count trips or time, outermost in memory
  i32 body = 0;                 // the loop body it belongs to
  i32 of = -1;                  // a view: bytes of that tensor, of the same body or the one around,
  i64 base = 0;                 //   from this element on,
  i64 step = 0;                 //   moved by so many elements with each trip of `body`
  tensor_name name;
  initializer init = initializer::zeros;  // parameters
  i32 fan_in = 0;                         // parameters: for the initializer
  i32 fan_out = 0;
  float fill = 0;                 // states: their first value
  const float* values = nullptr;  // constants: what they hold, where that is known beforehand
  i32 parameter = -1;  // working copies, states and gradients: the parameter they belong to

  constexpr i64 bytes() const { return dims.count() * bytes_of(type); }
  constexpr i32 batch() const { return batched ? dims[stack] : 0; }

  /// The shape of one sample: time or trips first, without the batch.
  constexpr shape sample() const {
    if (!batched) return dims;
    shape s = dims;
    for (i32 axis = stack; axis + 1 < dims.rank; ++axis) s[axis] = dims[axis + 1];
    s[--s.rank] = 0;
    return s;
  }
};

/// A prefix of names: "layer1." and what stands in it. Where the scope is a repeated block, `first`
/// is the number of its first trip, which follows the name: "layer3.1.", "layer3.2.", ...
struct name_scope {
  const char* name = "";
  i32 parent = -1;
  i32 body = 0;  // of a repeated block; else 0
  i32 first = 0;
  i32 ordinal = 0;  // follows the name where it is counted: "repeat2."
};

struct operation {
  static constexpr i32 max_inputs = 8;
  static constexpr i32 max_outputs = 8;

  kind what = kind::none;
  i32 in[max_inputs] = {-1, -1, -1, -1, -1, -1, -1, -1};
  i32 out[max_outputs] = {-1, -1, -1, -1, -1, -1, -1, -1};
  i32 body = -1;  // loop, end_loop: the body between them
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

/// The body of a loop. Number 0 of a graph is the step itself.
struct loop_body {
  static constexpr i32 max_depth = 3;

  i32 parent = -1;
  i32 depth = 0;
  i32 trips = 1;
  bool reversed = false;     // the trip with the highest index runs first
  bool own_weights = false;  // every trip has parameters of its own (a repeated block)
};

/// A value that goes round a loop: `in` of a trip holds what `next` of the trip before has left;
/// `init` is what the first finds, `final` what the last leaves. All view one buffer of the body
/// around. Stacked: the buffer has a slot for every trip and one more, so that all values stay.
/// Detached: no gradient goes from a trip to the one before.
struct loop_carry {
  i32 body = 0;
  i32 buffer = -1;
  i32 init = -1;
  i32 in = -1;
  i32 next = -1;
  i32 final = -1;
  bool stacked = false;
  bool detached = false;
};

/// What a loop puts out: slot by slot, `inner` is a slice of `outer` (which may itself be a view of
/// a carry's buffer).
struct loop_output {
  i32 body = 0;
  i32 inner = -1;
  i32 outer = -1;
};

/// Tensors the outside world knows, in the order in which a network declares them.
struct endpoints {
  static constexpr i32 max_count = 8;

  i32 ids[max_count] = {-1, -1, -1, -1, -1, -1, -1, -1};
  i32 count = 0;

  constexpr endpoints() = default;
  constexpr endpoints(i32 only) { push(only); }  // NOLINT: one tensor is a list of one

  constexpr i32 size() const { return count; }
  constexpr bool full() const { return count == max_count; }
  constexpr i32 operator[](i32 index) const { return ids[index]; }
  constexpr const i32* begin() const { return ids; }
  constexpr const i32* end() const { return ids + count; }

  /// The caller has asked whether it is full.
  constexpr void push(i32 id) { ids[count++] = id; }
};

/// Tensors and operations, the few tensors the outside world knows by role, and the first mistake.
struct graph {
  grow<tensor> tensors;
  grow<operation> operations;
  grow<loop_body> bodies = grow<loop_body>(1);
  grow<loop_carry> carries;
  grow<loop_output> loop_outputs;
  grow<name_scope> scopes;
  i32 body = 0;  // where operations are being appended
  diagnostic wrong;
  endpoints inputs;
  endpoints outputs;  // what the network computes: logits, predictions
  endpoints targets;
  endpoints losses;  // scalars, f32; what a step makes smaller is their sum
  i32 scaler = -1;   // state of loss scaling, see ops/update.hpp
  i32 clip = -1;     // norm of all gradients and factor of clipping, see ops/update.hpp
  i32 batch = 0;
  i32 forward_operations = 0;  // of a step with a backward pass: the first of its operations

  constexpr i32 add(const tensor& t) { return tensors.push(t); }
  constexpr void add(const operation& op) { operations.push(op); }
};

/// True where `inner` is `outer` or lies within it.
constexpr bool encloses(const graph& g, i32 outer, i32 inner) {
  while (g.bodies[inner].depth > g.bodies[outer].depth) inner = g.bodies[inner].parent;
  return inner == outer;
}

/// The tensor whose bytes `id` views, itself where it is no view.
constexpr i32 storage_of(const graph& g, i32 id) {
  while (g.tensors[id].of >= 0) id = g.tensors[id].of;
  return id;
}

}  // namespace tessera
