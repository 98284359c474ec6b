// Losses over time, against a plain loop over (time, sample, position), on
// every backend and in both layouts.

#include <tessera/backends/accelerator.hpp>
#include <tessera/backends/host.hpp>
#include <tessera/backends/reference.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/kernel_finders.hpp>

#include <cmath>
#include <random>

namespace {

using namespace tessera;
using namespace tessera::testing;

struct sequence_case {
  i32 time, batch, classes, positions;
  bool last;
  i32 valid;
  reduction reduce = reduction::mean;
};

constexpr i32 ignored = -100;

/// Mean over what counts, and the gradient, element by element in row-major
/// order.
struct plain_loss {
  double value = 0;
  std::vector<double> gradient;
};

plain_loss plain_entropy(const sequence_case& k, const std::vector<double>& z,
                         const std::vector<double>& target) {
  plain_loss loss{0, std::vector<double>(z.size())};
  double counted = 0;
  for (int pass = 0; pass < 2; ++pass) {  // how many count, then what they cost
    for (i32 t = 0; t < k.time; ++t) {
      for (i32 n = 0; n < k.valid; ++n) {
        for (i32 p = 0; p < k.positions; ++p) {
          const auto row = static_cast<std::size_t>((t * k.batch + n) * k.positions + p);
          if (target[row] == ignored) continue;
          if (pass == 0) {
            counted += 1;
            continue;
          }
          const auto at = [&](i32 c) {
            return static_cast<std::size_t>(((t * k.batch + n) * k.classes + c) * k.positions + p);
          };
          double sum = 0;
          for (i32 c = 0; c < k.classes; ++c) sum += std::exp(z[at(c)]);
          const i32 wanted = static_cast<i32>(target[row]);
          loss.value -= std::log(std::exp(z[at(wanted)]) / sum) / counted;
          for (i32 c = 0; c < k.classes; ++c) {
            loss.gradient[at(c)] = (std::exp(z[at(c)]) / sum - (c == wanted ? 1 : 0)) / counted;
          }
        }
      }
    }
  }
  return loss;
}

plain_loss plain_mse(const sequence_case& k, const std::vector<double>& y,
                     const std::vector<double>& target) {
  plain_loss loss{0, std::vector<double>(y.size())};
  const i32 features = k.classes * k.positions;
  const double count = static_cast<double>(k.time) * k.valid * features;
  for (i32 t = 0; t < k.time; ++t) {
    for (i32 n = 0; n < k.valid; ++n) {
      for (i32 f = 0; f < features; ++f) {
        const auto i = static_cast<std::size_t>((t * k.batch + n) * features + f);
        loss.value += (y[i] - target[i]) * (y[i] - target[i]) / count;
        loss.gradient[i] = 2 * (y[i] - target[i]) / count;
      }
    }
  }
  return loss;
}

void check(const sequence_case& k, bool entropy, kernel_finder find) {
  graph g;
  const shape logits = k.positions > 1 ? shape(k.time, k.batch, k.classes, k.positions)
                                       : shape(k.time, k.batch, k.classes);
  const shape labels =
      k.positions > 1 ? shape(k.time, k.batch, k.positions) : shape(k.time, k.batch);
  const i32 z = add_tensor(g, logits, {.batch_last = k.last, .differentiable = true});
  const i32 t = add_tensor(g, entropy ? labels : logits,
                           {.what = role::target,
                            .type = entropy ? element::int32 : element::f32,
                            .batch_last = k.last});
  g.tensors[z].stack = g.tensors[t].stack = 1;
  const i32 loss = entropy ? ops::softmax_cross_entropy(g, z, t, -1, {.ignore_index = ignored})
                           : ops::mse(g, z, t, {});
  const differentiated d = differentiate_from(g, {});
  interpreter net(g, find);
  std::mt19937 random(static_cast<u32>(k.time * 100 + k.batch));
  std::uniform_real_distribution<float> values(-2, 2);
  std::vector<double> x(static_cast<std::size_t>(logits.count()));
  std::vector<double> wanted(static_cast<std::size_t>(g.tensors[t].dims.count()));
  for (double& v : x) v = static_cast<double>(values(random));
  for (double& v : wanted) {
    if (!entropy) {
      v = static_cast<double>(values(random));
    } else {
      const bool skip = &v != &wanted[0] && random() % 5 == 0;  // a mean over none is NaN
      v = skip ? ignored : static_cast<double>(random() % static_cast<u32>(k.classes));
    }
  }
  net.write(z, x);
  net.write(t, wanted);
  net.run({.valid = k.valid});
  const plain_loss want = entropy ? plain_entropy(k, x, wanted) : plain_mse(k, x, wanted);
  CHECK(std::abs(net.read(loss)[0] - want.value) <= 1e-5 * (1 + want.value));
  const std::vector<double> got = net.read(d.gradients[z]);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(got[i] - want.gradient[i]));
  }
  CHECK(worst <= 1e-6);
}

TEST_CASE("losses over time are those of a plain loop", "[backends]") {
  const kernel_finder finders[] = {&reference::find_kernel, &host::find_kernel<>,
                                   &accelerator::find_kernel<accelerator::ipu_mk1>};
  for (const kernel_finder find : finders) {
    for (const i32 batch : {1, 5, 16, 32}) {
      for (const bool last : {false, true}) {
        if (last && batch % 16 != 0) continue;
        for (const i32 positions : {1, 3}) {
          for (const i32 time : {1, 4}) {
            for (const i32 valid : {batch, (batch + 2) / 2}) {
              const sequence_case k{time, batch, 7, positions, last, valid};
              INFO("time " << time << ", batch " << batch << ", positions " << positions
                           << ", valid " << valid << (last ? ", samples innermost" : ""));
              if (positions == 1) check(k, true, find);
              check(k, false, find);
            }
          }
        }
      }
    }
  }
}

}  // namespace
