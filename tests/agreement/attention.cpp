// What attention makes of scores and masks that hide everything or are not finite, on every backend.

#include <tessera/ops/attention.hpp>
#include <catalogue/catalogue.hpp>
#include <support/backends.hpp>
#include <support/catch.hpp>

#include <limits>
#include <utility>

namespace tessera::testing {

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

}  // namespace tessera::testing
