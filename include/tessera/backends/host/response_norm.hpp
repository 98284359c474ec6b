#pragma once

// Local response normalization and its gradient (ops/response_norm.hpp states what they mean).
//
// Lanes are positions, samples among them where the batch is last; a lane walks over the channels,
// whose planes lie apart. Squares are summed in f32 from the first neighbour on, for every channel
// anew: a running sum would keep what it has rounded away.
// Cost: about 40 cycles a vector for the power (a logarithm and an exponential), twice the traffic
// of memory at best.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/moments.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/response_norm.hpp>

namespace tessera::host {

/// Columns of channels.
template <bool BatchLast>
struct response_columns {
  response_attributes r;
  i32 channels;
  i32 images;  // pieces of memory with planes of all channels
  i64 plane;   // numbers of one channel in it

  explicit response_columns(const call& c) : r(c.attr->response) {
    const response_sizes n = response_sizes::of(*c.sizes);
    channels = n.channels;
    images = BatchLast ? 1 : n.batch;
    plane = BatchLast ? i64{n.inner} * n.batch : n.inner;
  }

  /// body(address of the first number, lanes) for every vector of columns.
  template <class Body>
  void for_columns(threads workers, const Body& body) const {
    const i32 vectors = static_cast<i32>((plane + simd::lanes - 1) / simd::lanes);
    parallel_for(workers, images * vectors, [&](i32 item) {
      const i64 place = i64{item % vectors} * simd::lanes;
      const i64 rest = plane - place;
      body(item / vectors * channels * plane + place,
           rest < simd::lanes ? static_cast<i32>(rest) : simd::lanes);
    });
  }

  /// d of a channel; x: of channel 0.
  template <class T>
  simd::vec divisor(const T* x, i32 channel, i32 n) const {
    const i32 first = channel < r.size / 2 ? 0 : channel - r.size / 2;
    i32 end = channel + (r.size - 1) / 2 + 1;
    if (end > channels) end = channels;
    simd::vec sum = simd::zero();
    for (i32 j = first; j < end; ++j) {
      const simd::vec v = load_first(x + j * plane, n);
      sum = simd::fma(v, v, sum);
    }
    return simd::fma(sum, simd::set(r.alpha / static_cast<float>(r.size)), simd::set(r.k));
  }
  /// d^-beta
  simd::vec power(simd::vec d) const { return host::exp(host::log(d) * simd::set(-r.beta)); }
};

template <class T, bool BatchLast>
void local_response_norm(const call& c) {
  const response_columns<BatchLast> at(c);
  at.for_columns(c.step->threads, [&](i64 first, i32 n) {
    const T* const x = c.input<T>(0) + first;
    T* const y = c.output<T>(0) + first;
    for (i32 channel = 0; channel < at.channels; ++channel) {
      const simd::vec factor = at.power(at.divisor(x, channel, n));
      store_first(y + channel * at.plane, load_first(x + channel * at.plane, n) * factor, n);
    }
  });
}

/// In pieces of channels: first what every channel passes on to its neighbours, then the sums.
template <class T, bool BatchLast>
void local_response_norm_gradient(const call& c) {
  using simd::vec;
  constexpr i32 piece = 64;
  const response_columns<BatchLast> at(c);
  const i32 before = (at.r.size - 1) / 2;  // channels j - before to j + after see channel j
  const i32 after = at.r.size / 2;
  const vec factor = simd::set(2 * at.r.alpha * at.r.beta / static_cast<float>(at.r.size));
  at.for_columns(c.step->threads, [&](i64 first, i32 n) {
    const T* const x = c.input<T>(0) + first;
    const T* const dy = c.input<T>(1) + first;
    T* const dx = c.output<T>(0) + first;
    vec passed[piece + ops::most_response_channels];
    vec own[piece];
    for (i32 begin = 0; begin < at.channels; begin += piece) {
      const i32 end = at.channels - begin < piece ? at.channels : begin + piece;
      const i32 low = begin < before ? 0 : begin - before;
      const i32 high = at.channels - end < after ? at.channels : end + after;
      for (i32 k = low; k < high; ++k) {
        const vec d = at.divisor(x, k, n);
        const vec scaled = load_first(dy + k * at.plane, n) * at.power(d);
        passed[k - low] = scaled * load_first(x + k * at.plane, n) / d;
        if (k >= begin && k < end) own[k - begin] = scaled;
      }
      for (i32 j = begin; j < end; ++j) {
        const i32 from = j < before ? 0 : j - before;
        const i32 to = at.channels - j <= after ? at.channels : j + after + 1;
        vec sum = simd::zero();
        for (i32 k = from; k < to; ++k) sum = sum + passed[k - low];
        const vec v = load_first(x + j * at.plane, n);
        store_first(dx + j * at.plane, simd::fnma(factor * v, sum, own[j - begin]), n);
      }
    }
  });
}

}  // namespace tessera::host
