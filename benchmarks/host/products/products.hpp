#pragma once

// The products that are measured: their sizes, forms and operands.

#include <support/numbers.hpp>
#include <support/rounds.hpp>

#include <string>
#include <utility>
#include <vector>

namespace products {

using tessera::i32;
using tessera::i64;

/// A layer: x (batch, in), w (out, in), y (batch, out).
struct layer_size {
  i32 batch, in, out;
};

inline constexpr layer_size sizes[] = {
    // squares
    {64, 64, 64},
    {128, 128, 128},
    {256, 256, 256},
    {512, 512, 512},
    {1024, 1024, 1024},
    {2048, 2048, 2048},
    // the layers of a perceptron, two batches
    {32, 784, 500},
    {32, 500, 250},
    {100, 784, 500},
    {100, 500, 250},
    {100, 250, 10},
    {128, 1024, 1024},
    {32, 128, 512},   // an LSTM's gates
    {2048, 64, 192},  // attention's three projections of a batch of sequences
    // one sample
    {1, 512, 512},
    {1, 64, 64},
    // nothing divides these
    {33, 131, 65},
    {7, 1000, 3},
};
inline constexpr std::size_t size_count = std::size(sizes);

/// What is computed of a layer: a pass of dense, each the product of its forward pass in another
/// form; or a plain product y = x w of the same sizes, either operand stored transposed (t) or not
/// (n).
enum class form { dense, data, weight, nn, nt, tn, tt };
struct named_form {
  const char* name;
  form what;
};
inline constexpr named_form forms[] = {
    {"", form::dense}, {".data", form::data}, {".weight", form::weight}, {".nn", form::nn},
    {".nt", form::nt}, {".tn", form::tn},     {".tt", form::tt}};

/// A matrix in row-major order, or its transpose.
struct matrix {
  i32 rows, columns;
  bool transposed;
  tessera::u32 seed;

  i64 count() const { return i64{rows} * columns; }
  i64 place(i64 r, i64 c) const { return transposed ? c * rows + r : r * columns + c; }
  float at(i64 r, i64 c) const { return bench::number_at(seed, r * columns + c); }

  /// Its elements, stored as said or the other way round.
  template <class T>
  bench::buffer<T> make(bool turned = false) const {
    bench::buffer<T> to(count());
    matrix stored = *this;
    stored.transposed = transposed != turned;
    for (i64 r = 0; r < rows; ++r) {
      for (i64 c = 0; c < columns; ++c) bench::store(at(r, c), to[stored.place(r, c)]);
    }
    return to;
  }
};

/// y (rows, columns) = a (rows, inner) b (inner, columns), as peers get it.
struct problem {
  layer_size size;
  std::size_t number;  // of the size in the table
  form what;
  matrix a, b;
  bool packs;  // b stays the same from call to call, and may be laid out ahead of time

  i32 rows() const { return a.rows; }
  i32 inner() const { return a.columns; }
  i32 columns() const { return b.columns; }
  double flops() const { return 2.0 * rows() * inner() * columns(); }
};

inline problem make_problem(std::size_t number, form what) {
  const layer_size n = sizes[number];
  switch (what) {
    // dx = dy w, dw = dy^T x
    case form::data:
      return {n, number, what, {n.batch, n.out, false, 1}, {n.out, n.in, false, 2}, true};
    case form::weight:
      return {n, number, what, {n.out, n.batch, true, 1}, {n.batch, n.in, false, 2}, false};
    // y = x w^T, for which peers get w transposed already
    case form::dense:
      return {n, number, what, {n.batch, n.in, false, 1}, {n.in, n.out, false, 2}, true};
    default: break;
  }
  const bool turn_a = what == form::tn || what == form::tt;
  const bool turn_b = what == form::nt || what == form::tt;
  return {n, number, what, {n.batch, n.in, turn_a, 1}, {n.in, n.out, turn_b, 2}, false};
}

/// Some places of y: a few hundred, spread over all of it, the last one among them.
inline std::vector<std::pair<i64, i64>> compared_places(const problem& p) {
  std::vector<std::pair<i64, i64>> places{{p.rows() - 1, p.columns() - 1}};
  for (i64 i = 0; i < 300; ++i) places.push_back({i * 37 % p.rows(), i * 53 % p.columns()});
  return places;
}

/// What stands there.
inline std::vector<double> expected_values(const problem& p) {
  std::vector<double> values;
  for (const auto& [r, c] : compared_places(p)) {
    double sum = 0;
    for (i64 k = 0; k < p.inner(); ++k) {
      sum += static_cast<double>(p.a.at(r, k)) * static_cast<double>(p.b.at(k, c));
    }
    values.push_back(sum);
  }
  return values;
}

/// What stands there in y, row-major or transposed.
template <class T>
std::vector<double> values_of(const problem& p, const T* y, bool transposed = false) {
  std::vector<double> values;
  for (const auto& [r, c] : compared_places(p)) {
    values.push_back(bench::load(y[transposed ? c * p.rows() + r : r * p.columns() + c]));
  }
  return values;
}

using contestants = std::vector<bench::contestant>;

// Who computes it; nobody where a peer was not found. One translation unit each.
contestants ours(const problem& p, int threads);
contestants onednn(const problem& p);
contestants openblas(const problem& p);
contestants eigen(const problem& p, int threads);

/// Versions, for the record.
std::string onednn_version();
std::string openblas_version();
std::string eigen_version();

}  // namespace products
