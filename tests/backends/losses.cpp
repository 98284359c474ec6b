// What losses do with NaN, labels that are no class, nothing to count and huge logits; and that the
// model counts what its price says: on every backend.

#include <tessera/backends/accelerator.hpp>
#include <tessera/backends/host.hpp>
#include <tessera/backends/reference.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/kernel_finders.hpp>

#include <cmath>

namespace {

using namespace tessera;
using namespace tessera::testing;

using values = std::vector<double>;

struct result {
  values loss, gradient, second;
};

/// A loss of x (samples, 4) with its other operands as given.
struct loss_case {
  kind what;
  i32 samples;
  values x, target, third;
  loss_attributes attr{.reduce = reduction::none};
  i32 valid = -1;
};

result run(const loss_case& k, kernel_finder find, bool last, void* counters = nullptr) {
  graph g;
  const i32 x = add_tensor(g, shape(k.samples, 4), {.batch_last = last, .differentiable = true});
  const auto other = [&](const shape& dims, element type = element::f32, bool learns = false) {
    return add_tensor(
        g, dims,
        {.what = role::target, .type = type, .batch_last = last, .differentiable = learns});
  };
  i32 target = -1;
  i32 third = -1;
  i32 loss = -1;
  if (is_element_loss(k.what)) {
    target = other(shape(k.samples, 4));
    loss = ops::element_loss(g, k.what, x, target, k.attr);
  } else if (names_classes(k.what)) {
    target = other(shape(k.samples), element::int32);
    loss = ops::class_loss(g, k.what, x, target, -1, k.attr, "test");
  } else if (k.what == kind::cosine_embedding) {
    target = other(shape(k.samples, 4), element::f32, true);
    third = other(shape(k.samples));
    loss = ops::cosine_embedding(g, x, target, third, k.attr);
  } else if (k.what == kind::triplet) {
    target = other(shape(k.samples, 4), element::f32, true);
    third = other(shape(k.samples, 4), element::f32, true);
    loss = ops::triplet(g, x, target, third, k.attr);
  } else {
    target = other(shape(k.samples, 4));
    loss = ops::distribution_loss(g, k.what, x, target, -1, k.attr, "test");
  }
  const differentiated d = differentiate_from(g, {});
  interpreter net(std::move(g), find);
  net.write(x, k.x);
  net.write(target, k.target);
  if (third >= 0) net.write(third, k.third);
  net.run({.valid = k.valid < 0 ? k.samples : k.valid, .backend = counters});
  result r{net.read(loss), net.read(d.gradients[x]), {}};
  if (d.gradients[target] >= 0) r.second = net.read(d.gradients[target]);
  if (counters != nullptr) {
    accelerator::operation_price price;
    for (const operation& op : net.network().operations) {
      price += accelerator::price(accelerator::ipu_mk1, ops::sign(net.network(), op));
    }
    CHECK(static_cast<accelerator::counters*>(counters)->total == price);
  }
  return r;
}

/// check(run of the case) on all backends and layouts.
template <class Check>
void on_all(const loss_case& k, const Check& check) {
  const kernel_finder finders[] = {&reference::find_kernel, &host::find_kernel<>,
                                   &accelerator::find_kernel<accelerator::ipu_mk1>};
  for (int b = 0; b < 3; ++b) {
    for (const bool last : {false, true}) {
      if (last && k.samples % 16 != 0) continue;
      INFO(ops::name_of(k.what) << " on backend " << b << (last ? ", samples innermost" : ""));
      check(run(k, finders[b], last));
    }
  }
}

/// A case whose operands make sense.
loss_case sensible(kind what, i32 samples) {
  loss_case k{what, samples, {}, {}, {}};
  const auto each = [](i32 i) { return 0.1 + 0.8 * ((i * 7 + 3) % 11) / 11.0; };
  const auto signs = values_of_operand(what, 1) == operand_values::signs;
  for (i32 i = 0; i < samples * 4; ++i) k.x.push_back(each(i));
  for (i32 i = 0; i < samples * (names_classes(what) ? 1 : 4); ++i) {
    k.target.push_back(names_classes(what) ? i % 4 : signs ? 1 - 2 * (i % 2) : each(5 * i + 1));
  }
  for (i32 i = 0; i < samples * (what == kind::triplet ? 4 : 1); ++i) {
    k.third.push_back(what == kind::triplet ? each(3 * i + 2) : 1 - 2 * (i % 2));
  }
  return k;
}

const kind all_losses[] = {kind::mse,
                           kind::l1,
                           kind::smooth_l1,
                           kind::huber,
                           kind::bce,
                           kind::bce_with_logits,
                           kind::kl_div,
                           kind::binary_hinge,
                           kind::hinge_embedding,
                           kind::softmax_cross_entropy,
                           kind::soft_cross_entropy,
                           kind::nll,
                           kind::multiclass_hinge,
                           kind::distillation,
                           kind::cosine_embedding,
                           kind::triplet};

/// Whether the slope of a loss sees x at all: that of nll and kl_div does not.
bool reads_x(kind what) { return what != kind::nll && what != kind::kl_div; }

TEST_CASE("NaN that counts makes its own loss and slope NaN, and no other", "[backends]") {
  for (const kind what : all_losses) {
    for (const i32 samples : {3, 16}) {
      loss_case k = sensible(what, samples);
      k.x[4 + 1] = NAN;  // of sample 1, whose class is 1
      on_all(k, [&](const result& r) {
        const bool elements = is_element_loss(what);
        for (std::size_t i = 0; i < r.loss.size(); ++i) {
          CHECK(std::isnan(r.loss[i]) == (i == (elements ? 5U : 1U)));
        }
        for (std::size_t i = 0; i < r.gradient.size(); ++i) {
          if (i / 4 != 1) CHECK(std::isfinite(r.gradient[i]));
        }
        if (reads_x(what)) CHECK(std::isnan(r.gradient[5]));
      });
      k.attr.reduce = reduction::mean;
      k.valid = 1;  // padding does not count, whatever it holds
      on_all(k, [&](const result& r) {
        CHECK(std::isfinite(r.loss[0]));
        for (std::size_t i = 4; i < r.gradient.size(); ++i) CHECK(r.gradient[i] == 0);
      });
    }
  }
}

TEST_CASE("a label that is no class makes its row NaN; an ignored one makes it nothing",
          "[backends]") {
  for (const kind what : {kind::softmax_cross_entropy, kind::nll, kind::multiclass_hinge}) {
    for (const i32 samples : {3, 16}) {
      for (const double label : {-1.0, 4.0, 1e9}) {
        loss_case k = sensible(what, samples);
        k.target[1] = label;
        on_all(k, [&](const result& r) {
          CHECK(std::isnan(r.loss[1]));
          CHECK(std::isfinite(r.loss[0]));
          for (std::size_t i = 4; i < 8; ++i) {
            // Of a hinge, slopes of 0 stay 0 x NaN.
            CHECK(std::isnan(r.gradient[i]));
          }
          CHECK(std::isfinite(r.gradient[8]));
        });
      }
      loss_case k = sensible(what, samples);
      k.attr.reduce = reduction::mean;
      for (double& label : k.target) label = -100;  // a mean over nothing
      on_all(k, [&](const result& r) {
        CHECK(std::isnan(r.loss[0]));
        for (const double g : r.gradient) CHECK(g == 0);
      });
      k.attr.reduce = reduction::sum;
      on_all(k, [&](const result& r) { CHECK(r.loss[0] == 0); });
    }
  }
}

TEST_CASE("huge logits, zeros and ones, and vectors of nothing stay finite", "[backends]") {
  for (const kind what : {kind::bce_with_logits, kind::softmax_cross_entropy,
                          kind::soft_cross_entropy, kind::distillation}) {
    loss_case k = sensible(what, 16);
    for (std::size_t i = 0; i < k.x.size(); ++i) k.x[i] = i % 3 == 0 ? 2000 : -2000;
    on_all(k, [&](const result& r) {
      for (const double one : r.loss) CHECK(std::isfinite(one));
      for (const double g : r.gradient) CHECK(std::isfinite(g));
    });
  }
  loss_case certain = sensible(kind::bce, 16);
  for (std::size_t i = 0; i < certain.x.size(); ++i) {
    certain.x[i] = static_cast<double>(i % 2);
    certain.target[i] = static_cast<double>(i / 2 % 2);
  }
  on_all(certain, [&](const result& r) {
    for (std::size_t i = 0; i < r.loss.size(); ++i) {
      CHECK(r.loss[i] == (certain.x[i] == certain.target[i] ? 0 : 100));
      CHECK(std::isfinite(r.gradient[i]));
    }
  });
  loss_case impossible = sensible(kind::kl_div, 16);
  for (double& t : impossible.target) t = 0;
  on_all(impossible, [&](const result& r) {
    for (const double one : r.loss) CHECK(one == 0);
  });
  for (const kind what : {kind::cosine_embedding, kind::triplet}) {
    loss_case nothing = sensible(what, 16);
    for (values* all : {&nothing.x, &nothing.target}) {
      for (double& v : *all) v = 0;
    }
    on_all(nothing, [&](const result& r) {
      for (const double g : r.gradient) CHECK(std::isfinite(g));
      for (const double g : r.second) CHECK(std::isfinite(g));
    });
  }
}

TEST_CASE("the model counts what its price says, for every loss and gradient", "[backends]") {
  for (const kind what : all_losses) {
    for (const reduction reduce : {reduction::mean, reduction::none}) {
      for (const i32 samples : {3, 48}) {
        INFO(ops::name_of(what) << ", " << samples << " samples");
        loss_case k = sensible(what, samples);
        k.attr.reduce = reduce;
        accelerator::counters counted;
        run(k, &accelerator::find_kernel<accelerator::ipu_mk1>, samples % 16 == 0, &counted);
      }
    }
  }
}

}  // namespace
