#pragma once

// Names of the user's own: what weights are called in files, messages and pictures.
//
//   conv<64, 7>                                            conv1.weight   (counted)
//   named<"stem", conv<64, 7>>                             stem.weight
//   scope<"layer1", conv<64, 3>>                           layer1.conv1.weight
//   scope<"layer1", scope<"0", named<"conv1", conv<64, 3>>>>   layer1.0.conv1.weight
//
// Within a scope the numbers of the layers without names start again at 1. Names are kept as
// template parameter objects, which live as long as the program.

#include <tessera/nn/chain.hpp>

namespace tessera {

/// The one layer inside is called `Name`.
///
/// Errors   a name that another layer of the scope has; more than one layer inside
template <text Name, layer Layer>
struct named {
  static constexpr output_of<Layer> build(builder& b, const bundle& x) {
    if (!b.begin_named(Name.letters)) {
      b.fail(
          {where(), "a name of its own", "that of another layer", "choose another, or use scope"});
    }
    const output_of<Layer> y = feed<Layer>(b, x);
    if (b.end_named() > 1) {
      b.fail({where(), "one layer", "several", "put them in scope<...> and name each"});
    }
    return y;
  }

 private:
  static constexpr text<64> where() { return spell_all<64>("named<", Name, ">"); }
};

/// Layers one after another whose names start with "Name.".
template <text Name, layer... Layers>
struct scope {
  static constexpr auto build(builder& b, const bundle& x) {
    const i32 around = b.begin_scope(Name.letters);
    const auto y = chain<Layers...>::build(b, x);
    b.end_scope(around);
    return y;
  }
};

}  // namespace tessera
