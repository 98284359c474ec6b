// Bit for bit: the model's kernels against straight scalar loops in the order that is stated.

#include <tessera/backends/accelerator.hpp>

#include <support/catch.hpp>

#include "accelerator_support.hpp"

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr machine blocks_of_four = accelerator::ipu_mk1;

/// Sums in a chain, on so few tiles that blocks are uneven.
constexpr machine chains = [] {
  machine m = accelerator::ipu_mk1;
  m.matrix.order = accumulation::chain;
  m.tiles = 50;
  return m;
}();

/// Rounds results toward zero.
constexpr machine cuts = [] {
  machine m = accelerator::ipu_mk1;
  m.matrix.round = rounding::toward_zero;
  return m;
}();

float number(half x) { return to_float(x); }
float number(float x) { return x; }
void give(half& to, float x, rounding r) {
  to = r == rounding::nearest_even ? to_half(x) : to_half_toward_zero(x);
}
void give(float& to, float x, rounding) { to = x; }

/// One sum in the machine's order, one product after another.
class sum_in_order {
 public:
  explicit sum_in_order(accumulation order) : order_(order) {}

  void add(float a, float b) {
    if (order_ == accumulation::chain) {
      sum_ = std::fma(a, b, sum_);
      return;
    }
    a_[waiting_] = a;
    b_[waiting_] = b;
    if (++waiting_ == 4) flush();
  }
  float result() {
    if (waiting_ > 0) flush();
    return sum_;
  }

 private:
  void flush() {
    for (; waiting_ < 4; ++waiting_) a_[waiting_] = b_[waiting_] = 0;
    // volatile: the first product of each pair is rounded, as stated, whatever the compiler likes.
    volatile float p0 = a_[0] * b_[0];
    volatile float p2 = a_[2] * b_[2];
    const float low = std::fma(a_[1], b_[1], p0);
    const float high = std::fma(a_[3], b_[3], p2);
    sum_ += low + high;
    waiting_ = 0;
  }

  accumulation order_;
  float sum_ = 0;
  float a_[4] = {};
  float b_[4] = {};
  i32 waiting_ = 0;
};

i64 at(bool last, i64 n, i64 c, i64 h, i64 w, i64 batch, i64 channels, i64 height, i64 width) {
  return last ? ((c * height + h) * width + w) * batch + n
              : ((n * channels + c) * height + h) * width + w;
}

/// What `m` must compute, bit for bit, from its mapping on `on`.
template <class T>
std::vector<T> straight(model_case& m, const machine& on) {
  const conv_sizes n = conv_sizes::of(m.sizes);
  const accelerator::mapping map = accelerator::map(on, m.sizes);
  const bool last = m.sizes.batch_last;
  const T* in0 = m.input<T>(0);
  const T* in1 = m.input<T>(1);
  const T* bias = m.sizes.has_input(2) ? m.input<T>(2) : nullptr;
  const auto x = [&](i64 b, i64 c, i64 h, i64 w) {
    return at(last, b, c, h, w, n.batch, n.in_channels, n.in_height, n.in_width);
  };
  const auto y = [&](i64 b, i64 o, i64 p, i64 q) {
    return at(last, b, o, p, q, n.batch, n.out_channels, n.out_height, n.out_width);
  };
  const auto weight = [&](i64 o, i64 c, i64 r, i64 s) {
    return ((o * n.group_in() + c) * n.kernel_height + r) * n.kernel_width + s;
  };
  std::vector<T> result(static_cast<std::size_t>(m.output_count(0)));
  const rounding round = on.matrix.round;

  if (m.sizes.what == kind::conv2d) {
    for (i64 b = 0; b < n.batch; ++b)
      for (i64 o = 0; o < n.out_channels; ++o)
        for (i64 p = 0; p < n.out_height; ++p)
          for (i64 q = 0; q < n.out_width; ++q) {
            float total = 0;
            const i64 first = o / n.group_out() * n.group_in();
            for (i32 k = 0; k < map.count(accelerator::axis_c); ++k) {
              sum_in_order sum(on.matrix.order);
              for (i64 r = 0; r < n.kernel_height; ++r)
                for (i64 s = 0; s < n.kernel_width; ++s)
                  for (i64 c = map.begin(accelerator::axis_c, k);
                       c < map.begin(accelerator::axis_c, k) + map.size(accelerator::axis_c, k);
                       ++c) {
                    const i64 h = p * n.stride_height + r * n.dilation_height - n.pad_top;
                    const i64 w = q * n.stride_width + s * n.dilation_width - n.pad_left;
                    const bool inside = h >= 0 && h < n.in_height && w >= 0 && w < n.in_width;
                    sum.add(inside ? number(in0[x(b, first + c, h, w)]) : 0,
                            number(in1[weight(o, c, r, s)]));
                  }
              total = k == 0 ? sum.result() : total + sum.result();
            }
            if (bias != nullptr) total += number(bias[o]);
            give(result[static_cast<std::size_t>(y(b, o, p, q))], total, round);
          }
  }
  if (m.sizes.what == kind::conv2d_data_gradient) {
    for (i64 b = 0; b < n.batch; ++b)
      for (i64 c = 0; c < n.in_channels; ++c)
        for (i64 h = 0; h < n.in_height; ++h)
          for (i64 w = 0; w < n.in_width; ++w) {
            float total = 0;
            const i64 first = c / n.group_in() * n.group_out();
            for (i32 k = 0; k < map.count(accelerator::axis_o); ++k) {
              sum_in_order sum(on.matrix.order);
              for (i64 r = 0; r < n.kernel_height; ++r)
                for (i64 s = 0; s < n.kernel_width; ++s)
                  for (i64 o = map.begin(accelerator::axis_o, k);
                       o < map.begin(accelerator::axis_o, k) + map.size(accelerator::axis_o, k);
                       ++o) {
                    const i64 top = h + n.pad_top - r * n.dilation_height;
                    const i64 left = w + n.pad_left - s * n.dilation_width;
                    const bool meets = top >= 0 && left >= 0 && top % n.stride_height == 0 &&
                                       left % n.stride_width == 0 &&
                                       top / n.stride_height < n.out_height &&
                                       left / n.stride_width < n.out_width;
                    sum.add(meets ? number(in0[y(b, first + o, top / n.stride_height,
                                                 left / n.stride_width)])
                                  : 0,
                            number(in1[weight(first + o, c % n.group_in(), r, s)]));
                  }
              total = k == 0 ? sum.result() : total + sum.result();
            }
            give(result[static_cast<std::size_t>(x(b, c, h, w))], total, round);
          }
  }
  if (m.sizes.what == kind::conv2d_weight_gradient) {
    using namespace accelerator;
    for (i64 o = 0; o < n.out_channels; ++o)
      for (i64 c = 0; c < n.group_in(); ++c)
        for (i64 r = 0; r < n.kernel_height; ++r)
          for (i64 s = 0; s < n.kernel_width; ++s) {
            float total = 0;
            bool first = true;
            for (i32 bh = 0; bh < map.count(axis_h); ++bh)
              for (i32 bw = 0; bw < map.count(axis_w); ++bw)
                for (i32 bb = 0; bb < map.count(axis_b); ++bb) {
                  sum_in_order sum(on.matrix.order);
                  for (i64 p = map.begin(axis_h, bh);
                       p < map.begin(axis_h, bh) + map.size(axis_h, bh); ++p)
                    for (i64 q = map.begin(axis_w, bw);
                         q < map.begin(axis_w, bw) + map.size(axis_w, bw); ++q)
                      for (i64 b = map.begin(axis_b, bb);
                           b < map.begin(axis_b, bb) + map.size(axis_b, bb); ++b) {
                        const i64 h = p * n.stride_height + r * n.dilation_height - n.pad_top;
                        const i64 w = q * n.stride_width + s * n.dilation_width - n.pad_left;
                        const bool inside = h >= 0 && h < n.in_height && w >= 0 && w < n.in_width;
                        const i64 channel = o / n.group_out() * n.group_in() + c;
                        // The field, here the output gradient, is the first factor.
                        sum.add(number(in1[y(b, o, p, q)]),
                                inside ? number(in0[x(b, channel, h, w)]) : 0);
                      }
                  total = first ? sum.result() : total + sum.result();
                  first = false;
                }
            give(result[static_cast<std::size_t>(weight(o, c, r, s))], total, round);
          }
  }
  return result;
}

template <machine M, class T>
void check_bits(model_case m) {
  CAPTURE(ops::name_of(m.sizes.what), M.name, m.sizes.batch_last, sizeof(T));
  const std::vector<T> wanted = straight<T>(m, M);
  run_on_model<M>(m, 2);
  CHECK(std::memcmp(wanted.data(), m.output<T>(0), wanted.size() * sizeof(T)) == 0);
}

}  // namespace

TEST_CASE("sums are made in the order that is stated, bit for bit", "[backends]") {
  random_values random(11);
  const conv_sizes shapes[] = {
      conv_of(16, 1, 9, 9, 6, 5, 5, 1, 2, 1, 1), conv_of(16, 6, 7, 8, 20, 3, 3, 1, 0, 1, 1),
      conv_of(3, 4, 6, 9, 8, 3, 2, 2, 1, 1, 2), conv_of(2, 37, 4, 4, 5, 2, 2, 1, 1, 2, 1),
      conv_of(32, 70, 1, 1, 40, 1, 1, 1, 0, 1, 1)};
  for (const conv_sizes& n : shapes) {
    for (const kind what :
         {kind::conv2d, kind::conv2d_data_gradient, kind::conv2d_weight_gradient}) {
      for (const bool last : {false, true}) {
        if (last && n.batch % 16 != 0) continue;
        model_case narrow = conv_case(what, n, element::f16, last, true);
        random.fill_inputs(narrow);
        check_bits<blocks_of_four, half>(narrow);
        check_bits<chains, half>(narrow);
        check_bits<cuts, half>(narrow);
        model_case wide = conv_case(what, n, element::f32, last, true);
        random.fill_inputs(wide);
        check_bits<blocks_of_four, float>(wide);
        check_bits<chains, float>(wide);
      }
    }
  }
}

TEST_CASE("the plain form of a dot product is what a kernel computes", "[backends]") {
  random_values random(12);
  for (const i32 k : {1, 3, 4, 7, 16, 33, 256}) {
    // Few enough inputs for one tile, so that the sum is not cut.
    model_case m = dense_case(kind::dense, {1, k, 1}, element::f16, false, false);
    random.fill_inputs(m);
    model_case chained = m;
    constexpr machine one_tile = [] {
      machine on = accelerator::ipu_mk1;
      on.tiles = 1;
      return on;
    }();
    constexpr machine one_tile_chain = [] {
      machine on = accelerator::ipu_mk1;
      on.tiles = 1;
      on.matrix.order = accumulation::chain;
      return on;
    }();
    run_on_model<one_tile>(m);
    run_on_model<one_tile_chain>(chained);
    const half* a = m.input<half>(0);
    const half* b = m.input<half>(1);
    CHECK(m.output<half>(0)[0] == to_half(accelerator::dot(accumulation::block4, a, b, k)));
    CHECK(chained.output<half>(0)[0] == to_half(accelerator::dot(accumulation::chain, a, b, k)));
  }
}

TEST_CASE("orders differ where f32 rounds, and each is what it says", "[backends]") {
  // 2^12 2^12 = 2^24; adding 1 to it is lost one by one, not in pairs.
  half a[6];
  half b[6];
  for (half& h : a) h = to_half(1);
  for (half& h : b) h = to_half(1);
  a[0] = b[0] = to_half(4096);
  CHECK(accelerator::dot(accumulation::chain, a, b, 6) == 16777216.0f);
  // (2^24 + 1) rounds to 2^24, (1 + 1) = 2, sum 2^24 + 2; then 1 + 1 again.
  CHECK(accelerator::dot(accumulation::block4, a, b, 6) == 16777220.0f);
  // Two lanes: 2^24 + 1 + 1 loses both ones; the other has 3.
  CHECK(accelerator::dot_in_lanes(2, a, b, 6) == 16777220.0f);
  CHECK(accelerator::dot_in_lanes(1, a, b, 6) == 16777216.0f);
}

TEST_CASE("bias gradients take turns in 16 sums and fold them", "[backends]") {
  random_values random(13);
  for (const bool last : {false, true}) {
    model_case m;
    m.sizes.what = kind::bias_gradient;
    m.sizes.batch_last = last;
    const bias_sizes n{16, 5, 321};
    n.write(m.sizes);
    m.give_input(1, i64{n.batch} * n.channels * n.inner, element::f16);
    m.give_output(0, n.channels, element::f16);
    random.fill_inputs(m);
    const accelerator::mapping map = accelerator::map(blocks_of_four, m.sizes);
    REQUIRE(map.count(accelerator::axis_b) > 1);
    run_on_model<blocks_of_four>(m);
    for (i64 o = 0; o < n.channels; ++o) {
      float total = 0;
      for (i32 block = 0; block < map.count(accelerator::axis_b); ++block) {
        float acc[16] = {};
        for (i32 i = 0; i < map.size(accelerator::axis_b, block); ++i) {
          const i64 e = map.begin(accelerator::axis_b, block) + i;
          const i64 place = last ? o * n.inner * n.batch + e
                                 : (e / n.inner * n.channels + o) * n.inner + e % n.inner;
          acc[i % 16] += to_float(m.input<half>(1)[place]);
        }
        for (i32 width = 8; width > 0; width /= 2)
          for (i32 i = 0; i < width; ++i) acc[i] += acc[i + width];
        total = block == 0 ? acc[0] : total + acc[0];
      }
      CHECK(m.output<half>(0)[o] == to_half(total));
    }
  }
}

TEST_CASE("the vector unit's functions are within two units in the last place", "[backends]") {
  using accelerator::lane_count;
  const auto worst = [](auto ours, auto exact, float low, float high, i32 steps) {
    double most = 0;
    for (i32 i = 0; i <= steps; ++i) {
      const float x = low + (high - low) * static_cast<float>(i) / static_cast<float>(steps);
      const double wanted = exact(static_cast<double>(x));
      const float got = ours(accelerator::set(x))[0];
      const float near = static_cast<float>(wanted);
      const double unit =
          std::max(static_cast<double>(std::nextafter(std::abs(near), HUGE_VALF)) - std::abs(near),
                   0x1p-149);
      most = std::max(most, std::abs(got - wanted) / unit);
    }
    return most;
  };
  const auto exp = [](accelerator::lanes x) { return accelerator::exp(x); };
  const auto log = [](accelerator::lanes x) { return accelerator::log(x); };
  const auto tanh = [](accelerator::lanes x) { return accelerator::tanh(x); };
  const auto sigmoid = [](accelerator::lanes x) { return accelerator::sigmoid(x); };
  CHECK(worst(
            exp, [](double x) { return std::exp(x); }, -87, 88, 200001) < 2);
  CHECK(worst(
            exp, [](double x) { return std::exp(x); }, -103, -87, 20001) < 2);
  CHECK(worst(
            log, [](double x) { return std::log(x); }, 0x1p-140f, 0x1p-100f, 100001) < 2);
  CHECK(worst(
            log, [](double x) { return std::log(x); }, 0.3f, 5, 200001) < 2);
  CHECK(worst(
            log, [](double x) { return std::log(x); }, 5, 1e30f, 100001) < 2);
  CHECK(worst(
            tanh, [](double x) { return std::tanh(x); }, -1, 1, 200001) < 2);
  CHECK(worst(
            tanh, [](double x) { return std::tanh(x); }, -12, 12, 200001) < 2);
  CHECK(worst(
            sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 30, 200001) < 3);

  const float inf = __builtin_inff();
  const auto of = [](auto f, float x) { return f(accelerator::set(x))[0]; };
  CHECK(of(exp, -inf) == 0);
  CHECK(of(exp, inf) == inf);
  CHECK(of(exp, 0) == 1);
  CHECK(std::isnan(of(exp, NAN)));
  CHECK(of(log, 0) == -inf);
  CHECK(of(log, inf) == inf);
  CHECK(of(log, 1) == 0);
  CHECK(std::isnan(of(log, -1)));
  CHECK(std::isnan(of(log, NAN)));
  CHECK(of(tanh, inf) == 1);
  CHECK(of(tanh, -inf) == -1);
  CHECK(std::signbit(of(tanh, -0.0f)));
  CHECK(std::isnan(of(tanh, NAN)));
  CHECK(of(sigmoid, 0) == 0.5f);
  CHECK(of(sigmoid, -inf) == 0);
  CHECK(of(sigmoid, inf) == 1);
}
