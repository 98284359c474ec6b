#pragma once

// Options of layers, in any order after the sizes: conv<6, 5, pad<2>, stride<2>>.

#include <tessera/ir/graph.hpp>

namespace tessera {

/// What options say together; a layer reads its part.
struct layer_options {
  window win;
  bool stride_given = false;
  i32 output_padding[2] = {0, 0};
  i32 groups = 1;
  bool bias = true;
  initializer init = initializer::he_uniform;
  bool init_given = false;
  i32 padding_index = -1;  // embedding
  bool align_corners = false;
  bool sparse = false;  // embedding
};

/// Cells of padding at every edge: pad<1>, or pad<top and bottom, left and right>.
template <i32 Height, i32 Width = Height>
struct pad {
  static_assert(Height >= 0 && Width >= 0, "pad: expected at least 0 cells");
  static constexpr void apply(layer_options& o) {
    o.win.pad_begin[0] = o.win.pad_end[0] = Height;
    o.win.pad_begin[1] = o.win.pad_end[1] = Width;
  }
};

/// Cells of padding that differ from edge to edge: pad_edges<top, left, bottom, right>.
template <i32 Top, i32 Left, i32 Bottom, i32 Right>
struct pad_edges {
  static_assert(Top >= 0 && Left >= 0 && Bottom >= 0 && Right >= 0,
                "pad_edges: expected at least 0 cells");
  static constexpr void apply(layer_options& o) {
    o.win.pad_begin[0] = Top;
    o.win.pad_begin[1] = Left;
    o.win.pad_end[0] = Bottom;
    o.win.pad_end[1] = Right;
  }
};

/// The same in one dimension. A convolution that sees nothing of what comes later has
/// pad_ends<dilation (kernel - 1), 0>.
template <i32 Begin, i32 End>
struct pad_ends {
  static_assert(Begin >= 0 && End >= 0, "pad_ends: expected at least 0 cells");
  static constexpr void apply(layer_options& o) { pad_edges<0, Begin, 0, End>::apply(o); }
};

/// A window that is no square: conv<64, 7, window_of<1, 7>>.
template <i32 Height, i32 Width>
struct window_of {
  static_assert(Height > 0 && Width > 0, "window_of: expected at least 1 cell");
  static constexpr void apply(layer_options& o) {
    o.win.kernel[0] = Height;
    o.win.kernel[1] = Width;
  }
};

/// Average pooling: cells of padding do not count in the divisor.
struct exclude_pad {
  static constexpr void apply(layer_options& o) { o.win.count_include_pad = false; }
};

/// Bilinear up-sampling: the centres of the corner cells of both images lie on each other.
struct align_corners {
  static constexpr void apply(layer_options& o) { o.align_corners = true; }
};

/// Transposed convolution: rows and columns more at the end of the output.
template <i32 Height, i32 Width = Height>
struct output_padding {
  static_assert(Height >= 0 && Width >= 0, "output_padding: expected at least 0 cells");
  static constexpr void apply(layer_options& o) {
    o.output_padding[0] = Height;
    o.output_padding[1] = Width;
  }
};

/// Steps of the window: stride<2>, or stride<down, right>.
template <i32 Height, i32 Width = Height>
struct stride {
  static_assert(Height > 0 && Width > 0, "stride: expected at least 1");
  static constexpr void apply(layer_options& o) {
    o.win.stride[0] = Height;
    o.win.stride[1] = Width;
    o.stride_given = true;
  }
};

/// Distance between the cells that a window reads.
template <i32 Height, i32 Width = Height>
struct dilation {
  static_assert(Height > 0 && Width > 0, "dilation: expected at least 1");
  static constexpr void apply(layer_options& o) {
    o.win.dilation[0] = Height;
    o.win.dilation[1] = Width;
  }
};

/// Pooling: a last window may start inside the image and end outside of it.
struct ceil_mode {
  static constexpr void apply(layer_options& o) { o.win.ceil_mode = true; }
};

/// Channels in groups that do not see each other.
template <i32 Count>
struct groups {
  static_assert(Count > 0, "groups: expected at least 1");
  static constexpr void apply(layer_options& o) { o.groups = Count; }
};

/// No bias.
struct no_bias {
  static constexpr void apply(layer_options& o) { o.bias = false; }
};

/// First values of the weights: initialized_by<initializer::glorot_uniform>, with a number (see
/// optim/initialize.hpp) of Numerator / Denominator: initialized_by<initializer::normal_with, 1,
/// 50>. Biases start at zero (with torch_uniform they follow the weights' rule).
template <initializer::form How, i32 Numerator = How == initializer::orthogonal ? 1 : 0,
          i32 Denominator = 1>
struct initialized_by {
  static_assert(Denominator > 0 && Numerator >= 0, "initialized_by: expected a number from 0 on");
  static_assert(
      Numerator > 0 || (How != initializer::uniform_in && How != initializer::normal_with &&
                        How != initializer::truncated_normal),
      "initialized_by: expected the bound or deviation, as in <initializer::normal_with, 1, 50>");
  static constexpr void apply(layer_options& o) {
    o.init = {How, static_cast<float>(Numerator) / static_cast<float>(Denominator)};
    o.init_given = true;
  }
};

template <class O>
concept layer_option = requires(layer_options& o) {
  O::apply(o);
};

template <layer_option... Options>
constexpr layer_options read_options(i32 kernel_height, i32 kernel_width) {
  layer_options o;
  o.win.count_include_pad = true;
  o.win.kernel[0] = kernel_height;
  o.win.kernel[1] = kernel_width;
  (Options::apply(o), ...);
  return o;
}

/// Options of a layer on signals, whose only row is 1 high.
template <layer_option... Options>
constexpr layer_options read_signal_options(i32 taps) {
  layer_options o = read_options<Options...>(1, taps);
  o.win.kernel[0] = o.win.stride[0] = o.win.dilation[0] = 1;
  o.win.pad_begin[0] = o.win.pad_end[0] = 0;
  return o;
}

}  // namespace tessera
