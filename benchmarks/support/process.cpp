#include <support/process.hpp>

#include <tessera/backends/parallel.hpp>
#include <tessera/core/error.hpp>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sched.h>
#include <unistd.h>
#include <vector>

namespace bench {

namespace {

std::vector<int> cores_in_use;

}  // namespace

void tune(char** argv, int threads) {
  if (std::getenv("TESSERA_BENCH_TUNED") != nullptr) return;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    setenv("ATEN_CPU_CAPABILITY", "avx512", 0);
  }
#endif
  const std::string count = std::to_string(threads);
  setenv("MALLOC_MMAP_THRESHOLD_", "33554432", 0);
  setenv("MALLOC_TRIM_THRESHOLD_", "2000000000", 0);
  setenv("OMP_NUM_THREADS", count.c_str(), 0);
  setenv("OPENBLAS_NUM_THREADS", count.c_str(), 0);
  if (threads > 1) setenv("GOMP_SPINCOUNT", "3000", 0);
  setenv("TESSERA_BENCH_TUNED", "1", 1);
  execv("/proc/self/exe", argv);  // returns only where that is not possible; then it runs untuned
}

std::string settings() {
  std::string all;
  for (const char* name : {"OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "MALLOC_MMAP_THRESHOLD_",
                           "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr) all += std::string(all.empty() ? "" : " ") + name + '=' + value;
  }
  return all;
}

void pin(int core, int threads) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> cores;  // the last one first: interrupts favour the first
  for (int i = CPU_SETSIZE; i-- > 0;) {
    if (CPU_ISSET(static_cast<std::size_t>(i), &allowed)) cores.push_back(i);
  }
  if (core >= 0) {
    const auto found = std::find(cores.begin(), cores.end(), core);
    if (found == cores.end()) {
      throw tessera::error("--core: this process may not use core " + std::to_string(core));
    }
    cores.erase(cores.begin(), found);
  }
  if (threads > static_cast<int>(cores.size())) {
    throw tessera::error("--threads: expected at most " + std::to_string(cores.size()) +
                         ", the cores that there are, got " + std::to_string(threads));
  }
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  cores.resize(static_cast<std::size_t>(threads));
  for (const int one : cores) CPU_SET(static_cast<std::size_t>(one), &chosen);
  sched_setaffinity(0, sizeof chosen, &chosen);
  cores_in_use = cores;
}

void spread(const tessera::threads& workers) {
  if (cores_in_use.empty()) return;
  tessera::parallel_for(workers, workers.count, [](int thread) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(cores_in_use[static_cast<std::size_t>(thread)]), &one);
    sched_setaffinity(0, sizeof one, &one);
  });
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string name = "unknown";
  for (std::string line; std::getline(info, line) && !line.empty();) {  // of the first core
    const std::string value = line.substr(std::min(line.size(), line.find(':') + 2));
    if (line.starts_with("model name")) name = value + name;
    if (line.starts_with("cpu family")) name = ", family " + value;
    if (line.starts_with("model\t")) name += " model " + value;
  }
  return name;
}

std::string compiler_name() {
#ifdef __clang__
  const std::string name = "clang ";
#else
  const std::string name = "g++ ";
#endif
  return name + __VERSION__ + ", " TESSERA_BUILD_TYPE " " TESSERA_FLAGS;
}

std::string today() {
  const std::time_t t = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::localtime(&t));
  return text;
}

}  // namespace bench
