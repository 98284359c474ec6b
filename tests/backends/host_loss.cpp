#include <tessera/backends/host/losses.hpp>

#include "host_support.hpp"

// Losses and their gradients against the formulas in double.

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

struct entropy_case {
  i32 batch, classes, inner;
  i32 valid;
  loss_attributes attr;
  bool weighted = false;
  bool scaled = false;
  bool incoming = false;
  i32 ignored = 0;  // so many targets are ignore_index
};

void check_entropy(const entropy_case& n, element type) {
  CAPTURE(n.batch, n.classes, n.inner, n.valid, n.weighted, name_of(type));
  const bool last = n.batch % 16 == 0;
  numbers z = random_numbers(i64{n.batch} * n.classes * n.inner, 1);
  for (double& one : z) one *= 4;
  numbers target(at(i64{n.batch} * n.inner));
  for (std::size_t i = 0; i < target.size(); ++i) {
    target[i] = static_cast<double>((i * 7 + 3) % static_cast<std::size_t>(n.classes));
    if (static_cast<i32>(i) < n.ignored) target[i] = n.attr.ignore_index;
  }
  numbers v(at(n.classes), 1.0);
  if (n.weighted) v = random_numbers(n.classes, 2);
  for (double& one : v) one = std::abs(one) + 0.5;
  if (!n.weighted) v.assign(v.size(), 1.0);
  const bool each = n.attr.reduce == reduction::none;
  const numbers above = random_numbers(each ? i64{n.batch} * n.inner : 1, 3);
  const double eps = n.attr.label_smoothing;
  const double weight = n.attr.weight;
  const double scale = n.scaled ? 1024 : 1;

  const auto logit = [&](i64 s, i64 k, i64 i) { return z[at((s * n.classes + k) * n.inner + i)]; };
  const auto counts = [&](i64 s, i64 i) {
    return s < n.valid && target[at(s * n.inner + i)] != n.attr.ignore_index;
  };
  double divisor = n.attr.reduce == reduction::mean ? 0 : 1;
  if (n.attr.reduce == reduction::mean) {
    for (i64 s = 0; s < n.batch; ++s) {
      for (i64 i = 0; i < n.inner; ++i) {
        if (counts(s, i)) divisor += v[at(static_cast<i64>(target[at(s * n.inner + i)]))];
      }
    }
  }
  numbers losses(target.size(), 0.0);
  double total = 0;
  numbers dz(z.size(), 0.0);
  for (i64 s = 0; s < n.batch; ++s) {
    for (i64 i = 0; i < n.inner; ++i) {
      if (!counts(s, i)) continue;
      const std::size_t e = at(s * n.inner + i);
      const i64 t = static_cast<i64>(target[e]);
      double most = -1e300;
      for (i64 k = 0; k < n.classes; ++k) most = std::max(most, logit(s, k, i));
      double sum = 0;
      double spread = 0;
      for (i64 k = 0; k < n.classes; ++k) sum += std::exp(logit(s, k, i) - most);
      double loss = (1 - eps) * v[at(t)] * (most + std::log(sum) - logit(s, t, i));
      for (i64 k = 0; k < n.classes; ++k) {
        loss += eps / n.classes * v[at(k)] * (most + std::log(sum) - logit(s, k, i));
        spread += eps / n.classes * v[at(k)];
      }
      losses[e] = weight * loss;
      total += weight * loss / divisor;
      for (i64 k = 0; k < n.classes; ++k) {
        const double p = std::exp(logit(s, k, i) - most) / sum;
        double g = p * ((1 - eps) * v[at(t)] + spread) - eps / n.classes * v[at(k)];
        if (k == t) g -= (1 - eps) * v[at(t)];
        g *= scale * weight / divisor;
        if (n.incoming) g *= above[each ? e : 0];
        dz[at((s * n.classes + k) * n.inner + i)] = g;
      }
    }
  }

  host_call forward(kind::softmax_cross_entropy, last);
  loss_sizes{n.batch, n.classes, n.inner}.write(forward.s);
  forward.attr.loss = n.attr;
  forward.step.valid = n.valid;
  forward.in(0, z, type, n.batch);
  forward.in(1, target, element::int32, n.batch);
  if (n.weighted) forward.in(3, v);
  forward.out(0, each ? i64{n.batch} * n.inner : 1, element::f32, each ? n.batch : 0);
  forward.run();
  const numbers got = forward.result(0);
  // Logits up to 8 and sums of up to 40 exponentials: a few units of 16.
  if (each) {
    for (std::size_t i = 0; i < losses.size(); ++i) {
      CHECK(got[i] == Approx(losses[i]).epsilon(1e-6).margin(4e-6 * weight));
    }
  } else {
    CHECK(got[0] == Approx(total).epsilon(2e-6).margin(4e-6 * weight));
  }

  for (const bool in_place : {false, true}) {
    host_call backward(kind::softmax_cross_entropy_gradient, last);
    loss_sizes{n.batch, n.classes, n.inner}.write(backward.s);
    backward.attr.loss = n.attr;
    backward.step.valid = n.valid;
    backward.in(0, z, type, n.batch);
    backward.in(1, target, element::int32, n.batch);
    if (n.scaled) backward.in(2, {scale, 0, 0, 0});
    if (n.weighted) backward.in(3, v);
    if (n.incoming) backward.in(4, above, element::f32, each ? n.batch : 0);
    if (in_place) {
      backward.out_in_place(0, 0, static_cast<i64>(z.size()), type, n.batch);
    } else {
      backward.out(0, static_cast<i64>(z.size()), type, n.batch);
    }
    backward.run();
    const numbers dz_got = backward.result(0);
    i64 wrong = 0;
    for (std::size_t i = 0; i < dz.size(); ++i) {
      double bound = 4e-6 * scale * weight / divisor * 3;
      if (bytes_of(type) == 2) bound += rounding_of(type) * std::abs(dz[i]) + 0x1p-25;
      wrong += std::abs(dz_got[i] - dz[i]) <= bound ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("softmax cross entropy and its gradient follow the formulas", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i32 batch : {1, 5, 16, 32}) {
      for (const i32 inner : {1, 3, 20}) {
        for (const i32 classes : {2, 10, 40}) {
          check_entropy({batch, classes, inner, batch, {}}, type);
        }
      }
      check_entropy({batch, 10, 1, batch, {.weight = 0.25f}, false, true}, type);
      check_entropy({batch, 10, 1, batch, {.label_smoothing = 0.125f}}, type);
      check_entropy({batch, 10, 3, batch, {.label_smoothing = 0.125f}, true, true}, type);
      check_entropy({batch, 10, 1, batch, {.reduce = reduction::sum}, true, false, true}, type);
      check_entropy({batch, 10, 2, batch, {.reduce = reduction::none}, false, false, true}, type);
      check_entropy({batch,
                     10,
                     1,
                     batch,
                     {.reduce = reduction::none, .label_smoothing = 0.25f},
                     true,
                     true,
                     true},
                    type);
    }
    check_entropy({16, 10, 1, 11, {}}, type);
    check_entropy({5, 10, 2, 3, {}}, type);
    check_entropy({16, 10, 1, 16, {.ignore_index = -1}, true, true, false, 4}, type);
    check_entropy({7, 10, 1, 6, {.ignore_index = 3}}, type);
  }
}

TEST_CASE("huge logits overflow nothing, and a target without a class makes NaN",
          "[backends][host]") {
  for (const i32 batch : {2, 16}) {
    numbers z(at(i64{batch} * 3), 0.0);
    for (i32 s = 0; s < batch; ++s) {
      z[at(3 * s)] = 2000;
      z[at(3 * s + 1)] = -2000;
    }
    for (const double t : {1.0, 3.0, -1.0}) {
      const numbers target(at(batch), t);
      host_call forward(kind::softmax_cross_entropy, batch == 16);
      loss_sizes{batch, 3, 1}.write(forward.s);
      forward.step.valid = batch;
      forward.in(0, z, element::f32, batch);
      forward.in(1, target, element::int32, batch);
      forward.out(0, 1);
      forward.run();
      host_call backward(kind::softmax_cross_entropy_gradient, batch == 16);
      loss_sizes{batch, 3, 1}.write(backward.s);
      backward.step.valid = batch;
      backward.in(0, z, element::f32, batch);
      backward.in(1, target, element::int32, batch);
      backward.out(0, static_cast<i64>(z.size()), element::f32, batch);
      backward.run();
      if (t == 1.0) {
        CHECK(forward.result(0)[0] == 4000);
        CHECK(backward.result(0)[0] == 1.0 / batch);
        CHECK(backward.result(0)[1] == -1.0 / batch);
      } else {
        CHECK(std::isnan(forward.result(0)[0]));
        CHECK(std::isnan(backward.result(0)[0]));
      }
    }
  }
}

TEST_CASE("mse and its gradient follow the formulas", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i32 batch : {1, 5, 16}) {
      for (const reduction reduce : {reduction::mean, reduction::sum, reduction::none}) {
        const i32 valid = batch > 1 ? batch - 1 : 1;
        const bool each = reduce == reduction::none;
        const i64 count = i64{batch} * 7;
        const numbers y = random_numbers(count, 1);
        const numbers target = random_numbers(count, 2);
        const numbers above = random_numbers(each ? count : 1, 3);
        host_call forward(kind::mse, batch == 16);
        const bool last = batch == 16;
        const element_loss_sizes sizes{batch * 7, last ? batch : batch * 7, last ? 1 : 7,
                                       7,         last ? batch : 1,         1};
        sizes.write(forward.s);
        forward.attr.loss = {.reduce = reduce, .weight = 0.5f};
        forward.step.valid = valid;
        forward.in(0, y, type, batch);
        forward.in(1, target, element::f32, batch);
        forward.out(0, each ? count : 1, element::f32, each ? batch : 0);
        forward.run();
        host_call backward(kind::mse_gradient, batch == 16);
        sizes.write(backward.s);
        backward.attr.loss = forward.attr.loss;
        backward.step.valid = valid;
        backward.in(0, y, type, batch);
        backward.in(1, target, element::f32, batch);
        backward.in(2, {8, 0, 0, 0});
        backward.in(4, above, element::f32, each ? batch : 0);
        backward.out(0, count, type, batch);
        backward.run();
        const numbers dy = backward.result(0);
        double total = 0;
        const double divisor = reduce == reduction::mean ? valid * 7 : 1;
        for (i64 i = 0; i < count; ++i) {
          const bool counts = i / 7 < valid;
          const double d = counts ? y[at(i)] - target[at(i)] : 0;
          if (each) CHECK(forward.result(0)[at(i)] == Approx(0.5 * d * d));
          total += 0.5 * d * d / divisor;
          const double g = 8 * 0.5 / divisor * 2 * d * above[each ? at(i) : 0];
          CHECK(dy[at(i)] == Approx(g).epsilon(1e-6 + 2 * rounding_of(type)));
        }
        if (!each) CHECK(forward.result(0)[0] == Approx(total).epsilon(1e-6));
      }
    }
  }
}
