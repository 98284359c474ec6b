#pragma once

// One step in time of an LSTM or a GRU for one sample: products and gates in registers.
//
// The state waits for itself: h through memory to the products, the gates, c, tanh. Where a state
// is less than a vector several gates are computed in one. All products come before the gates, and
// gates of a vector of units in step: more than 64 instructions that wait keep others from running.
//
// Floors on Zen 4, in cycles. Latency, any size: h through memory 11, products 15, gates 45, c 7,
// tanh 30, h 3: 111. Work: a vector of weights each, a broadcast for each number (a cycle to load
// each), 11 and 20 for a vector of gates and of tanh: LSTM of 8 units 80, of 16 170, of 32 430.
// Reached: 155, 215, 470; GRU of 8, 16, 32: 138, 174, 340. Zen 5 loads and multiplies twice that.

#include <tessera/backends/host/stream_product.hpp>

namespace tessera::host {

/// Lanes from `First` on.
template <i32 First>
TESSERA_STREAM_INLINE simd::mask lanes_from() {
  alignas(64) static constexpr float numbers[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                    8, 9, 10, 11, 12, 13, 14, 15};
  return simd::load(numbers) >= simd::set(static_cast<float>(First));
}

/// x (In), h and c (Hidden, whole vectors): both states are replaced. Gates as ops/recurrent.hpp.
template <class Math, i32 In, i32 Hidden>
TESSERA_STREAM_INLINE void stream_lstm(const float* w, const float* x, float* h, float* c) {
  using namespace simd;
  constexpr lstm_layout layout{{In, Hidden}};
  constexpr i32 width = layout.width();
  const auto finish = [](vec g, vec i, vec f, vec o, float* cell) {
    const vec value = fma(i, g, f * load(cell));
    store(cell, value);
    return o * Math::tanh(value);
  };
  if constexpr (layout.shares()) {
    constexpr i32 vectors = layout.row() / lanes;
    vec z[vectors];
    read_row(z, w);
    add_products<In>(z, w, x);
    add_products<Hidden>(z, w, h);
    if constexpr (vectors == 2) {
      const auto gates = Math::mixed_first(vec_group<2>{{z[0], z[1]}}, lanes_from<width>());
      const vec first = gates.of[0];
      const vec last = gates.of[1];
      store(h, finish(first, rotate_lanes<width>(first), last, rotate_lanes<width>(last), c));
    } else {
      const vec gates = Math::mixed(z[0], lanes_from<width>());
      store(h, finish(gates, rotate_lanes<width>(gates), rotate_lanes<2 * width>(gates),
                      rotate_lanes<3 * width>(gates), c));
    }
  } else {
    constexpr i32 most = cell_layout::block;
    constexpr i32 units = width / lanes;
    alignas(64) float made[width];
    const auto block = [&]<i32 Units>(std::integral_constant<i32, Units>, i32 at, float* to) {
      vec z[4 * Units];
      read_row(z, w);
      add_products<In>(z, w, x);
      add_products<Hidden>(z, w, h);
      TESSERA_UNROLL
      for (i32 u = 0; u < Units; ++u) {
        const vec g = Math::tanh(z[u]);
        const auto gates =
            Math::sigmoid(vec_group<3>{{z[Units + u], z[2 * Units + u], z[3 * Units + u]}});
        store(to + (at + u) * lanes,
              finish(g, gates.of[0], gates.of[1], gates.of[2], c + (at + u) * lanes));
      }
    };
    if constexpr (units <= most) {  // all products are done before the first state is written
      block(std::integral_constant<i32, units>{}, 0, h);
    } else {
      constexpr i32 blocks = units / most;
      for (i32 b = 0; b < blocks; ++b) {
        block(std::integral_constant<i32, most>{}, b * most, made);
      }
      if constexpr (units % most > 0) {
        block(std::integral_constant<i32, units % most>{}, blocks * most, made);
      }
      for (i32 k = 0; k < width; k += lanes) store(h + k, load(made + k));
    }
  }
}

/// x (In) and h (Hidden, whole vectors), which is replaced. Gates as ops/recurrent.hpp.
template <class Math, i32 In, i32 Hidden>
TESSERA_STREAM_INLINE void stream_gru(const float* w, const float* x, float* h) {
  using namespace simd;
  constexpr gru_layout layout{{In, Hidden}};
  constexpr i32 width = layout.width();
  const auto finish = [](vec r, vec z, vec n_state, vec n_input, vec before) {
    const vec kept = z * before;
    const vec rest = set(1.0f) - z;
    return fma(rest, Math::tanh(fma(r, n_state, n_input)), kept);
  };
  if constexpr (layout.shares()) {
    constexpr i32 vectors = layout.row() / lanes;
    vec sum[vectors];
    read_row(sum, w);
    add_products<In>(sum, w, x);
    add_products<Hidden>(sum, w, h);
    const vec gates = Math::sigmoid(sum[0]);
    const vec z = rotate_lanes<width>(gates);
    const vec before = load(h);
    if constexpr (vectors == 2) {
      store(h, finish(gates, z, sum[1], rotate_lanes<width>(sum[1]), before));
    } else {
      store(h, finish(gates, z, rotate_lanes<2 * width>(sum[0]), rotate_lanes<3 * width>(sum[0]),
                      before));
    }
  } else {
    constexpr i32 most = cell_layout::block;
    constexpr i32 units = width / lanes;
    alignas(64) float made[width];
    const auto block = [&]<i32 Units>(std::integral_constant<i32, Units>, i32 at, float* to) {
      vec input[3 * Units];  // r, z, n'
      read_row(input, w);
      add_products<In>(input, w, x);
      vec sum[3 * Units];  // r, z, n
      read_row(sum, w);
      TESSERA_UNROLL
      for (i32 u = 0; u < 2 * Units; ++u) sum[u] = input[u];
      add_products<Hidden>(sum, w, h);
      TESSERA_UNROLL
      for (i32 u = 0; u < Units; ++u) {
        const auto gates = Math::sigmoid(vec_group<2>{{sum[u], sum[Units + u]}});
        store(to + (at + u) * lanes, finish(gates.of[0], gates.of[1], sum[2 * Units + u],
                                            input[2 * Units + u], load(h + (at + u) * lanes)));
      }
    };
    if constexpr (units <= most) {
      block(std::integral_constant<i32, units>{}, 0, h);
    } else {
      constexpr i32 blocks = units / most;
      for (i32 b = 0; b < blocks; ++b) {
        block(std::integral_constant<i32, most>{}, b * most, made);
      }
      if constexpr (units % most > 0) {
        block(std::integral_constant<i32, units % most>{}, blocks * most, made);
      }
      for (i32 k = 0; k < width; k += lanes) store(h + k, load(made + k));
    }
  }
}

}  // namespace tessera::host
