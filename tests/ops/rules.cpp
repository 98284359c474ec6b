#include <tessera/ops/ops.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/plan_validator.hpp>
#include <support/random_graph.hpp>

#include <set>
#include <string>

namespace {

using namespace tessera;
using namespace tessera::testing;

TEST_CASE("Every kind has a name of its own", "[ops]") {
  std::set<std::string> names;
  for (i32 k = 0; k < static_cast<i32>(kind::count); ++k) {
    names.insert(ops::name_of(static_cast<kind>(k)));
  }
  CHECK(names.size() == static_cast<std::size_t>(kind::count));
  CHECK(names.count("?") == 0);
}

TEST_CASE("Outputs go over inputs only where the validator's table allows it", "[ops]") {
  int allowed = 0;
  for (i32 k = 0; k < static_cast<i32>(kind::count); ++k) {
    const kind what = static_cast<kind>(k);
    for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
      const i32 over = ops::in_place_over(what, slot);
      if (over < 0) continue;
      CHECK(may_overwrite(what, slot, over));
      ++allowed;
    }
  }
  CHECK(allowed >= 37);
}

/// Cells along an axis, counted one window after another.
i32 count_windows(const window& w, i32 in) {
  i32 n = 0;
  const i32 span = (w.kernel[0] - 1) * w.dilation[0] + 1;
  for (i32 start = -w.pad_begin[0]; start + span <= in + w.pad_end[0]; start += w.stride[0]) ++n;
  return n;
}

/// The same with windows that start inside the image or its leading padding and may end outside.
i32 count_with_ceil(const window& w, i32 in) {
  const i32 full = count_windows(w, in);
  const i32 span = (w.kernel[0] - 1) * w.dilation[0] + 1;
  if (full == 0) return 0;
  const i32 next = -w.pad_begin[0] + full * w.stride[0];
  const bool covered = next - w.stride[0] + span >= in + w.pad_end[0];
  return next < in && !covered ? full + 1 : full;
}

TEST_CASE("Windows are counted as they slide", "[ops]") {
  int compared = 0;
  for (i32 in = 1; in <= 12; ++in) {
    for (i32 kernel = 1; kernel <= 4; ++kernel) {
      for (i32 stride = 1; stride <= 4; ++stride) {
        for (i32 dilation = 1; dilation <= 2; ++dilation) {
          for (i32 pad = 0; 2 * pad <= kernel; ++pad) {
            window w;
            w.kernel[0] = kernel;
            w.stride[0] = stride;
            w.dilation[0] = dilation;
            w.pad_begin[0] = w.pad_end[0] = pad;
            if (ops::window_count(w, 0, in) != count_windows(w, in)) FAIL("window_count");
            if (ops::pool_count(w, 0, in) != count_windows(w, in)) FAIL("pool_count");
            w.ceil_mode = true;
            if (ops::pool_count(w, 0, in) != count_with_ceil(w, in)) {
              FAIL("ceil: in " << in << " kernel " << kernel << " stride " << stride << " dilation "
                               << dilation << " pad " << pad);
            }
            ++compared;
          }
        }
      }
    }
  }
  CHECK(compared > 700);
}

TEST_CASE("The batch goes innermost at multiples of 16", "[ops]") {
  STATIC_REQUIRE(ops::batch_goes_last(16));
  STATIC_REQUIRE(ops::batch_goes_last(64));
  STATIC_REQUIRE_FALSE(ops::batch_goes_last(1));
  STATIC_REQUIRE_FALSE(ops::batch_goes_last(24));
}

TEST_CASE("Max pooling keeps its winners only where a gradient will ask for them", "[ops]") {
  for (const bool learns : {false, true}) {
    graph g;
    const i32 x = add_tensor(g, shape(2, 3, 4, 4), {.differentiable = learns});
    window w;
    w.kernel[0] = w.kernel[1] = w.stride[0] = w.stride[1] = 2;
    ops::pool2d(g, kind::max_pool2d, x, w, {"pool", 1, ""});
    const i32 index = g.operations[0].out[1];
    CHECK((index >= 0) == learns);
    if (learns) CHECK(g.tensors[index].type == element::uint8);
    if (learns) CHECK(g.tensors[index].what == role::saved);
  }
  graph g;  // 17 x 17 cells do not fit a byte
  const i32 x = add_tensor(g, shape(1, 1, 20, 20), {.differentiable = true});
  window w;
  w.kernel[0] = w.kernel[1] = 17;
  ops::pool2d(g, kind::max_pool2d, x, w, {"pool", 1, ""});
  CHECK(g.tensors[g.operations[0].out[1]].type == element::int32);
}

TEST_CASE("Signatures carry sizes that read back as they were written", "[ops]") {
  graph g;
  const i32 x = add_tensor(g, shape(2, 4, 9, 7));
  const i32 weight = add_weight(g, shape(6, 2, 3, 5));
  const i32 bias = add_weight(g, shape(6));
  window w;
  w.kernel[0] = 3;
  w.kernel[1] = 5;
  w.stride[0] = 2;
  w.pad_begin[1] = w.pad_end[1] = 1;
  ops::conv2d(g, x, weight, bias, w, 2, {"conv", 1, ""});
  const signature s = ops::sign(g, g.operations[0]);
  CHECK(s.what == kind::conv2d);
  CHECK_FALSE(s.fixed);
  const conv_sizes z = conv_sizes::of(s);
  CHECK(z.batch == 2);
  CHECK(z.in_channels == 4);
  CHECK(z.in_height == 9);
  CHECK(z.in_width == 7);
  CHECK(z.out_channels == 6);
  CHECK(z.out_height == 4);
  CHECK(z.out_width == 5);
  CHECK(z.kernel_height == 3);
  CHECK(z.kernel_width == 5);
  CHECK(z.stride_height == 2);
  CHECK(z.stride_width == 1);
  CHECK(z.pad_top == 0);
  CHECK(z.pad_left == 1);
  CHECK(z.groups == 2);
  CHECK(z.macs() == i64{2} * 6 * 4 * 5 * 2 * 15);
  CHECK(s.has_input(2));
  CHECK_FALSE(s.has_input(3));
  CHECK(s.input_type(1) == element::f32);
  CHECK(s.has_output(0));
  CHECK_FALSE(s.has_output(1));
}

TEST_CASE("A gradient has the sizes of its forward operation", "[ops]") {
  int compared = 0;
  for (u64 seed = 0; seed < 300; ++seed) {
    const graph g = random_graph(seed, {.may_be_mixed = false}).make();
    std::set<std::string> forward;
    const auto spelled = [&](const operation& op) {
      const signature s = ops::sign(g, op);
      std::string text;
      for (const i32 n : s.n) text += std::to_string(n) + " ";
      return text;
    };
    for (const operation& op : g.operations) {
      const bool ahead = op.what == kind::dense || op.what == kind::conv2d ||
                         op.what == kind::max_pool2d || op.what == kind::avg_pool2d;
      const bool back =
          op.what == kind::dense_data_gradient || op.what == kind::dense_weight_gradient ||
          op.what == kind::dense_weight_update || op.what == kind::conv2d_data_gradient ||
          op.what == kind::conv2d_weight_gradient || op.what == kind::conv2d_weight_update ||
          op.what == kind::max_pool2d_gradient || op.what == kind::avg_pool2d_gradient;
      if (ahead) forward.insert(spelled(op));
      if (!back) continue;
      if (forward.count(spelled(op)) == 0) FAIL("seed " << seed << ": " << ops::name_of(op.what));
      ++compared;
    }
  }
  CHECK(compared > 500);
}

TEST_CASE("A graph put together with shapes that disagree says so", "[ops]") {
  const auto message = [](const shape& x, const shape& w, const window& win, i32 groups) {
    graph g;
    tensor t;
    t.dims = x;
    const i32 input = g.add(t);
    const i32 weight = ops::parameter(g, w, {"weight"}, initializer::zeros, 1, 1);
    if (x.rank == 4) {
      ops::conv2d(g, input, weight, -1, win, groups, {"conv", 1});
    } else {
      ops::dense(g, input, weight, -1, {"dense", 1});
    }
    return std::string(spell(g.wrong).view());
  };
  const window three{.kernel = {3, 3}};
  CHECK(message({2, 4}, {3, 4}, {}, 1).empty());
  CHECK(message({2, 4}, {3, 5}, {}, 1) ==
        "dense1: expected a weight of out x 4, got 3x5 for an input of 2x4; "
        "make their features agree");
  CHECK(message({2, 4, 5, 5}, {6, 2, 3, 3}, three, 2).empty());
  CHECK(message({2, 4, 5, 5}, {6, 4, 3, 3}, three, 2) ==
        "conv1: expected a weight of out x in / 2 x kernel, got 6x4x3x3 for an input of 2x4x5x5; "
        "make channels and kernel agree");
  CHECK(message({2, 4, 2, 5}, {6, 4, 3, 3}, three, 1) ==
        "conv1: expected a window that fits the padded image, got 2x4x2x5; "
        "add padding or use a smaller window");
}

}  // namespace
