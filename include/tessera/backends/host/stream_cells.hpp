#pragma once

// One step in time of an LSTM or a GRU for one sample: products and gates in registers.
//
// The state waits for itself: h to the products, the gates, c, tanh and back through memory. So
// what is wanted first is computed first (g and i, r), the rest runs in the shadow, and where a
// state is less than a vector several gates are computed in one.
//
// Least latency of an LSTM of 8 units on Zen 4, in cycles: h through memory 11, products 14, gates
// 29, a gate moved 5, c 7, tanh 26, h 3: 95. Of 32 units: 256 vectors of weights at one a cycle,
// and what runs before and after them, about 330 (Zen 5 reads two a cycle).

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
    const vec first = Math::mixed(z[0], lanes_from<width>());
    if constexpr (vectors == 2) {
      const vec last = Math::sigmoid(z[1]);
      store(h, finish(first, rotate_lanes<width>(first), last, rotate_lanes<width>(last), c));
    } else {
      store(h, finish(first, rotate_lanes<width>(first), rotate_lanes<2 * width>(first),
                      rotate_lanes<3 * width>(first), c));
    }
  } else {
    constexpr i32 most = cell_layout::block(2);
    constexpr i32 units = width / lanes;
    alignas(64) float made[width];
    const auto block = [&]<i32 Units>(std::integral_constant<i32, Units>, i32 at, float* to) {
      vec gi[2 * Units];
      read_row(gi, w);
      add_products<In>(gi, w, x);
      add_products<Hidden>(gi, w, h);
      TESSERA_UNROLL
      for (i32 u = 0; u < Units; ++u) {
        gi[u] = Math::tanh(gi[u]);
        gi[Units + u] = Math::sigmoid(gi[Units + u]);
      }
      vec fo[2 * Units];
      read_row(fo, w);
      add_products<In>(fo, w, x);
      add_products<Hidden>(fo, w, h);
      TESSERA_UNROLL
      for (i32 u = 0; u < Units; ++u) {
        store(to + (at + u) * lanes, finish(gi[u], gi[Units + u], Math::sigmoid(fo[u]),
                                            Math::sigmoid(fo[Units + u]), c + (at + u) * lanes));
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
    constexpr i32 most = cell_layout::block(4);
    constexpr i32 units = width / lanes;
    alignas(64) float made[width];
    const auto block = [&]<i32 Units>(std::integral_constant<i32, Units>, i32 at, float* to) {
      vec r_input[2 * Units];
      read_row(r_input, w);
      add_products<In>(r_input, w, x);
      vec r_state[2 * Units];
      read_row(r_state, w);
      TESSERA_UNROLL
      for (i32 u = 0; u < Units; ++u) r_state[u] = r_input[u];
      add_products<Hidden>(r_state, w, h);
      TESSERA_UNROLL
      for (i32 u = 0; u < Units; ++u) r_state[u] = Math::sigmoid(r_state[u]);
      vec z[Units];
      read_row(z, w);
      add_products<In>(z, w, x);
      add_products<Hidden>(z, w, h);
      TESSERA_UNROLL
      for (i32 u = 0; u < Units; ++u) {
        store(to + (at + u) * lanes, finish(r_state[u], Math::sigmoid(z[u]), r_state[Units + u],
                                            r_input[Units + u], load(h + (at + u) * lanes)));
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
