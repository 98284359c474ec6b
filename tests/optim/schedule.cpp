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

TEST_CASE("Milestones count in any order, one named twice twice", "[optim]") {
  const schedule s = multistep_rate(1, {20, 10, 30, 30}, 0.5);
  CHECK(s.at(9) == 1);
  CHECK(s.at(10) == 0.5);
  CHECK(s.at(29) == 0.25);
  CHECK(s.at(30) == 0.0625);
  CHECK(exponential_rate(2, 0.5).at(3) == 0.25);
}

TEST_CASE("Cosine restarts begin again at the base rate, each lap longer", "[optim]") {
  const schedule s = cosine_restart_rate(1, 4, 3, 0.5);
  for (const i64 t : {0, 4, 16, 52}) CHECK(s.at(t) == 1);
  CHECK(s.at(2) == Approx(0.75));
  CHECK(s.at(10) == Approx(0.75));
  CHECK(s.at(34) == Approx(0.75));
  CHECK(cosine_restart_rate(1, 4).at(402) == Approx(0.5));
}

TEST_CASE("One cycle rises, falls and ends where PyTorch's does", "[optim]") {
  schedule s = one_cycle_rate(1, 101, anneal::linear);
  s.rising = 0.5;  // the top at step 49.5
  CHECK(s.at(0) == Approx(0.04));
  CHECK(s.at(49) == Approx(0.04 + 0.96 * 49 / 49.5));
  CHECK(s.at(50) == Approx(1 - (1 - 4e-6) * 0.5 / 50.5));
  CHECK(s.at(100) == Approx(4e-6));
  CHECK(s.at(1000) == Approx(4e-6));
  s.rising = 0.25;
  s.three_phases = true;  // up to 24.25, back to 48.5, on to 100
  CHECK(s.at(0) == Approx(0.04));
  CHECK(s.at(25) == Approx(1 - 0.96 * 0.75 / 24.25));
  CHECK(s.at(49) == Approx(0.04 - (0.04 - 4e-6) * 0.5 / 51.5));
  CHECK(s.at(100) == Approx(4e-6));
  s.along = anneal::cosine;
  CHECK(s.at(0) == Approx(0.04));
  CHECK(s.at(100) == Approx(4e-6));
}

TEST_CASE("Polynomials fall to their lowest rate, the transformer's rate rises and falls",
          "[optim]") {
  const schedule p = polynomial_rate(1, 2, 10, 0.5);
  CHECK(p.at(0) == 1);
  CHECK(p.at(5) == Approx(0.625));
  CHECK(p.at(10) == 0.5);
  CHECK(p.at(99) == 0.5);
  const schedule n = noam_rate(2, 64, 100);
  CHECK(n.at(0) == Approx(2.0 / 8 / 1000));
  CHECK(n.at(99) == Approx(2.0 / 8 / 10));
  CHECK(n.at(399) == Approx(2.0 / 8 / 20));
}

TEST_CASE("A cosine that ends within its warm-up stays finite", "[optim]") {
  const schedule s = cosine_rate(0.4, 5, 5);
  CHECK(s.at(4) == Approx(0.4));
  CHECK(s.at(5) == Approx(0.4));
  CHECK(s.at(6) == Approx(0.0).margin(1e-15));
}

}  // namespace
