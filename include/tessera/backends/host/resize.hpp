#pragma once

// Adaptive pooling, up-sampling and unpooling (ops/resize.hpp states what they mean).
//
// As in pooling, a cell is a row of samples that fill vectors, or with the batch first a single
// number. Which cells a position reads is found once a call and kept for the first 512 positions of
// an axis, because it takes a division of whole numbers. Gradients gather: every cell of dx sums
// over the positions that read it, so nothing is shared between threads and 16-bit results are
// rounded once. With the batch first, weighted sums are taken apart: rows are blended as vectors
// into one row of f32 on the stack, whose elements are then blended one by one.
//
//   2.1 million outputs, 32 x 32 to 64 x 64    batch 32 (last)      batch 4 (first)
//   nearest, forward and backward              0.35 and 0.64 ms     2.0 and 1.2 ms
//   bilinear                                   0.64 and 1.6 ms      2.4 and 2.0 ms
//   a copy of as many bytes                    0.6 ms               (g++ 12 -O2, AVX-512, 1 thread)

#include <tessera/backends/host/pool.hpp>
#include <tessera/ops/resize.hpp>
#include <cstring>

namespace tessera::host {

/// What every position of an axis reads.
class known_spans {
 public:
  explicit known_spans(const ops::resized_axis& axis) : axis_(axis) {
    const i32 kept = axis.out < most ? axis.out : most;
    for (i32 i = 0; i < kept; ++i) kept_[i] = axis.cells_of(i);
  }

  ops::axis_span operator[](i32 position) const {
    return position < most ? kept_[position] : axis_.cells_of(position);
  }
  bool pools() const { return axis_.pools(); }
  float weight(i32 position, i32 cell) const {
    return axis_.blends() ? (*this)[position].weight<float>(cell) : 1.0f;
  }

  /// The positions that read `cell`, given those that read the cell before; {} for none.
  ops::axis_span next_readers(ops::axis_span before, i32 cell) const {
    i32 first = before.begin;
    while (first < axis_.out && (*this)[first].end() <= cell) ++first;
    i32 end = first;
    while (end < axis_.out && (*this)[end].begin <= cell) ++end;
    return {first, end - first};
  }

 private:
  static constexpr i32 most = 512;
  ops::resized_axis axis_;
  ops::axis_span kept_[most];
};

/// Rows of f32 on the stack: as many elements.
inline constexpr i32 blended_columns = 512;

/// to[k] += weight from[k], or = where it is the first.
template <class T>
void blend_row(const T* from, float weight, bool first, float* to, i32 count) {
  using namespace simd;
  const vec w = set(weight);
  i32 k = 0;
  for (; k + lanes <= count; k += lanes) {
    const vec x = load(from + k);
    store(to + k, first ? w * x : fma(w, x, load(to + k)));
  }
  for (; k < count; ++k) {
    const float x = weight * as_float(from[k]);
    to[k] = first ? x : to[k] + x;
  }
}

/// Planes of cells: channels with rows of samples, or channels of every sample.
struct resize_planes {
  resize_sizes n;
  i32 planes;
  i64 inner;  // numbers a cell
  known_spans rows;
  known_spans columns;

  resize_planes(const signature& s, bool batch_last)
      : n(resize_sizes::of(s)),
        planes(batch_last ? n.channels : n.batch * n.channels),
        inner(batch_last ? n.batch : 1),
        rows(ops::axis_of(s.what, n, 0)),
        columns(ops::axis_of(s.what, n, 1)) {}

  i64 x_plane() const { return i64{n.in_height} * n.in_width * inner; }
  i64 y_plane() const { return i64{n.out_height} * n.out_width * inner; }
  i64 x_cell(i32 h, i32 w) const { return (i64{h} * n.in_width + w) * inner; }

  /// visit(plane of x, plane of y, place of the output cell, rows, columns) for every position.
  template <class Visit>
  void for_positions(threads workers, const Visit& visit) const {
    parallel_for(workers, planes, [&](i32 plane) {
      i64 at = plane * y_plane();
      for (i32 p = 0; p < n.out_height; ++p) {
        const ops::axis_span down = rows[p];
        for (i32 q = 0; q < n.out_width; ++q, at += inner) {
          visit(plane * x_plane(), at, down, columns[q]);
        }
      }
    });
  }

  /// The same for every cell: visit(plane of y, place of the cell, h, w, readers of both axes).
  template <class Visit>
  void for_cells(threads workers, const Visit& visit) const {
    parallel_for(workers, planes, [&](i32 plane) {
      i64 at = plane * x_plane();
      ops::axis_span down;
      for (i32 h = 0; h < n.in_height; ++h) {
        down = rows.next_readers(down, h);
        ops::axis_span across;
        for (i32 w = 0; w < n.in_width; ++w, at += inner) {
          across = columns.next_readers(across, w);
          visit(plane * y_plane(), at, h, w, down, across);
        }
      }
    });
  }
};

template <class T, bool Last>
void upsample_nearest(const call& c) {
  const resize_planes v(*c.sizes, Last);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  v.for_positions(c.step->threads, [&](i64 plane, i64 to, const auto& down, const auto& across) {
    const T* const from = x + plane + v.x_cell(down.begin, across.begin);
    if constexpr (Last) {
      std::memcpy(y + to, from, static_cast<std::size_t>(v.inner) * sizeof(T));
    } else {
      y[to] = *from;
    }
  });
}

/// upsample_bilinear with the batch first, row by row.
template <class T>
void upsample_by_rows(const call& c, const resize_planes& v) {
  const resize_sizes& n = v.n;
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const x = c.input<T>(0) + plane * v.x_plane();
    T* y = c.output<T>(0) + plane * v.y_plane();
    float row[blended_columns];
    float out[blended_columns];
    for (i32 p = 0; p < n.out_height; ++p) {
      const ops::axis_span down = v.rows[p];
      for (i32 h = down.begin; h < down.end(); ++h) {
        blend_row(x + i64{h} * n.in_width, down.weight<float>(h), h == down.begin, row, n.in_width);
      }
      for (i32 first = 0; first < n.out_width; first += blended_columns, y += blended_columns) {
        const i32 rest = n.out_width - first;
        const i32 count = rest < blended_columns ? rest : blended_columns;
        for (i32 k = 0; k < count; ++k) {
          const ops::axis_span across = v.columns[first + k];
          const float left = across.weight<float>(across.begin) * row[across.begin];
          out[k] = across.count < 2
                       ? left
                       : left + static_cast<float>(across.share) * row[across.begin + 1];
        }
        if constexpr (sizeof(T) == 2) {
          narrow(out, y, count);
        } else {
          std::memcpy(y, out, static_cast<std::size_t>(count) * sizeof(float));
        }
        if (count == rest) {
          y += count;
          break;
        }
      }
    }
  });
}

template <class T, bool Last>
void upsample_bilinear(const call& c) {
  using Lanes = pool_lanes<Last>;
  using value = typename Lanes::value;
  const resize_planes v(*c.sizes, Last);
  if constexpr (!Last) {
    if (v.n.in_width <= blended_columns) return upsample_by_rows<T>(c, v);
  }
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  v.for_positions(c.step->threads, [&](i64 plane, i64 to, const auto& down, const auto& across) {
    // A cell of weight 0 is not read at all: it may be infinite.
    const T* const first = x + plane + v.x_cell(down.begin, across.begin);
    const i64 below = down.count > 1 ? v.x_cell(1, 0) : 0;
    const value low = Lanes::set(down.template weight<float>(down.begin));
    const value high = Lanes::set(static_cast<float>(down.share));
    const value left = Lanes::set(across.template weight<float>(across.begin));
    const value right = Lanes::set(static_cast<float>(across.share));
    const auto column = [&](const T* from) {
      const value upper = low * Lanes::load(from);
      return below == 0 ? upper : upper + high * Lanes::load(from + below);
    };
    for (i64 i = 0; i < v.inner; i += Lanes::width) {
      value blend = left * column(first + i);
      if (across.count > 1) blend = blend + right * column(first + v.inner + i);
      Lanes::store(y + to + i, blend);
    }
  });
}

template <class T, bool Last>
void adaptive_avg_pool2d(const call& c) {
  using Lanes = pool_lanes<Last>;
  const resize_planes v(*c.sizes, Last);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  v.for_positions(c.step->threads, [&](i64 plane, i64 to, const auto& down, const auto& across) {
    const T* const first = x + plane + v.x_cell(down.begin, across.begin);
    const auto divisor = Lanes::set(static_cast<float>(down.count * across.count));
    for (i64 i = 0; i < v.inner; i += Lanes::width) {
      typename Lanes::value sum = Lanes::set(0);
      for (i32 r = 0; r < down.count; ++r) {
        const T* const line = first + v.x_cell(r, 0) + i;
        for (i32 s = 0; s < across.count; ++s) sum = sum + Lanes::load(line + s * v.inner);
      }
      Lanes::store(y + to + i, sum / divisor);
    }
  });
}

/// What a position gives to a cell that it reads.
inline float share_of(const known_spans& axis, i32 position, i32 cell) {
  return axis.pools() ? 1.0f / static_cast<float>(axis[position].count)
                      : axis.weight(position, cell);
}

/// Who reads the cells of a row of at most 512, and with what share.
struct known_readers {
  i32 first[blended_columns];
  i32 end[blended_columns];
  i32 begin[blended_columns];    // of a position: its first cell,
  float share[blended_columns];  // what it gives to that one,
  float rest[blended_columns];   // and to others

  known_readers(const known_spans& axis, i32 in, i32 out) {
    ops::axis_span readers;
    for (i32 cell = 0; cell < in; ++cell) {
      readers = axis.next_readers(readers, cell);
      first[cell] = readers.begin;
      end[cell] = readers.end();
    }
    for (i32 q = 0; q < out; ++q) {
      begin[q] = axis[q].begin;
      share[q] = share_of(axis, q, begin[q]);
      rest[q] = share_of(axis, q, begin[q] + 1);
    }
  }
};

/// resize_gradient with the batch first, row by row.
template <class T>
void resize_gradient_by_rows(const call& c, const resize_planes& v) {
  const resize_sizes& n = v.n;
  const known_readers columns(v.columns, n.in_width, n.out_width);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const dy = c.input<T>(0) + plane * v.y_plane();
    T* dx = c.output<T>(0) + plane * v.x_plane();
    float row[blended_columns] = {};
    ops::axis_span down;
    for (i32 h = 0; h < n.in_height; ++h) {
      down = v.rows.next_readers(down, h);
      for (i32 p = down.begin; p < down.end(); ++p) {
        blend_row(dy + i64{p} * n.out_width, share_of(v.rows, p, h), p == down.begin, row,
                  n.out_width);
      }
      for (i32 w = 0; w < n.in_width; ++w, ++dx) {
        float sum = 0;
        for (i32 q = columns.first[w]; down.count > 0 && q < columns.end[w]; ++q) {
          sum += (w == columns.begin[q] ? columns.share[q] : columns.rest[q]) * row[q];
        }
        single_lane::store(dx, sum);
      }
    }
  });
}

/// dx of everything that is a weighted sum.
template <class T, bool Last>
void resize_gradient(const call& c) {
  using Lanes = pool_lanes<Last>;
  const resize_planes v(*c.sizes, Last);
  if constexpr (!Last) {
    if (v.n.in_width <= blended_columns && v.n.out_width <= blended_columns) {
      return resize_gradient_by_rows<T>(c, v);
    }
  }
  const T* const dy = c.input<T>(0);
  T* const dx = c.output<T>(0);
  v.for_cells(c.step->threads,
              [&](i64 plane, i64 to, i32 h, i32 w, const auto& down, const auto& across) {
                for (i64 i = 0; i < v.inner; i += Lanes::width) {
                  typename Lanes::value sum = Lanes::set(0);
                  for (i32 p = down.begin; p < down.end(); ++p) {
                    const float below = share_of(v.rows, p, h);
                    const T* const line = dy + plane + i64{p} * v.n.out_width * v.inner + i;
                    for (i32 q = across.begin; q < across.end(); ++q) {
                      const float beside = share_of(v.columns, q, w);
                      sum = sum + Lanes::set(below * beside) * Lanes::load(line + q * v.inner);
                    }
                  }
                  Lanes::store(dx + to + i, sum);
                }
              });
}

template <class Lanes, class T, class Index>
void adaptive_max_planes(const call& c, const resize_planes& v, i32 widest) {
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  Index* const index = c.output<Index>(1);
  v.for_positions(c.step->threads, [&](i64 plane, i64 to, const auto& down, const auto& across) {
    const T* const first = x + plane + v.x_cell(down.begin, across.begin);
    for (i64 i = 0; i < v.inner; i += Lanes::width) {
      auto best = Lanes::load(first + i);
      auto winner = Lanes::set(0);
      for (i32 r = 0; r < down.count; ++r) {
        const T* const line = first + v.x_cell(r, 0) + i;
        for (i32 s = 0; s < across.count; ++s) {
          const auto value = Lanes::load(line + s * v.inner);
          const auto wins = value > best;
          best = Lanes::select(wins, value, best);
          winner = Lanes::select(wins, Lanes::set(static_cast<float>(r * widest + s)), winner);
        }
      }
      Lanes::store(y + to + i, best);
      if (index != nullptr) Lanes::store_index(index + to + i, winner);
    }
  });
}

template <class Lanes, class T, class Index>
void adaptive_max_gradient_planes(const call& c, const resize_planes& v, i32 widest) {
  const T* const dy = c.input<T>(0);
  const Index* const index = c.input<Index>(1);
  T* const dx = c.output<T>(0);
  v.for_cells(c.step->threads,
              [&](i64 plane, i64 to, i32 h, i32 w, const auto& down, const auto& across) {
                for (i64 i = 0; i < v.inner; i += Lanes::width) {
                  typename Lanes::value sum = Lanes::set(0);
                  for (i32 p = down.begin; p < down.end(); ++p) {
                    const i64 line = plane + i64{p} * v.n.out_width * v.inner + i;
                    const i32 row = (h - v.rows[p].begin) * widest + w;
                    for (i32 q = across.begin; q < across.end(); ++q) {
                      const i64 at = line + q * v.inner;
                      const auto here = Lanes::set(static_cast<float>(row - v.columns[q].begin));
                      sum = sum + Lanes::select(Lanes::load_index(index + at) == here,
                                                Lanes::load(dy + at), Lanes::set(0));
                    }
                  }
                  Lanes::store(dx + to + i, sum);
                }
              });
}

/// The same with the batch first in f32: every window adds its gradient to its winner, in the order
/// in which a cell would gather them.
template <class Index>
void adaptive_max_scatter(const call& c, const resize_planes& v, i32 widest) {
  const Index* const index = c.input<Index>(1);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    float* const dx = c.output<float>(0) + plane * v.x_plane();
    std::fill_n(dx, v.x_plane(), 0.0f);
    i64 at = plane * v.y_plane();
    for (i32 p = 0; p < v.n.out_height; ++p) {
      for (i32 q = 0; q < v.n.out_width; ++q, ++at) {
        const i32 place = static_cast<i32>(index[at]);
        dx[v.x_cell(v.rows[p].begin + place / widest, v.columns[q].begin + place % widest)] +=
            c.input<float>(0)[at];
      }
    }
  });
}

/// Calls planes(view, the widest window) with u8 or i32 places.
template <class Small, class Large>
void with_places(const call& c, bool last, const Small& small, const Large& large) {
  const resize_planes v(*c.sizes, last);
  const i32 widest = ops::axis_of(c.sizes->what, v.n, 1).most_cells();
  const bool bytes = ops::axis_of(c.sizes->what, v.n, 0).most_cells() * widest <= 256;
  bytes ? small(c, v, widest) : large(c, v, widest);
}

template <class T, bool Last>
void adaptive_max_pool2d(const call& c) {
  using Lanes = pool_lanes<Last>;
  with_places(c, Last, adaptive_max_planes<Lanes, T, u8>, adaptive_max_planes<Lanes, T, i32>);
}

template <class T, bool Last>
void adaptive_max_pool2d_gradient(const call& c) {
  using Lanes = pool_lanes<Last>;
  if constexpr (!Last && sizeof(T) == 4) {
    return with_places(c, Last, adaptive_max_scatter<u8>, adaptive_max_scatter<i32>);
  }
  with_places(c, Last, adaptive_max_gradient_planes<Lanes, T, u8>,
              adaptive_max_gradient_planes<Lanes, T, i32>);
}

/// max_unpool2d with flat places: values go where their numbers say, plane by plane.
template <class T, bool Last>
void max_unpool2d(const call& c) {
  const pool_planes v(*c.sizes, Last);
  const T* const x = c.input<T>(0);
  const i32* const indices = c.input<i32>(1);
  const i32 places = v.n.in_height * v.n.in_width;
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    T* const y = c.output<T>(0) + plane * v.x_plane();
    std::fill_n(y, v.x_plane(), T{});
    for (i64 at = plane * v.y_plane(); at < (plane + 1) * v.y_plane(); at += v.inner) {
      for (i64 i = 0; i < v.inner; ++i) {
        const i32 place = indices[at + i];
        if (place < 0 || place >= places) continue;
        T& to = y[place * v.inner + i];
        single_lane::store(&to, single_lane::load(&to) + single_lane::load(x + at + i));
      }
    }
  });
}

template <class T, bool Last, class Index>
void max_unpool_gradient_planes(const call& c) {
  const pool_planes v(*c.sizes, Last);
  const pool_sizes& n = v.n;
  const Index* const indices = c.input<Index>(1);
  i32 down[256] = {};  // places in small windows as rows and columns
  i32 across[256] = {};
  for (i32 k = 0; n.kernel_width > 0 && k < 256; ++k) {
    down[k] = k / n.kernel_width * n.dilation_height - n.pad_top;
    across[k] = k % n.kernel_width * n.dilation_width - n.pad_left;
  }
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const dy = c.input<T>(0) + plane * v.x_plane();
    T* const dx = c.output<T>(0);
    i64 at = plane * v.y_plane();
    for (i32 p = 0; p < n.out_height; ++p) {
      for (i32 q = 0; q < n.out_width; ++q, at += v.inner) {
        for (i64 i = 0; i < v.inner; ++i) {
          i64 place = -1;
          if constexpr (sizeof(Index) == 1) {
            const i32 h = p * n.stride_height + down[indices[at + i]];
            const i32 w = q * n.stride_width + across[indices[at + i]];
            if (h >= 0 && h < n.in_height && w >= 0 && w < n.in_width) place = h * n.in_width + w;
          } else {
            place = unpooled_place(n, p, q, indices[at + i]);
          }
          dx[at + i] = place < 0 ? T{} : dy[place * v.inner + i];
        }
      }
    }
  });
}

template <class T, bool Last>
void max_unpool2d_gradient(const call& c) {
  if (c.sizes->input_type(1) == element::uint8) return max_unpool_gradient_planes<T, Last, u8>(c);
  max_unpool_gradient_planes<T, Last, i32>(c);
}

}  // namespace tessera::host
