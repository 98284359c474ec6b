#pragma once

// A network that two programs share: one writes its weights as a header, the other is compiled with
// them.

#include <tessera/tessera.hpp>

#include <limits>

namespace ts = tessera;

using net =
    ts::network<ts::image<1, 6, 6>, ts::conv<3, 3>, ts::tanh,
                ts::repeat<2, ts::conv<3, 3, ts::pad<1>>, ts::tanh>, ts::flatten, ts::dense<5>>;
template <class... Options>
using job = ts::inference<net, ts::batch<2>, Options...>;

/// Drawn weights, among them values that decimal digits would not bring back.
inline void draw(const ts::weight_list& weights) {
  ts::initialize_weights(weights, 11);
  const float rare[] = {-0.0f, std::numeric_limits<float>::denorm_min(), 0x1.fffffep-1f};
  for (ts::i64 i = 0; i < 3; ++i) {
    ts::write_element(weights[0].bytes.data(), ts::element::f32, i, static_cast<double>(rare[i]));
  }
}
