#include <tessera/optim/schedule.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

TEST_CASE("A number is a constant rate", "[optim]") {
  const schedule s = 0.25;
  for (const i64 t : {0, 1, 1000}) CHECK(s.at(t) == 0.25);
  CHECK(constant_rate(0.5).at(7) == 0.5);
}

TEST_CASE("The step schedule falls by its factor after every period", "[optim]") {
  const schedule s = step_rate(0.8, 10, 0.5);
  CHECK(s.at(0) == 0.8);
  CHECK(s.at(9) == 0.8);
  CHECK(s.at(10) == 0.4);
  CHECK(s.at(19) == 0.4);
  CHECK(s.at(35) == Approx(0.1));
}

TEST_CASE("The cosine schedule passes its quarter points", "[optim]") {
  const schedule s = cosine_rate(1.0, 100);
  CHECK(s.at(0) == 1.0);
  CHECK(s.at(25) == Approx(0.8535533906));  // (1 + cos(pi / 4)) / 2
  CHECK(s.at(50) == Approx(0.5));
  CHECK(s.at(75) == Approx(0.1464466094));
  CHECK(s.at(100) == Approx(0.0).margin(1e-15));
  CHECK(s.at(250) == Approx(0.0).margin(1e-15));
}

TEST_CASE("The warm-up rises linearly and the cosine ends at the lowest rate", "[optim]") {
  const schedule s = cosine_rate(0.4, 30, 10, 0.1);
  CHECK(s.at(0) == Approx(0.04));
  CHECK(s.at(4) == Approx(0.2));
  CHECK(s.at(9) == Approx(0.4));
  CHECK(s.at(10) == Approx(0.4));
  CHECK(s.at(20) == Approx(0.25));
  CHECK(s.at(30) == Approx(0.1));
  CHECK(s.at(31) == Approx(0.1));
}

TEST_CASE("A cosine that ends within its warm-up stays finite", "[optim]") {
  const schedule s = cosine_rate(0.4, 5, 5);
  CHECK(s.at(4) == Approx(0.4));
  CHECK(s.at(5) == Approx(0.4));
  CHECK(s.at(6) == Approx(0.0).margin(1e-15));
}

}  // namespace
