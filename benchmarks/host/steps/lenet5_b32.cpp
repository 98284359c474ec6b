// LeNet-5 at batch 32, also with the other skip rule and on the accelerator model.

#include <host/steps/lenet5.hpp>

namespace steps {

entries lenet5_b32() {
  const auto data = std::make_shared<sample_batch>(32, lenet::input);
  entries all = lenet5<32>(data);
  all.push_back(ours<lenet, 32, mixed_bf16>("tessera mixed bf16", *data, bf16_tolerance));
  all.push_back(
      ours<lenet, 32, mixed_by_tensor>("tessera mixed, skip_tensor", *data, f16_tolerance));
  all.push_back(ours<lenet, 32, mixed, ts::on<ts::accelerator::ipu_mk1>>(
      "tessera mixed, ipu_mk1 model", *data, f16_tolerance));
  return all;
}

}  // namespace steps
