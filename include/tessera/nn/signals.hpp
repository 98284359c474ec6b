#pragma once

// Signals as images of one row: what layers of one dimension share.
//
//   signal (batch, channels, length)  --view-->  image (batch, channels, 1, length)  --layer--> ...
//
// No bytes move and no kernel knows. Sequences, (time, batch, features), are something else: time
// comes first in memory so that loops read it step by step, and a window along it would have to
// gather; layers of one dimension refuse them.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera::detail {

/// True where `x` is a signal; says what is wrong otherwise.
constexpr bool check_signal(builder& b, value x, const text<64>& where) {
  if (b.sample(x).rank == 2 && b.network().tensors[x.id].stack == 0) return true;
  const bool over_time = b.network().tensors[x.id].stack > 0;
  b.fail({where, "a rank-2 input (channels x length)",
          over_time ? spell_all<64>(b.sample(x), " over time") : spell_all<64>(b.sample(x)),
          over_time ? "start from signal<...>: a sequence has time first"
                    : "start from signal<...> and put it before flatten"});
  return false;
}

constexpr value as_image(builder& b, value x) {
  const shape dims = b.sample(x);
  graph& g = b.network();
  return {ops::view(g, x.id, shape(g.tensors[x.id].batch(), dims[0], 1, dims[1]))};
}

constexpr value as_signal(builder& b, i32 image) {
  graph& g = b.network();
  const shape dims = g.tensors[image].sample();
  return {ops::view(g, image, shape(g.tensors[image].batch(), dims[0], dims[2]))};
}

}  // namespace tessera::detail
