// Bytes that move and operations by channel on the accelerator model: results of the reference, and
// counters that read what was priced.

#include <tessera/backends/accelerator/move.hpp>

#include <support/catch.hpp>

#include "accelerator_support.hpp"

using namespace tessera;
using namespace tessera::testing;

namespace {

/// Runs `m` on the model and in the reference, with other numbers of threads too.
template <machine M>
void check(const model_case& prepared, double tolerance) {
  model_case want = prepared;
  want(&reference::run);
  for (const i32 threads : {1, 3}) {
    model_case got = prepared;
    const accelerator::counters counted = run_on_model<M>(got, threads);
    CHECK(counted.total == accelerator::price(M, prepared.sizes));
    for (i32 slot = 0; slot < 6; ++slot) {
      if (!prepared.sizes.has_output(slot)) continue;
      i64 wrong = 0;
      for (i64 i = 0; i < got.output_count(slot); ++i) {
        const double w = want.output_value(slot, i);
        const double off = std::abs(got.output_value(slot, i) - w);
        if (!(off <= tolerance * (1 + std::abs(w)))) ++wrong;
      }
      INFO("output " << slot);
      CHECK(wrong == 0);
    }
  }
}

void check_on_both(const model_case& m, double tolerance) {
  check<accelerator::ipu_mk1>(m, tolerance);
  check<accelerator::small_array>(m, tolerance);
}

/// A concat or split of random parts, some of them absent.
model_case random_move(kind what, element type, random_values& random) {
  model_case m;
  m.sizes.what = what;
  move_sizes n{random.whole(1, 40), {}};
  const i32 parts = random.whole(1, 6);
  for (i32 p = 0; p < parts; ++p) n.width[p] = random.whole(1, 70);
  n.write(m.sizes);
  const i64 whole = i64{n.outer} * n.row();
  bool any = false;
  for (i32 p = 0; p < parts; ++p) {
    if (random.whole(0, 3) == 0 && (any || p + 1 < parts)) continue;
    any = true;
    const i64 part = i64{n.outer} * n.width[p];
    what == kind::concat ? m.give_input(p, part, type) : m.give_output(p, part, type);
  }
  what == kind::concat ? m.give_output(0, whole, type) : m.give_input(0, whole, type);
  random.fill_inputs(m);
  return m;
}

}  // namespace

TEST_CASE("concat and split move every element and cost what was priced", "[backends]") {
  random_values random(31);
  for (i32 round = 0; round < 60; ++round) {
    const element type = round % 2 == 0 ? element::f16 : element::f32;
    check_on_both(random_move(kind::concat, type, random), 0);
    check_on_both(random_move(kind::split, type, random), 0);
  }
}

TEST_CASE("copies and zeros cost what was priced", "[backends]") {
  random_values random(32);
  for (const i32 count : {1, 31, 5000, 100000}) {
    for (const element type : {element::f16, element::f32, element::int32}) {
      model_case copy = elementwise_case(kind::copy, count, type, 1);
      random.fill_inputs(copy);
      check_on_both(copy, 0);
      model_case zero = elementwise_case(kind::zero, count, type, 0);
      for (auto& bytes : zero.out) std::fill(bytes.begin(), bytes.end(), std::byte{1});
      check_on_both(zero, 0);
    }
  }
}

TEST_CASE("operations by channel agree and cost what was priced", "[backends]") {
  random_values random(33);
  for (i32 round = 0; round < 40; ++round) {
    const bias_sizes n{random.whole(1, 20), random.whole(1, 30), random.whole(1, 50)};
    const element type = round % 2 == 0 ? element::f16 : element::f32;
    for (const kind what : {kind::bias_add, kind::channel_scale, kind::channel_scale_gradient}) {
      model_case m;
      m.sizes.what = what;
      n.write(m.sizes);
      const bool sums = what == kind::channel_scale_gradient;
      m.give_input(0, n.count(), type);
      m.give_input(1, sums ? n.count() : n.channels, type);
      m.give_output(0, sums ? n.channels : n.count(), type);
      random.fill_inputs(m);
      // One rounding each: a sum of up to 1,000 products of at most 1 in f32, then perhaps a half.
      check_on_both(m, sums ? (type == element::f16 ? 0x1p-10 : 1e-4) : 0);
    }
  }
}
