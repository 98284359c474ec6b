#pragma once

// The catalogue: one table of operations with their attributes and shapes, and four ways to use it.
//
//   rows/<family>.cpp   a row: a name, how exact backends agree, a function that builds its graph
//   goldens/            the same from a file of cases: an operation's builder reads attributes and
//                       shapes there, and the values it must give
//
//   mode          of rows                    of golden cases            where
//   values        -                          expected y and gradients   goldens/case_graph.hpp
//   gradients     against differences        the same                   gradients.cpp
//   agreement     backends, layouts, f16     the same                   agreement.cpp
//   benchmark     time, rates                the same benchmarks/host/catalogue.cpp
//
// A new operation is a new row: of the table of its family here, of goldens/registry.cpp where the
// case files know it. Every mode finds it there.

#include <support/graphs.hpp>

#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace tessera::testing {

/// How close backends come to each other, per element, see agreement.cpp.
enum class agreement { exact, sum, smooth, norm };

/// The tensors that a graph is about.
struct outputs : std::vector<i32> {
  outputs() = default;
  outputs(i32 id) : std::vector<i32>{id} {}
  outputs(std::initializer_list<i32> ids) : std::vector<i32>(ids) {}
};

struct row {
  const char* name;
  agreement how;
  std::function<outputs(graph&, i32 batch, bool batch_last)> build;
  bool has_gradient = true;  // false: random choices, whole numbers
};

/// A forward graph of the table, ready for a mode.
struct example {
  graph g;
  outputs of;
  std::vector<std::pair<i32, std::vector<double>>> given;  // values that are not free: lengths, ...

  /// The graph's losses, and the results that a gradient comes in at where it has none.
  std::vector<i32> losses() const;
  std::vector<i32> seeded() const;
};

/// A row at one number of samples, or a golden case.
struct catalogue_case {
  std::string name;
  agreement how = agreement::exact;
  i32 batch = 1;
  std::function<example(bool batch_last)> build;
};

// rows/<family>.cpp
std::vector<row> attention_rows();
std::vector<row> cell_rows();
std::vector<row> embedding_rows();
std::vector<row> expert_rows();
std::vector<row> loss_rows();
std::vector<row> move_rows();
std::vector<row> norm_rows();
std::vector<row> pointwise_rows();
std::vector<row> pool_rows();
std::vector<row> product_rows();
std::vector<row> resize_rows();

/// The whole table.
std::vector<row> all_rows();

catalogue_case case_of(const row& r, i32 batch);

/// Compares gradients with central differences, in both layouts. For rows no value may lie at a
/// kink; the values of a file may.
void check_gradients_of(const catalogue_case& c, bool may_have_kinks = false);

/// Runs forward and backward on all backends, in all layouts and precisions.
void check_agreement_of(const catalogue_case& c);

// What builders have in common.

inline constexpr tensor_name layer{"test", 0, ""};

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
inline i32 sequence(graph& g, const shape& dims, bool last) {
  const i32 x = input(g, dims, last);
  g.tensors[x].stack = 1;
  return x;
}

/// Whole numbers for every sample: labels, rows of a table, lengths.
inline i32 numbers(graph& g, const shape& dims, bool last, role what = role::input) {
  return add_tensor(g, dims, {.what = what, .type = element::int32, .batch_last = last});
}

}  // namespace tessera::testing
