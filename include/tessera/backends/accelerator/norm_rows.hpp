#pragma once

// Normalization of every sample by itself on the model: groups, layers, root mean squares
// (ops/norm.hpp has the formulas), and response norms (ops/response_norm.hpp).
//
// A vertex has whole rows. Sums over a row: 16 accumulators in turn, folded in halves, the squares
// about the mean in a second pass. Gradients of scales: every vertex adds up its rows in order, one
// product after the other, and the vertices' sums are added in the order of their blocks. Response
// norms: lanes are positions, sums over neighbouring channels run in order.

#include <tessera/backends/accelerator/functions.hpp>
#include <tessera/backends/accelerator/norm.hpp>
#include <tessera/ops/response_norm.hpp>

namespace tessera::accelerator {

/// Rows in memory, numbered by the axes o (groups) and b of their problem.
struct row_elements {
  norm_sizes n;
  bool batch_last;
  bool groups;

  explicit row_elements(const call& c)
      : n(norm_sizes::of(*c.sizes)),
        batch_last(c.sizes->batch_last),
        groups(is_group_norm(c.sizes->what)) {}

  i64 step() const { return batch_last ? n.batch : 1; }
  /// The number of a row among statistics.
  i64 statistic(i64 o, i64 b) const {
    if (!groups) return b;
    return batch_last ? o * n.batch + b : b * n.rows + o;
  }
  /// Its first element.
  i64 first(i64 statistic) const {
    if (!batch_last) return statistic * n.row();
    return statistic / n.batch * n.row() * n.batch + statistic % n.batch;
  }
  i64 scale(i64 o, i64 e) const { return groups ? o * n.features + e / n.inner : e; }

  /// visit(first, count) for the pieces of a row.
  template <class Visit>
  void pieces(const Visit& visit) const {
    for (i64 e = 0; e < n.row(); e += norm_piece) {
      visit(e, n.row() - e < norm_piece ? n.row() - e : norm_piece);
    }
  }
  /// `count` elements of the row at `from`, from number `e` on.
  template <class T>
  void fetch_piece(const T* from, i64 e, i64 count, float* to) const {
    if (!batch_last) return fetch(from + e, to, count);
    for (i64 i = 0; i < count; ++i) to[i] = fetch(from[(e + i) * n.batch]);
  }
  template <class T>
  void put_piece(const storing& how, const float* from, i64 e, i64 count, T* to) const {
    if (!batch_last) return put(how, from, to + e, count);
    for (i64 i = 0; i < count; ++i) put(how, from + i, to + (e + i) * n.batch, 1);
  }
  void fetch_scales(const float* scales, i64 o, i64 e, i64 count, float otherwise,
                    float* to) const {
    for (i64 i = 0; i < count; ++i) to[i] = scale_or(scales, scale(o, e + i), otherwise);
  }
};

/// group_norm, layer_norm, rms_norm.
template <class T>
void run_row_norm(const machine& m, const call& c) {
  const row_elements rows(c);
  const bool centred = c.sizes->what != kind::rms_norm;
  const float count = static_cast<float>(rows.n.row());
  for_norm_outputs(m, c, [&](i64 o, const mapping& map) {
    alignas(64) float values[norm_piece];
    alignas(64) float scales[norm_piece];
    alignas(64) float shifts[norm_piece];
    for (i64 b = 0; b < map.of.extent[axis_b]; ++b) {
      const i64 statistic = rows.statistic(o, b);
      const T* const x = c.input<T>(0) + rows.first(statistic);
      T* const y = c.output<T>(0) + rows.first(statistic);
      float mean = 0;
      if (centred) {
        alignas(64) float acc[16] = {};
        rows.pieces([&](i64 e, i64 here) {
          rows.fetch_piece(x, e, here, values);
          add_in_turn(values, here, acc);
        });
        mean = fold(acc) / count;
      }
      alignas(64) float acc[16] = {};
      rows.pieces([&](i64 e, i64 here) {
        rows.fetch_piece(x, e, here, values);
        centre(values, here, mean);
        multiply_in_turn(values, values, here, acc);
      });
      const float inverse = 1.0f / std::sqrt(fold(acc) / count + c.attr->norm.epsilon);
      if (c.sizes->has_output(3)) c.output<float>(3)[statistic] = mean;
      if (c.sizes->has_output(4)) c.output<float>(4)[statistic] = inverse;
      rows.pieces([&](i64 e, i64 here) {
        rows.fetch_piece(x, e, here, values);
        rows.fetch_scales(c.input<float>(1), o, e, here, 1, scales);
        rows.fetch_scales(c.input<float>(2), o, e, here, 0, shifts);
        centre(values, here, mean);
        for (i64 j = 0; j < here; j += lane_count) {
          const lanes h = load(values + j) * set(inverse);
          store(values + j, fma(h, load(scales + j), load(shifts + j)));
        }
        rows.put_piece(storing(m, c), values, e, here, y);
      });
    }
  });
}

/// dgamma and dbeta of group o (or of all rows).
template <class T>
void add_scale_gradients(const call& c, const row_elements& rows, i64 o, const mapping& map) {
  const i64 count = rows.groups ? rows.n.features : rows.n.row();
  const i64 inner = rows.groups ? rows.n.inner : 1;
  for (i64 k = 0; k < count; ++k) {
    float sum = 0;
    float sum_h = 0;
    for (i32 i = 0; i < map.count(axis_b); ++i) {
      float part = 0;
      float part_h = 0;
      const i64 begin = map.begin(axis_b, i);
      for (i64 b = begin; b < begin + map.size(axis_b, i); ++b) {
        const i64 statistic = rows.statistic(o, b);
        const float mean = scale_or(c.input<float>(3), statistic, 0);
        const float inverse = c.input<float>(4)[statistic];
        const i64 first = rows.first(statistic);
        for (i64 e = k * inner; e < (k + 1) * inner; ++e) {
          const float g = fetch(c.input<T>(1)[first + e * rows.step()]);
          const float h = (fetch(c.input<T>(0)[first + e * rows.step()]) - mean) * inverse;
          part += g;
          part_h = std::fma(g, h, part_h);
        }
      }
      sum = i == 0 ? part : sum + part;
      sum_h = i == 0 ? part_h : sum_h + part_h;
    }
    const i64 scale = rows.scale(o, k * inner);
    if (c.sizes->has_output(1)) c.output<float>(1)[scale] = sum_h;
    if (c.sizes->has_output(2)) c.output<float>(2)[scale] = sum;
  }
}

template <class T>
void run_row_norm_gradient(const machine& m, const call& c) {
  const row_elements rows(c);
  const bool centred = c.sizes->what != kind::rms_norm_gradient;
  const float count = static_cast<float>(rows.n.row());
  for_norm_outputs(m, c, [&](i64 o, const mapping& map) {
    // Before dx, which may take over the bytes of dy.
    if (has_scale_gradients(*c.sizes)) add_scale_gradients<T>(c, rows, o, map);
    if (!c.sizes->has_output(0)) return;
    alignas(64) float values[norm_piece];
    alignas(64) float gradients[norm_piece];
    alignas(64) float scales[norm_piece];
    for (i64 row = 0; row < map.of.extent[axis_b]; ++row) {
      const i64 statistic = rows.statistic(o, row);
      const T* const x = c.input<T>(0) + rows.first(statistic);
      const T* const dy = c.input<T>(1) + rows.first(statistic);
      T* const dx = c.output<T>(0) + rows.first(statistic);
      const float mean = scale_or(c.input<float>(3), statistic, 0);
      const float inverse = c.input<float>(4)[statistic];
      const auto fetch_all = [&](i64 e, i64 here) {  // x - mean, g
        rows.fetch_piece(x, e, here, values);
        rows.fetch_piece(dy, e, here, gradients);
        rows.fetch_scales(c.input<float>(2), o, e, here, 1, scales);
        centre(values, here, mean);
        for (i64 j = 0; j < here; j += lane_count) {
          store(gradients + j, load(gradients + j) * load(scales + j));
        }
      };
      alignas(64) float acc[16] = {};
      alignas(64) float acc_off[16] = {};
      rows.pieces([&](i64 e, i64 here) {
        fetch_all(e, here);
        for (i64 i = 0; i < here; ++i) scales[i] = 1;  // a product must not feed a plain sum
        multiply_in_turn(gradients, scales, here, acc);
        multiply_in_turn(gradients, values, here, acc_off);
      });
      const float share = inverse / count;
      const float b = -((share * inverse) * inverse) * fold(acc_off);
      const float d = centred ? -(share * fold(acc)) : 0.0f;
      rows.pieces([&](i64 e, i64 here) {
        fetch_all(e, here);
        for (i64 j = 0; j < here; j += lane_count) {
          const lanes through = fma(load(values + j), set(b), set(d));
          store(gradients + j, fma(load(gradients + j), set(inverse), through));
        }
        rows.put_piece(storing(m, c), gradients, e, here, dx);
      });
    }
  });
}

/// Columns of channels: up to a vector of positions that lie side by side.
struct response_column {
  response_sizes n;
  response_attributes attr;
  i64 plane;  // from channel to channel

  explicit response_column(const call& c)
      : n(response_sizes::of(*c.sizes)),
        attr(c.attr->response),
        plane(c.sizes->batch_last ? i64{n.inner} * n.batch : n.inner) {}

  template <class T>
  lanes fetch_lanes(const T* p, i32 channel, i64 count) const {
    alignas(64) float values[lane_count] = {};
    fetch(p + channel * plane, values, count);
    return load(values);
  }
  template <class T>
  lanes divisor(const T* x, i32 channel, i64 count) const {
    lanes sum{};
    const i32 end = channel + (n.window - 1) / 2 + 1;
    for (i32 j = channel < n.window / 2 ? 0 : channel - n.window / 2; j < end && j < n.channels;
         ++j) {
      const lanes v = fetch_lanes(x, j, count);
      sum = fma(v, v, sum);
    }
    return fma(sum, set(attr.alpha / static_cast<float>(n.window)), set(attr.k));
  }
  /// d^-beta
  lanes power(lanes d) const { return exp(log(d) * set(-attr.beta)); }
};

/// Runs work(address of the first number, positions) for every vector of columns.
template <class Work>
void for_columns(const machine& m, const call& c, const Work& work) {
  execution run(m, c);
  const mapping& map = run.blocks();
  const response_column column(c);
  run.run(map.vertices(), [&](i64 first, i64 last, recorder& r) {
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
    for (i64 i = first; i < last; ++i) {
      v.place(map, axis_b, static_cast<i32>(i));
      r.add(v, true);
      const i64 end = i64{v.begin[axis_b]} + v.size[axis_b];
      for (i64 e = v.begin[axis_b]; e < end;) {
        const i64 image = e / column.plane;  // a sample, or with the batch last all of them
        const i64 rest = (image + 1) * column.plane;
        i64 next = e + lane_count < rest ? e + lane_count : rest;
        if (next > end) next = end;
        work(image * column.n.channels * column.plane + e % column.plane, next - e);
        e = next;
      }
    }
  });
}

template <class T>
void run_local_response_norm(const machine& m, const call& c) {
  const response_column column(c);
  for_columns(m, c, [&](i64 first, i64 count) {
    const T* const x = c.input<T>(0) + first;
    T* const y = c.output<T>(0) + first;
    alignas(64) float values[lane_count];
    for (i32 k = 0; k < column.n.channels; ++k) {
      const lanes power = column.power(column.divisor(x, k, count));
      store(values, column.fetch_lanes(x, k, count) * power);
      put(storing(m, c), values, y + k * column.plane, count);
    }
  });
}

template <class T>
void run_local_response_norm_gradient(const machine& m, const call& c) {
  constexpr i32 piece = 64;  // channels at a time, with their neighbours
  const response_column column(c);
  const i32 channels = column.n.channels;
  const i32 before = (column.n.window - 1) / 2;  // channels j - before to j + after see channel j
  const i32 after = column.n.window / 2;
  const float factor =
      2.0f * column.attr.alpha * column.attr.beta / static_cast<float>(column.n.window);
  for_columns(m, c, [&](i64 first, i64 count) {
    const T* const x = c.input<T>(0) + first;
    const T* const dy = c.input<T>(1) + first;
    T* const dx = c.output<T>(0) + first;
    lanes passed[piece + ops::most_response_channels];
    lanes own[piece];
    alignas(64) float values[lane_count];
    for (i32 begin = 0; begin < channels; begin += piece) {
      const i32 end = channels - begin < piece ? channels : begin + piece;
      const i32 low = begin < before ? 0 : begin - before;
      const i32 high = channels - end < after ? channels : end + after;
      for (i32 k = low; k < high; ++k) {
        const lanes d = column.divisor(x, k, count);
        const lanes scaled = column.fetch_lanes(dy, k, count) * column.power(d);
        passed[k - low] = scaled * column.fetch_lanes(x, k, count) / d;
        if (k >= begin && k < end) own[k - begin] = scaled;
      }
      for (i32 j = begin; j < end; ++j) {
        lanes sum{};
        for (i32 k = j < before ? 0 : j - before; k <= j + after && k < channels; ++k) {
          sum += passed[k - low];
        }
        const lanes through = set(-factor) * column.fetch_lanes(x, j, count);
        store(values, fma(through, sum, own[j - begin]));
        put(storing(m, c), values, dx + j * column.plane, count);
      }
    }
  });
}

}  // namespace tessera::accelerator
