#pragma once

// Windows: which cells a block of positions reads, and how many pairs of position and kernel cell
// there are in it.
//
//   forward      cell = position x stride - pad + tap x dilation, within the image
//   transposed   the same equation the other way round: a position of x is read by the taps for
//                which (position + pad - tap x dilation) is a multiple of the stride
//
// Taps that meet the padding, and those that a stride leaves out, are no work: a 1x1 kernel with
// stride 2 has one pair for each four positions of its data gradient.

#include <tessera/backends/accelerator/problem.hpp>

namespace tessera::accelerator {

/// Fetched cells along an axis: `begin` to `begin + count`, within the tensor.
struct cell_span {
  i32 begin = 0;
  i32 count = 0;
};

/// Cells that positions [first, first + size) read along `axis` (0 height, 1 width).
constexpr cell_span span_of(const problem& p, i32 axis, i32 first, i32 size) {
  if (p.resized != kind::none) {
    const ops::resized_axis along = resized_axis_of(p, axis);
    const auto read = [&](i32 i) { return p.transposed ? along.readers_of(i) : along.cells_of(i); };
    const i32 start = read(first).begin;
    const i32 stop = read(first + size - 1).end();
    return stop > start ? cell_span{start, stop - start} : cell_span{};
  }
  const i32 reach = (p.kernel[axis] - 1) * p.dilation[axis];
  i32 begin = 0;
  i32 end = 0;
  if (p.transposed) {
    const i32 low = first + p.pad[axis] - reach;
    begin = low <= 0 ? 0 : (low + p.stride[axis] - 1) / p.stride[axis];
    end = (first + size - 1 + p.pad[axis]) / p.stride[axis] + 1;
  } else {
    begin = first * p.stride[axis] - p.pad[axis];
    end = (first + size - 1) * p.stride[axis] - p.pad[axis] + reach + 1;
  }
  if (begin < 0) begin = 0;
  if (end > p.cells[axis]) end = p.cells[axis];
  return end > begin ? cell_span{begin, end - begin} : cell_span{};
}

/// How many cells positions [first, first + size) read along `axis`: those of their span, but for
/// the ones that a stride longer than the window skips.
constexpr i64 cells_of(const problem& p, i32 axis, i32 first, i32 size) {
  const i64 span = span_of(p, axis, first, size).count;
  const i64 reach = i64{p.kernel[axis] - 1} * p.dilation[axis] + 1;
  if (p.transposed || p.resized != kind::none || reach >= p.stride[axis]) return span;
  i64 cells = 0;
  for (i32 tap = 0; tap < p.kernel[axis]; ++tap) {
    const i64 at = i64{tap} * p.dilation[axis] - p.pad[axis];
    i64 low = at >= 0 ? 0 : (-at + p.stride[axis] - 1) / p.stride[axis];
    i64 end = p.cells[axis] - at <= 0 ? 0 : (p.cells[axis] - at - 1) / p.stride[axis] + 1;
    if (low < first) low = first;
    if (end > first + size) end = first + size;
    if (end > low) cells += end - low;
  }
  return cells;
}

/// The most cells that `size` positions along `axis` can read, wherever they are.
constexpr i64 most_cells(const problem& p, i32 axis, i64 size) {
  const i64 reach = i64{p.kernel[axis] - 1} * p.dilation[axis];
  i64 span = p.transposed ? (size - 1 + reach) / p.stride[axis] + 1
                          : (size - 1) * p.stride[axis] + reach + 1;
  if (!p.transposed && size * p.kernel[axis] < span) span = size * p.kernel[axis];
  return span < p.cells[axis] ? span : p.cells[axis];
}

/// Pairs of position and tap along `axis` that meet a cell, over all positions.
constexpr i64 all_pairs(const problem& p, i32 axis) {
  const i64 image = p.transposed ? p.extent[axis_h + axis] : p.cells[axis];
  const i64 windows = p.transposed ? p.cells[axis] : p.extent[axis_h + axis];
  const i64 stride = p.stride[axis];
  i64 pairs = 0;
  for (i32 tap = 0; tap < p.kernel[axis]; ++tap) {  // windows q with 0 <= q stride + at < image
    const i64 at = i64{tap} * p.dilation[axis] - p.pad[axis];
    const i64 first = at >= 0 ? 0 : (-at + stride - 1) / stride;
    const i64 end = image - at <= 0 ? 0 : (image - at - 1) / stride + 1;
    const i64 stop = end < windows ? end : windows;
    if (stop > first) pairs += stop - first;
  }
  return pairs;
}

/// The most pairs that `size` positions along `axis` can have, wherever they are: all there are
/// where these are all positions.
constexpr i64 most_pairs(const problem& p, i32 axis, i64 size) {
  const i64 kernel = p.kernel[axis];
  if (kernel == 1 && p.stride[axis] == 1) return size;
  const i64 all = all_pairs(p, axis);
  if (size >= p.extent[axis_h + axis]) return all;
  i64 most = size * kernel;
  if (p.transposed) {
    const i64 stride = p.stride[axis];
    i64 common = p.dilation[axis];  // taps of one position are stride / gcd apart
    for (i64 rest = stride; rest != 0;) {
      const i64 next = common % rest;
      common = rest;
      rest = next;
    }
    const i64 apart = stride / common;
    const i64 taps = (kernel + apart - 1) / apart;
    most = size * (taps < p.cells[axis] ? taps : p.cells[axis]);
    const i64 by_window = (size + stride - 1) / stride * kernel;
    if (by_window < most) most = by_window;
  }
  return most < all ? most : all;
}

}  // namespace tessera::accelerator
