#pragma once

// Recurrent cells and embedding on the model. ops/recurrent.hpp and ops/embedding.hpp have the
// meanings.
//
// Cells are elementwise in their state: every tile works on consecutive elements of it, whose gates
// the product before has left there. Arithmetic is f32, products that feed a sum are fused
// multiply-adds, one rounding per stored element.
//
// Embedding fetches the rows that are named. Which tile will need which row is not known before the
// run, so its gradient is priced for the worst: a tile has some rows and columns of the table,
// receives all indices and its columns of all of dy, and adds what is its own, in the order of the
// indices.

#include <tessera/backends/accelerator/elementwise.hpp>

namespace tessera::accelerator {

/// A strip of a cell's operands in f32, slot by slot.
class cell_strip {
 public:
  cell_strip(i64 n, i64 state, i64 gate, i64 next)
      : n_(n), state_(state), gate_(gate), next_(next) {}

  i64 size() const { return n_; }

  template <class T>
  void fetch_state(const T* from, float* to) const {
    fetch(from + state_, to, n_);
  }
  template <class T>
  void fetch_gate(const T* from, i32 which, float* to) const {
    fetch(from + gate_ + which * next_, to, n_);
  }
  template <class T>
  void put_state(const storing& how, const float* from, T* to) const {
    if (to != nullptr) put(how, from, to + state_, n_);
  }
  template <class T>
  void put_gate(const storing& how, const float* from, T* to, i32 which) const {
    if (to != nullptr) put(how, from, to + gate_ + which * next_, n_);
  }

 private:
  i64 n_;
  i64 state_;
  i64 gate_;
  i64 next_;
};

/// Calls work(strip) for at most `strip` elements of a state at a time: those of one sample where
/// samples are outermost, any where they are innermost.
template <class Work>
void for_state_strips(const machine& m, const call& c, i32 gates, const Work& work) {
  const auto n = cell_sizes::of(*c.sizes);
  const i64 length = c.sizes->batch_last ? i64{n.batch} * n.features : n.features;
  for_elements(m, c, [&](i64 first, i64 count) {
    const i64 last = first + count;
    while (first < last) {
      const i64 piece = first / length;
      i64 end = (piece + 1) * length < last ? (piece + 1) * length : last;
      if (end > first + strip) end = first + strip;
      work(cell_strip(end - first, first, first + piece * length * (gates - 1), length));
      first = end;
    }
  });
}

template <class T>
const T* input_or_null(const call& c, i32 slot) {
  return c.sizes->has_input(slot) ? c.input<T>(slot) : nullptr;
}
template <class T>
T* output_or_null(const call& c, i32 slot) {
  return c.sizes->has_output(slot) ? c.output<T>(slot) : nullptr;
}

inline lanes through_sigmoid(lanes s, lanes d) { return d * s * (set(1.0f) - s); }
inline lanes through_tanh(lanes t, lanes d) { return d * fma(-t, t, set(1.0f)); }

template <class T>
void run_lstm_cell(const machine& m, const call& c) {
  const T* z = c.input<T>(0);
  const T* c_prev = c.input<T>(1);
  T* gates = output_or_null<T>(c, 2);
  for_state_strips(m, c, 4, [&](const cell_strip& s) {
    alignas(64) float gate[4][strip] = {};
    alignas(64) float cell[strip] = {};
    alignas(64) float hidden[strip] = {};
    for (i32 k = 0; k < 4; ++k) s.fetch_gate(z, k, gate[k]);
    s.fetch_state(c_prev, cell);
    for (i64 j = 0; j < s.size(); j += lane_count) {
      const lanes i = sigmoid(load(gate[0] + j));
      const lanes f = sigmoid(load(gate[1] + j));
      const lanes g = tanh(load(gate[2] + j));
      const lanes o = sigmoid(load(gate[3] + j));
      const lanes value = fma(i, g, f * load(cell + j));
      store(hidden + j, o * tanh(value));
      store(cell + j, value);
      store(gate[0] + j, i);
      store(gate[1] + j, f);
      store(gate[2] + j, g);
      store(gate[3] + j, o);
    }
    s.put_state({m, c}, hidden, c.output<T>(0));
    s.put_state({m, c}, cell, c.output<T>(1));
    for (i32 k = 0; k < 4; ++k) s.put_gate({m, c}, gate[k], gates, k);
  });
}

template <class T>
void run_lstm_cell_gradient(const machine& m, const call& c) {
  const T* gates = c.input<T>(0);
  const T* dh = input_or_null<T>(c, 3);
  const T* dc = input_or_null<T>(c, 4);
  T* dz = output_or_null<T>(c, 0);
  T* dc_prev = output_or_null<T>(c, 1);
  for_state_strips(m, c, 4, [&](const cell_strip& s) {
    alignas(64) float gate[4][strip] = {};
    alignas(64) float before[strip] = {};
    alignas(64) float cell[strip] = {};
    alignas(64) float from_h[strip] = {};
    alignas(64) float from_c[strip] = {};
    for (i32 k = 0; k < 4; ++k) s.fetch_gate(gates, k, gate[k]);
    s.fetch_state(c.input<T>(1), before);
    s.fetch_state(c.input<T>(2), cell);
    if (dh != nullptr) s.fetch_state(dh, from_h);
    if (dc != nullptr) s.fetch_state(dc, from_c);
    for (i64 j = 0; j < s.size(); j += lane_count) {
      const lanes i = load(gate[0] + j);
      const lanes f = load(gate[1] + j);
      const lanes g = load(gate[2] + j);
      const lanes o = load(gate[3] + j);
      const lanes t = tanh(load(cell + j));
      const lanes h = load(from_h + j);
      const lanes d = fma(h * o, fma(-t, t, set(1.0f)), load(from_c + j));
      store(gate[0] + j, through_sigmoid(i, d * g));
      store(gate[1] + j, through_sigmoid(f, d * load(before + j)));
      store(gate[2] + j, through_tanh(g, d * i));
      store(gate[3] + j, through_sigmoid(o, h * t));
      store(from_c + j, d * f);
    }
    for (i32 k = 0; k < 4; ++k) s.put_gate({m, c}, gate[k], dz, k);
    s.put_state({m, c}, from_c, dc_prev);
  });
}

template <class T>
void run_gru_cell(const machine& m, const call& c) {
  const T* zx = c.input<T>(0);
  const T* zh = c.input<T>(1);
  T* gates = output_or_null<T>(c, 1);
  T* kept = output_or_null<T>(c, 2);
  for_state_strips(m, c, 3, [&](const cell_strip& s) {
    alignas(64) float gate[3][strip] = {};
    alignas(64) float hidden[3][strip] = {};
    alignas(64) float state[strip] = {};
    for (i32 k = 0; k < 3; ++k) {
      s.fetch_gate(zx, k, gate[k]);
      s.fetch_gate(zh, k, hidden[k]);
    }
    s.fetch_state(c.input<T>(2), state);
    for (i64 j = 0; j < s.size(); j += lane_count) {
      const lanes r = sigmoid(load(gate[0] + j) + load(hidden[0] + j));
      const lanes z = sigmoid(load(gate[1] + j) + load(hidden[1] + j));
      const lanes n = tanh(fma(r, load(hidden[2] + j), load(gate[2] + j)));
      store(state + j, fma(set(1.0f) - z, n, z * load(state + j)));
      store(gate[0] + j, r);
      store(gate[1] + j, z);
      store(gate[2] + j, n);
    }
    s.put_state({m, c}, state, c.output<T>(0));
    for (i32 k = 0; k < 3; ++k) s.put_gate({m, c}, gate[k], gates, k);
    s.put_state({m, c}, hidden[2], kept);
  });
}

template <class T>
void run_gru_cell_gradient(const machine& m, const call& c) {
  const T* gates = c.input<T>(0);
  T* dzx = output_or_null<T>(c, 0);
  T* dzh = output_or_null<T>(c, 1);
  T* dh_prev = output_or_null<T>(c, 2);
  for_state_strips(m, c, 3, [&](const cell_strip& s) {
    alignas(64) float gate[3][strip] = {};
    alignas(64) float hidden[strip] = {};
    alignas(64) float state[strip] = {};
    alignas(64) float d_state[strip] = {};
    for (i32 k = 0; k < 3; ++k) s.fetch_gate(gates, k, gate[k]);
    s.fetch_state(c.input<T>(1), hidden);
    s.fetch_state(c.input<T>(2), state);
    s.fetch_state(c.input<T>(3), d_state);
    for (i64 j = 0; j < s.size(); j += lane_count) {
      const lanes r = load(gate[0] + j);
      const lanes z = load(gate[1] + j);
      const lanes n = load(gate[2] + j);
      const lanes d = load(d_state + j);
      const lanes dn = through_tanh(n, d * (set(1.0f) - z));
      store(gate[0] + j, through_sigmoid(r, dn * load(hidden + j)));
      store(gate[1] + j, through_sigmoid(z, d * (load(state + j) - n)));
      store(gate[2] + j, dn);
      store(hidden + j, dn * r);
      store(d_state + j, d * z);
    }
    for (i32 k = 0; k < 3; ++k) {
      s.put_gate({m, c}, gate[k], dzx, k);
      s.put_gate({m, c}, k < 2 ? gate[k] : hidden, dzh, k);
    }
    s.put_state({m, c}, d_state, dh_prev);
  });
}

template <class T>
void run_select_by_length(const machine& m, const call& c) {
  const auto n = cell_sizes::of(*c.sizes);
  const i32* lengths = c.input<i32>(0);
  const T* a = input_or_null<T>(c, 1);
  const T* b = input_or_null<T>(c, 2);
  T* y = c.output<T>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    for (i64 i = first; i < first + count; ++i) {
      const i64 sample = c.sizes->batch_last ? i % n.batch : i / n.features;
      const T* from = c.index < lengths[sample] ? a : b;
      y[i] = from != nullptr ? from[i] : T{};
    }
  });
}

/// Runs the vertices of an operation that are one each: work(vertex).
template <class Work>
void for_vertices(const machine& m, const call& c, const Work& work) {
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.vertices(), [&](i64 first, i64 last, recorder& r) {
    for (i64 i = first; i < last; ++i) {
      vertex v;
      i64 rest = i;
      for (const i32 a : {axis_b, axis_w, axis_h, axis_o, axis_c, axis_g}) {
        v.place(map, a, static_cast<i32>(rest % map.count(a)));
        rest /= map.count(a);
      }
      r.add(v, true);
      work(v);
    }
  });
}

/// Element number `i` of a table as it is stored: an f32 master is rounded on the way.
template <class T, class Table>
T stored_element(const storing& how, const Table* table, i64 i) {
  if constexpr (sizeof(T) == sizeof(Table)) {
    static_cast<void>(how);
    return table[i];
  } else {
    T y;
    put_own(how, table + i, &y, 1, i);
    return y;
  }
}

template <class T, class Table>
void look_up(const machine& m, const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  const bool last = c.sizes->batch_last;
  const i32* indices = c.input<i32>(0);
  const Table* table = c.input<Table>(1);
  T* y = c.output<T>(0);
  for_vertices(m, c, [&](const vertex& v) {
    for (i32 i = v.begin[axis_b]; i < v.begin[axis_b] + v.size[axis_b]; ++i) {
      const i64 row = indices[i];
      const bool exists = row >= 0 && row < n.rows;
      for (i32 w = v.begin[axis_o]; w < v.begin[axis_o] + v.size[axis_o]; ++w) {
        y[n.begin(last, i) + w * n.step(last)] =
            exists ? stored_element<T>({m, c}, table, row * n.width + w) : T{};
      }
    }
  });
}

template <class T>
void run_embedding(const machine& m, const call& c) {
  if constexpr (sizeof(T) == 2) {
    if (c.sizes->input_type(1) == element::f32) return look_up<T, float>(m, c);
  }
  look_up<T, T>(m, c);
}

/// Adds `sums` of slice number `slice` to what is stored of a row, rounded by words of its own, and
/// so is what is stored then.
template <class T>
void add_slice(const storing& how, const embedding_sizes& n, i32 slice, const float* sums,
               T* dtable, i64 first, i32 columns) {
  const i64 all = i64{n.rows} * n.width;
  T part[strip];
  float total[strip];
  put_own(how, sums, part, columns, 2 * slice * all + first);
  for (i32 k = 0; k < columns; ++k) {
    total[k] = (slice == 0 ? 0.0f : fetch(dtable[first + k])) + fetch(part[k]);
  }
  put_own(how, total, dtable + first, columns, (2 * slice + 1) * all + first);
}

template <class T>
void run_embedding_gradient(const machine& m, const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  const bool last = c.sizes->batch_last;
  const i32* indices = c.input<i32>(0);
  const T* dy = c.input<T>(1);
  T* dtable = c.output<T>(0);
  for_vertices(m, c, [&](const vertex& v) {
    for (i32 w = v.begin[axis_o]; w < v.begin[axis_o] + v.size[axis_o]; w += strip) {
      const i32 end = v.begin[axis_o] + v.size[axis_o];
      const i32 columns = end - w < strip ? end - w : strip;
      for (i32 row = v.begin[axis_c]; row < v.begin[axis_c] + v.size[axis_c]; ++row) {
        const i64 first = i64{row} * n.width + w;
        for (i32 slice = 0; slice < n.slices(); ++slice) {
          float sums[strip] = {};
          const i32 end_of_slice = n.slice(slice) + n.in_slice();
          for (i32 i = n.slice(slice); i < end_of_slice && row != c.attr->padding_index; ++i) {
            if (indices[i] != row) continue;
            const T* from = dy + n.begin(last, i) + w * n.step(last);
            for (i32 k = 0; k < columns; ++k) sums[k] += fetch(from[k * n.step(last)]);
          }
          if (n.slices() > 1) {
            add_slice(storing(m, c), n, slice, sums, dtable, first, columns);
          } else {
            put(storing(m, c), sums, dtable + first, columns);
          }
        }
      }
    }
  });
}

}  // namespace tessera::accelerator
