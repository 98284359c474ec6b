#include <tessera/eigen.hpp>

#include <support/catch.hpp>

#include <tessera/runtime/predictor.hpp>

#include <cmath>

namespace ts = tessera;
using tessera::testing::contains;

namespace {

using net = ts::network<ts::input<5>, ts::dense<3>>;

}  // namespace

TEST_CASE("A weight as an Eigen map is the same bytes", "[runtime]") {
  ts::predictor<ts::inference<net, ts::batch<1>>> p;
  const ts::weight_list weights = p.weights();
  ts::initialize_weights(weights, 7);
  auto w = ts::as_matrix(ts::find_weight(weights, "dense1.weight"));
  auto b = ts::as_matrix(ts::find_weight(weights, "dense1.bias"));
  REQUIRE(w.rows() == 3);
  REQUIRE(w.cols() == 5);
  REQUIRE(b.size() == 3);
  b << 1, 2, 3;
  w(2, 4) = 0.5f;
  const float x[5] = {1, -2, 3, -4, 5};
  float y[3];
  p.run(x, y);
  const Eigen::Vector3f expected = w * Eigen::Map<const Eigen::Matrix<float, 5, 1>>(x) + b;
  for (int i = 0; i < 3; ++i) CHECK(std::abs(y[i] - expected[i]) < 1e-5f);
}

TEST_CASE("A map of another type or an unknown name is refused", "[runtime]") {
  ts::predictor<ts::inference<net, ts::batch<1>>> p;
  const ts::weight_list weights = p.weights();
  CHECK_THROWS_WITH(ts::as_matrix<double>(weights[0]),
                    contains("dense1.weight: expected f64 for a map, got f32"));
  CHECK_THROWS_WITH(ts::find_weight(weights, "dense2.weight"),
                    contains("there is no \"dense2.weight\""));
}

TEST_CASE("A predictor refuses what is no whole batch", "[runtime]") {
  ts::predictor<ts::inference<net, ts::batch<2>>> p;
  float x[15] = {};
  float y[9] = {};
  CHECK_THROWS_WITH(p.run({x, 7}, {y, 3}), contains("expected up to 2 samples of 5 values"));
  CHECK_THROWS_WITH(p.run({x, 15}, {y, 9}), contains("got 15 values"));
  CHECK_NOTHROW(p.run({x, 5}, {y, 3}));
}
