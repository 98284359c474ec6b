// Networks with branches, bundles, shared and frozen weights, layers and operations of users' own:
// the gradients of all parameters against central differences.

#include <tessera/nn.hpp>
#include <tessera/runtime/gradient_check.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>
#include <support/swish.hpp>

namespace {

namespace ts = tessera;

/// Checks a network at two batches: samples outermost, and innermost.
template <class Network>
void check(int parameters) {
  for (const ts::i32 batch : {3, 16}) {
    const auto r = ts::check_gradients<Network, ts::mse>(batch, {.most_per_tensor = 12});
    INFO(r.message);
    CHECK(r.ok());
    CHECK(r.kinks == 0);
    CHECK(r.checked >= parameters);
  }
}

template <int C>
using same = ts::conv<C, 3, ts::pad<1>>;
using small = ts::image<2, 4, 4>;

TEST_CASE("gradients of residuals agree with differences", "[gradients]") {
  check<ts::network<small, ts::residual<same<2>, ts::tanh, same<2>>, ts::tanh, ts::flatten>>(20);
  check<ts::network<small,
                    ts::residual<ts::conv<4, 3, ts::pad<1>, ts::stride<2>>, ts::tanh, same<4>,
                                 ts::project<ts::conv<4, 1, ts::stride<2>>>>,
                    ts::flatten>>(20);
  check<ts::network<
      small, same<2>,
      ts::add<ts::chain<ts::conv<6, 3, ts::pad<1>, ts::stride<2>>, ts::tanh>, ts::shortcut_a<6, 2>>,
      ts::flatten, ts::dense<3>>>(20);
}

TEST_CASE("gradients of branches agree with differences", "[gradients]") {
  check<
      ts::network<small, same<3>, ts::tanh,
                  ts::concat<ts::conv<2, 1>, ts::chain<ts::conv<2, 1>, ts::tanh, same<3>>,
                             ts::chain<ts::avg_pool<3, ts::stride<1>, ts::pad<1>>, ts::conv<1, 1>>>,
                  ts::flatten, ts::dense<2>>>(40);
  check<ts::network<small, ts::add<same<2>, ts::conv<2, 1>, ts::chain<>>, ts::flatten>>(20);
  check<ts::network<small, ts::multiply<same<2>, ts::chain<same<2>, ts::sigmoid>>, ts::flatten>>(
      20);
  check<
      ts::network<small, same<2>, ts::skip<ts::tanh, same<3>, ts::skip<same<2>, ts::tanh>, same<2>>,
                  ts::tanh, ts::conv<1, 1>>>(40);
}

TEST_CASE("gradients of bundles with shared weights agree with differences", "[gradients]") {
  check<ts::network<ts::inputs<ts::input<5>, ts::input<5>>,
                    ts::each<ts::chain<ts::dense<4>, ts::tanh, ts::dense<3>>>, ts::join_multiply,
                    ts::dense<2>>>(12 + 4 + 12 + 3);
  check<ts::network<ts::input<5>, ts::branch<ts::dense<4>, ts::dense<4>, ts::dense<4>>,
                    ts::parallel<ts::tanh, ts::sigmoid, ts::dense<4>>, ts::pick<2, 0, 1>,
                    ts::join_add, ts::dense<2>>>(40);
  check<ts::network<ts::input<4>, ts::shared<"a", ts::dense<4>>, ts::tanh,
                    ts::shared<"a", ts::dense<4>>, ts::tanh, ts::shared<"a", ts::dense<4>>>>(16);
  check<ts::network<ts::input<3>, ts::shared<"a", ts::dense<4>>, ts::tanh, ts::dense<3>,
                    ts::tied_dense<"a">>>(12 + 4 + 12 + 3 + 4);
}

TEST_CASE("gradients of tied embeddings agree with differences", "[gradients]") {
  check<ts::network<ts::tokens<>, ts::shared<"words", ts::embedding<7, 4>>, ts::tanh, ts::dense<4>,
                    ts::tanh, ts::tied_dense<"words">>>(12 + 12 + 4 + 7);
}

TEST_CASE("gradients of residuals with normalization agree with differences", "[gradients]") {
  check<ts::network<small, ts::conv<4, 3, ts::pad<1>, ts::no_bias>, ts::batch_norm, ts::tanh,
                    ts::residual<same<4>, ts::batch_norm, ts::tanh, same<4>, ts::batch_norm>,
                    ts::tanh, ts::flatten, ts::dense<2>>>(60);
  check<ts::network<small, same<4>, ts::frozen<ts::residual<same<4>, ts::batch_norm, ts::tanh>>,
                    ts::flatten, ts::dense<2>>>(28);
}

/// The layer of the user's guide: a function over symbolic values.
struct gated {
  static constexpr ts::value build(ts::builder& b, ts::value x) {
    auto h = ts::dense<6>::build(b, x);
    return b.mul(h, b.sigmoid(ts::dense<6>::build(b, x)));
  }
};

/// Every operation on values.
struct everything {
  static constexpr ts::value build(ts::builder& b, ts::value x) {
    const ts::bundle parts = b.split(x, {2, 4});
    const ts::value left = b.concat({parts.items[0], b.tanh(parts.items[0])});
    return b.subtract(b.add(left, parts.items[1]), b.multiply(b.sigmoid(left), left));
  }
};

TEST_CASE("gradients of transformer layers agree with differences", "[gradients]") {
  using sequence = ts::sequence<4, 4>;
  check<ts::network<sequence, ts::repeat<2, ts::transformer_encoder_layer<
                                                2, 5, ts::causal, ts::norm_first, ts::with_gelu>>>>(
      100);
  check<ts::network<ts::inputs<sequence, ts::sequence<3, 4>, ts::tokens<>>,
                    ts::repeat<2, ts::transformer_decoder_layer<2, 5, ts::causal, ts::key_lengths,
                                                                ts::with_gelu_tanh>>>>(100);
}

TEST_CASE("gradients of a user's layers agree with differences", "[gradients]") {
  check<ts::network<ts::input<5>, gated, ts::dense<2>>>(12 + 6 + 12 + 6 + 12 + 2);
  check<ts::network<ts::input<5>, gated, everything, ts::dense<2>>>(12 + 6 + 12 + 6 + 8 + 2);
}

TEST_CASE("gradients go through frozen layers, and end before the first", "[gradients]") {
  const auto inner = ts::check_gradients<
      ts::network<ts::input<5>, ts::dense<4>, ts::frozen<ts::tanh, ts::dense<4>>, ts::dense<2>>,
      ts::mse>(3);
  INFO(inner.message);
  CHECK(inner.ok());
  CHECK(inner.checked == 20 + 4 + 8 + 2);
  const auto below = ts::check_gradients<
      ts::network<ts::input<5>, ts::frozen<ts::dense<4>, ts::tanh>, ts::dense<2>>, ts::mse>(3);
  CHECK(below.ok());
  CHECK(below.checked == 8 + 2);
}

TEST_CASE("gradients of a user's operation agree with differences", "[gradients]") {
  check<ts::network<ts::input<5>, ts::dense<4>, ts::testing::swish_layer, ts::dense<2>>>(26);
  check<ts::network<ts::input<5>, ts::dense<4>, ts::testing::scaled_layer, ts::dense<2>>>(27);
}

}  // namespace
