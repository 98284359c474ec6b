#pragma once

// The settings with which libtorch is fast on a CPU, none of which is its default:
//
//   OPENBLAS_CORETYPE       OpenBLAS 0.3.21 takes AVX2 kernels on CPUs with AVX-512 that it does
//                           not know
//   ATEN_CPU_CAPABILITY     Debian's build takes AVX2 kernels where AVX-512 is there
//   MALLOC_*_THRESHOLD_     glibc returns large tensors to the kernel, page by page, at every step
//
// Each is read when a process starts, so the program sets them and starts itself again. One more is
// the BLAS library: with Debian's plain libblas3 in place of OpenBLAS, libtorch is several times
// slower (`blas_name` in peers/torch.hpp tells).

#include <cstdlib>
#include <string>
#include <unistd.h>

namespace peers {

/// Puts the settings into the environment and starts this program again, once. Leaves settings that
/// the user made.
inline void tune(char** argv) {
  if (std::getenv("TESSERA_BENCH_TUNED") != nullptr) return;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    setenv("ATEN_CPU_CAPABILITY", "avx512", 0);
  }
#endif
  setenv("MALLOC_MMAP_THRESHOLD_", "33554432", 0);
  setenv("MALLOC_TRIM_THRESHOLD_", "2000000000", 0);
  setenv("OMP_NUM_THREADS", "1", 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 0);
  setenv("TESSERA_BENCH_TUNED", "1", 1);
  execv("/proc/self/exe", argv);  // returns only where that is not possible; then it runs untuned
}

/// The settings in force, for the record.
inline std::string torch_settings() {
  std::string all;
  for (const char* name : {"OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "MALLOC_MMAP_THRESHOLD_",
                           "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr) all += std::string(all.empty() ? "" : " ") + name + '=' + value;
  }
  return all;
}

}  // namespace peers
