#pragma once

// Inputs: the shape of one sample, the first argument of a network, or several of them.
//
// An input is a type with `dims`, the shape of one sample. Where it has them, `type` says the
// element type (f32 unless said; what a precision calls for where f32), `stack` how many of the
// first extents count time, which stands before the batch.

#include <tessera/nn/builder.hpp>

namespace tessera {

template <class I>
concept input_shape = requires {
  { I::dims } -> std::convertible_to<shape>;
};

/// Several inputs side by side, which the first layer gets as a bundle:
/// inputs<image<3, 32, 32>, input<10>>.
template <input_shape... Shapes>
struct inputs {
  static_assert(sizeof...(Shapes) > 0 && sizeof...(Shapes) <= endpoints::max_count,
                "inputs: expected 1 to 8 of them");
  static constexpr shape all[] = {Shapes::dims...};
};

namespace detail {

template <class I>
inline constexpr bool is_inputs = false;
template <input_shape... Shapes>
inline constexpr bool is_inputs<inputs<Shapes...>> = true;

template <input_shape I>
constexpr value build_one_input(builder& b) {
  element type = element::f32;
  i32 stack = 0;
  if constexpr (requires { I::type; }) type = I::type;
  if constexpr (requires { I::stack; }) stack = I::stack;
  return b.input(I::dims, type, stack);
}

template <input_shape... Shapes>
constexpr bundle build_inputs(builder& b, inputs<Shapes...>) {
  bundle all;
  ((all.items[all.size++] = build_one_input<Shapes>(b)), ...);
  return all;
}

}  // namespace detail

/// One input shape or several.
template <class I>
concept network_input = input_shape<I> || detail::is_inputs<I>;

/// Appends the inputs of a network: a value for one, a bundle for several.
template <network_input I>
constexpr auto build_input(builder& b) {
  if constexpr (input_shape<I>) {
    return detail::build_one_input<I>(b);
  } else {
    return detail::build_inputs(b, I{});
  }
}

/// The shape of a sample of the first input.
template <network_input I>
inline constexpr shape first_shape = [] {
  if constexpr (input_shape<I>) {
    return shape(I::dims);
  } else {
    return I::all[0];
  }
}();

/// Samples of any shape: input<784>, input<100, 26>.
template <i32... Extents>
struct input {
  static constexpr shape dims{Extents...};
};

/// Images, channels first: image<1, 28, 28>.
template <i32 Channels, i32 Height, i32 Width>
struct image {
  static constexpr shape dims{Channels, Height, Width};
};

/// Signals, channels first: signal<2, 16000> are 16,000 samples of two microphones. Layers of one
/// dimension (conv1d, max_pool1d, ...) take them. What runs over time step by step is a sequence.
template <i32 Channels, i32 Length>
struct signal {
  static constexpr shape dims{Channels, Length};
};

/// Samples that run over time: sequence<100, 26> has 100 steps of 26 features. Time is outermost in
/// memory, so that a loop reads it step by step.
template <i32 Time, i32... Extents>
struct sequence {
  static constexpr shape dims{Time, Extents...};
  static constexpr i32 stack = 1;
};

/// Whole numbers, such as words of a vocabulary: tokens<64> are 64 of them over time, tokens<> is
/// one a sample. They stay whole under every precision; an embedding makes features of them.
template <i32... Extents>
struct tokens {
  static constexpr shape dims{Extents...};
  static constexpr element type = element::int32;
  static constexpr i32 stack = sizeof...(Extents) > 0 ? 1 : 0;
};

/// Samples over two dimensions that loops run over: grid<28, 28, 3>, rows first.
template <i32 Rows, i32 Columns, i32... Extents>
struct grid {
  static constexpr shape dims{Rows, Columns, Extents...};
  static constexpr i32 stack = 2;
};

static_assert(input_shape<image<1, 28, 28>> && input_shape<input<784>> && input_shape<tokens<>>);

}  // namespace tessera
