#pragma once

// The oneDNN peer: what its benchmarks have in common.

#ifdef TESSERA_WITH_ONEDNN

#include <oneapi/dnnl/dnnl.hpp>

#include <string>
#include <unordered_map>
#include <vector>

namespace peers {

using dnnl_arguments = std::unordered_map<int, dnnl::memory>;

inline dnnl::engine& dnnl_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}
inline dnnl::stream& dnnl_stream() {
  static dnnl::stream stream(dnnl_engine());
  return stream;
}

inline std::string dnnl_version() {
  const dnnl_version_t* const v = ::dnnl_version();
  return std::to_string(v->major) + '.' + std::to_string(v->minor) + '.' + std::to_string(v->patch);
}

inline void dnnl_run(const dnnl::primitive& p, const dnnl_arguments& arguments) {
  p.execute(dnnl_stream(), arguments);
  dnnl_stream().wait();
}

/// Memory of layout `to` with the values of `from`, row-major f32 of the same dimensions.
inline dnnl::memory dnnl_filled(const dnnl::memory::desc& to, const float* from) {
  const dnnl::memory::dims dims = to.dims();
  dnnl::memory::dims strides(dims.size(), 1);
  for (std::size_t i = dims.size() - 1; i > 0; --i) strides[i - 1] = strides[i] * dims[i];
  dnnl::memory plain({dims, dnnl::memory::data_type::f32, strides}, dnnl_engine(),
                     const_cast<float*>(from));
  dnnl::memory filled(to, dnnl_engine());
  dnnl::reorder(plain, filled).execute(dnnl_stream(), plain, filled);
  dnnl_stream().wait();
  return filled;
}

/// The values of `from`, row-major.
inline std::vector<float> dnnl_values(dnnl::memory from) {
  const dnnl::memory::dims dims = from.get_desc().dims();
  dnnl::memory::dims strides(dims.size(), 1);
  std::size_t count = static_cast<std::size_t>(dims[0]);
  for (std::size_t i = dims.size() - 1; i > 0; --i) {
    strides[i - 1] = strides[i] * dims[i];
    count *= static_cast<std::size_t>(dims[i]);
  }
  std::vector<float> values(count);
  dnnl::memory plain({dims, dnnl::memory::data_type::f32, strides}, dnnl_engine(), values.data());
  dnnl::reorder(from, plain).execute(dnnl_stream(), from, plain);
  dnnl_stream().wait();
  return values;
}

}  // namespace peers

#endif
