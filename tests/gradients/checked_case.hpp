#pragma once

// The table of gradient checks: what a row is, and how it is run. A family of operations has a
// function that returns its rows.

#include <tessera/runtime/gradient_check.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <vector>

namespace tessera::testing {

/// A graph of one operation; the output to check, or -1 where it ends in a loss.
struct checked_case {
  const char* name;
  i32 (*build)(graph&, bool last);
};

std::vector<checked_case> attention_cases();  // attention.cpp
std::vector<checked_case> pointwise_cases();  // pointwise.cpp
std::vector<checked_case> resize_cases();     // resize.cpp
std::vector<checked_case> embedding_cases();  // embedding.cpp
std::vector<checked_case> loss_cases();       // losses.cpp
std::vector<checked_case> expert_cases();     // experts.cpp

inline constexpr tensor_name layer{"checked", 0, ""};

inline window make_window(i32 kernel, i32 stride, i32 pad, i32 dilation = 1) {
  window w;
  for (i32 axis = 0; axis < 2; ++axis) {
    w.kernel[axis] = kernel;
    w.stride[axis] = stride;
    w.pad_begin[axis] = w.pad_end[axis] = pad;
    w.dilation[axis] = dilation;
  }
  return w;
}

inline i32 input(graph& g, const shape& dims, bool last) {
  return add_tensor(g, dims, {.batch_last = last, .differentiable = true});
}

/// An input with time in front of the batch.
inline i32 sequence(graph& g, const shape& dims, bool last, element type) {
  const i32 x = add_tensor(g, dims, {.type = type, .batch_last = last});
  g.tensors[x].stack = 1;
  return x;
}

/// Checks a row in both layouts.
inline void check_case(const checked_case& c) {
  for (const bool last : {false, true}) {
    graph g;
    const i32 y = c.build(g, last);
    INFO(c.name << (last ? ", samples innermost" : ""));
    const gradient_report r = check_gradients(g, {.outputs = {y}});
    INFO(r.message);
    CHECK(r.ok());
    CHECK(r.kinks == 0);
    if (g.tensors[y].what != role::result) continue;
    // A loss that is the end, without a gradient from above; and with padded samples.
    for (const i32 valid : {0, 1}) {
      const gradient_report end = check_gradients(g, {.valid = valid});
      INFO(end.message);
      CHECK(end.ok());
    }
  }
}

}  // namespace tessera::testing
