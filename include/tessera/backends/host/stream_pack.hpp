#pragma once

// Weights of a step into the order in which its kernel reads them (stream_layout.hpp). Runs when
// weights are loaded, never in a step.

#include <tessera/backends/host/stream_layout.hpp>
#include <cmath>
#include <span>

namespace tessera::host {

/// What a step is between: sizes of its first two operands and of its result.
struct step_sizes {
  i32 in[2] = {1, 0};
  i32 out = 1;
};

constexpr bool is_depthwise(const frame_step& s, const step_sizes& n) {
  return s.what == kind::conv2d && s.groups > 1 && s.groups == n.in[0] && s.groups == n.out;
}

constexpr product_layout product_of(const frame_step& s, const step_sizes& n) {
  return {n.out, s.what == kind::conv2d ? s.taps : 1, {n.in[0], s.inputs > 1 ? n.in[1] : 0}};
}

constexpr i32 to_frame(i32 n) { return (n + frame_padding - 1) / frame_padding * frame_padding; }

/// Floats of the packed weights of a step, a multiple of frame_padding.
constexpr i64 packed_floats(const frame_step& s, const step_sizes& n) {
  i64 floats = 0;
  switch (s.what) {
    case kind::dense:
    case kind::conv2d:
      floats = is_depthwise(s, n) ? i64{1 + s.taps} * to_lanes(n.out) : product_of(s, n).floats();
      break;
    case kind::lstm_cell: floats = lstm_layout{{n.in[0], n.out}}.floats(); break;
    case kind::gru_cell: floats = gru_layout{{n.in[0], n.out}}.floats(); break;
    case kind::batch_norm_inference: floats = i64{2} * to_frame(n.out); break;
    case kind::bias_add:
    case kind::channel_scale:
    case kind::prelu: floats = to_frame(n.out); break;
    case kind::embedding: floats = i64{s.rows} * to_frame(n.out); break;
    default: break;
  }
  return (floats + frame_padding - 1) / frame_padding * frame_padding;
}

/// The weights of a step as they are named: row-major, as PyTorch has them. Empty: none.
struct step_weights {
  std::span<const float> weight[2];
  std::span<const float> bias[2];

  float bias_at(i32 which, i32 i) const {
    return bias[which].empty() ? 0 : bias[which][static_cast<std::size_t>(i)];
  }
  float weight_at(i32 which, i64 i) const { return weight[which][static_cast<std::size_t>(i)]; }
};

[[gnu::cold]] inline void pack_product(const frame_step& s, const step_sizes& n,
                                       const step_weights& from, float* to) {
  if (is_depthwise(s, n)) {
    for (i32 c = 0; c < n.out; ++c) {
      to[c] = from.bias_at(0, c);
      for (i32 tap = 0; tap < s.taps; ++tap) {
        to[(1 + tap) * to_lanes(n.out) + c] = from.weight_at(0, i64{c} * s.taps + tap);
      }
    }
    return;
  }
  const product_layout layout = product_of(s, n);
  const i32 groups = s.what == kind::conv2d ? s.groups : 1;
  const i32 in = layout.in[0] / groups;  // of a group: the weights between groups stay 0
  for (i32 o = 0; o < n.out; ++o) {
    to[layout.bias(o)] = from.bias_at(0, o) + from.bias_at(1, o);
    const i32 first = o / (n.out / groups) * in;
    for (i32 k = 0; k < in; ++k) {
      for (i32 tap = 0; tap < layout.taps; ++tap) {
        to[layout.weight(o, 0, tap, first + k)] =
            from.weight_at(0, (i64{o} * in + k) * layout.taps + tap);
      }
    }
    for (i32 k = 0; k < layout.in[1]; ++k) {
      to[layout.weight(o, 1, 0, k)] = from.weight_at(1, i64{o} * layout.in[1] + k);
    }
  }
}

/// `before_sigmoid` as the functions want it.
[[gnu::cold]] inline void pack_lstm(const step_sizes& n, const step_weights& from,
                                    float before_sigmoid, float* to) {
  const lstm_layout layout{{n.in[0], n.out}};
  constexpr i32 place_of[] = {1, 2, 0, 3};  // of the gates i, f, g, o
  for (i32 gate = 0; gate < 4; ++gate) {
    const float factor = gate == 2 ? 1 : before_sigmoid;
    for (i32 u = 0; u < n.out; ++u) {
      const i32 row = gate * n.out + u;
      const auto put = [&](i32 r, float value) {
        to[layout.place(place_of[gate], u, r)] = factor * value;
      };
      put(0, from.bias_at(0, row) + from.bias_at(1, row));
      for (i32 k = 0; k < n.in[0]; ++k) put(1 + k, from.weight_at(0, i64{row} * n.in[0] + k));
      for (i32 k = 0; k < n.out; ++k) {
        put(1 + n.in[0] + k, from.weight_at(1, i64{row} * n.out + k));
      }
    }
  }
}

[[gnu::cold]] inline void pack_gru(const step_sizes& n, const step_weights& from,
                                   float before_sigmoid, float* to) {
  const gru_layout layout{{n.in[0], n.out}};
  for (i32 gate = 0; gate < 3; ++gate) {
    const float factor = gate == 2 ? 1 : before_sigmoid;
    const i32 of_input = gate == 2 ? 3 : gate;  // n' of the input
    for (i32 u = 0; u < n.out; ++u) {
      const i32 row = gate * n.out + u;
      if (gate == 2) {
        to[layout.bias(2, u)] = from.bias_at(1, row);
        to[layout.bias(3, u)] = from.bias_at(0, row);
      } else {
        to[layout.bias(gate, u)] = factor * (from.bias_at(0, row) + from.bias_at(1, row));
      }
      for (i32 k = 0; k < n.in[0]; ++k) {
        to[layout.input(of_input, u, k)] = factor * from.weight_at(0, i64{row} * n.in[0] + k);
      }
      for (i32 k = 0; k < n.out; ++k) {
        to[layout.state(gate, u, k)] = factor * from.weight_at(1, i64{row} * n.out + k);
      }
    }
  }
}

/// Packs the weights of a step to `to`, which holds zeros.
[[gnu::cold]] inline void pack_step(const frame_step& s, const step_sizes& n,
                                    const step_weights& from, float before_sigmoid, float* to) {
  switch (s.what) {
    case kind::dense:
    case kind::conv2d: return pack_product(s, n, from, to);
    case kind::lstm_cell: return pack_lstm(n, from, before_sigmoid, to);
    case kind::gru_cell: return pack_gru(n, from, before_sigmoid, to);
    case kind::batch_norm_inference:
      for (i32 c = 0; c < n.out; ++c) {
        const float gamma = from.weight[0].empty() ? 1 : from.weight_at(0, c);
        const float scale = gamma / std::sqrt(from.bias_at(1, c) + s.epsilon);
        to[c] = scale;
        to[to_frame(n.out) + c] = from.bias_at(0, c) - scale * from.weight_at(1, c);
      }
      return;
    case kind::bias_add:
    case kind::channel_scale:
    case kind::prelu:
      for (i32 c = 0; c < n.out; ++c) to[c] = from.weight_at(0, from.weight[0].size() == 1 ? 0 : c);
      return;
    case kind::embedding:
      for (i64 r = 0; r < s.rows; ++r) {
        for (i32 k = 0; k < n.out; ++k) {
          to[r * to_frame(n.out) + k] = from.weight_at(0, r * n.out + k);
        }
      }
      return;
    default: return;
  }
}

}  // namespace tessera::host
