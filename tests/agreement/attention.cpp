// Products of activations, softmax and additive scores on every backend: the same results as the
// plain loops.

#include <tessera/ops/attention.hpp>
#include <agreement/operation_case.hpp>

#include <limits>
#include <utility>

namespace tessera::testing {

namespace {

i32 sequence(graph& g, const shape& dims, bool last) {
  const i32 x = input(g, dims, last);
  g.tensors[x].stack = 1;
  return x;
}

/// q k^T of heads side by side, or with y side by side.
i32 build_matmul(graph& g, i32 n, bool last, i32 rows, i32 inner, i32 columns, bool heads) {
  if (!heads) {
    const i32 a = input(g, shape(n, 2, rows, inner), last);
    return ops::matmul(g, a, input(g, shape(n, 1, inner, columns), last), false, false, layer);
  }
  product_attributes how;
  how.heads[0] = how.heads[1] = 2;
  how.transposed[1] = true;
  how.scale = 0.5f;
  const i32 a = sequence(g, shape(rows, n, 2 * inner), last);
  const i32 b = sequence(g, shape(columns, n, 2 * inner), last);
  return ops::matmul_as(g, a, b, how, a, shape(n, 2, rows, columns), 0, layer);
}

/// Scores under masks: lengths, one that chooses, one that is added.
i32 build_masked_softmax(graph& g, i32 n, bool last, i32 keys, bool causal, bool masks) {
  const i32 scores = input(g, shape(n, 2, 5, keys), last);
  ops::attention_masks m;
  m.causal = causal;
  if (masks) {
    m.lengths = add_tensor(g, shape(n), {.type = element::int32, .batch_last = last});
    m.mask[0] = add_tensor(g, shape(n, keys), {.type = element::uint8, .batch_last = last});
    m.mask[1] = add_tensor(g, shape(5, keys), {.batched = false});
  }
  return ops::masked_softmax(g, scores, m, layer);
}

i32 build_additive(graph& g, i32 n, bool last, i32 units, bool single) {
  const i32 q = single ? input(g, shape(n, units), last) : sequence(g, shape(3, n, units), last);
  const i32 k = sequence(g, shape(5, n, units), last);
  return ops::additive_scores(g, q, k, add_weight(g, shape(units)), layer);
}

const operation_case cases[] = {
    {"matmul", agreement::sum,
     [](graph& g, i32 n, bool last) { return build_matmul(g, n, last, 3, 7, 5, false); }},
    {"matmul of heads", agreement::sum,
     [](graph& g, i32 n, bool last) { return build_matmul(g, n, last, 9, 12, 19, true); }},
    {"matmul in several blocks", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_matmul(g, n, last, n > 5 ? 9 : 70, 131, n > 5 ? 5 : 33, true);
     }},
    {"matmul of one row", agreement::sum,
     [](graph& g, i32 n, bool last) { return build_matmul(g, n, last, 1, 6, 18, false); }},
    {"matmul with a weight for all samples", agreement::sum,
     [](graph& g, i32 n, bool last) {
       const i32 a = input(g, shape(n, 6, 5), last);
       return ops::matmul(g, add_weight(g, shape(7, 6)), a, false, false, layer);
     }},
    {"softmax of channels", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::softmax, input(g, shape(n, 9, 3), last), 0, layer);
     }},
    {"softmax", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::softmax, input(g, shape(n, 2, 37), last), 1, layer);
     }},
    {"log_softmax of channels", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::log_softmax, input(g, shape(n, 9, 3), last), 0, layer);
     }},
    {"log_softmax", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::log_softmax, input(g, shape(n, 2, 37), last), 1, layer);
     }},
    {"masked_softmax, causal", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_masked_softmax(g, n, last, 21, true, false); }},
    {"masked_softmax", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_masked_softmax(g, n, last, 6, false, true); }},
    {"additive_scores", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_additive(g, n, last, 19, false); }},
    {"additive_scores of one query", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_additive(g, n, last, 8, true); }},
};

}  // namespace

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::nan("");

/// Runs an operation on scores (samples, 1, 1, keys) with masks filled from `masks`, on all
/// backends and layouts; `check` looks at y by sample and key.
template <class Build, class Check>
void on_scores(i32 samples, i32 keys, const std::vector<double>& scores, Build build, Check check) {
  for (const graph_backend& b : backends()) {
    for (const bool last : layouts(b, samples)) {
      graph g;
      const i32 x = input(g, shape(samples, 1, 1, keys), last);
      std::vector<std::pair<i32, std::vector<double>>> fill{{x, scores}};
      const i32 y = build(g, x, last, fill);
      keep(g, y);
      interpreter net(g, b.find);
      for (const auto& [id, values] : fill) net.write(id, values);
      net.run({.valid = samples});
      INFO(b.name << (last ? ", samples innermost" : ""));
      check(net.read(y));
    }
  }
}

bool is_nan(double x) { return std::isnan(x); }

}  // namespace

TEST_CASE("a query that sees no key has zeros, whatever takes the keys away", "[agreement]") {
  const i32 keys = 19;  // more than a vector
  std::vector<double> scores(static_cast<std::size_t>(16 * keys), 0.5);
  scores[3] = nan_value;  // sample 0, where nothing is seen
  on_scores(
      16, keys, scores,
      [&](graph& g, i32 x, bool last, auto& fill) {
        ops::attention_masks m;
        m.lengths = add_tensor(g, shape(16), {.type = element::int32, .batch_last = last});
        m.mask[0] = add_tensor(g, shape(16, keys), {.type = element::uint8, .batch_last = last});
        m.mask[1] = add_tensor(g, shape(16, 1, keys), {.batch_last = last});
        std::vector<double> lengths(16, keys);
        std::vector<double> chosen(scores.size(), 0.0);
        std::vector<double> added(scores.size(), 0.0);
        lengths[0] = 0;
        lengths[5] = -3;
        lengths[6] = 4;
        lengths[7] = 1000;
        for (std::size_t k = 0; k < static_cast<std::size_t>(keys); ++k) {
          chosen[1 * static_cast<std::size_t>(keys) + k] = 1;
          added[2 * static_cast<std::size_t>(keys) + k] = -infinity;
        }
        fill.push_back({m.lengths, lengths});
        fill.push_back({m.mask[0], chosen});
        fill.push_back({m.mask[1], added});
        return ops::masked_softmax(g, x, m, layer);
      },
      [&](const std::vector<double>& y) {
        for (const std::size_t sample : {0, 1, 2, 5}) {
          for (std::size_t k = 0; k < static_cast<std::size_t>(keys); ++k) {
            CHECK(y[sample * static_cast<std::size_t>(keys) + k] == 0);
          }
        }
        for (std::size_t k = 0; k < static_cast<std::size_t>(keys); ++k) {
          CHECK(y[6 * static_cast<std::size_t>(keys) + k] == Approx(k < 4 ? 0.25 : 0.0));
          CHECK(y[7 * static_cast<std::size_t>(keys) + k] == Approx(1.0 / keys));
        }
      });
}

TEST_CASE("softmax of -infinity, NaN and scores of +-2000", "[agreement]") {
  for (const bool log : {false, true}) {
    // rows: all -infinity; a NaN; one -infinity; far apart
    const std::vector<double> scores{-infinity, -infinity, -infinity, 1,    nan_value, 1,
                                     -infinity, 0,         0,         2000, -2000,     1999};
    on_scores(
        4, 3, scores,
        [&](graph& g, i32 x, bool, auto&) {
          return ops::softmax(g, log ? kind::log_softmax : kind::softmax, x, 2, layer);
        },
        [&](const std::vector<double>& y) {
          for (std::size_t k = 0; k < 3; ++k) {
            CHECK(y[k] == (log ? -infinity : 0));
            CHECK(is_nan(y[3 + k]));
          }
          CHECK(y[6] == (log ? -infinity : 0));
          CHECK(y[7] == Approx(log ? -std::log(2.0) : 0.5));
          CHECK(y[9] == Approx(log ? -std::log1p(std::exp(-1.0)) : 1 / (1 + std::exp(-1.0))));
          CHECK(y[10] == (log ? Approx(-4000.31326) : Approx(0)));
        });
  }
}

TEST_CASE("attention agrees on all backends, in both layouts, in f32 and f16", "[agreement]") {
  for (const operation_case& c : cases) check_agreement(c);
}

}  // namespace tessera::testing
