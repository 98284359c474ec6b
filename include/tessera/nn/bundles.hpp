#pragma once

// Bundles: several values that flow side by side.
//
//   branch<A, B, ...>     x            -> a(x), b(x), ...     several heads, several outputs
//   parallel<A, B, ...>   x, y, ...    -> a(x), b(y), ...
//   each<A>               x, y, ...    -> a(x), a(y), ...     the same weights: siamese networks
//   pick<I, ...>          x0, x1, ...  -> xI, ...
//   join_concat           x, y, ...    -> side by side along channels
//   join_add              x, y, ...    -> x + y + ...
//   join_multiply         x, y, ...    -> x y ...
//
// A bundle has at most `bundle::capacity` values.

#include <tessera/nn/branches.hpp>

namespace tessera {

/// What each of the layers makes of x.
template <layer... Layers>
struct branch {
  static constexpr bundle build(builder& b, const bundle& x) {
    return detail::build_branches<Layers...>(b, x, "branch");
  }
};

/// What each of the layers makes of the value at its place.
///
/// Errors   as many values as layers
template <layer... Layers>
struct parallel {
  static constexpr bundle build(builder& b, const bundle& x) {
    if (!b.usable(x)) return {};
    constexpr i32 count = sizeof...(Layers);
    if (x.size != count) {
      return b.fail({"parallel", spell_all(count, count == 1 ? " value" : " values"),
                     spell_all<64>(x.size), "give each value a layer; chain<> hands on"});
    }
    bundle all;
    i32 index = 0;
    (detail::collect(b, all, feed<Layers>(b, x.items[index++]), "parallel"), ...);
    return all;
  }
};

/// What one layer makes of each value, with the same weights for all.
///
/// Errors   values of different shapes where weights depend on them
template <layer Layer>
struct each {
  static constexpr bundle build(builder& b, const bundle& x) {
    bundle all;
    i32 set = -1;
    for (i32 i = 0; i < x.size && b.usable(x); ++i) {
      const auto around = b.begin_shared(nullptr, set);
      detail::collect(b, all, feed<Layer>(b, x.items[i]), "each");
      set = b.end_shared(around);
    }
    return all;
  }
};

/// Some of the values, by their places from 0. One place gives a value, several give a bundle.
///
/// Errors   places that the bundle does not have
template <i32... Places>
struct pick {
  static_assert(sizeof...(Places) > 0 && ((Places >= 0) && ...), "pick: expected places from 0");
  using output = std::conditional_t<sizeof...(Places) == 1, value, bundle>;

  static constexpr output build(builder& b, const bundle& x) {
    if (!b.usable(x)) return value{};
    bundle all;
    for (const i32 place : {Places...}) {
      if (place >= x.size) {
        return b.fail({spell_all<64>("pick<", place, ">"),
                       spell_all("more than ", place, " values"), spell_all<64>(x.size),
                       "count from 0"});
      }
      detail::collect(b, all, x.items[place], "pick");
    }
    if constexpr (std::same_as<output, value>) {
      return all.items[0];
    } else {
      return all;
    }
  }
};

/// All values side by side along channels (features, after time).
struct join_concat {
  static constexpr value build(builder& b, const bundle& x) {
    return b.concat(x, -1, "join_concat");
  }
};

/// The sum of all values.
struct join_add {
  static constexpr value build(builder& b, const bundle& x) {
    return b.join(kind::add, x, "join_add");
  }
};

/// The product of all values, element by element.
struct join_multiply {
  static constexpr value build(builder& b, const bundle& x) {
    return b.join(kind::multiply, x, "join_multiply");
  }
};

}  // namespace tessera
