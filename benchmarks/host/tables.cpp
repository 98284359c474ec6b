// What does a step of a large table cost when a batch looks up only a few of its rows?
//
// 50,000 x 64 words, batch 32, a dense layer of 10 behind: SGD (whose update touches only the rows
// that occur), Adam over the whole table, and Adam that is told to be sparse; in f32 and mixed
// fp16; one thread. The least and the lower quartile of 200 steps, since neighbours only ever slow
// them.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include <tessera/tessera.hpp>

namespace {

using namespace tessera;

/// Numbers of words that are all over the table.
struct words {
  i64 size() const { return 1000; }
  shape sample_shape() const { return shape(); }
  void read(i64 i, i32* out) const { *out = static_cast<i32>(i * 7919 % 50000); }
  i32 label(i64 i) const { return static_cast<i32>(i % 10); }
};

template <class Table, class Optimizer, class Precision = fp32>
void measure(const char* name) {
  using net = network<tokens<>, Table, dense<10>>;
  using job = training<net, softmax_cross_entropy, Optimizer, batch<32>, Precision>;
  const auto t = std::make_unique<trainer<job>>(seed{7});
  std::vector<i32> samples(32);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<i32>(31 * i);
  t->load(words{}, samples);
  std::vector<double> microseconds(200);
  for (double& us : microseconds) {
    const auto start = std::chrono::steady_clock::now();
    t->step(0.01f);
    us =
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  }
  std::sort(microseconds.begin(), microseconds.end());
  std::printf("%-22s %10.1f %10.1f us  arena %10lld  total %10lld bytes\n", name, microseconds[0],
              microseconds[50], static_cast<long long>(job::memory.arena_bytes),
              static_cast<long long>(job::memory.total_bytes));
}

}  // namespace

int main() {
  std::printf("%-22s %10s %10s\n", "step of 50,000 x 64", "least", "quartile");
  measure<embedding<50000, 64>, sgd>("sgd");
  measure<embedding<50000, 64>, adam>("adam, dense");
  measure<embedding<50000, 64, sparse>, adam>("adam, sparse");
  measure<embedding<50000, 64>, sgd, mixed<fp16>>("sgd, fp16");
  measure<embedding<50000, 64, sparse>, adam, mixed<fp16>>("adam, sparse, fp16");
}
