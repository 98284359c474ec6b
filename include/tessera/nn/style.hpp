#pragma once

// Style: Gram matrices of features as a layer, losses that compare pictures by them, and total
// variation. (ops/style.hpp)

#include <tessera/nn/loss_policy.hpp>
#include <tessera/ops/style.hpp>

namespace tessera {

namespace detail {

/// The Gram matrices of x; empty, and said so, where it has no channels with positions.
constexpr value append_gram(builder& b, value x, const char* where) {
  if (!b.usable(x)) return {};
  if (b.network().tensors[x.id].stack > 0 || b.sample(x).rank < 2) {
    return b.fail({where, "channels with positions", spell_all<64>(b.sample(x)),
                   "put it behind a convolution"});
  }
  return {ops::gram(b.network(), x.id, b.begin_layer("gram"))};
}

}  // namespace detail

/// Products of channels, averaged: g[c][d] = sum x[c] x[d] / (channels height width).
///
/// Shapes   x (batch, channels, ...)   y (batch, channels, channels)
/// Errors   "gram: expected channels with positions, ..."
struct gram {
  static constexpr value build(builder& b, value x) { return detail::append_gram(b, x, "gram"); }
};

/// The mean squared difference of Gram matrices.
///
/// Target   the Gram matrices wanted (batch, channels, channels), f32. A network that puts out a
///          bundle (features, features of the style) has none: their Gram matrices are compared.
/// Source   Gatys, Ecker, Bethge 2016
struct style {
  static constexpr reduction reduce = reduction::mean;

  template <class L = style>
  static constexpr value build(builder& b, const bundle& y) {
    constexpr loss_attributes attr = detail::loss_attributes_of<L>();
    if (!b.usable(y) || !detail::is_reduced(b, attr, "style")) return {};
    if (y.size < 1 || y.size > 2) {
      return b.fail({"style", "features, or two of them", spell_all<64>(y.size, " outputs"),
                     "put out one or two values"});
    }
    graph& g = b.network();
    const value found = detail::append_gram(b, y.items[0], "style");
    if (!b.usable(found)) return {};
    const value wanted = y.size == 2 ? detail::append_gram(b, y.items[1], "style")
                                     : append_target(b, g.tensors[found.id]);
    if (!b.usable(wanted)) return {};
    if (g.tensors[wanted.id].dims != g.tensors[found.id].dims) {
      return b.fail({"style", "features of as many channels",
                     spell_all<64>(b.sample(found), " and ", b.sample(wanted)),
                     "take both from one layer"});
    }
    return append_loss(b, ops::element_loss(g, kind::mse, found.id, wanted.id, attr));
  }
};

/// The sum of all differences between neighbouring pixels, down and across: two losses, no target.
///
/// Shapes   x (batch, ..., height, width)
struct total_variation {
  static constexpr reduction reduce = reduction::sum;

  template <class L = total_variation>
  static constexpr value build(builder& b, value x) {
    constexpr loss_attributes attr = detail::loss_attributes_of<L>();
    if (!b.usable(x) || !detail::is_reduced(b, attr, "total_variation")) return {};
    const shape sample = b.sample(x);
    const bool time = b.network().tensors[x.id].stack > 0;
    if (time || sample.rank < 2 || (sample[sample.rank - 1] < 2 && sample[sample.rank - 2] < 2)) {
      return b.fail({"total_variation", "height and width with neighbours", spell_all<64>(sample),
                     "put it behind an image"});
    }
    const ops::variation_losses both =
        ops::total_variation(b.network(), x.id, attr, b.begin_layer("variation"));
    value last;
    if (both.down >= 0) last = append_loss(b, both.down);
    if (both.across >= 0) last = append_loss(b, both.across);
    return last;
  }
};

static_assert(loss_function<style> && loss_function<total_variation>);

}  // namespace tessera
