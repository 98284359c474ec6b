// What training takes of the machine's memory is what the plan says.
//
// Two processes train networks of more than 100 MB each. What a process has besides its plan
// (program, libraries, a batch) is the same in both, so the difference of their resident memory is
// that of their plans.

#include <support/catch.hpp>

#include <tessera/models/mlp.hpp>
#include <tessera/tessera.hpp>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#if defined(__linux__)

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace tessera;

template <i32 Units>
using net = network<input<2048>, models::mlp<Units, Units, 10>>;
template <i32 Units>
using job = training<net<Units>, softmax_cross_entropy, momentum_sgd, batch<128>>;

using smaller = job<2560>;
using larger = job<4352>;

constexpr i64 planned(const memory_summary& m) { return m.total_bytes; }
static_assert(planned(smaller::memory) > 90'000'000);
static_assert(planned(larger::memory) > 2 * planned(smaller::memory));

struct ramps {
  i64 size() const { return 256; }
  shape sample_shape() const { return shape(2048); }
  void read(i64 index, float* out) const {
    for (i64 i = 0; i < 2048; ++i) out[i] = static_cast<float>((i + index) % 7) - 3;
  }
  i32 label(i64 index) const { return static_cast<i32>(index % 10); }
};

/// Resident bytes of this process.
i64 resident() {
  std::ifstream file("/proc/self/statm");
  i64 total = 0;
  i64 pages = 0;
  file >> total >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

/// Trains in a process of its own for two steps; returns what it had resident then.
template <class Job>
i64 resident_while_training() {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto t = std::make_unique<trainer<Job>>(seed{1});
    t->fit(ramps{}, {.epochs = 1, .learning_rate = 0.001});
    const i64 bytes = resident();
    const bool sent = write(ends[1], &bytes, sizeof bytes) == sizeof bytes;
    _exit(sent ? 0 : 1);
  }
  i64 bytes = 0;
  const bool received = read(ends[0], &bytes, sizeof bytes) == sizeof bytes;
  int status = 0;
  waitpid(child, &status, 0);
  close(ends[0]);
  close(ends[1]);
  REQUIRE(received);
  REQUIRE(status == 0);
  return bytes;
}

}  // namespace

TEST_CASE("resident memory of training differs as the plans do", "[train]") {
  const i64 small = resident_while_training<smaller>();
  const i64 large = resident_while_training<larger>();
  const auto measured = static_cast<double>(large - small);
  const auto expected = static_cast<double>(planned(larger::memory) - planned(smaller::memory));
  const auto megabytes = [](i64 bytes) { return static_cast<double>(bytes) / 1e6; };
  std::printf("resident memory: %.1f and %.1f MB, planned %.1f and %.1f MB\n", megabytes(small),
              megabytes(large), megabytes(planned(smaller::memory)),
              megabytes(planned(larger::memory)));
  CHECK(small > planned(smaller::memory));
  CHECK(measured == Approx(expected).epsilon(0.05));
}

#endif
