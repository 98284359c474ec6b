// ResNet-50's forward pass on the model of an IPU Mk1: it runs to the end, the counters read the
// price, and its answer is that of the host. Both together take 2 s and 350 MB.

#include <tessera/models/resnet.hpp>

#include <support/catch.hpp>

#include <tessera/tessera.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

using namespace tessera;

namespace {

using net = network<image<3, 224, 224>, models::resnet50<>>;
using job = inference<net, batch<1>, mixed<fp16>>;
using machine_model = on<accelerator::ipu_mk1>;

}  // namespace

TEST_CASE("ResNet-50 runs on the model at the price that was stated", "[models][slow]") {
  constexpr accelerator::step_price price = cost<job, accelerator::ipu_mk1>;
  const auto model = std::make_unique<predictor<job, machine_model>>();
  const auto host = std::make_unique<predictor<job>>();
  std::vector<float> image(3 * 224 * 224);
  random_stream random(5);
  for (float& v : image) v = random.next_normal();
  initialize_weights(model->weights(), 6);
  initialize_weights(host->weights(), 6);
  std::vector<float> found(1000), expected(1000);
  model->run(image, found);
  host->run(image, expected);
  CHECK(model->counters().total == price);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(found[i] - expected[i])));
    size = std::max(size, std::abs(static_cast<double>(expected[i])));
  }
  CAPTURE(error, size);
  CHECK(size > 0.1);
  CHECK(error < 0.02 * size);  // 53 layers of values rounded to 11 bits
}
