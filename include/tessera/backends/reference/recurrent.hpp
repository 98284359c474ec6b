#pragma once

// Recurrent cells and embedding as plain loops over samples and features (ops/recurrent.hpp and
// ops/embedding.hpp state what they mean). All of an element is read before anything of it is
// written, so outputs may lie in an input's bytes.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::reference {

/// Stores where the output is wanted.
template <class Real>
void set_if(const cells<Real>& to, i64 i, Real value) {
  if (to) to.set(i, value);
}

/// Calls visit(place in a state, place of gate 0, distance between gates) for every element.
template <class Visit>
void for_states(const call& c, i32 gates, const Visit& visit) {
  const auto n = cell_sizes::of(*c.sizes);
  const batch_layout state{c.sizes->batch_last, n.batch, n.features};
  const batch_layout all{c.sizes->batch_last, n.batch, i64{gates} * n.features};
  for (i64 sample = 0; sample < n.batch; ++sample) {
    for (i64 i = 0; i < n.features; ++i) {
      const i64 first = all.at(sample, i);
      visit(state.at(sample, i), first, all.at(sample, i + n.features) - first);
    }
  }
}

template <class Real>
void lstm_cell(const call& c) {
  const auto z = in<Real>(c, 0), c_prev = in<Real>(c, 1);
  const auto h = out<Real>(c, 0), cell = out<Real>(c, 1), gates = out<Real>(c, 2);
  for_states(c, 4, [&](i64 s, i64 at, i64 next) {
    const Real i = logistic(z[at]);
    const Real f = logistic(z[at + next]);
    const Real g = std::tanh(z[at + 2 * next]);
    const Real o = logistic(z[at + 3 * next]);
    const Real value = f * c_prev[s] + i * g;
    h.set(s, o * std::tanh(value));
    cell.set(s, value);
    set_if(gates, at, i);
    set_if(gates, at + next, f);
    set_if(gates, at + 2 * next, g);
    set_if(gates, at + 3 * next, o);
  });
}

template <class Real>
void lstm_cell_gradient(const call& c) {
  const auto gates = in<Real>(c, 0), c_prev = in<Real>(c, 1), cell = in<Real>(c, 2);
  const auto dh = in<Real>(c, 3), dc = in<Real>(c, 4);
  const auto dz = out<Real>(c, 0), dc_prev = out<Real>(c, 1);
  for_states(c, 4, [&](i64 s, i64 at, i64 next) {
    const Real i = gates[at];
    const Real f = gates[at + next];
    const Real g = gates[at + 2 * next];
    const Real o = gates[at + 3 * next];
    const Real t = std::tanh(cell[s]);
    const Real from_h = dh ? dh[s] : Real(0);
    const Real d = (dc ? dc[s] : Real(0)) + from_h * o * (1 - t * t);
    const Real df = d * c_prev[s];
    set_if(dc_prev, s, d * f);
    set_if(dz, at, d * g * i * (1 - i));
    set_if(dz, at + next, df * f * (1 - f));
    set_if(dz, at + 2 * next, d * i * (1 - g * g));
    set_if(dz, at + 3 * next, from_h * t * o * (1 - o));
  });
}

template <class Real>
void gru_cell(const call& c) {
  const auto zx = in<Real>(c, 0), zh = in<Real>(c, 1), h_prev = in<Real>(c, 2);
  const auto h = out<Real>(c, 0), gates = out<Real>(c, 1), kept = out<Real>(c, 2);
  for_states(c, 3, [&](i64 s, i64 at, i64 next) {
    const Real r = logistic(zx[at] + zh[at]);
    const Real z = logistic(zx[at + next] + zh[at + next]);
    const Real hidden = zh[at + 2 * next];
    const Real n = std::tanh(zx[at + 2 * next] + r * hidden);
    h.set(s, (1 - z) * n + z * h_prev[s]);
    set_if(gates, at, r);
    set_if(gates, at + next, z);
    set_if(gates, at + 2 * next, n);
    set_if(kept, s, hidden);
  });
}

template <class Real>
void gru_cell_gradient(const call& c) {
  const auto gates = in<Real>(c, 0), hidden = in<Real>(c, 1), h_prev = in<Real>(c, 2);
  const auto dh = in<Real>(c, 3);
  const auto dzx = out<Real>(c, 0), dzh = out<Real>(c, 1), dh_prev = out<Real>(c, 2);
  for_states(c, 3, [&](i64 s, i64 at, i64 next) {
    const Real r = gates[at];
    const Real z = gates[at + next];
    const Real n = gates[at + 2 * next];
    const Real d = dh[s];
    const Real dn = d * (1 - z) * (1 - n * n);
    const Real dz = d * (h_prev[s] - n) * z * (1 - z);
    const Real dr = dn * hidden[s] * r * (1 - r);
    set_if(dh_prev, s, d * z);
    set_if(dzx, at, dr);
    set_if(dzx, at + next, dz);
    set_if(dzx, at + 2 * next, dn);
    set_if(dzh, at, dr);
    set_if(dzh, at + next, dz);
    set_if(dzh, at + 2 * next, dn * r);
  });
}

template <class Real>
void select_by_length(const call& c) {
  const auto n = cell_sizes::of(*c.sizes);
  const batch_layout at{c.sizes->batch_last, n.batch, n.features};
  const i32* lengths = c.input<i32>(0);
  const auto a = in<Real>(c, 1), b = in<Real>(c, 2);
  const auto y = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample) {
    const auto& from = c.index < lengths[sample] ? a : b;
    for (i64 i = 0; i < n.features; ++i) {
      y.set(at.at(sample, i), from ? from[at.at(sample, i)] : Real(0));
    }
  }
}

template <class Real>
void embedding(const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  const bool last = c.sizes->batch_last;
  const i32* indices = c.input<i32>(0);
  const auto table = in<Real>(c, 1);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < n.indices(); ++i) {
    const i64 row = indices[i];
    const bool exists = row >= 0 && row < n.rows;
    for (i64 w = 0; w < n.width; ++w) {
      y.set(n.begin(last, i) + w * n.step(last), exists ? table[row * n.width + w] : Real(0));
    }
  }
}

/// The sum of each slice is rounded as if it were stored, and so is each sum of slices.
template <class Real>
void embedding_gradient_by_slices(const call& c, const embedding_sizes& n) {
  const bool last = c.sizes->batch_last;
  const i32* indices = c.input<i32>(0);
  const auto dy = in<Real>(c, 1);
  const auto dtable = out<Real>(c, 0);
  const element type = c.sizes->output_type(0);
  for (i64 row = 0; row < n.rows; ++row) {
    for (i64 w = 0; w < n.width; ++w) {
      Real sum = 0;
      for (i32 slice = 0; slice < n.slices(); ++slice) {
        Real part = 0;
        for (i64 i = n.slice(slice); i < n.slice(slice) + n.in_slice(); ++i) {
          if (indices[i] != row || row == c.attr->padding_index) continue;
          part += dy[n.begin(last, i) + w * n.step(last)];
        }
        sum = rounded_to(type, sum + rounded_to(type, part));
      }
      dtable.set(row * n.width + w, sum);
    }
  }
}

/// A sum per element of the table, over all indices that name its row.
template <class Real>
void embedding_gradient(const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  if (n.slices() > 1) return embedding_gradient_by_slices<Real>(c, n);
  const bool last = c.sizes->batch_last;
  const i32* indices = c.input<i32>(0);
  const auto dy = in<Real>(c, 1);
  const auto dtable = out<Real>(c, 0);
  for (i64 row = 0; row < n.rows; ++row) {
    bool named = false;
    for (i64 i = 0; i < n.indices(); ++i) named = named || indices[i] == row;
    named = named && row != c.attr->padding_index;
    for (i64 w = 0; w < n.width; ++w) {
      Real sum = 0;
      for (i64 i = 0; named && i < n.indices(); ++i) {
        if (indices[i] == row) sum += dy[n.begin(last, i) + w * n.step(last)];
      }
      dtable.set(row * n.width + w, sum);
    }
  }
}

}  // namespace tessera::reference
