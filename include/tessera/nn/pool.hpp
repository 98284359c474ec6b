#pragma once

// Pooling layers: of images, and of signals (nn/signals.hpp).
//
//   layer                   window                           keeps for the backward pass
//   max_pool, max_pool1d    Kernel cells at steps            one byte an output
//   avg_pool, avg_pool1d    the same                         nothing
//   adaptive_max_pool       as many windows as asked for     one byte an output
//   adaptive_avg_pool       the same                         nothing
//   global_max_pool, ...    the whole image or signal        one byte or four an output; nothing
//   max_pool_with_indices   as max_pool; also gives where    one byte an output
//   max_unpool              back to where they were          nothing more

#include <tessera/nn/signals.hpp>

namespace tessera {

namespace detail {

/// Appends a window's pool behind an image that has been found to fit.
constexpr i32 append_pool(builder& b, i32 x, kind what, const char* spelled, const window& win) {
  return ops::pool2d(b.network(), what, x, win, b.begin_layer(spelled));
}

/// Whether the windows of `o` fit an image of the given extents.
constexpr bool check_pool(builder& b, const text<64>& where, const window& w, i32 height, i32 width,
                          bool image) {
  if (ops::pool_count(w, 0, height) < 1 || ops::pool_count(w, 1, width) < 1) {
    const i32 tall = (w.kernel[0] - 1) * w.dilation[0] + 1;
    const i32 wide = (w.kernel[1] - 1) * w.dilation[1] + 1;
    if (image) {
      b.fail({where,
              tall == wide ? spell_all("height and width of at least ", tall)
                           : spell_all("an image of at least ", shape(tall, wide)),
              spell_all<64>(shape(height, width)), "use a smaller window"});
    } else {
      b.fail({where, spell_all("a length of at least ", wide), spell_all<64>(width),
              "use a smaller window"});
    }
    return false;
  }
  if (2 * w.pad_begin[0] > w.kernel[0] || 2 * w.pad_begin[1] > w.kernel[1]) {
    b.fail({where, spell_all("padding of at most half the window, ", w.kernel[1] / 2),
            image ? spell_all<64>(shape(w.pad_begin[0], w.pad_begin[1]))
                  : spell_all<64>(w.pad_begin[1]),
            "pad less"});
    return false;
  }
  return true;
}

constexpr bool check_image(builder& b, value x, const text<64>& where) {
  if (b.sample(x).rank == 3 && b.network().tensors[x.id].stack == 0) return true;
  b.fail({where, "a rank-3 input (channels x height x width)", spell_all<64>(b.sample(x)),
          "put it before flatten"});
  return false;
}

template <i32 Kernel, layer_option... Options>
constexpr value build_pool(builder& b, value x, kind what, const char* spelled) {
  if (!b.usable(x)) return {};
  layer_options o = read_options<Options...>(Kernel, Kernel);
  for (i32 axis = 0; axis < 2 && !o.stride_given; ++axis) o.win.stride[axis] = o.win.kernel[axis];
  const text<64> where = spell_all<64>(spelled, "<", Kernel, ">");
  if (!check_image(b, x, where)) return {};
  const shape in = b.sample(x);
  if (!check_pool(b, where, o.win, in[1], in[2], true)) return {};
  return {append_pool(b, x.id, what, spelled, o.win)};
}

template <i32 Kernel, layer_option... Options>
constexpr value build_pool1d(builder& b, value x, kind what, const char* spelled) {
  if (!b.usable(x)) return {};
  layer_options o = read_signal_options<Options...>(Kernel);
  if (!o.stride_given) o.win.stride[1] = Kernel;
  const text<64> where = spell_all<64>(spelled, "<", Kernel, ">");
  if (!check_signal(b, x, where)) return {};
  if (!check_pool(b, where, o.win, 1, b.sample(x)[1], false)) return {};
  return as_signal(b, append_pool(b, as_image(b, x).id, what, spelled, o.win));
}

/// Of images, (channels, 1, 1) and of signals, (channels, 1).
constexpr value build_global_pool(builder& b, value x, kind what, const char* spelled,
                                  const char* name) {
  if (!b.usable(x)) return {};
  const shape in = b.sample(x);
  if ((in.rank != 3 && in.rank != 2) || b.network().tensors[x.id].stack > 0) {
    return b.fail({spelled, "a rank-3 input (channels x height x width)", spell_all<64>(in),
                   "put it before flatten"});
  }
  const value image = in.rank == 2 ? as_image(b, x) : x;
  window win;
  for (i32 axis = 0; axis < 2; ++axis) {
    win.kernel[axis] = win.stride[axis] = b.sample(image)[1 + axis];
  }
  const i32 y = append_pool(b, image.id, what, name, win);
  return in.rank == 2 ? as_signal(b, y) : value{y};
}

template <i32 Height, i32 Width>
constexpr value build_adaptive_pool(builder& b, value x, kind what, const char* spelled) {
  if (!b.usable(x)) return {};
  if (!check_image(b, x, spell_all<64>(spelled, "<", Height, ", ", Width, ">"))) return {};
  return {ops::resize(b.network(), what, x.id, Height, Width, b.begin_layer(spelled))};
}

}  // namespace detail

/// The largest value of each Kernel x Kernel window; windows side by side unless `stride` says
/// otherwise. The first of equal values gets the gradient. A NaN wins where it is a window's first
/// cell, and loses everywhere else.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, height', width')
/// Options  window_of, stride, pad, pad_edges, dilation, ceil_mode
/// Memory   keeps one byte per output for the backward pass
/// Errors   rank, a window larger than the image, padding over half a window
template <i32 Kernel, layer_option... Options>
struct max_pool {
  static_assert(Kernel > 0, "max_pool: expected a window of at least 1 cell");
  static constexpr value build(builder& b, value x) {
    return detail::build_pool<Kernel, Options...>(b, x, kind::max_pool2d, "max_pool");
  }
};

/// The mean of each Kernel x Kernel window; padded cells count as zeros, unless `exclude_pad`.
///
/// Shapes   as max_pool
/// Options  window_of, stride, pad, pad_edges, ceil_mode, exclude_pad
/// Memory   keeps nothing
/// Errors   as max_pool
template <i32 Kernel, layer_option... Options>
struct avg_pool {
  static_assert(Kernel > 0, "avg_pool: expected a window of at least 1 cell");
  static constexpr value build(builder& b, value x) {
    return detail::build_pool<Kernel, Options...>(b, x, kind::avg_pool2d, "avg_pool");
  }
};

/// max_pool along a signal.
///
/// Shapes   x (batch, channels, length)   y (batch, channels, length')
/// Options  stride, pad, pad_ends, dilation, ceil_mode
/// Errors   rank, a sequence, a window larger than the signal, padding over half a window
template <i32 Kernel, layer_option... Options>
struct max_pool1d {
  static_assert(Kernel > 0, "max_pool1d: expected a window of at least 1 sample");
  static constexpr value build(builder& b, value x) {
    return detail::build_pool1d<Kernel, Options...>(b, x, kind::max_pool2d, "max_pool1d");
  }
};

/// avg_pool along a signal; shapes, options and errors as max_pool1d, and exclude_pad.
template <i32 Kernel, layer_option... Options>
struct avg_pool1d {
  static_assert(Kernel > 0, "avg_pool1d: expected a window of at least 1 sample");
  static constexpr value build(builder& b, value x) {
    return detail::build_pool1d<Kernel, Options...>(b, x, kind::avg_pool2d, "avg_pool1d");
  }
};

/// The mean of all cells of each channel, whatever the size of the image.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, 1, 1); flatten goes behind it
///          x (batch, channels, length)          y (batch, channels, 1)
/// Memory   keeps nothing
/// Errors   rank
/// Source   Lin, Chen, Yan 2014, Network in Network
struct global_avg_pool {
  static constexpr value build(builder& b, value x) {
    return detail::build_global_pool(b, x, kind::avg_pool2d, "global_avg_pool", "avg_pool");
  }
};

/// The largest of all cells of each channel, the first of equal ones; shapes as global_avg_pool.
///
/// Memory   keeps one byte per output, four where the image has more than 256 cells
/// Errors   rank
struct global_max_pool {
  static constexpr value build(builder& b, value x) {
    return detail::build_global_pool(b, x, kind::max_pool2d, "global_max_pool", "max_pool");
  }
};

/// The mean of Height x Width windows that cover the image whatever its size: window i of n along
/// an axis of m cells goes from floor(i m / n) up to ceil((i + 1) m / n). They overlap where m is
/// no multiple of n; an image may become larger.
///
/// Shapes   x (batch, channels, height, width)   y (batch, channels, Height, Width)
/// Memory   keeps nothing
/// Errors   rank
template <i32 Height, i32 Width = Height>
struct adaptive_avg_pool {
  static_assert(Height > 0 && Width > 0, "adaptive_avg_pool: expected at least 1 window");
  static constexpr value build(builder& b, value x) {
    return detail::build_adaptive_pool<Height, Width>(b, x, kind::adaptive_avg_pool2d,
                                                      "adaptive_avg_pool");
  }
};

/// The largest value of the windows of adaptive_avg_pool, the first of equal ones.
///
/// Memory   keeps one byte per output, four where a window has more than 256 cells
template <i32 Height, i32 Width = Height>
struct adaptive_max_pool {
  static_assert(Height > 0 && Width > 0, "adaptive_max_pool: expected at least 1 window");
  static constexpr value build(builder& b, value x) {
    return detail::build_adaptive_pool<Height, Width>(b, x, kind::adaptive_max_pool2d,
                                                      "adaptive_max_pool");
  }
};

/// max_pool that also gives where its values were: a bundle of both, the second for max_unpool.
///
///   chain<max_pool_with_indices<2>, parallel<chain<conv<64, 3, pad<1>>, relu>, chain<>>,
///   max_unpool<>>
///
/// Shapes   x (batch, channels, height, width)   y and indices (batch, channels, height', width')
/// Memory   indices are the bytes that max_pool keeps anyway; in inference they are there too
/// Errors   as max_pool
template <i32 Kernel, layer_option... Options>
struct max_pool_with_indices {
  static_assert(Kernel > 0, "max_pool_with_indices: expected a window of at least 1 cell");
  static constexpr bundle build(builder& b, value x) {
    const value y =
        detail::build_pool<Kernel, Options...>(b, x, kind::max_pool2d, "max_pool_with_indices");
    if (!b.usable(y)) return value{};
    graph& g = b.network();
    operation& pool = g.operations[g.operations.size() - 1];
    if (pool.out[1] < 0) pool.out[1] = ops::append_places(g, pool);
    return {y, value{pool.out[1]}};
  }
};

/// Puts values back to where a max pool had found them, zeros everywhere else; where windows
/// overlapped and several values have one place, their sum. Takes a bundle of the values and the
/// indices of max_pool_with_indices, or whole numbers (i32) that are places in the channel's plane,
/// row by row, which need the sizes of that plane; a number that is no such place is left out.
///
/// Shapes   x and indices (batch, channels, height, width)
///          y (batch, channels, Height, Width), without them the image that was pooled
/// Memory   keeps the indices
/// Errors   one value, values and indices of different shapes, whole numbers without sizes
/// Source   Zeiler, Fergus 2014; Badrinarayanan, Kendall, Cipolla 2017, SegNet
template <i32 Height = 0, i32 Width = Height>
struct max_unpool {
  static_assert(Height >= 0 && Width >= 0 && (Height > 0) == (Width > 0),
                "max_unpool: expected height and width of an image, or neither");

  static constexpr value build(builder& b, const bundle& in) {
    if (!b.usable(in)) return {};
    if (in.size != 2) {
      return b.fail({"max_unpool", "values and their indices", spell_all<64>(in.size, " values"),
                     "pool with max_pool_with_indices, and hand the indices on: parallel<..., "
                     "chain<>>"});
    }
    graph& g = b.network();
    const i32 x = in.items[0].id;
    const i32 indices = in.items[1].id;
    const tensor& t = g.tensors[x];
    if (t.dims.rank != 4 || g.tensors[indices].dims != t.dims || t.stack > 0) {
      return b.fail({"max_unpool", "an index for each value of an image",
                     spell_all<64>(b.sample(in.items[0]), " and ", b.sample(in.items[1])),
                     "keep channels and sizes between pool and unpool"});
    }
    const operation* const pool = pool_of(g, indices);
    if (pool != nullptr) {
      const shape pooled = g.tensors[pool->in[0]].dims;
      const operation undone = *pool;  // appending moves operations
      return {ops::max_unpool2d_like(g, x, undone, Height > 0 ? Height : pooled[2],
                                     Width > 0 ? Width : pooled[3], b.begin_layer("max_unpool"))};
    }
    if (g.tensors[indices].type != element::int32 || Height == 0) {
      return b.fail({"max_unpool", "indices of a max pool, or whole numbers and a size",
                     spell_all<64>(name_of(g.tensors[indices].type)),
                     "pool with max_pool_with_indices, or name the size: max_unpool<28, 28>"});
    }
    return {ops::max_unpool2d(g, x, indices, Height, Width, b.begin_layer("max_unpool"))};
  }

 private:
  /// The max pool that saves `indices`, null where they come from elsewhere.
  static constexpr const operation* pool_of(const graph& g, i32 indices) {
    for (const operation& op : g.operations) {
      if (op.what == kind::max_pool2d && op.out[1] == indices) return &op;
    }
    return nullptr;
  }
};

static_assert(layer<max_pool<2>> && layer<avg_pool<2>> && layer<max_pool1d<2>> &&
              layer<avg_pool1d<2>> && layer<global_avg_pool> && layer<global_max_pool> &&
              layer<adaptive_avg_pool<7>> && layer<adaptive_max_pool<3, 2>> &&
              layer<max_pool_with_indices<2>>);

}  // namespace tessera
