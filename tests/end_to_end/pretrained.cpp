// Networks trained elsewhere: weights under PyTorch's names, outputs as PyTorch computes them.

#include <tessera/data.hpp>
#include <tessera/tessera.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace tessera;

template <i32 Channels, i32 Stride, class... Shortcut>
using block = chain<
    residual<named<"conv1", conv<Channels, 3, pad<1>, stride<Stride>, no_bias>>,
             named<"bn1", batch_norm>, relu, named<"conv2", conv<Channels, 3, pad<1>, no_bias>>,
             named<"bn2", batch_norm>, Shortcut...>,
    relu>;

/// The first block halves the image and doubles the channels.
template <i32 Channels, i32 Blocks>
using stage = chain<scope<"0", block<Channels, 2, project<shortcut_a<Channels, 2>>>>,
                    repeat_from<1, Blocks - 1, block<Channels, 1>>>;

/// He et al. 2016, section 4.2: 6 Blocks + 2 layers.
template <i32 Blocks>
using resnet =
    network<image<3, 32, 32>, named<"conv1", conv<16, 3, pad<1>, no_bias>>,
            named<"bn1", batch_norm>, relu, scope<"layer1", repeat_from<0, Blocks, block<16, 1>>>,
            scope<"layer2", stage<32, Blocks>>, scope<"layer3", stage<64, Blocks>>, avg_pool<8>,
            flatten, named<"linear", dense<10>>>;

/// A file or folder of the data sets, "" where it is not there.
std::string in_data(const std::string& name) {
  const char* const data = std::getenv("TESSERA_DATA");
  const std::string path = std::string(data != nullptr ? data : "") + "/" + name;
  if (data != nullptr && std::filesystem::exists(path)) return path;
  WARN("skipped: TESSERA_DATA names no folder with " << name << " in it");
  return "";
}

/// Ten values for each of the first `count` test images.
template <i32 Blocks>
std::vector<float> logits(const std::string& weights, const data::dataset& images, i64 count) {
  constexpr i32 batch_size = 10;
  predictor<inference<resnet<Blocks>, batch<batch_size>>> p(threads{2});
  load(weights, p.weights());
  const double mean[] = {0.485, 0.456, 0.406};
  const double deviation[] = {0.229, 0.224, 0.225};
  std::vector<float> x(batch_size * 3072);
  std::vector<float> y(static_cast<std::size_t>(10 * count));
  for (i64 n = 0; n < count; ++n) {
    float* const to = x.data() + n % batch_size * 3072;
    for (std::size_t i = 0; i < 3072; ++i) {
      const double value = images.bytes(n)[i] / 255.0;
      to[i] = static_cast<float>((value - mean[i / 1024]) / deviation[i / 1024]);
    }
    if (n % batch_size != batch_size - 1) continue;
    p.run(x, std::span(y).subspan(static_cast<std::size_t>(10 * (n + 1 - batch_size)), 100));
  }
  return y;
}

i64 count_right(const std::vector<float>& y, const data::dataset& images) {
  i64 right = 0;
  for (std::size_t n = 0; n < y.size() / 10; ++n) {
    const auto first = y.begin() + static_cast<std::ptrdiff_t>(10 * n);
    right += std::max_element(first, first + 10) - first == images.label(static_cast<i64>(n));
  }
  return right;
}

const char* const of_resnet20 = "weights/cifar-resnet/resnet20-12fca82f.safetensors";

TEST_CASE("A pretrained ResNet-20 gives the logits that PyTorch gives", "[end_to_end]") {
  const std::string weights = in_data(of_resnet20);
  const std::string folder = in_data("cifar-10");
  const std::string expected = in_data("weights/cifar-resnet/resnet20_first10_logits.csv");
  if (weights.empty() || folder.empty() || expected.empty()) return;
  const data::split cifar = data::cifar10(folder);
  const std::vector<float> y = logits<3>(weights, cifar.test, 10);
  std::ifstream csv(expected);
  for (const float found : y) {
    double wanted = 0;
    csv >> wanted;
    csv.ignore();
    CHECK(static_cast<double>(found) == Approx(wanted).margin(1e-4));
  }
  CHECK(csv);
}

TEST_CASE("Pretrained ResNets get 915 and 926 of 1000 images right", "[slow]") {
  const std::string resnet56 = in_data("weights/cifar-resnet/resnet56-4bfd9763.safetensors");
  const std::string folder = in_data("cifar-10");
  if (in_data(of_resnet20).empty() || resnet56.empty() || folder.empty()) return;
  const data::split cifar = data::cifar10(folder);
  REQUIRE(cifar.test.size() >= 1000);
  CHECK(count_right(logits<3>(in_data(of_resnet20), cifar.test, 1000), cifar.test) == 915);
  CHECK(count_right(logits<9>(resnet56, cifar.test, 1000), cifar.test) == 926);
}

}  // namespace
