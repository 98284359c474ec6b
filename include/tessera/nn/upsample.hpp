#pragma once

// Up-sampling layers: images of another size, without weights.

#include <tessera/nn/pool.hpp>  // check_image

namespace tessera {

namespace detail {

/// Refuses what is no image; factors of 0 stand for the sizes given.
template <i32 Height, i32 Width, bool Factors, layer_option... Options>
constexpr value build_upsample(builder& b, value x, kind what, const char* spelled) {
  if (!b.usable(x)) return {};
  if (!check_image(b, x, spell_all<64>(spelled, "<", Height, ", ", Width, ">"))) return {};
  const shape in = b.sample(x);
  const layer_options o = read_options<Options...>(1, 1);
  return {ops::resize(b.network(), what, x.id, Factors ? in[1] * Height : Height,
                      Factors ? in[2] * Width : Width, b.begin_layer(spelled), o.align_corners)};
}

}  // namespace detail

/// Every cell becomes Down x Right cells: upsample_nearest<2> doubles height and width.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, Down height, Right width)
/// Memory   keeps nothing
/// Errors   rank
template <i32 Down, i32 Right = Down>
struct upsample_nearest {
  static_assert(Down > 0 && Right > 0, "upsample_nearest: expected factors of at least 1");
  static constexpr value build(builder& b, value x) {
    return detail::build_upsample<Down, Right, true>(b, x, kind::upsample_nearest,
                                                     "upsample_nearest");
  }
};

/// Any size, smaller ones too: cell i of n is cell floor(i m / n) of m.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, Height, Width)
template <i32 Height, i32 Width = Height>
struct resize_nearest {
  static_assert(Height > 0 && Width > 0, "resize_nearest: expected at least 1 cell");
  static constexpr value build(builder& b, value x) {
    return detail::build_upsample<Height, Width, false>(b, x, kind::upsample_nearest,
                                                        "resize_nearest");
  }
};

/// Images Down times as high and Right times as wide, each cell blended from the four around it.
/// Cells are squares whose centres are sampled; with `align_corners` points, the corner points of
/// both images the same. Sums are f32 (f64 in f64), and rounded once.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, Down height, Right width)
/// Options  align_corners
/// Memory   keeps nothing
/// Errors   rank
template <i32 Down, i32 Right = Down, layer_option... Options>
struct upsample_bilinear {
  static_assert(Down > 0 && Right > 0, "upsample_bilinear: expected factors of at least 1");
  static constexpr value build(builder& b, value x) {
    return detail::build_upsample<Down, Right, true, Options...>(b, x, kind::upsample_bilinear,
                                                                 "upsample_bilinear");
  }
};

/// The same for any size. Smaller ones are sampled as they are, without a filter before.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, Height, Width)
template <i32 Height, i32 Width = Height, layer_option... Options>
struct resize_bilinear {
  static_assert(Height > 0 && Width > 0, "resize_bilinear: expected at least 1 cell");
  static constexpr value build(builder& b, value x) {
    return detail::build_upsample<Height, Width, false, Options...>(b, x, kind::upsample_bilinear,
                                                                    "resize_bilinear");
  }
};

static_assert(layer<upsample_nearest<2>> && layer<resize_nearest<5, 7>> &&
              layer<upsample_bilinear<2, 2, align_corners>> && layer<resize_bilinear<5, 7>>);

}  // namespace tessera
