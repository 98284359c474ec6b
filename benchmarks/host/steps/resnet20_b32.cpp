// The residual network of 20 layers on pictures of 3x32x32, batch 32.

#include <tessera/models/resnet.hpp>

#include <host/steps/contestants.hpp>

namespace steps {

entries resnet20_b32() {
  using resnet20 = ts::network<ts::image<3, 32, 32>, ts::models::cifar_resnet<20>>;
  const sample_batch data(32, resnet20::input);
  entries all = torch_resnet20(first_weights<resnet20, 32>(), 32, data.x(), data.labels());
  all.push_back(ours<resnet20, 32, ts::fp32>("tessera fp32", data, f32_tolerance));
  all.push_back(ours<resnet20, 32, mixed>("tessera mixed", data, f16_tolerance));
  all.push_back(ours<resnet20, 32, mixed_bf16>("tessera mixed bf16", data, bf16_tolerance));
  return all;
}

}  // namespace steps
