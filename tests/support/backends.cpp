#include <support/backends.hpp>

#include <support/kernel_finders.hpp>

namespace tessera::testing {

const std::vector<graph_backend>& backends() {
  static const std::vector<graph_backend> all{
      reference_backend,
      {"host", &host::find_kernel, false},
      {"ipu_mk1", &accelerator::find_kernel<accelerator::ipu_mk1>, true},
      {"small_array", &accelerator::find_kernel<accelerator::small_array>, true}};
  return all;
}

const std::vector<graph_backend>& bfloat16_backends() {
  static const std::vector<graph_backend> all{
      {"host", &host::find_kernel, false},
      {"tpu_v2_core", &accelerator::find_kernel<accelerator::tpu_v2_core>, true}};
  return all;
}

}  // namespace tessera::testing
