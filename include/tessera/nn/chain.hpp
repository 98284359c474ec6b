#pragma once

// A chain: layers one after another, itself a layer.

#include <tessera/nn/builder.hpp>
#include <utility>

namespace tessera {

/// What a layer gives: a value or a bundle.
template <layer L>
using output_of = decltype(L::build(std::declval<builder&>(), value{}));

/// What `L` makes of what flows. A layer for one value refuses a bundle of several.
template <layer L>
constexpr output_of<L> feed(builder& b, const bundle& x) {
  if constexpr (requires { L::build(b, x); }) {
    return L::build(b, x);
  } else {
    if (x.size != 1 && b.usable(x)) {
      b.fail({"bundle", "one value for the layer that follows", spell_all<64>(x.size, " values"),
              "join them with join_concat or join_add, or put the layer in each<...>"});
    }
    return L::build(b, x.size == 1 ? x.items[0] : value{});
  }
}

namespace detail {

/// True where the last of some layers gives one value.
template <class... Layers>
constexpr bool ends_in_value() {
  bool single = false;
  ((single = std::same_as<output_of<Layers>, value>), ...);
  return single;
}

}  // namespace detail

/// Layers one after another. The chain of no layers hands on what it gets.
template <layer... Layers>
struct chain {
  using output = std::conditional_t<detail::ends_in_value<Layers...>(), value, bundle>;

  static constexpr output build(builder& b, const bundle& x) {
    bundle flow = x;
    ((flow = feed<Layers>(b, flow)), ...);
    if constexpr (std::same_as<output, value>) {
      return flow.items[0];
    } else {
      return flow;
    }
  }
};

}  // namespace tessera
