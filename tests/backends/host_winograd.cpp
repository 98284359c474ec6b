#include <tessera/backends/host/conv.hpp>
#include <tessera/backends/host/conv_weight.hpp>
#include <tessera/backends/host/conv_winograd.hpp>
#include <tessera/backends/host/conv_winograd_weight.hpp>

// Convolutions by Winograd's F(2x2, 3x3) in both layouts, for any shape that it takes and not only
// where it pays: against sums in double, against the direct form's errors, with infinite inputs,
// and which of the two a shape gets.

#include <backends/host_support.hpp>

#include <algorithm>
#include <limits>

namespace {

using namespace tessera;
using namespace tessera::testing;

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

/// 3x3, as many rows and columns of padding on all four sides.
conv_sizes sized(i32 batch, i32 in, i32 height, i32 width, i32 out, i32 pad = 1, i32 groups = 1) {
  return {batch, in,  height, width, out,   height + 2 * pad - 2, width + 2 * pad - 2, 3, 3, 1, 1,
          pad,   pad, 1,      1,     groups};
}

/// A convolution or its data gradient in either layout, on memory of exactly its size.
template <class T>
struct winograd_run {
  conv_sizes n;
  bool backward;
  bool batch_last;
  std::vector<T> from, weight, bias, to;

  winograd_run(const conv_sizes& sizes, bool back, bool last = true)
      : n(sizes), backward(back), batch_last(last) {
    const i64 x = i64{n.batch} * n.in_channels * n.in_height * n.in_width;
    const i64 y = i64{n.batch} * n.out_channels * n.out_height * n.out_width;
    from.resize(at(back ? y : x));
    to.resize(at(back ? x : y));
    weight.resize(at(i64{n.out_channels} * n.group_in() * 9));
    if (!back) bias.resize(at(n.out_channels));
  }

  /// Multiples of 2^-6 in [-2, 2], or normal ones.
  void fill(bool normal) {
    std::mt19937 random(7);
    std::normal_distribution<float> gauss;
    for (std::vector<T>* all : {&from, &weight, &bias}) {
      for (T& x : *all) {
        const float whole = static_cast<float>(static_cast<i32>(random() % 257) - 128) / 64;
        host::store_number(&x, normal ? gauss(random) : whole);
      }
    }
  }

  void run(bool winograd, i32 threads = 1) {
    std::byte* in[8] = {bytes(from), bytes(weight), backward ? nullptr : bytes(bias)};
    std::byte* out[6] = {bytes(to)};
    signature s;
    s.what = backward ? kind::conv2d_data_gradient : kind::conv2d;
    s.batch_last = batch_last;
    n.write(s);
    attributes attr;
    step_values step;
    step.threads = threads;
    const call c{in, out, &s, &attr, &step};
    const auto v =
        backward ? host::conv_view<T>::backward(c, n) : host::conv_view<T>::forward(c, n);
    if (batch_last) {
      winograd ? host::conv_winograd(c, v) : host::conv_in_place(c, v);
    } else {
      winograd ? host::first_winograd<T>(v).run(threads) : host::conv_batch_first(c, v);
    }
  }

  /// Where a cell of a sample lies, of which `all` have so many numbers.
  i64 place(i64 cell, i64 sample, std::size_t all) const {
    if (batch_last) return cell * n.batch + sample;
    return sample * (static_cast<i64>(all) / n.batch) + cell;
  }

  /// In double, in the order of `to`.
  std::vector<bounded_sum> sums() const {
    std::vector<bounded_sum> wanted(to.size());
    for (i64 o = 0; o < n.out_channels; ++o) {
      for (i64 p = 0; p < n.out_height; ++p) {
        for (i64 q = 0; q < n.out_width; ++q) {
          const i64 y = (o * n.out_height + p) * n.out_width + q;
          for (i64 i = 0; !backward && i < n.batch; ++i) {
            wanted[at(place(y, i, to.size()))].add(host::simd::as_float(bias[at(o)]));
          }
          for (i64 tap = 0; tap < n.group_in() * 9; ++tap) {
            const i64 channel = o / n.group_out() * n.group_in() + tap / 9;
            const i64 h = p + tap % 9 / 3 - n.pad_top;
            const i64 w = q + tap % 3 - n.pad_left;
            if (h < 0 || h >= n.in_height || w < 0 || w >= n.in_width) continue;
            const i64 x = (channel * n.in_height + h) * n.in_width + w;
            const double factor = host::simd::as_float(weight[at(o * n.group_in() * 9 + tap)]);
            for (i64 i = 0; i < n.batch; ++i) {
              wanted[at(place(backward ? x : y, i, to.size()))].add(
                  factor * host::simd::as_float(from[at(place(backward ? y : x, i, from.size()))]));
            }
          }
        }
      }
    }
    return wanted;
  }

  numbers result() const {
    numbers all(to.size());
    for (std::size_t i = 0; i < to.size(); ++i) all[i] = host::simd::as_float(to[i]);
    return all;
  }

 private:
  static std::byte* bytes(std::vector<T>& v) { return reinterpret_cast<std::byte*>(v.data()); }
};

/// The weight gradient of the same.
template <class T>
struct winograd_weight_run {
  conv_sizes n;
  bool batch_last;
  std::vector<T> x, dy;
  std::vector<float> to;

  explicit winograd_weight_run(const conv_sizes& sizes, bool last = true)
      : n(sizes),
        batch_last(last),
        x(at(i64{n.batch} * n.in_channels * n.in_height * n.in_width)),
        dy(at(i64{n.batch} * n.out_channels * n.out_height * n.out_width)),
        to(at(i64{n.out_channels} * n.group_in() * 9)) {}

  void fill() {
    std::mt19937 random(8);
    std::normal_distribution<float> gauss;
    for (T& number : x) host::store_number(&number, gauss(random));
    for (T& number : dy) host::store_number(&number, gauss(random));
  }

  void run(bool winograd, i32 threads = 1) {
    std::byte* in[8] = {reinterpret_cast<std::byte*>(x.data()),
                        reinterpret_cast<std::byte*>(dy.data())};
    signature s;
    s.batch_last = batch_last;
    n.write(s);
    step_values step;
    step.threads = threads;
    const call c{in, nullptr, &s, nullptr, &step};
    host::gradient_sink sink = host::gradient_sink::storing(to.data());
    const host::conv_weight_view<T> v(c, n);
    if (batch_last) {
      winograd ? host::conv_weight_winograd(c, v, sink) : host::conv_weight_in_place(c, v, sink);
    } else if (winograd) {
      host::first_winograd_weight<T>(v).run(threads, sink);
    } else {
      host::channel_weight_gradient<T>(v, sink).run(threads);
    }
  }

  std::vector<bounded_sum> sums() const {
    std::vector<bounded_sum> wanted(to.size());
    for (i64 o = 0; o < n.out_channels; ++o) {
      for (i64 tap = 0; tap < n.group_in() * 9; ++tap) {
        const i64 channel = o / n.group_out() * n.group_in() + tap / 9;
        bounded_sum& sum = wanted[at(o * n.group_in() * 9 + tap)];
        for (i64 p = 0; p < n.out_height; ++p) {
          for (i64 q = 0; q < n.out_width; ++q) {
            const i64 h = p + tap % 9 / 3 - n.pad_top;
            const i64 w = q + tap % 3 - n.pad_left;
            if (h < 0 || h >= n.in_height || w < 0 || w >= n.in_width) continue;
            const i64 from = (channel * n.in_height + h) * n.in_width + w;
            const i64 gradient = (o * n.out_height + p) * n.out_width + q;
            for (i64 i = 0; i < n.batch; ++i) {
              sum.add(double{host::simd::as_float(x[at(place(from, i, x.size()))])} *
                      host::simd::as_float(dy[at(place(gradient, i, dy.size()))]));
            }
          }
        }
      }
    }
    return wanted;
  }

 private:
  i64 place(i64 cell, i64 sample, std::size_t all) const {
    if (batch_last) return cell * n.batch + sample;
    return sample * (static_cast<i64>(all) / n.batch) + cell;
  }
};

template <class T>
constexpr element element_of = std::is_same_v<T, float>  ? element::f32
                               : std::is_same_v<T, half> ? element::f16
                                                         : element::bf16;

template <class T>
void check_sums(const conv_sizes& n, bool batch_last) {
  for (const bool backward : {false, true}) {
    CAPTURE(n.batch, n.in_channels, n.in_height, n.in_width, n.out_channels, n.pad_top, n.groups,
            batch_last, backward, name_of(element_of<T>));
    winograd_run<T> one(n, backward, batch_last);
    one.fill(false);
    one.run(true);
    const i64 terms = 9 * i64{backward ? n.group_out() : n.group_in()} + 1;
    CHECK(excess(one.result(), one.sums(), terms, element_of<T>) <= 0);
    const std::vector<T> single = one.to;
    std::fill(one.to.begin(), one.to.end(), T{});
    one.run(true, 3);
    CHECK(std::memcmp(single.data(), one.to.data(), single.size() * sizeof(T)) == 0);
  }
}

template <class T>
void check(const conv_sizes& n, bool batch_last = true) {
  check_sums<T>(n, batch_last);
  CAPTURE(n.batch, n.in_channels, n.in_height, n.in_width, n.out_channels, n.pad_top, n.groups,
          batch_last);
  winograd_weight_run<T> weight(n, batch_last);
  weight.fill();
  weight.run(true);
  const numbers got(weight.to.begin(), weight.to.end());
  const i64 terms = i64{n.batch} * n.out_height * n.out_width;
  CHECK(excess(got, weight.sums(), terms, element::f32) <= 0);
  for (const i32 threads : {2, 5}) {
    const std::vector<float> single = weight.to;
    weight.run(true, threads);
    CHECK(std::memcmp(single.data(), weight.to.data(), single.size() * sizeof(float)) == 0);
  }
}

}  // namespace

TEST_CASE("Winograd's convolutions are the sums they stand for", "[backends][host]") {
  const conv_sizes cases[] = {
      sized(16, 1, 1, 1, 1),         // one tile, most of it outside
      sized(32, 16, 8, 8, 16),       // even
      sized(48, 17, 7, 5, 19),       // odd in everything, 3 vectors of samples
      sized(16, 5, 9, 6, 7, 0),      // no padding: the gradient has 2
      sized(16, 3, 4, 4, 8, 2),      // the other way round
      sized(16, 34, 3, 4, 4, 3),     // padding beyond the kernel: the gradient starts inside
      sized(32, 12, 6, 7, 8, 1, 4),  // groups
      sized(16, 70, 4, 6, 70),       // two blocks of output channels, U a chunk at a time
      sized(320, 2, 5, 5, 3),        // more samples than a strip
      sized(16, 2, 3, 41, 2),        // strips that end within a row of tiles
  };
  for (const conv_sizes& n : cases) check<float>(n);
  for (const i32 i : {2, 7}) {
    check<half>(cases[i]);
    check<bfloat16>(cases[i]);
  }
  conv_sizes uneven = sized(16, 4, 6, 5, 5);
  uneven.pad_top = 2;  // one row below, two columns to the left and none to the right
  uneven.pad_left = 2;
  uneven.out_height = 7;
  uneven.out_width = 5;
  check<float>(uneven);
}

TEST_CASE("Winograd's convolutions of single samples are the sums they stand for",
          "[backends][host]") {
  const conv_sizes cases[] = {
      sized(1, 1, 1, 1, 1),          // one tile, most of it outside
      sized(1, 16, 8, 8, 16),        // lines of eight cells
      sized(2, 17, 7, 9, 33),        // a channel and a row over; lines of seven cells
      sized(3, 5, 9, 6, 7, 0),       // no padding: the gradient has 2
      sized(1, 9, 2, 3, 8, 3),       // padding beyond the kernel: the gradient starts inside
      sized(1, 12, 6, 7, 12, 1, 2),  // groups
      sized(2, 70, 5, 4, 70),        // two pieces of the sum, two blocks of rows
      sized(5, 34, 3, 3, 20),        // chunks of several samples
      sized(1, 2, 3, 140, 2),        // chunks that end within a row of tiles
  };
  for (const conv_sizes& n : cases) check<float>(n, false);
  for (const i32 i : {2, 3, 6}) {
    check<half>(cases[i], false);
    check<bfloat16>(cases[i], false);
  }
  conv_sizes uneven = sized(1, 4, 6, 5, 5);
  uneven.pad_top = 2;
  uneven.pad_left = 2;
  uneven.out_height = 7;
  uneven.out_width = 5;
  check<float>(uneven, false);
}

TEST_CASE("Winograd's convolutions are about as exact as direct ones", "[backends][host]") {
  for (const bool batch_last : {true, false}) {
    for (const bool backward : {false, true}) {
      for (const i32 channels : {16, 128}) {
        CAPTURE(channels, backward, batch_last);
        const i32 size = batch_last ? 4 : 8;
        winograd_run<float> one(sized(batch_last ? 16 : 1, channels, size, size, channels),
                                backward, batch_last);
        one.fill(true);
        const std::vector<bounded_sum> wanted = one.sums();
        double largest[2] = {};
        double square[2] = {};
        for (const bool winograd : {false, true}) {
          one.run(winograd);
          for (std::size_t i = 0; i < wanted.size(); ++i) {
            const double error = std::abs(double{one.to[i]} - wanted[i].value);
            largest[winograd] = std::max(largest[winograd], error);
            square[winograd] += error * error;
          }
        }
        CAPTURE(largest[1] / largest[0], std::sqrt(square[1] / square[0]));
        CHECK(largest[1] <= 2 * largest[0]);
        CHECK(square[1] <= 1.5 * 1.5 * square[0]);
      }
    }
  }
}

TEST_CASE("Winograd's weight gradients are about as exact as direct ones", "[backends][host]") {
  const auto compare = [](winograd_weight_run<float> one) {
    one.fill();
    const std::vector<bounded_sum> wanted = one.sums();
    double largest[2] = {};
    double square[2] = {};
    for (const bool winograd : {false, true}) {
      one.run(winograd);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const double error = std::abs(double{one.to[i]} - wanted[i].value);
        largest[winograd] = std::max(largest[winograd], error);
        square[winograd] += error * error;
      }
    }
    CAPTURE(largest[1] / largest[0], std::sqrt(square[1] / square[0]));
    CHECK(largest[1] <= 2 * largest[0]);
    CHECK(square[1] <= 1.5 * 1.5 * square[0]);
  };
  compare(winograd_weight_run<float>(sized(32, 16, 20, 20, 16)));
  compare(winograd_weight_run<float>(sized(2, 16, 40, 40, 16), false));
}

TEST_CASE("infinite inputs reach what depends on them and stay in their tiles",
          "[backends][host]") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const i32 way : {0, 1, 2, 3}) {
    for (const float wrong : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
      winograd_run<half> one(sized(16, 4, 12, 12, 4), way % 2 == 1, way < 2);
      one.fill(false);
      constexpr i32 h = 5;
      constexpr i32 w = 6;
      one.from[at(one.place(12 * h + w, 3, one.from.size()))] = to_half(wrong);
      one.run(true);
      i32 hidden = 0;
      i32 spread = 0;
      for (i64 i = 0; i < static_cast<i64>(one.to.size()); ++i) {
        const i64 cell = one.batch_last ? i / 16 : i % (4 * 144);
        const i64 p = cell / 12 % 12;
        const i64 q = cell % 12;
        const bool sample = (one.batch_last ? i % 16 : i / (4 * 144)) == 3;
        const bool depends = sample && std::abs(p - h) <= 1 && std::abs(q - w) <= 1;
        const bool tile = sample && p >= 4 && p <= 7 && q >= 4 && q <= 7;
        const bool finite = std::isfinite(to_float(one.to[at(i)]));
        hidden += depends && finite;
        spread += !tile && !finite;
      }
      CHECK(hidden == 0);
      CHECK(spread == 0);
    }
  }
}

TEST_CASE("Winograd's form of single samples is taken where it pays", "[backends][host]") {
  const auto pays = [](const conv_sizes& n) {
    const bool forward = host::first_winograd_pays(host::conv_view<float>::forward(n));
    CHECK(forward == host::first_winograd_pays(host::conv_view<half>::forward(n)));
    return forward;
  };
  CHECK(pays(sized(1, 16, 32, 32, 16)));
  CHECK(pays(sized(1, 64, 8, 8, 64)));
  CHECK(pays(sized(1, 512, 7, 7, 512)));
  CHECK_FALSE(pays(sized(1, 3, 32, 32, 16)));  // transforms of few channels
  CHECK_FALSE(pays(sized(1, 16, 40, 40, 4)));
  conv_sizes stride = sized(1, 64, 8, 8, 64);
  stride.stride_height = stride.stride_width = 2;
  stride.out_height = stride.out_width = 4;
  CHECK_FALSE(pays(stride));
  CHECK(host::first_winograd_weight_pays(sized(1, 16, 32, 32, 16)));
  CHECK(host::first_winograd_weight_pays(sized(1, 64, 8, 8, 64)));
  CHECK_FALSE(host::first_winograd_weight_pays(sized(1, 3, 32, 32, 16)));
  CHECK_FALSE(host::first_winograd_weight_pays(sized(1, 16, 40, 40, 4)));
  CHECK_FALSE(host::first_winograd_weight_pays(stride));
}

TEST_CASE("products of the largest halves do not overflow in between", "[backends][host]") {
  winograd_run<half> one(sized(16, 2, 6, 6, 8), false);
  std::fill(one.from.begin(), one.from.end(), to_half(65504));
  for (std::size_t i = 0; i < one.weight.size(); ++i) {
    one.weight[i] = to_half(i / 9 % 2 == 0 ? 65504.0f : -65504.0f);  // channels cancel
  }
  one.run(true);
  CHECK(excess(one.result(), one.sums(), 19, element::f16) <= 0);
}

TEST_CASE("Winograd's form is taken where it saves more than its transforms cost",
          "[backends][host]") {
  const auto pays = [](const conv_sizes& n) {
    signature s;
    n.write(s);
    std::byte* none[8] = {};
    const call c{none, none, &s, nullptr, nullptr};
    const bool forward = host::winograd_pays(host::conv_view<float>::forward(c, n));
    CHECK(forward == host::winograd_pays(host::conv_view<half>::forward(c, n)));
    return forward;
  };
  const auto weight_pays = [](const conv_sizes& n) {
    signature s;
    n.write(s);
    std::byte* none[8] = {};
    const call c{none, none, &s, nullptr, nullptr};
    return host::form_of(host::conv_weight_view<float>(c, n), true) == host::conv_form::winograd;
  };
  CHECK(weight_pays(sized(32, 16, 32, 32, 16)));
  CHECK(weight_pays(sized(16, 512, 7, 7, 512)));
  CHECK_FALSE(weight_pays(sized(32, 3, 32, 32, 16)));
  CHECK_FALSE(weight_pays(sized(32, 8, 32, 32, 8)));  // turned inputs serve few sums
  CHECK_FALSE(weight_pays(sized(32, 64, 1, 1, 64)));
  CHECK_FALSE(weight_pays(sized(20, 64, 8, 8, 64)));
  CHECK(pays(sized(32, 16, 32, 32, 16)));
  CHECK(pays(sized(16, 64, 7, 7, 64)));
  CHECK(pays(sized(16, 512, 4, 4, 512)));
  CHECK_FALSE(pays(sized(32, 1, 32, 32, 16)));  // few channels
  CHECK_FALSE(pays(sized(32, 64, 3, 3, 64)));   // tiles hang over, padding needs no multiply-adds
  CHECK_FALSE(pays(sized(32, 64, 1, 1, 64)));
  CHECK_FALSE(pays(sized(32, 64, 8, 8, 64, 1, 64)));  // one channel a group
  CHECK_FALSE(pays(sized(20, 64, 8, 8, 64)));         // samples do not fill vectors
  conv_sizes wide = sized(32, 64, 8, 8, 64);
  wide.dilation_width = 2;
  wide.pad_left = 2;
  CHECK_FALSE(pays(wide));
  conv_sizes strided = sized(32, 64, 8, 8, 64);
  strided.stride_height = 2;
  strided.out_height = 4;
  CHECK_FALSE(pays(strided));
}
