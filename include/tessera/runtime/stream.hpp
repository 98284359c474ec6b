#pragma once

// Streaming: a network on one sample, frame by frame, with all memory in one object.
//
//   using voice = network<signal<1, 16000>, conv1d<8, 3, pad_ends<2, 0>>, tanh,
//                         conv1d<8, 3, pad_ends<4, 0>, dilation<2>>, tanh, conv1d<1, 1>>;
//   static stream<voice> s(trainer.weights());
//   for (float& sample : block) sample = s.step(sample);
//
//   frames in     sequence<time, features>: features    signal<channels, length>: channels
//                 tokens<time>: one whole number        input<n>: n
//   a frame out   float where it is one number, else a span that the next step overwrites
//
// The type's length of time does not matter: a stream goes on for ever. Weights are those of a
// trainer or predictor of the same network, under the same names. All steps of the network are
// inlined into one function whose sizes are constants (network/frames.hpp makes the list of them,
// backends/host/stream_steps.hpp runs it). step and reset allocate nothing, throw nothing, lock
// nothing and call no system: they may run where audio is played.
//
// A layer that cannot be run frame by frame (attention, both_directions, a window that looks ahead)
// is an error of the compiler, with the layer's name.

#include <tessera/backends/host/stream_steps.hpp>
#include <tessera/core/error.hpp>
#include <tessera/network/fuse_frames.hpp>
#include <tessera/runtime/weight_store.hpp>
#include <span>

namespace tessera {

/// Functions of a stream: tanh, sigmoid within 2 units of the last place.
struct exact_functions {
  using functions = host::accurate_math;
};
/// Fewer instructions: tanh and sigmoid within 7 units of the last place
/// (backends/host/stream_math.hpp).
struct fast_math {
  using functions = host::quick_math;
};

template <class F>
concept stream_functions = requires {
  typename F::functions;
};

namespace detail {

#if defined(__clang__)
template <class Mistake>
requires(Mistake::ok) struct frames_fit {
  using type = Mistake;
};
#else
template <class Mistake>
struct frames_fit {
  static_assert(Mistake::ok, "this network cannot be streamed; the note says why");
  using type = Mistake;
};
#endif

/// A network's steps on a frame as the host runs them: with places for packed weights.
template <network_type Network>
struct stream_program {
  static constexpr auto list = framed<Network>::list;
  static constexpr i32 steps = list.steps.size();

  struct places {
    i64 of[steps > 0 ? steps : 1] = {};
    i64 total = 0;
  };
  static constexpr places packed = [] {
    places p;
    for (i32 i = 0; i < steps; ++i) {
      p.of[i] = p.total;
      p.total += host::packed_floats(list.steps[i], host::sizes_of_step(list, list.steps[i]));
    }
    return p;
  }();
  static constexpr const auto& weights_at = packed.of;
};

}  // namespace detail

/// A network that runs frame by frame. `Functions`: exact_functions or fast_math.
///
/// Memory   sizeof: packed weights, one frame of each value, past frames of convolutions
/// Errors   "conv1d1: expected a window that ends at its own frame ..., use pad_ends<2, 0> ..."
template <network_type Network, stream_functions Functions = exact_functions>
class stream {
  using framed = detail::framed<Network>;
  using checked = typename detail::frames_fit<typename framed::mistake>::type;
  // After a mistake has been reported, one that fits: it stays one error.
  using program = detail::stream_program<
      std::conditional_t<framed::fits, Network, network<tessera::input<1>, dense<1>>>>;
  using math = typename Functions::functions;
  static constexpr const auto& list = program::list;

 public:
  static constexpr i32 inputs = list.values[list.input].size;
  static constexpr i32 outputs = list.values[list.output].size;
  static constexpr bool takes_tokens = list.tokens;
  /// What a frame is kept in, beside the weights.
  static constexpr i64 state_bytes = 4 * (list.value_floats + list.ring_floats);
  static constexpr i64 weight_bytes = 4 * program::packed.total;

  using input_type = std::conditional_t<
      takes_tokens, i32,
      std::conditional_t<inputs == 1, float,
                         std::span<const float, static_cast<std::size_t>(inputs)>>>;
  using output_type = std::conditional_t<outputs == 1, float,
                                         std::span<const float, static_cast<std::size_t>(outputs)>>;

  /// With weights of zeros.
  stream() = default;
  explicit stream(const weight_list& weights) { load(weights); }

  /// Takes over the weights of a trainer, a predictor or a weight_store of the network; states stay
  /// as they are. Nothing changes where something is wrong. Not for a callback: it allocates.
  ///
  /// Errors   a weight that is missing, or that has another shape
  void load(const weight_list& weights) {
    weight_store<Network> store;
    for (const weight& to : store.weights()) copy(find(weights, to), to);
    std::fill(std::begin(weights_), std::end(weights_), 0.0f);
    for (i32 i = 0; i < program::steps; ++i) {
      const frame_step& s = list.steps[i];
      host::step_weights named;
      for (i32 k = 0; k < 2; ++k) {
        named.weight[k] = slice(store, s.weight[k]);
        named.bias[k] = slice(store, s.bias[k]);
      }
      host::pack_step(s, host::sizes_of_step(list, s), named, math::before_sigmoid,
                      weights_ + program::packed.of[i]);
    }
  }

  /// The next frame.
  output_type step(input_type x) {
    host::stream_memory m{values_, rings_, positions_, weights_, 0};
    float* const in = values_ + list.values[list.input].at;
    if constexpr (takes_tokens) {
      m.token = x;
    } else if constexpr (inputs == 1) {
      in[0] = x;
    } else {
      std::copy(x.begin(), x.end(), in);
    }
    host::run_steps<program, math, 0, program::steps>(m);
    const float* const out = values_ + list.values[list.output].at;
    if constexpr (outputs == 1) {
      return out[0];
    } else {
      return output_type(out, static_cast<std::size_t>(outputs));
    }
  }

  /// The sequence begins again.
  void reset() {
    std::fill(std::begin(values_), std::end(values_), 0.0f);
    std::fill(std::begin(rings_), std::end(rings_), 0.0f);
    std::fill(std::begin(positions_), std::end(positions_), 0);
  }

 private:
  static std::span<const float> slice(const weight_store<Network>& store, const frame_weight& w) {
    if (!w.used()) return {};
    const tensor& t = store.about(w.tensor);
    i64 count = t.dims.count();
    for (i32 axis = 0; axis < t.stack; ++axis) count /= t.dims[axis];
    return {store.values(w.tensor) + w.base, static_cast<std::size_t>(count)};
  }

  static const weight& find(const weight_list& weights, const weight& wanted) {
    for (const weight& w : weights) {
      if (w.name != wanted.name) continue;
      if (w.about.dims == wanted.about.dims) return w;
      throw error("stream: \"" + wanted.name + "\" has another shape than in the network");
    }
    throw error("stream: \"" + wanted.name + "\" is missing");
  }

  static void copy(const weight& from, const weight& to) {
    for (i64 i = 0; i < to.about.dims.count(); ++i) {
      write_element(to.bytes.data(), to.about.type, i,
                    read_element(from.bytes.data(), from.about.type, i));
    }
  }

  static constexpr std::size_t room(i64 floats) {
    return static_cast<std::size_t>(floats > 0 ? floats : frame_padding);
  }

  alignas(64) float values_[room(list.value_floats)] = {};
  alignas(64) float rings_[room(list.ring_floats)] = {};
  alignas(64) float weights_[room(program::packed.total)] = {};
  i32 positions_[list.rings.size() > 0 ? list.rings.size() : 1] = {};
};

}  // namespace tessera
