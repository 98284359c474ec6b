#pragma once

// What pictures are compared by: Gram matrices of features, and how restless a picture is. Both are
// put together from other operations, and so are their gradients.
//
//   gram              g[n][c][d] = sum over positions of x[n][c] x[n][d] / (C H W): a matmul
//   total_variation   sum |x[i + 1][j] - x[i][j]| + sum |x[i][j + 1] - x[i][j]|: two l1 losses, one
//                     for each direction, of what two splits leave
//
// Source: Gatys, Ecker, Bethge 2016; Rudin, Osher, Fatemi 1992 (in its anisotropic form).

#include <tessera/ops/loss_elements.hpp>
#include <tessera/ops/matmul.hpp>
#include <tessera/ops/move.hpp>

namespace tessera::ops {

/// x (batch, channels, ...) -> (batch, channels, channels).
constexpr i32 gram(graph& g, i32 x, tensor_name layer) {
  const tensor t = g.tensors[x];
  if (t.stack > 0 || t.dims.rank < 3) {
    refuse(g, {"gram", "channels with positions", spell_all<64>(t.sample()),
               "put it behind a convolution"});
    return x;
  }
  const i32 channels = t.dims[1];
  const i32 positions = static_cast<i32>(t.dims.count()) / t.dims[0] / channels;
  const i32 matrix = view(g, x, shape(t.dims[0], channels, positions));
  product_attributes how;
  how.transposed[1] = true;
  how.scale = 1 / (static_cast<float>(channels) * static_cast<float>(positions));
  return matmul_as(g, matrix, matrix, how, x, shape(t.dims[0], channels, channels), 0, layer);
}

/// The two losses of a total variation, down and across; -1 where an extent is 1.
struct variation_losses {
  i32 down = -1;
  i32 across = -1;
};

/// x (batch, ..., height, width). Reductions are those of the two l1 losses: with `mean` each is
/// divided by its own number of differences.
constexpr variation_losses total_variation(graph& g, i32 x, const loss_attributes& attr,
                                           tensor_name layer) {
  const shape sample = g.tensors[x].sample();
  if (g.tensors[x].stack > 0 || sample.rank < 2) {
    refuse(g, {"total_variation", "height and width", spell_all<64>(sample),
               "put it behind an image"});
    return {};
  }
  const auto along = [&](i32 axis) {
    const i32 extent = sample[axis];
    if (extent < 2) return -1;
    const i32 without_last[] = {extent - 1, 1};
    const i32 without_first[] = {1, extent - 1};
    const i32 before = split(g, x, without_last, 2, axis, layer)[0];
    const i32 after = split(g, x, without_first, 2, axis, layer)[1];
    return element_loss(g, kind::l1, after, before, attr);
  };
  return {along(sample.rank - 2), along(sample.rank - 1)};
}

}  // namespace tessera::ops
