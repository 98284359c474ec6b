// SqueezeNet with published weights names what is on pictures.

#include <tessera/models/squeezenet.hpp>

#if __has_include(<stb/stb_image.h>)

#include "../../examples/support/image.hpp"

#include <support/catch.hpp>
#include <support/data_sets.hpp>

#include <tessera/tessera.hpp>
#include <cmath>
#include <memory>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

/// The square in the middle of a picture as the network takes it: 227x227; blue, green, red.
std::vector<float> read_picture(const std::string& path) {
  using examples::load_image;
  const examples::image picture =
      examples::resize(examples::center_square(load_image(path, 3)), 227, 227);
  constexpr float mean[] = {104, 117, 123};
  std::vector<float> sample;
  for (i32 c = 0; c < 3; ++c) {
    for (i32 y = 0; y < 227; ++y) {
      for (i32 x = 0; x < 227; ++x) sample.push_back(picture.at(y, x, 2 - c) - mean[c]);
    }
  }
  return sample;
}

struct answer {
  std::ptrdiff_t label = -1;
  double probability = 0;
};

answer best_of(const std::vector<float>& scores) {
  const auto best = std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(score - *best);
  return {best - scores.begin(), 1 / sum};
}

}  // namespace

TEST_CASE("SqueezeNet with published weights names the cat and the espresso", "[models]") {
  const auto weights = data_set("weights");
  const auto pictures = data_set("style-transfer");
  if (weights.empty() || pictures.empty()) return;
  using net = network<image<3, 227, 227>, models::squeezenet<>>;
  const auto reader = std::make_unique<predictor<inference<net, batch<1>>>>(threads{2});
  const load_result loaded =
      load(weights / "squeezenet-v1.0/squeezenet-v1.0.safetensors", reader->weights());
  CHECK(loaded.loaded == 52);
  std::vector<float> scores(1000);
  reader->run(read_picture(pictures / "chelsea.png"), scores);
  const answer cat = best_of(scores);
  CHECK(cat.label == 285);  // Egyptian cat
  CHECK(cat.probability == Approx(0.53).margin(0.05));
  reader->run(read_picture(pictures / "coffee.png"), scores);
  const answer cup = best_of(scores);
  CHECK(cup.label == 967);  // espresso
  CHECK(cup.probability == Approx(0.90).margin(0.05));
}

#endif
