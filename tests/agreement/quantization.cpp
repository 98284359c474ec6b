// Quantized inference on every backend and layout: the plain loops' numbers, bit for bit, for
// random shapes, attributes and ranges; and the model's counters equal its prices.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/machine/presets.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"test", 0, ""};

/// A graph with the values of all that is given to it.
struct filled_graph {
  graph g;
  random_stream random;
  bool last;
  std::vector<std::pair<i32, std::vector<double>>> given;

  explicit filled_graph(u64 seed, bool batch_last) : random(seed), last(batch_last) {}

  i32 below(i32 n) { return static_cast<i32>(random.next_below(static_cast<u32>(n))); }
  i32 between(i32 low, i32 high) { return low + below(high - low + 1); }

  i32 whole(element type, const shape& dims, i32 low, i32 high, bool batched = false) {
    const i32 id = add_tensor(g, dims,
                              {.what = batched ? role::input : role::constant,
                               .type = type,
                               .batched = batched,
                               .batch_last = last});
    std::vector<double> values(static_cast<std::size_t>(dims.count()));
    for (double& v : values) v = between(low, high);
    given.push_back({id, values});
    return id;
  }
  i32 real(const shape& dims, double low, double high, bool batched = false) {
    const i32 id = add_tensor(
        g, dims,
        {.what = batched ? role::input : role::constant, .batched = batched, .batch_last = last});
    std::vector<double> values(static_cast<std::size_t>(dims.count()));
    for (double& v : values) v = low + (high - low) * static_cast<double>(random.next_uniform());
    given.push_back({id, values});
    return id;
  }
  i32 bytes(const shape& dims, bool batched) {
    return whole(element::int8, dims, -128, 127, batched);
  }
  /// Multipliers, shifts and limits for `channels`: one or one each, some parts missing.
  ops::requantization rescaling(i32 channels) {
    const i32 multipliers = below(2) == 0 ? 1 : channels;
    const i32 shifts = below(2) == 0 ? 1 : channels;
    ops::requantization r;
    if (below(3) > 0) {
      r.multiplier = whole(element::int32, shape(multipliers), 1 << 30, 2147483647);
    }
    r.shift = whole(element::int32, shape(shifts), -14, below(4) == 0 ? 3 : -4);
    if (below(3) > 0) {
      r.limits = whole(element::int32, shape(3), 0, 0);
      const i32 zero = between(-40, 40);
      given.back().second = {double(zero), double(below(2) == 0 ? zero : -128), 127.0};
    }
    return r;
  }
};

using built = std::vector<i32>;  // what is compared

built build_product(filled_graph& f, i32 batch, bool conv) {
  const i32 groups = conv && f.below(3) == 0 ? 2 : 1;
  const i32 in = groups * f.between(1, conv ? 9 : 150);
  const i32 out = groups * f.between(1, 20);
  window win;
  shape x(batch, in), w(out, in / groups);
  if (conv) {
    for (i32 axis = 0; axis < 2; ++axis) {
      win.kernel[axis] = f.between(1, 3);
      win.stride[axis] = f.between(1, 2);
      win.dilation[axis] = f.between(1, 2);
      win.pad_begin[axis] = f.below(3);
      win.pad_end[axis] = f.below(3);
    }
    x = shape(batch, in, f.between(5, 9), f.between(5, 19));
    w = shape(out, in / groups, win.kernel[0], win.kernel[1]);
  }
  const i32 image = f.bytes(x, true);
  const i32 weight = f.bytes(w, false);
  const i32 bias = f.below(2) == 0 ? -1 : f.whole(element::int32, shape(out), -9999, 9999);
  const i32 zeros = f.below(3) == 0 ? -1 : f.whole(element::int32, shape(2), -128, 127);
  if (zeros >= 0 && f.below(2) == 0) f.given.back().second[1] = 0;  // symmetric weights
  const ops::requantization to = f.rescaling(out);
  const auto append = [&](const ops::requantization& r) {
    return conv ? ops::quantized_conv2d(f.g, image, weight, bias, zeros, r, win, groups, layer)
                : ops::quantized_dense(f.g, image, weight, bias, zeros, r, layer);
  };
  const i32 sums = append({});
  return {sums, append(to), ops::requantize(f.g, sums, to, element::int8, layer),
          ops::requantize(f.g, sums, to, element::int32, layer)};
}

built build_values(filled_graph& f, i32 batch) {
  const i32 channels = f.between(1, 5);
  const shape dims =
      f.below(2) == 0 ? shape(batch, channels, f.between(1, 40)) : shape(batch, channels);
  const i32 scales = f.below(2) == 0 ? 1 : channels;
  const i32 x = f.real(dims, -3, 3, true);
  if (f.below(2) == 0) {
    f.given.back().second[0] = std::nan("");
    if (batch > 1) f.given.back().second[1] = INFINITY;
  }
  const i32 scale = f.real(shape(scales), 0.01, 0.05);
  const i32 zero = f.below(2) == 0 ? -1 : f.whole(element::int32, shape(1), -100, 100);
  const i32 factor = f.below(2) == 0 ? -1 : f.real(shape(1), 0.001, 2);
  const i32 q = ops::quantize(f.g, x, scale, zero, factor, element::int8, layer);
  const i32 wide = ops::quantize(f.g, x, scale, zero, factor, element::int32, layer);
  return {q, wide, ops::dequantize(f.g, q, scale, zero, layer),
          ops::dequantize(f.g, wide, scale, zero, layer)};
}

template <class Build>
void check_agreement(u64 seed, i32 batch, const Build& build) {
  for (const bool last : {false, true}) {
    filled_graph f(seed, last);
    const built outputs = build(f, batch);
    REQUIRE(spell(f.g.wrong).view().empty());
    for (const i32 id : outputs) keep(f.g, id);
    const auto run = [&](kernel_finder find, i32 threads, void* backend) {
      interpreter net(f.g, find);
      for (const auto& [id, values] : f.given) net.write(id, values);
      net.run({.valid = batch, .threads = threads, .backend = backend});
      std::vector<std::vector<double>> results;
      for (const i32 id : outputs) results.push_back(net.read(id));
      return results;
    };
    const auto want = run(reference_backend.find, 1, nullptr);
    for (const graph_backend& b : backends()) {
      if (last && layouts(b, batch).size() == 1) continue;
      INFO("seed " << seed << ", batch " << batch << (last ? ", last, " : ", ") << b.name);
      CHECK(run(b.find, 1, nullptr) == want);
      CHECK(run(b.find, 3, nullptr) == want);
      const bool ipu = std::string(b.name) == "ipu_mk1";
      if (!ipu) continue;
      accelerator::counters counted;
      run(b.find, 2, &counted);
      accelerator::operation_price stated;
      for (const operation& op : f.g.operations) {
        stated += accelerator::price(accelerator::ipu_mk1, ops::sign(f.g, op));
      }
      CHECK(counted.total == stated);
    }
  }
}

TEST_CASE("quantized products agree bit for bit on all backends", "[agreement]") {
  for (u64 seed = 1; seed <= 12; ++seed) {
    for (const i32 batch : {1, 5, 32}) {
      check_agreement(seed, batch,
                      [](filled_graph& f, i32 n) { return build_product(f, n, false); });
      check_agreement(seed, batch,
                      [](filled_graph& f, i32 n) { return build_product(f, n, true); });
    }
  }
}

TEST_CASE("sums longer than a panel agree too", "[agreement]") {
  for (const i32 batch : {3, 16}) {
    check_agreement(7, batch, [](filled_graph& f, i32 n) -> built {
      const i32 x = f.bytes(shape(n, 9001), true);
      const i32 zeros = f.whole(element::int32, shape(2), -9, 9);
      return {ops::quantized_dense(f.g, x, f.bytes(shape(3, 9001), false), -1, zeros, {}, layer)};
    });
  }
}

TEST_CASE("values are quantized alike on all backends, NaN and infinities too", "[agreement]") {
  for (u64 seed = 1; seed <= 12; ++seed) {
    for (const i32 batch : {1, 5, 32}) check_agreement(seed, batch, build_values);
  }
}

TEST_CASE("quantized operations refuse operands of other types", "[agreement]") {
  filled_graph f(1, false);
  const i32 x = f.real(shape(2, 3), -1, 1, true);
  ops::quantized_dense(f.g, x, f.bytes(shape(4, 3), false), -1, -1, {}, layer);
  CHECK(spell(f.g.wrong) == "test: expected an input of i8, got f32; quantize it first");
}

}  // namespace
