// Golden checks of 16-bit numbers: conversions, rounding rules, dot products in stated orders.

#include <tessera/backends/accelerator.hpp>
#include <tessera/core/convert.hpp>
#include <tessera/core/random.hpp>
#include <catalogue/goldens/checks.hpp>

#include <bit>

namespace tessera::testing {

namespace {

/// Numbers of a tensor as bit patterns.
template <class Word>
std::vector<Word> bits(const golden_case& c, const std::string& section, const std::string& name) {
  std::vector<Word> words;
  for (const double v : c.tensor(section, name).values) words.push_back(static_cast<Word>(v));
  return words;
}

float as_float(u32 word) { return std::bit_cast<float>(word); }

/// Bit patterns as doubles, with one pattern for all NaNs where the case leaves its payload free.
template <class Number>
std::vector<double> patterns(const io::json& tol, const std::vector<Number>& numbers) {
  std::vector<double> words;
  for (const Number n : numbers) {
    words.push_back(tol.contains("nan") && is_nan(n) ? 0x7fff : n.bits);
  }
  return words;
}

/// Compares numbers with the bit patterns stored under `name`.
template <class Number>
void compare_bits(const golden_case& c, findings& f, const std::string& name,
                  const std::vector<Number>& got) {
  const io::json& tol = c.tolerance(name);
  std::vector<Number> want;
  for (const u16 word : bits<u16>(c, "outputs", name)) want.push_back(Number{word});
  f.compare(tol, name, patterns(tol, want), patterns(tol, got));
}

template <class Convert>
auto convert_all(const std::vector<u32>& from, const std::vector<u32>& random, Convert convert) {
  std::vector<decltype(convert(0.0f, u32{}))> to;
  for (std::size_t i = 0; i < from.size(); ++i) to.push_back(convert(as_float(from[i]), random[i]));
  return to;
}

}  // namespace

void check_half_to_float(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const i32 count = attrs.get<i32>("count");
  attrs.all_must_be_asked();
  const std::vector<u32> want = bits<u32>(c, "outputs", "float_bits");
  std::vector<half> halves;
  for (i32 i = 0; i < count; ++i) halves.push_back(half{static_cast<u16>(i)});
  std::vector<float> floats(halves.size());
  widen(halves.data(), floats.data(), count);
  const bool any_nan = c.tolerance("float_bits").contains("nan");
  std::vector<double> one, bulk, expected;
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const float single = to_float(halves[i]);
    const bool free = any_nan && std::isnan(single) && std::isnan(as_float(want.at(i)));
    one.push_back(free ? want[i] : std::bit_cast<u32>(single));
    bulk.push_back(free ? want[i] : std::bit_cast<u32>(floats[i]));
    expected.push_back(want[i]);
  }
  f.compare(c.tolerance("float_bits"), "to_float", expected, one);
  f.compare(c.tolerance("float_bits"), "widen", expected, bulk);
}

void check_float_to_half(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  attrs.ignore("count");
  attrs.all_must_be_asked();
  const std::vector<u32> from = bits<u32>(c, "inputs", "float_bits");
  const std::vector<u32> random = bits<u32>(c, "inputs", "rnd");
  compare_bits(c, f, "rne", convert_all(from, random, [](float x, u32) { return to_half(x); }));
  compare_bits(c, f, "rtz",
               convert_all(from, random, [](float x, u32) { return to_half_toward_zero(x); }));
  compare_bits(c, f, "sr_add", convert_all(from, random, [](float x, u32 r) {
                 return to_half_stochastic_add(x, r);
               }));
  compare_bits(c, f, "sr_cmp", convert_all(from, random, [](float x, u32 r) {
                 return to_half_stochastic_compare(x, r);
               }));
  std::vector<float> floats;
  for (const u32 word : from) floats.push_back(as_float(word));
  std::vector<half> bulk(floats.size());
  narrow(floats.data(), bulk.data(), static_cast<i64>(floats.size()));
  compare_bits(c, f, "rne", bulk);
}

void check_float_to_bfloat16(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  attrs.ignore("count");
  attrs.all_must_be_asked();
  const std::vector<u32> from = bits<u32>(c, "inputs", "float_bits");
  const std::vector<u32> random = bits<u32>(c, "inputs", "rnd");
  compare_bits(c, f, "rne", convert_all(from, random, [](float x, u32) { return to_bfloat16(x); }));
  compare_bits(c, f, "rtz",
               convert_all(from, random, [](float x, u32) { return to_bfloat16_toward_zero(x); }));
  compare_bits(c, f, "sr", convert_all(from, random, [](float x, u32 r) {
                 return to_bfloat16_stochastic(x, r);
               }));
}

void check_stochastic_rounding(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  attrs.get<std::string>("rule");
  attrs.all_must_be_asked();
  const std::vector<double> x = c.tensor("inputs", "x").values;
  const std::vector<double> wanted_up = c.tensor("outputs", "p_up").values;
  constexpr i32 draws = 100'000;
  random_stream random(11);
  std::vector<half> down;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float value = static_cast<float>(x[i]);
    down.push_back(to_half_toward_zero(value));
    i32 up_by_add = 0, up_by_compare = 0;
    for (i32 k = 0; k < draws; ++k) {
      const u32 word = random.next_u32();
      up_by_add += to_half_stochastic_add(value, word) != down[i] ? 1 : 0;
      up_by_compare += to_half_stochastic_compare(value, word) != down[i] ? 1 : 0;
    }
    const double p = wanted_up.at(i);
    const double five_sigma = 5 * std::sqrt(draws * p * (1 - p)) + 1e-9;
    for (const i32 up : {up_by_add, up_by_compare}) {
      if (std::abs(up - draws * p) > five_sigma) {
        f.note("element " + std::to_string(i) + " rounded up " + std::to_string(up) + " times of " +
               std::to_string(draws) + ", expected a share of " + std::to_string(p));
      }
    }
  }
  compare_bits(c, f, "down", down);
}

namespace {

/// A machine of one tile, where no sum is cut into parts.
constexpr machine one_tile(accumulation order) {
  machine m = accelerator::small_array;
  m.matrix.order = order;
  return m;
}

template <accumulation Order>
kernel find_dense(const signature& s) {
  constexpr signature halves = [] {
    signature h;
    h.what = kind::dense;
    for (const i32 slot : {0, 1, 8}) h.set_type(slot, element::f16);
    return h;
  }();
  return s.what == kind::dense ? accelerator::kernel_of<one_tile(Order), halves> : nullptr;
}

const graph_backend chain_machine{"chain", &find_dense<accumulation::chain>, true};
const graph_backend block4_machine{"block4", &find_dense<accumulation::block4>, true};

/// y = a b^T of halves through a backend's dense kernel, stored as `type`.
std::vector<double> product(const graph_backend& b, const golden_tensor& x, const golden_tensor& w,
                            element type) {
  graph g;
  const i32 in = add_tensor(g, x.dims_as(2), {.type = element::f16});
  const i32 weight = add_weight(g, w.dims_as(2), element::f16);
  const i32 y = ops::dense(g, in, weight, -1, layer);
  g.tensors[y].type = type;
  keep(g, y);
  interpreter net(g, b.find);
  net.write(in, x.values);
  net.write(weight, w.values);
  net.run({.valid = g.tensors[in].dims[0]});
  return net.read(y);
}

}  // namespace

void check_fp16_dot(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const i64 n = attrs.get<i64>("n");
  attrs.get<i32>("lanes");
  attrs.all_must_be_asked();
  f.leave_out("no kernel sums pairwise, in lanes, in blocks of 16 or in fp16");
  const golden_tensor a = c.tensor("inputs", "a");
  const golden_tensor b = c.tensor("inputs", "b");
  if (a.count() != n) f.note("\"n\" is not the vectors' length");
  f.compare("outputs", "sequential", product(reference_backend, a, b, element::f32));
  f.compare("outputs", "sequential_to_half", product(reference_backend, a, b, element::f16));
  f.compare("outputs", "sequential_to_half", product(chain_machine, a, b, element::f16));
  // The model stores halves: the sum in blocks of four, rounded.
  const auto sum = static_cast<float>(c.tensor("outputs", "block4").values.at(0));
  f.compare(c.tolerance("block4"), "block4", {static_cast<double>(to_float(to_half(sum)))},
            product(block4_machine, a, b, element::f16));
}

void check_fp16_gemm(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const golden_tensor a = c.tensor("inputs", "a");
  const golden_tensor b = c.tensor("inputs", "b");
  if (a.dims != std::vector<i64>{attrs.get<i64>("m"), attrs.get<i64>("k")} ||
      b.dims != std::vector<i64>{attrs.get<i64>("n"), attrs.get<i64>("k")}) {
    f.note("\"m\", \"n\", \"k\" are not the matrices' extents");
  }
  attrs.all_must_be_asked();
  f.compare("outputs", "y", product(reference_backend, a, b, element::f32));
  f.compare("outputs", "y_half", product(reference_backend, a, b, element::f16));
  f.compare("outputs", "y_half", product(chain_machine, a, b, element::f16));
}

void check_half_arithmetic(const golden_case& c, findings& f) {
  c.attributes().all_must_be_asked();
  const std::vector<double> a = c.tensor("inputs", "a").values;
  const std::vector<double> b = c.tensor("inputs", "b").values;
  const auto apply = [&](const std::string& name, auto combine) {
    std::vector<double> got;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const float x = to_float(to_half(static_cast<float>(a[i])));
      const float y = to_float(to_half(static_cast<float>(b[i])));
      got.push_back(static_cast<double>(to_float(to_half(combine(x, y)))));
    }
    f.compare("outputs", name, got);
  };
  apply("add", [](float x, float y) { return x + y; });
  apply("sub", [](float x, float y) { return x - y; });
  apply("mul", [](float x, float y) { return x * y; });
  apply("div", [](float x, float y) { return x / y; });
}

}  // namespace tessera::testing
