#pragma once

// How people write the digits: the paths of a pen, two or three habits for each digit.
//
//        0   50  100  x        A stroke is a smooth curve through its points (Catmull and Rom's
//    0   . 1--2  .             spline). A point given twice is a corner. Points lie in a box of
//        0       3             100 x 100, y downwards, and are those of a hand at rest: slant, size
//   50           4             and unsteadiness come with drawing.
//              5
//        6 . . 7 . 8
//  100
//
// Source: the points are drawn by hand for this library; the spline is Catmull, Rom 1974, A Class
// of Local Interpolating Splines.

#include <tessera/core/types.hpp>

#include <array>
#include <span>

namespace tessera::data {

/// A place that the pen passes.
struct pen_point {
  i32 x = 0;
  i32 y = 0;

  friend constexpr bool operator==(const pen_point&, const pen_point&) = default;
};

/// One movement of the pen without lifting it.
struct pen_stroke {
  static constexpr i32 max_points = 16;

  i32 count = 0;
  pen_point point[max_points] = {};

  constexpr pen_stroke() = default;

  template <class... Points>
  constexpr explicit pen_stroke(pen_point first, Points... others)
      : count(1 + static_cast<i32>(sizeof...(Points))), point{first, others...} {}
};

/// One habit of writing a digit: up to two strokes, those not used have no points.
struct glyph {
  i32 digit = 0;
  pen_stroke stroke[2] = {};
};

namespace detail::notation {

using p = pen_point;
using pen = pen_stroke;

inline constexpr std::array glyph_table = {
    // 0: closed at the top; a narrow one whose end passes its start
    glyph{0,
          {pen(p{52, 0}, p{27, 14}, p{16, 52}, p{28, 88}, p{52, 100}, p{76, 86}, p{85, 48},
               p{74, 12}, p{50, 1})}},
    glyph{0,
          {pen(p{66, 8}, p{44, 2}, p{25, 28}, p{22, 66}, p{40, 98}, p{66, 88}, p{76, 50}, p{68, 14},
               p{46, 4})}},
    // 1: a stroke; with a flag; with flag and foot
    glyph{1, {pen(p{50, 0}, p{50, 50}, p{49, 100})}},
    glyph{1, {pen(p{32, 24}, p{54, 0}, p{54, 0}, p{53, 50}, p{53, 100})}},
    glyph{1, {pen(p{30, 22}, p{52, 0}, p{52, 0}, p{52, 100}), pen(p{28, 100}, p{78, 100})}},
    // 2: a sharp corner at the foot; a loop at the foot; a curved foot
    glyph{2,
          {pen(p{18, 26}, p{30, 6}, p{54, 0}, p{76, 14}, p{73, 40}, p{46, 72}, p{14, 100},
               p{14, 100}, p{84, 98})}},
    glyph{2,
          {pen(p{20, 22}, p{40, 2}, p{66, 6}, p{72, 32}, p{52, 68}, p{28, 94}, p{14, 90}, p{24, 76},
               p{48, 88}, p{66, 98}, p{88, 90})}},
    glyph{2,
          {pen(p{22, 16}, p{48, 0}, p{74, 12}, p{72, 38}, p{48, 66}, p{20, 92}, p{18, 99},
               p{50, 96}, p{84, 99})}},
    // 3: round with a corner in the middle; a flat top; round with a small loop
    glyph{3,
          {pen(p{20, 12}, p{44, 0}, p{70, 10}, p{68, 34}, p{40, 47}, p{40, 47}, p{74, 58},
               p{78, 84}, p{50, 100}, p{17, 89})}},
    glyph{3,
          {pen(p{20, 3}, p{76, 2}, p{76, 2}, p{44, 40}, p{44, 40}, p{76, 54}, p{78, 82}, p{50, 100},
               p{18, 92})}},
    glyph{3,
          {pen(p{24, 8}, p{54, 0}, p{74, 18}, p{60, 40}, p{44, 48}, p{42, 43}, p{64, 50}, p{80, 72},
               p{64, 96}, p{24, 98})}},
    // 4: open at the top; closed; the bar and the stem in one corner
    glyph{4,
          {pen(p{30, 4}, p{22, 32}, p{18, 58}, p{18, 58}, p{82, 56}),
           pen(p{68, 14}, p{66, 56}, p{62, 100})}},
    glyph{4,
          {pen(p{62, 0}, p{14, 66}, p{14, 66}, p{88, 66}), pen(p{62, 2}, p{62, 50}, p{61, 100})}},
    glyph{4,
          {pen(p{26, 2}, p{22, 40}, p{40, 54}, p{74, 46}), pen(p{76, 0}, p{74, 46}, p{70, 100})}},
    // 5: two strokes; one stroke
    glyph{5,
          {pen(p{32, 2}, p{26, 44}, p{26, 44}, p{52, 38}, p{78, 56}, p{74, 86}, p{46, 100},
               p{16, 90}),
           pen(p{32, 2}, p{82, 2})}},
    glyph{5,
          {pen(p{80, 2}, p{32, 3}, p{32, 3}, p{26, 42}, p{26, 42}, p{56, 38}, p{80, 60}, p{70, 90},
               p{42, 100}, p{15, 92})}},
    // 6: curved; a straight back
    glyph{6,
          {pen(p{72, 3}, p{42, 20}, p{20, 58}, p{28, 92}, p{54, 100}, p{78, 83}, p{71, 58},
               p{46, 54}, p{23, 72})}},
    glyph{6,
          {pen(p{56, 0}, p{34, 36}, p{22, 72}, p{34, 98}, p{62, 96}, p{76, 76}, p{62, 60},
               p{38, 66}, p{25, 80})}},
    // 7: plain; with a bar; with a hook at the start
    glyph{7, {pen(p{14, 4}, p{84, 4}, p{84, 4}, p{58, 50}, p{42, 100})}},
    glyph{7, {pen(p{16, 4}, p{82, 3}, p{82, 3}, p{58, 48}, p{44, 100}), pen(p{34, 52}, p{80, 49})}},
    glyph{7, {pen(p{18, 24}, p{20, 6}, p{20, 6}, p{82, 3}, p{82, 3}, p{66, 44}, p{58, 100})}},
    // 8: one stroke crossing in the middle; two rings
    glyph{8,
          {pen(p{74, 13}, p{50, 0}, p{27, 14}, p{34, 38}, p{64, 60}, p{77, 82}, p{50, 100},
               p{23, 83}, p{36, 60}, p{64, 38}, p{74, 15})}},
    glyph{8,
          {pen(p{50, 1}, p{29, 12}, p{31, 38}, p{50, 47}, p{70, 37}, p{71, 11}, p{48, 0}),
           pen(p{50, 47}, p{25, 60}, p{26, 90}, p{50, 100}, p{76, 89}, p{76, 60}, p{50, 47})}},
    // 9: a straight stem; a curved tail
    glyph{9,
          {pen(p{74, 18}, p{50, 1}, p{25, 18}, p{28, 44}, p{52, 52}, p{73, 34}, p{75, 14},
               p{75, 14}, p{73, 56}, p{67, 100})}},
    glyph{9,
          {pen(p{76, 20}, p{54, 0}, p{27, 15}, p{26, 42}, p{50, 52}, p{74, 36}, p{77, 18},
               p{76, 60}, p{62, 94}, p{24, 96})}},
};

}  // namespace detail::notation

/// All habits, those of one digit next to each other.
constexpr std::span<const glyph> glyphs() { return detail::notation::glyph_table; }

/// The habits of one digit.
constexpr std::span<const glyph> glyphs_of(i32 digit) {
  const std::span<const glyph> all = glyphs();
  std::size_t begin = 0;
  while (begin < all.size() && all[begin].digit != digit) ++begin;
  std::size_t end = begin;
  while (end < all.size() && all[end].digit == digit) ++end;
  return all.subspan(begin, end - begin);
}

}  // namespace tessera::data
