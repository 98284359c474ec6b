#pragma once

// The cases: one function each, in a translation unit of its own, because a case compiles several
// whole training steps.

#include <support/rounds.hpp>
#include <tessera/ir/threads.hpp>
#include <peers/network.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace steps {

inline constexpr float timing_rate = 1e-5f;  // keeps the weights where numbers are ordinary

/// The threads of the next contestants of ours. Set before a case is made.
inline tessera::threads workers;

/// A contestant and how far its loss may be from the first one's after the checked steps.
struct entry {
  bench::contestant who;
  std::function<void(float)> step;
  double tolerance;
  double loss = 0;                                       // after the checked steps
  std::shared_ptr<void> keeps = {};                      // what the step reads
  std::function<std::vector<std::byte>()> weights = {};  // of ours: the bits of all
};

using entries = std::vector<entry>;

entries lenet5_b32();
entries lenet5_b1();
entries large_mlp_b100();
entries large_mlp_b32();
entries large_mlp_b1();
entries small_mlp_b32();
entries small_mlp_b1();
entries char_lstm_b32();
entries resnet20_b32();
entries block_b32();

template <class Trainer>
entry make_entry(const std::string& name, std::shared_ptr<Trainer> t, double tolerance) {
  return {{name, [t] { t->step(timing_rate); }, [t] { return static_cast<double>(t->loss()); }},
          [t](float rate) { t->step(rate); },
          tolerance};
}

/// Whether `e` is one of ours.
inline bool is_ours(const entry& e) { return e.who.name.starts_with("tessera"); }

// f32 sums in another order, and 16-bit storage: what that changes in a loss after 20 steps.
inline constexpr double f32_tolerance = 1e-3;
inline constexpr double f16_tolerance = 1e-2;
inline constexpr double bf16_tolerance = 4e-2;

// libtorch's contestant, or none where it is not installed. Its headers cost many seconds, so they
// have a translation unit of their own as well.
entries torch_lenet5(const peers::weight_values& weights, int batch, const float* x,
                     const int* labels);
entries torch_mlp(const std::vector<int>& sizes, const peers::weight_values& weights, int batch,
                  const float* x, const int* labels);
entries torch_resnet20(const peers::weight_values& weights, int batch, const float* x,
                       const int* labels);

/// Of a network that predicts characters.
struct text_sizes {
  int time, batch, characters, width, hidden;
};
/// x and labels (time, batch).
entries torch_char_lstm(const peers::weight_values& weights, const text_sizes& n, const int* x,
                        const int* labels);

/// Of a transformer's block.
struct block_sizes {
  int time, batch, width, heads, hidden;
};
/// x and targets (batch, time, width), libtorch's faster order.
entries torch_block(const peers::weight_values& weights, const block_sizes& n, const float* x,
                    const float* targets);

/// Makes libtorch use `threads` threads.
void limit_torch(int threads);

/// Version and BLAS library, or that it was not found.
std::string torch_name();

// dlib's, in a translation unit of its own for the same reason. In -> Hidden -> 10 with ReLU.
entries dlib_small_mlp(const peers::weight_values& weights, int batch, const float* x,
                       const int* labels);
std::string dlib_name();

}  // namespace steps
