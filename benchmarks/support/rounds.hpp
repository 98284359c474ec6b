#pragma once

// Interleaved timing: every contestant runs once in every round.
//
//   round 1   a a a  b b b  c c c
//   round 2   b b b  c c c  a a a     one more to the left each time
//   ...
//
// A machine's clock and its other users change from second to second. What runs within the same
// round meets the same conditions, so ratios are taken round by round, and their median counts.
// Each slot repeats its step until a given time has passed, a count found in a warm-up.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

namespace bench {

enum class clock_kind { wall, cpu };

/// Seconds since some moment: of the world, or of this process's use of processors. The second is
/// the better one for single-threaded work on a machine that others use at the same time.
inline double now(clock_kind clock) {
  if (clock == clock_kind::wall) {
    using clock_type = std::chrono::steady_clock;
    return std::chrono::duration<double>(clock_type::now().time_since_epoch()).count();
  }
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// What is timed: `run` does the work once; `result` hands out a number that depends on all of it,
/// so that no compiler can leave the work out. Work that is done where no compiler can see it, in a
/// library or through the address of a function, needs none.
struct contestant {
  std::string name;
  std::function<void()> run;
  std::function<double()> result = {};
  // Some of what the last run has computed, the same numbers for all contestants of a case, and how
  // far they may be from what is expected: tolerance x (1 + |expected|).
  std::function<std::vector<double>()> values = {};
  double tolerance = 0;
};

/// Seconds per run of one contestant, one value a round.
struct timing {
  std::string name;
  std::vector<double> seconds;
  double result = 0;
};

/// The value that the share `at` of all values lies below.
inline double quantile(std::vector<double> values, double at) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double place = at * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
}

inline double median(const std::vector<double>& values) { return quantile(values, 0.5); }

/// How many times as fast `a` is as `b`: the ratio of each round.
inline std::vector<double> ratios(const timing& a, const timing& b) {
  std::vector<double> r;
  for (std::size_t i = 0; i < a.seconds.size(); ++i) r.push_back(b.seconds[i] / a.seconds[i]);
  return r;
}

struct round_options {
  int rounds = 15;
  double slot_seconds = 0.02;
  clock_kind clock = clock_kind::wall;
};

/// Times all contestants, interleaved.
inline std::vector<timing> run_rounds(const std::vector<contestant>& all, const round_options& o) {
  std::vector<timing> timings;
  std::vector<long> repeats;
  const auto slot = [&](const contestant& c, long count) {
    const double start = now(o.clock);
    for (long i = 0; i < count; ++i) c.run();
    return (now(o.clock) - start) / static_cast<double>(count);
  };
  for (const contestant& c : all) {
    timings.push_back({c.name, {}, 0});
    // Doubles the count until a fifth of a slot is full; what was cold is warm then.
    long count = 1;
    double each = slot(c, count);
    while (each * static_cast<double>(count) < o.slot_seconds / 5) each = slot(c, count *= 2);
    repeats.push_back(std::max(1L, static_cast<long>(o.slot_seconds / each)));
  }
  for (int round = 0; round < o.rounds; ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t which = (i + static_cast<std::size_t>(round)) % all.size();
      timings[which].seconds.push_back(slot(all[which], repeats[which]));
      if (all[which].result) timings[which].result = all[which].result();
    }
  }
  return timings;
}

}  // namespace bench
