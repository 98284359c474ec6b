// Whole networks from their types: the gradients of all parameters against central differences.

#include <tessera/nn.hpp>
#include <tessera/runtime/gradient_check.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>

namespace {

namespace ts = tessera;

using small_lenet =
    ts::network<ts::image<1, 8, 8>,                                     //
                ts::conv<2, 3, ts::pad<1>>, ts::tanh, ts::max_pool<2>,  //
                ts::conv<3, 3>, ts::relu, ts::avg_pool<2>,              //
                ts::flatten, ts::dense<6>, ts::sigmoid, ts::dropout<25>, ts::dense<4>>;

TEST_CASE("gradients of a small convolutional network agree with differences", "[gradients]") {
  for (const ts::i32 batch : {3, 16}) {  // samples outermost, innermost
    const auto r =
        ts::check_gradients<small_lenet, ts::softmax_cross_entropy>(batch, {.most_per_tensor = 40});
    INFO(r.message);
    CHECK(r.ok());
    CHECK(r.kinks == 0);
    CHECK(r.checked == 18 + 2 + 40 + 3 + 18 + 6 + 24 + 4);
  }
}

TEST_CASE("gradients of a regression with padded samples agree with differences", "[gradients]") {
  using net = ts::network<ts::input<5>, ts::dense<4>, ts::tanh, ts::dense<2>>;
  const auto r = ts::check_gradients<net, ts::mse>(4, {.valid = 3});
  INFO(r.message);
  CHECK(r.ok());
}

TEST_CASE("gradients of repeated blocks that keep statistics agree with differences",
          "[gradients]") {
  using unit = ts::chain<ts::conv<2, 3, ts::pad<1>, ts::no_bias>, ts::batch_norm, ts::tanh>;
  using net =
      ts::network<ts::image<2, 5, 5>, ts::repeat<3, unit>, ts::repeat<2, ts::repeat<2, unit>>,
                  ts::repeat<2, ts::max_pool<3, ts::stride<1>, ts::pad<1>>, ts::group_norm<2>>,
                  ts::flatten, ts::dense<3>>;
  for (const ts::i32 batch : {3, 16}) {
    const auto r = ts::check_gradients<net, ts::softmax_cross_entropy>(batch);
    INFO(r.message);
    CHECK(r.ok());
  }
}

}  // namespace
