#pragma once

// Branches that part and meet again.
//
//   residual<Body...>                     y = body(x) + x                    He et al. 2016
//   residual<Body..., project<P...>>      y = body(x) + p(x)
//   concat<A, B, ...>                     a(x), b(x), ... along channels     Szegedy et al. 2015
//   add<A, B, ...>                        a(x) + b(x) + ...
//   multiply<A, B, ...>                   a(x) b(x) ...
//   skip<Inner...>                        x and inner(x) along channels      Ronneberger et al.
//   2015 shortcut_a<Channels, Stride>          x thinned out, with channels of zeros around it
//
// A branch is a layer, several in a row go into chain<...>, and chain<> is the branch that does
// nothing. Branches that do not meet are a mistake, told with both shapes.

#include <tessera/nn/chain.hpp>

namespace tessera {

/// The way around the body of a residual, where that is not x itself: the last of its arguments.
template <layer... Layers>
struct project : chain<Layers...> {};

namespace detail {

/// Puts what a branch gives beside what the others gave.
constexpr void collect(builder& b, bundle& all, const bundle& more, const char* where) {
  for (const value x : more) {
    if (all.size == bundle::capacity) {
      b.fail({where, spell_all("at most ", bundle::capacity, " values"), "more",
              "join some of them first"});
      return;
    }
    all.items[all.size++] = x;
  }
}

template <class L>
inline constexpr bool is_project = false;
template <class... Layers>
inline constexpr bool is_project<project<Layers...>> = true;

/// The layer that would make x as large as y: "add project<conv<32, 1, stride<2>>>".
constexpr text<96> suggest_projection(const shape& x, const shape& y) {
  if (y.rank == 1) return spell_all<96>("add project<dense<", y[0], ">> at its end");
  if (x.rank == 3 && y.rank == 3 && y[1] > 0) {
    const i32 step = (x[1] + y[1] / 2) / y[1];
    if (step == 1) {
      if (x[1] != y[1] || x[2] != y[2]) return "pad within the branch";
      return spell_all<96>("add project<conv<", y[0], ", 1>> at its end");
    }
    return spell_all<96>("add project<conv<", y[0], ", 1, stride<", step, ">>> at its end");
  }
  return "make the branch keep the shape, or add project<...> at its end";
}

}  // namespace detail

/// y = body(x) + x, the body being all layers in a row; with project<...> as the last argument,
/// that instead of x.
///
/// Shapes   whatever the body keeps, or the projection matches
/// Memory   the sum takes over the bytes of the body's last output
/// Errors   "residual: expected the branch to give 16x8x8, got 32x8x8; add project<...> ..."
template <layer... Body>
struct residual {
  static constexpr value build(builder& b, const bundle& x) {
    bundle y = x;
    bundle around = x;
    bool projected = false;
    (
        [&] {
          if constexpr (detail::is_project<Body>) {
            around = feed<Body>(b, x);
            projected = true;
          } else {
            y = feed<Body>(b, y);
          }
        }(),
        ...);
    if (!b.usable(y) || !b.usable(around)) return {};
    if (y.size != 1 || around.size != 1) {
      return b.fail({"residual", "one value from the branch and one around it",
                     spell_all<64>(y.size, " and ", around.size), "put the residual in each<...>"});
    }
    if (b.sample(y.items[0]) != b.sample(around.items[0])) {
      const shape in = b.sample(around.items[0]);
      const shape out = b.sample(y.items[0]);
      return b.fail({"residual", spell_all("the branch to give ", in), spell_all<64>(out),
                     projected ? text<96>("make the projection agree with the branch")
                               : detail::suggest_projection(in, out)});
    }
    return b.join(kind::add, {y.items[0], around.items[0]}, "residual");
  }
};

namespace detail {

template <class... Branches>
constexpr bundle build_branches(builder& b, const bundle& x, const char* where) {
  bundle all;
  (collect(b, all, feed<Branches>(b, x), where), ...);
  return all;
}

}  // namespace detail

/// What the branches make of x, side by side along channels (features, after time).
///
/// Errors   branches that differ in more than channels, with both shapes; more than 8
template <layer... Branches>
struct concat {
  static constexpr value build(builder& b, const bundle& x) {
    return b.concat(detail::build_branches<Branches...>(b, x, "concat"));
  }
};

/// The sum of what the branches make of x.
///
/// Errors   branches that differ in shape, with both shapes
template <layer... Branches>
struct add {
  static constexpr value build(builder& b, const bundle& x) {
    return b.join(kind::add, detail::build_branches<Branches...>(b, x, "add"), "add");
  }
};

/// The product, element by element, of what the branches make of x: gates.
///
/// Errors   as add
template <layer... Branches>
struct multiply {
  static constexpr value build(builder& b, const bundle& x) {
    return b.join(kind::multiply, detail::build_branches<Branches...>(b, x, "multiply"),
                  "multiply");
  }
};

/// x and what the layers inside make of it, side by side along channels, x first: the connection
/// across a level of a U-Net. Skips nest: the layers inside may hold the next level's.
///
/// Errors   layers that do not come back to the height and width of x, with both shapes
template <layer... Inner>
struct skip {
  static constexpr value build(builder& b, const bundle& x) {
    bundle both = x;
    detail::collect(b, both, chain<Inner...>::build(b, x), "skip");
    return b.concat(both, -1, "skip");
  }
};

/// The shortcut without weights of small residual networks: every Stride-th row and column of x,
/// with as many channels of zeros before as after it, to make Channels of them.
///
/// Shapes   x (batch, in, height, width)   y (batch, Channels, ceil(height / Stride), ...)
/// Errors   rank; more channels in than Channels; an odd number of channels to add
/// Source   He et al. 2016, option A
template <i32 Channels, i32 Stride>
struct shortcut_a {
  static_assert(Channels > 0 && Stride > 0, "shortcut_a: expected at least 1 channel and stride 1");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const shape in = b.sample(x);
    const text<64> where = spell_all<64>("shortcut_a<", Channels, ", ", Stride, ">");
    if (in.rank != 3) {
      return b.fail({where, "a rank-3 input (channels x height x width)", spell_all<64>(in),
                     "put it before flatten"});
    }
    const i32 more = Channels - in[0];
    if (more < 0 || more % 2 != 0) {
      return b.fail({where, spell_all("at most ", Channels, " channels, an even number fewer"),
                     spell_all<64>(in), "project with conv<channels, 1> instead"});
    }
    const tensor_name name = b.begin_layer("shortcut");
    graph& g = b.network();
    i32 y = x.id;
    if (Stride > 1) {  // the mean of a window of one cell is that cell
      window win;
      win.stride[0] = win.stride[1] = Stride;
      y = ops::pool2d(g, kind::avg_pool2d, y, win, name);
    }
    if (more == 0) return {y};
    const ops::part parts[] = {{-1, more / 2}, {y, 0}, {-1, more / 2}};
    return {ops::concat(g, parts, 3, 0, name)};
  }
};

}  // namespace tessera
