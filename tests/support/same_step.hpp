#pragma once

// Two forms of one training step side by side: what they leave behind is the same bit for bit.

#include <support/random_graph.hpp>
#include <support/reference_kernels.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <cstring>
#include <string>
#include <vector>

namespace tessera::testing {

/// True for what a step leaves behind.
inline bool lasts(const tensor& t) {
  return t.of < 0 && t.body == 0 &&
         (t.what == role::parameter || t.what == role::state || t.what == role::statistic ||
          t.what == role::result);
}

/// The tensors that a step leaves behind, in the order in which they were made.
inline std::vector<i32> lasting(const interpreter& net) {
  std::vector<i32> all;
  for (i32 id = 0; id < net.network().tensors.size(); ++id) {
    const bool there = net.plan().locations[id].where != region::none;
    if (there && lasts(net.network().tensors[id])) all.push_back(id);
  }
  return all;
}

/// Runs two forms of a step side by side; says where they part.
inline std::string difference(const graph& plain, const graph& again, u64 seed,
                              bool in_place = true, kernel_finder find = &reference::find_kernel) {
  interpreter a(plain, find);
  interpreter b(again, find, {.in_place = in_place});
  fill_randomly(a, seed);
  fill_randomly(b, seed);
  const std::vector<i32> kept = lasting(a);
  const std::vector<i32> kept_again = lasting(b);
  if (kept.size() != kept_again.size()) return "what they leave behind";
  for (u64 step = 0; step < 3; ++step) {
    const step_values values{
        .learning_rate = 0.01f, .seed = seed, .step = step, .valid = plain.batch};
    a.run(values);
    b.run(values);
    for (std::size_t k = 0; k < kept.size(); ++k) {
      const tensor& t = plain.tensors[kept[k]];
      const auto bytes = static_cast<std::size_t>(t.bytes());
      if (t.bytes() == again.tensors[kept_again[k]].bytes() &&
          std::memcmp(a.data(kept[k]), b.data(kept_again[k]), bytes) == 0) {
        continue;
      }
      return "step " + std::to_string(step) + ", tensor " + std::to_string(kept[k]) + " (" +
             std::string(spell(t.name).view()) + ")";
    }
  }
  return "";
}

}  // namespace tessera::testing
