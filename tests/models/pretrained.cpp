// Published weights, loaded under their own names, give the published results.

#include <tessera/models/resnet.hpp>

#include <support/catch.hpp>
#include <support/data_sets.hpp>

#include <tessera/data.hpp>
#include <tessera/tessera.hpp>
#include <algorithm>
#include <fstream>
#include <memory>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

template <i32 Depth, i32 Batch>
using reader =
    predictor<inference<network<image<3, 32, 32>, models::cifar_resnet<Depth>>, batch<Batch>>>;

const char* const weights_of_20 = "cifar-resnet/resnet20-12fca82f.safetensors";
const char* const weights_of_56 = "cifar-resnet/resnet56-4bfd9763.safetensors";

/// The first 1,000 test images as the networks expect them, and the folder of their weights; the
/// second is empty where one of the two is not at hand.
struct material {
  std::vector<float> samples;
  std::vector<i32> labels;
  std::filesystem::path weights;
};

material read_material() {
  material m;
  const auto folder = data_set("cifar-10");
  const auto weights = data_set("weights");
  if (folder.empty() || weights.empty()) return m;
  const std::vector<std::filesystem::path> files{folder / "test_batch_first1000.bin.gz"};
  const data::normalized source(data::cifar10_files(files), data::imagenet_channels);
  REQUIRE(source.size() == 1000);
  m.samples.resize(1000 * 3 * 32 * 32);
  for (i32 i = 0; i < 1000; ++i) {
    source.read(i, m.samples.data() + std::ptrdiff_t{i} * 3 * 32 * 32);
    m.labels.push_back(source.label(i));
  }
  m.weights = weights;
  return m;
}

/// Scores of the first `count` images.
template <class Reader>
std::vector<float> scores_of(Reader& net, const material& m, std::size_t count) {
  constexpr std::size_t values = 3 * 32 * 32;
  std::vector<float> scores(count * 10);
  for (std::size_t first = 0; first < count; first += Reader::batch_size) {
    const std::size_t n = std::min<std::size_t>(Reader::batch_size, count - first);
    net.run({m.samples.data() + first * values, n * values}, {scores.data() + first * 10, n * 10});
  }
  return scores;
}

i32 count_right(const std::vector<float>& scores, const std::vector<i32>& labels) {
  i32 right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = scores.begin() + static_cast<std::ptrdiff_t>(10 * i);
    right += std::max_element(row, row + 10) - row == labels[i] ? 1 : 0;
  }
  return right;
}

template <i32 Depth>
i32 right_of_1000(const material& m, const char* file, i64 tensors) {
  const auto net = std::make_unique<reader<Depth, 64>>(2);
  const load_result loaded = load(m.weights / file, net->weights());
  CHECK(loaded.loaded == tensors);
  CHECK(loaded.kept.empty());
  CHECK(loaded.unused.empty());
  return count_right(scores_of(*net, m, 1000), m.labels);
}

}  // namespace

TEST_CASE("ResNet-20 with published weights gives the published logits", "[models]") {
  const material m = read_material();
  if (m.weights.empty()) return;
  std::ifstream file(m.weights / "cifar-resnet/resnet20_first10_logits.csv");
  std::vector<double> expected;
  for (std::string number; std::getline(file, number, expected.size() % 10 == 9 ? '\n' : ',');) {
    expected.push_back(std::stod(number));
  }
  REQUIRE(expected.size() == 100);
  const auto net = std::make_unique<reader<20, 10>>();  // samples outermost
  load(m.weights / weights_of_20, net->weights());
  const std::vector<float> scores = scores_of(*net, m, 10);
  double worst = 0;
  for (std::size_t i = 0; i < 100; ++i) worst = std::max(worst, std::abs(scores[i] - expected[i]));
  CHECK(worst <= 1e-4);
  const auto wide = std::make_unique<reader<20, 64>>();  // samples innermost
  load(m.weights / weights_of_20, wide->weights());
  const std::vector<float> same = scores_of(*wide, m, 10);
  worst = 0;
  for (std::size_t i = 0; i < 100; ++i) worst = std::max(worst, std::abs(same[i] - expected[i]));
  CHECK(worst <= 1e-4);
}

TEST_CASE("ResNet-20 with published weights gets 915 of 1,000 images right", "[models]") {
  const material m = read_material();
  if (m.weights.empty()) return;
  CHECK(right_of_1000<20>(m, weights_of_20, 97) == 915);
}

TEST_CASE("ResNet-56 with published weights gets 926 of 1,000 images right", "[models]") {
  const material m = read_material();
  if (m.weights.empty()) return;
  CHECK(right_of_1000<56>(m, weights_of_56, 277) == 926);
}
