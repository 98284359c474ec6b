#include <tessera/nn.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

/// What layers make of an input.
struct built {
  text<360> message;
  shape y;
  shape weight;
  i32 groups = 0;
  window win;
};

template <class Input, class Layer>
constexpr built build(i32 batch = 2) {
  graph g;
  builder b(g, batch, purpose::training);
  const bundle y = Layer::build(b, build_input<Input>(b));
  built result;
  result.message = spell(g.wrong);
  if (b.usable(y)) result.y = b.sample(y.items[0]);
  for (const tensor& t : g.tensors) {
    if (t.what == role::parameter && t.dims.rank == 4) result.weight = t.dims;
  }
  for (const operation& op : g.operations) {
    if (op.what == kind::conv2d || op.what == kind::max_pool2d || op.what == kind::avg_pool2d) {
      result.win = op.attr.win;
      result.groups = op.attr.groups;
    }
  }
  return result;
}

TEST_CASE("layers of one dimension take channels x length", "[nn]") {
  constexpr auto c = build<signal<3, 20>, conv1d<8, 5, stride<2>, pad_ends<4, 0>>>();
  STATIC_REQUIRE(c.message.empty());
  STATIC_REQUIRE(c.y == shape(8, 10));
  STATIC_REQUIRE(c.weight == shape(8, 3, 1, 5));
  STATIC_REQUIRE(c.win.pad_begin[0] == 0);
  STATIC_REQUIRE(c.win.stride[0] == 1);
  STATIC_REQUIRE(build<signal<3, 20>, conv1d<6, 3, pad<1>, groups<3>, dilation<2>>>().y ==
                 shape(6, 18));
  STATIC_REQUIRE(build<signal<3, 21>, max_pool1d<4>>().y == shape(3, 5));
  STATIC_REQUIRE(build<signal<3, 21>, max_pool1d<4, ceil_mode>>().y == shape(3, 6));
  STATIC_REQUIRE(build<signal<3, 21>, avg_pool1d<3, stride<2>, pad<1>>>().y == shape(3, 11));
  STATIC_REQUIRE(build<signal<3, 21>, global_avg_pool>().y == shape(3, 1));
  STATIC_REQUIRE(build<signal<3, 21>, global_max_pool>().y == shape(3, 1));
}

TEST_CASE("layers of one dimension say what they expect", "[nn]") {
  constexpr auto image_given = build<image<1, 8, 8>, conv1d<8, 5>>();
  STATIC_REQUIRE(image_given.message ==
                 "conv1d<8, 5>: expected a rank-2 input (channels x length), got 1x8x8; start from "
                 "signal<...> and put it before flatten");
  constexpr auto over_time = build<sequence<20, 3>, max_pool1d<2>>();
  STATIC_REQUIRE(over_time.message ==
                 "max_pool1d<2>: expected a rank-2 input (channels x length), got 20x3 over time; "
                 "start from signal<...>: a sequence has time first");
  constexpr auto too_short = build<signal<3, 4>, conv1d<8, 3, dilation<2>>>();
  STATIC_REQUIRE(too_short.message ==
                 "conv1d<8, 3>: expected a length of at least 5, got 4; add padding or use a "
                 "smaller kernel");
  constexpr auto too_wide = build<signal<3, 4>, avg_pool1d<5>>();
  STATIC_REQUIRE(too_wide.message ==
                 "avg_pool1d<5>: expected a length of at least 5, got 4; use a smaller window");
}

TEST_CASE("a depthwise convolution has filters for each channel alone", "[nn]") {
  constexpr auto one = build<image<5, 8, 8>, depthwise_conv<3, pad<1>>>();
  STATIC_REQUIRE(one.y == shape(5, 8, 8));
  STATIC_REQUIRE(one.weight == shape(5, 1, 3, 3));
  STATIC_REQUIRE(one.groups == 5);
  constexpr auto two = build<image<5, 8, 8>, depthwise_conv_of<3, 2, stride<2>>>();
  STATIC_REQUIRE(two.y == shape(10, 3, 3));
  STATIC_REQUIRE(two.weight == shape(10, 1, 3, 3));
}

TEST_CASE("windows need not be square, and padding may differ by edge", "[nn]") {
  constexpr auto c = build<image<2, 8, 9>, conv<4, 7, window_of<1, 7>, pad_edges<0, 6, 0, 0>>>();
  STATIC_REQUIRE(c.y == shape(4, 8, 9));
  STATIC_REQUIRE(c.weight == shape(4, 2, 1, 7));
  constexpr auto p = build<image<2, 8, 9>, max_pool<2, window_of<2, 3>>>();
  STATIC_REQUIRE(p.y == shape(2, 4, 3));
  STATIC_REQUIRE(build<image<2, 8, 9>, avg_pool<2>>().win.count_include_pad);
  STATIC_REQUIRE_FALSE(build<image<2, 8, 9>, avg_pool<2, exclude_pad>>().win.count_include_pad);
}

TEST_CASE("images become larger and smaller", "[nn]") {
  STATIC_REQUIRE(build<image<2, 8, 9>, adaptive_avg_pool<3, 4>>().y == shape(2, 3, 4));
  STATIC_REQUIRE(build<image<2, 8, 9>, adaptive_max_pool<5>>().y == shape(2, 5, 5));
  STATIC_REQUIRE(build<image<2, 8, 9>, upsample_nearest<2>>().y == shape(2, 16, 18));
  STATIC_REQUIRE(build<image<2, 8, 9>, resize_nearest<5, 30>>().y == shape(2, 5, 30));
  STATIC_REQUIRE(build<image<2, 8, 9>, upsample_bilinear<3, 2, align_corners>>().y ==
                 shape(2, 24, 18));
  STATIC_REQUIRE(build<image<2, 8, 9>, resize_bilinear<7>>().y == shape(2, 7, 7));
  constexpr auto flat = build<input<784>, upsample_nearest<2>>();
  STATIC_REQUIRE(flat.message ==
                 "upsample_nearest<2, 2>: expected a rank-3 input (channels x height x width), got "
                 "784; put it before flatten");
}

TEST_CASE("what was pooled goes back to where it was", "[nn]") {
  using there_and_back =
      chain<max_pool_with_indices<2>, parallel<conv<2, 1>, chain<>>, max_unpool<>>;
  constexpr auto g = build<image<2, 7, 9>, there_and_back>();
  STATIC_REQUIRE(g.message.empty());
  STATIC_REQUIRE(g.y == shape(2, 7, 9));
  constexpr auto sized =
      build<image<2, 7, 9>,
            chain<max_pool_with_indices<2>, parallel<conv<2, 1>, chain<>>, max_unpool<6, 8>>>();
  STATIC_REQUIRE(sized.y == shape(2, 6, 8));
  constexpr auto alone = build<image<2, 7, 9>, max_unpool<>>();
  STATIC_REQUIRE(alone.message ==
                 "max_unpool: expected values and their indices, got 1 values; pool with "
                 "max_pool_with_indices, and hand the indices on: parallel<..., chain<>>");
  constexpr auto other =
      build<image<2, 7, 9>,
            chain<max_pool_with_indices<2>, parallel<conv<3, 1>, chain<>>, max_unpool<>>>();
  STATIC_REQUIRE(other.message ==
                 "max_unpool: expected an index for each value of an image, got 3x3x4 and 2x3x4; "
                 "keep channels and sizes between pool and unpool");
}

TEST_CASE("embedding_bag makes one row of a bag", "[nn]") {
  STATIC_REQUIRE(build<tokens<8>, embedding_bag<50, 16>>().y == shape(16));
  STATIC_REQUIRE(build<inputs<tokens<8>, sequence<8>>, embedding_bag<50, 16, bag_mode::sum>>().y ==
                 shape(16));
  constexpr auto weighted_mean =
      build<inputs<tokens<8>, sequence<8>>, embedding_bag<50, 16, bag_mode::mean>>();
  STATIC_REQUIRE(weighted_mean.message ==
                 "embedding_bag<50, 16>: expected bags of indices, got 2 values; weights go with "
                 "bag_mode::sum");
  constexpr auto no_rows = build<tokens<8>, embedding_bag<-3, 16>>();
  STATIC_REQUIRE(no_rows.message ==
                 "embedding_bag<-3, 16>: expected a table of at least 1 row and 1 column, got -3 x "
                 "16; count the different numbers of the input");
  constexpr auto numbers = build<input<8>, embedding_bag<50, 16>>();
  STATIC_REQUIRE(numbers.message ==
                 "embedding_bag<50, 16>: expected bags of whole numbers, one bag a sample, got 8 "
                 "of f32; start from tokens<positions>");
}

}  // namespace
