#include <tessera/backends/accelerator/lanes_math.hpp>
#include <tessera/backends/activation_formulas.hpp>
#include <tessera/backends/host/vector_math.hpp>
#include <tessera/backends/reference/activation.hpp>

#include "host_support.hpp"

// The functions and formulas that the host and the model share against double precision, over all
// floats in steps of a prime number of representations. Stated errors in units of the last place,
// measured with a step of 997 on AVX-512, of results above 2^-115 (below, factors are subnormal
// while the product is not):
//   expm1 0.85, log1p 1.87, Phi 4.5, exp(-x^2 / 2) 1.46
//   gelu 4.6, silu 2.0, softplus 2.5, mish 4.2, elu 0.85, hardswish 2.5, hardsigmoid 1.4
//   gelu_tanh 11 where |y| is above 2^-7, 175 at y = -1e-36: the rounded argument of the sigmoid
//   times its size
// Without fused multiply-adds (SSE2) x^2 is rounded before it is an exponent: Phi 59, gelu 61.

using namespace tessera;
using namespace tessera::testing;
namespace simd = tessera::host::simd;

namespace {

using host_math = host::vector_math;
using model_math = accelerator::lanes_math;

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool fuses = true;
#else
constexpr bool fuses = false;
#endif

constexpr i32 together = 16;  // a multiple of all vector widths

/// A function of vectors as one of 16 floats.
template <class Math, class Function>
auto on_floats(Function f) {
  return [f](const float* x, float* y) {
    using vec = typename Math::vec;
    constexpr i32 lanes = static_cast<i32>(sizeof(vec) / sizeof(float));
    for (i32 i = 0; i < together; i += lanes) {
      vec v;
      std::memcpy(static_cast<void*>(&v), x + i, sizeof v);
      const vec result = f(v);
      std::memcpy(y + i, static_cast<const void*>(&result), sizeof v);
    }
  };
}

/// The largest error in units of the last place of right results of at least `least`; 1e9 where
/// infinity or NaN is wrong. Floats from -|bound| to bound.
template <class Function, class Wanted>
double worst_error(Function f, Wanted wanted, float least = 0x1p-115f, float low = -HUGE_VALF,
                   float high = HUGE_VALF) {
  constexpr u64 step = 4999;
  double worst = 0;
  for (u64 first = 0; first < (u64{1} << 32); first += step * together) {
    float x[together];
    float y[together];
    for (i32 i = 0; i < together; ++i) {
      x[i] = std::bit_cast<float>(static_cast<u32>(first + step * static_cast<u64>(i)));
      if (x[i] < low) x[i] = low;
      if (x[i] > high) x[i] = high;
    }
    f(x, y);
    for (i32 i = 0; i < together; ++i) {
      const double exact = wanted(static_cast<double>(x[i]));
      const float nearest = static_cast<float>(exact);
      if (std::isnan(nearest)) {
        if (!std::isnan(y[i])) return 1e9;
        continue;
      }
      if (std::isinf(nearest) || !std::isfinite(y[i])) {
        if (y[i] != nearest) return 1e9;
        continue;
      }
      const float size = std::abs(nearest);
      if (size < least) continue;
      const double unit =
          static_cast<double>(std::nextafter(size, HUGE_VALF)) - static_cast<double>(size);
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) - exact) / unit);
    }
  }
  return worst;
}

template <class Math>
void check_functions() {
  const auto expm1 = on_floats<Math>([](auto x) { return formulas::expm1_below<Math>(x); });
  CHECK(worst_error(
            expm1, [](double x) { return std::expm1(x); }, 0x1p-115f, -HUGE_VALF, 0) < 0.9);
  const auto log1p = on_floats<Math>([](auto x) { return formulas::log1p_of_exp<Math>(x); });
  CHECK(worst_error(
            log1p, [](double x) { return std::log1p(x); }, 0x1p-115f, 0, 1) < 1.95);
  const auto below = on_floats<Math>([](auto x) { return formulas::normal<Math>(x).below; });
  CHECK(worst_error(below, [](double x) { return reference::normal_below(x); }) <
        (fuses ? 4.6 : 60));
}

template <class Math, kind What>
double error_of(const activation_attributes& a = {}, float least = 0x1p-115f) {
  const formulas::activation_formula<What, Math> f(a);
  return worst_error(
      on_floats<Math>([f](auto x) { return f.value(x); }),
      [&](double x) { return reference::activation_of(What, a, x); }, least);
}

template <class Math>
void check_activations() {
  CHECK(error_of<Math, kind::elu>() < 0.9);
  CHECK(error_of<Math, kind::gelu_erf>() < (fuses ? 4.6 : 62));
  CHECK(error_of<Math, kind::gelu_tanh>({}, 0x1p-7f) < 11);
  CHECK(error_of<Math, kind::gelu_tanh>() < 180);
  CHECK(error_of<Math, kind::silu>() < 2.1);
  CHECK(error_of<Math, kind::softplus>() < 2.5);
  CHECK(error_of<Math, kind::mish>() < 4.3);
  CHECK(error_of<Math, kind::hardswish>() < 2.5);
  CHECK(error_of<Math, kind::hardsigmoid>() < 1.4);
  CHECK(error_of<Math, kind::exp>() < 1.1);
}

template <class Math, kind What>
float value_at(float x) {
  float values[together];
  std::fill_n(values, together, x);
  const formulas::activation_formula<What, Math> f(activation_attributes{});
  on_floats<Math>([f](auto v) { return f.value(v); })(values, values);
  return values[0];
}

/// f(dy) for dy = 1.
template <class Math, kind What>
float slope_at(float saved) {
  float values[together];
  std::fill_n(values, together, saved);
  const formulas::activation_formula<What, Math> f(activation_attributes{});
  on_floats<Math>([f](auto v) { return f.gradient(v, Math::set(1.0f)); })(values, values);
  return values[0];
}

template <class Math>
void check_limits() {
  const float infinity = HUGE_VALF;
  const float nan = std::nanf("");
  CHECK(value_at<Math, kind::gelu_erf>(-infinity) == 0);
  CHECK(value_at<Math, kind::gelu_erf>(infinity) == infinity);
  CHECK(value_at<Math, kind::gelu_tanh>(-infinity) == 0);
  CHECK(value_at<Math, kind::silu>(-infinity) == 0);
  CHECK(value_at<Math, kind::mish>(-infinity) == 0);
  CHECK(value_at<Math, kind::mish>(infinity) == infinity);
  CHECK(value_at<Math, kind::softplus>(-infinity) == 0);
  CHECK(value_at<Math, kind::softplus>(infinity) == infinity);
  CHECK(value_at<Math, kind::hardswish>(-infinity) == 0);
  CHECK(value_at<Math, kind::elu>(-infinity) == -1);
  CHECK(slope_at<Math, kind::gelu_erf>(-infinity) == 0);
  CHECK(slope_at<Math, kind::gelu_erf>(infinity) == 1);
  CHECK(std::abs(slope_at<Math, kind::gelu_tanh>(-3e38f)) < 1e-35f);
  CHECK(std::abs(slope_at<Math, kind::silu>(-infinity)) < 1e-35f);
  CHECK(slope_at<Math, kind::silu>(infinity) == 1);
  CHECK(slope_at<Math, kind::mish>(-infinity) == 0);
  CHECK(std::isnan(value_at<Math, kind::gelu_erf>(nan)));
  CHECK(std::isnan(value_at<Math, kind::gelu_tanh>(nan)));
  CHECK(std::isnan(value_at<Math, kind::silu>(nan)));
  CHECK(std::isnan(value_at<Math, kind::mish>(nan)));
  CHECK(std::isnan(value_at<Math, kind::softplus>(nan)));
  CHECK(std::isnan(value_at<Math, kind::hardswish>(nan)));
  CHECK(std::isnan(value_at<Math, kind::hardsigmoid>(nan)));
  CHECK(std::isnan(value_at<Math, kind::hardtanh>(nan)));
  CHECK(std::isnan(value_at<Math, kind::elu>(nan)));
  CHECK(std::isnan(value_at<Math, kind::leaky_relu>(nan)));
}

}  // namespace

TEST_CASE("shared functions are within the stated units of the last place", "[backends]") {
  check_functions<host_math>();
  check_functions<model_math>();
}

TEST_CASE("activations are within the stated units of the last place", "[backends]") {
  check_activations<host_math>();
  check_activations<model_math>();
}

TEST_CASE("activations reach their limits, NaN stays NaN", "[backends]") {
  check_limits<host_math>();
  check_limits<model_math>();
}
