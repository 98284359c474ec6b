#include <tessera/backends/host/epilogue.hpp>

#include <tessera/backends/host/elementwise.hpp>
#include <tessera/backends/host/norm.hpp>

#include "host_support.hpp"

// What a kernel does with its values before it stores them gives the bits of the operations one
// by one.

using namespace tessera;
using namespace tessera::testing;

namespace {

/// A batch normalization or an addition, then what follows, in one call or in several.
struct case_of {
  kind first = kind::batch_norm;
  element type = element::f32;
  bool last = false;
  i32 batch = 1, features = 1, inner = 1, valid = 1;
  bool adds = false;
  kind after = kind::none;
  bool in_place = false;  // the result lies in what is added

  i64 count() const { return i64{batch} * features * inner; }
};

template <class T>
struct memory {
  std::vector<T> x, other, y;
  std::vector<float> gamma, beta, mean, variance, saved_mean, saved_spread;

  explicit memory(const case_of& c) {
    const auto fill = [](auto& v, i64 n, u32 seed, double by, double plus) {
      v.resize(static_cast<std::size_t>(n));
      const numbers all = random_numbers(n, seed);
      for (std::size_t i = 0; i < v.size(); ++i) {
        host::simd::store_number(&v[i], static_cast<float>(by * all[i] + plus));
      }
    };
    // Numbers whose results round to both zeros, and above and below.
    const double small = c.type == element::f16 ? 0x1p-24 : 1;
    fill(x, c.count(), 1, 1, 0);
    fill(other, c.count(), 2, small, 0);
    fill(y, c.count(), 3, 1, 0);
    fill(gamma, c.features, 4, small, 0);
    fill(beta, c.features, 5, small, 0);
    fill(mean, c.features, 6, 1, 0);
    fill(variance, c.features, 7, 0.25, 1);
    saved_mean = saved_spread = mean;
  }
  template <class V>
  static std::byte* at(V& v) {
    return reinterpret_cast<std::byte*>(v.data());
  }
};

template <class T>
std::vector<T> result_of(const case_of& c, bool joined, kernel first, kernel after) {
  memory<T> m(c);
  step_values step;
  step.valid = c.valid;
  step.threads = 2;
  attributes attr;
  attr.norm.momentum = 0.1f;
  attr.norm.epsilon = 1e-5f;
  attr.activation.alpha = 0.3f;
  signature norm;
  norm.what = c.first;
  norm.batch_last = c.last;
  norm_sizes sizes{};
  sizes.batch = c.batch, sizes.features = c.features, sizes.inner = c.inner;
  sizes.write(norm);
  signature elements;
  elementwise_sizes{static_cast<i32>(c.count())}.write(elements);
  signature add = elements;
  add.what = kind::add;
  signature active = elements;
  active.what = c.after;

  std::byte* const last_y = m.at(c.in_place ? m.other : m.y);
  std::byte* const first_y = c.adds && c.in_place ? m.at(m.y) : last_y;
  std::byte* in[] = {m.at(m.x), m.at(m.gamma), m.at(m.beta), m.at(m.mean), m.at(m.variance), {}};
  std::byte* out[] = {
      first_y, m.at(m.mean), m.at(m.variance), m.at(m.saved_mean), m.at(m.saved_spread), {}};
  if (c.first != kind::batch_norm) std::fill_n(out + 1, 5, nullptr);
  if (c.first == kind::add) {
    norm = add;
    in[1] = m.at(m.other);
  }
  std::byte* add_in[] = {m.at(m.other), first_y};  // either order
  std::byte* add_out[] = {last_y};
  std::byte* last[] = {last_y};
  call calls[3];
  i32 n = 0;
  calls[n++] = {in, out, &norm, &attr, &step};
  if (c.adds) calls[n++] = {add_in, add_out, &add, &attr, &step};
  if (c.after != kind::none) calls[n++] = {last, last, &active, &attr, &step};
  if (joined) {
    for (i32 i = 0; i + 1 < n; ++i) calls[i].then = &calls[i + 1];
    first(calls[0]);
  } else {
    const kernel kernels[] = {first, c.adds ? &host::add<T> : after, after};
    for (i32 i = 0; i < n; ++i) kernels[i](calls[i]);
  }
  return c.in_place ? m.other : m.y;
}

template <class T, kind What, bool Last, kind After>
kernel norm_kernel() {
  return What == kind::batch_norm ? &host::batch_norm<T, Last, After>
                                  : &host::batch_norm_inference<T, Last, After>;
}

template <class T, kind After>
void check() {
  kernel after = nullptr;
  if constexpr (After != kind::add) after = &host::activation<T, After>;
  const auto same = [&](const case_of& c, kernel joined, kernel alone) {
    CAPTURE(name_of(c.type), c.last, c.batch, c.features, c.inner, c.valid, c.adds, c.in_place,
            static_cast<i32>(c.after), static_cast<i32>(c.first));
    const std::vector<T> one = result_of<T>(c, true, joined, after);
    const std::vector<T> by_one = result_of<T>(c, false, alone, after);
    CHECK(std::memcmp(one.data(), by_one.data(), sizeof(T) * one.size()) == 0);
    const std::vector<T> nothing = result_of<T>({.first = c.first,
                                                 .type = c.type,
                                                 .last = c.last,
                                                 .batch = c.batch,
                                                 .features = c.features,
                                                 .inner = c.inner,
                                                 .valid = c.valid},
                                                true, joined, after);
    const std::vector<T> plain = result_of<T>({.first = c.first,
                                               .type = c.type,
                                               .last = c.last,
                                               .batch = c.batch,
                                               .features = c.features,
                                               .inner = c.inner,
                                               .valid = c.valid},
                                              false, alone, after);
    CHECK(std::memcmp(nothing.data(), plain.data(), sizeof(T) * plain.size()) == 0);
  };
  const auto norms = [&]<bool Last>(case_of c) {
    c.last = Last;
    c.first = kind::batch_norm;
    same(c, norm_kernel<T, kind::batch_norm, Last, After>(),
         norm_kernel<T, kind::batch_norm, Last, kind::none>());
    c.first = kind::batch_norm_inference;
    same(c, norm_kernel<T, kind::batch_norm_inference, Last, After>(),
         norm_kernel<T, kind::batch_norm_inference, Last, kind::none>());
  };
  case_of c;
  c.type = host::stored_as<T>;
  c.after = After == kind::add ? kind::none : After;
  for (const i32 batch : {1, 3, 16, 33}) {
    for (const i32 features : {1, 5, 19, 32}) {
      for (const i32 inner : {1, 6, 49}) {
        for (const i32 way : {0, 1, 2}) {  // no addition, one, one in place
          if (way == 0 && After == kind::add) continue;
          c.batch = batch, c.features = features, c.inner = inner;
          c.valid = batch > 3 ? batch - 2 : batch;
          c.adds = way > 0;
          c.in_place = way == 2;
          norms.template operator()<false>(c);
          norms.template operator()<true>(c);
          if constexpr (After != kind::add) {
            if (way != 1) continue;
            c.first = kind::add;
            c.adds = false;
            same(c, &host::add_then<T, After>, &host::add<T>);
          }
        }
      }
    }
  }
}

template <class T>
void check_all() {
  check<T, kind::add>();
  check<T, kind::relu>();
  check<T, kind::tanh>();
  check<T, kind::leaky_relu>();
  check<T, kind::hardtanh>();
}

}  // namespace

TEST_CASE("epilogues give the bits of operations one by one", "[backends]") {
  check_all<float>();
  check_all<half>();
  check_all<bfloat16>();
}

TEST_CASE("relu of a stored number needs no rounding before", "[backends]") {
  const auto check = [](auto number) {
    using T = decltype(number);
    const formulas::activation_formula<kind::relu, host::vector_math> relu{activation_attributes{}};
    const host::activation_of_stored<T, kind::relu> joined{relu};
    const float least = sizeof(T) == 4 ? 0x1p-149f : std::is_same_v<T, half> ? 0x1p-24f : 0x1p-133f;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const float by : {0.0f, 0.25f, 0.5f, 0.500001f, 0.75f, 1.0f, 1.5f, 2.0f, 1e9f, nan}) {
      for (const float sign : {-1.0f, 1.0f}) {
        T one[host::simd::lanes];
        T two[host::simd::lanes];
        const host::simd::vec v = host::simd::set(sign * by * least);
        host::simd::store(one, joined(v));
        host::simd::store(two, relu.value(host::simd::rounded<T>(v)));
        CHECK(std::memcmp(one, two, sizeof(one)) == 0);
      }
    }
  };
  check(0.0f);
  check(half{});
  check(bfloat16{});
}
