// attention, its gradient and its products against sums in double over the defining formulas.

#include <tessera/ops/sizes.hpp>

#include <algorithm>

#include "host_support.hpp"

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

/// y = scale a b of (heads, rows, inner) and (heads, inner, columns) a sample, each perhaps
/// transposed in memory.
void check_product(i32 samples, i32 heads, i32 rows, i32 inner, i32 columns, i32 transposed,
                   element type) {
  CAPTURE(samples, heads, rows, inner, columns, transposed, name_of(type));
  matmul_sizes n{samples, heads, rows, inner, columns, {}, {}, {}};
  const auto lay = [&](i32(&to)[4], i32 r, i32 c, bool turned) {
    to[0] = 1;
    to[1] = r * c * samples;
    to[2] = (turned ? 1 : c) * samples;
    to[3] = (turned ? r : 1) * samples;
  };
  lay(n.a, rows, inner, (transposed & 1) != 0);
  lay(n.b, inner, columns, (transposed & 2) != 0);
  lay(n.y, rows, columns, (transposed & 4) != 0);
  // Numbers as the samples have them, one sample after the other.
  const numbers a = random_numbers(i64{samples} * heads * rows * inner, 1);
  const numbers b = random_numbers(i64{samples} * heads * inner * columns, 2);
  std::vector<bounded_sum> y(at(i64{samples} * heads * rows * columns));
  const auto place = [&](const i32(&t)[4], i64 size, i64 s, i64 h, i64 r, i64 c) {
    return at(s * size + (h * t[1] + r * t[2] + c * t[3]) / samples);
  };
  for (i64 s = 0; s < samples; ++s) {
    for (i64 h = 0; h < heads; ++h) {
      for (i64 r = 0; r < rows; ++r) {
        for (i64 c = 0; c < columns; ++c) {
          bounded_sum& sum = y[place(n.y, i64{heads} * rows * columns, s, h, r, c)];
          for (i64 k = 0; k < inner; ++k) {
            sum.add(0.25 * a[place(n.a, i64{heads} * rows * inner, s, h, r, k)] *
                    b[place(n.b, i64{heads} * inner * columns, s, h, k, c)]);
          }
        }
      }
    }
  }
  std::vector<std::byte> single;
  for (const i32 threads : {1, 2}) {
    host_call product(kind::matmul, true);
    product.step.threads = threads;
    product.attr.product.scale = 0.25f;
    n.write(product.s);
    product.in(0, a, type, samples);
    product.in(1, b, type, samples);
    product.out(0, static_cast<i64>(y.size()), type, samples);
    product.run();
    CHECK(excess(product.result(0), y, inner, type) <= 0);
    if (threads == 1) single = product.bytes(0);
    CHECK(product.bytes(0) == single);
  }
}

/// Sizes and what takes keys away.
struct attention_case {
  i32 samples, heads, queries, keys, features, value_features;
  bool last, causal, lengths;
};

/// Numbers (samples, time, heads x features), one sample after the other, as q, k, v and y are.
struct attention_operand {
  numbers values;
  i32 time;
  i32 width;
  double of(i64 s, i64 t, i64 f) const { return values[at((s * time + t) * width + f)]; }
};

class attention_check {
 public:
  explicit attention_check(const attention_case& p)
      : p_(p),
        q_(make(p.queries, p.features, 1)),
        k_(make(p.keys, p.features, 2)),
        v_(make(p.keys, p.value_features, 3)),
        dy_(make(p.queries, p.value_features, 4)),
        y_(dy_.values.size()),
        dq_(q_.values.size()),
        dk_(k_.values.size()),
        dv_(v_.values.size()) {
    for (i32 s = 0; s < p.samples; ++s) {
      lengths_.push_back(s % 5 == 0 ? 0 : s % 5 == 1 ? -3 : s % 5 == 2 ? p.keys + 4 : s % p.keys);
      for (i32 h = 0; h < p.heads; ++h) {
        for (i32 i = 0; i < p.queries; ++i) expect(s, h, i);
      }
    }
  }

  void run(element type, double tolerance) {
    CAPTURE(p_.samples, p_.heads, p_.queries, p_.keys, p_.features, p_.value_features);
    CAPTURE(p_.last, p_.causal, p_.lengths, name_of(type));
    std::vector<std::byte> single[4];
    for (const i32 threads : {1, 2}) {
      CAPTURE(threads);
      host_call forward = prepare(kind::attention, type, threads);
      forward.out(0, static_cast<i64>(y_.size()), type, p_.samples);
      forward.out(1, i64{p_.samples} * p_.heads * p_.queries, element::f32, p_.samples);
      forward.run();
      const numbers y = forward.result(0);
      CHECK(largest_error(y, y_) < tolerance);
      host_call back = prepare(kind::attention_gradient, type, threads);
      back.in(4, y, type, p_.samples);
      back.in(5, forward.result(1), element::f32, p_.samples);
      back.in(6, dy_.values, type, p_.samples);
      back.out(0, static_cast<i64>(dq_.size()), type, p_.samples);
      back.out(1, static_cast<i64>(dk_.size()), type, p_.samples);
      back.out(2, static_cast<i64>(dv_.size()), type, p_.samples);
      back.run();
      CHECK(largest_error(back.result(0), dq_) < 4 * tolerance);
      CHECK(largest_error(back.result(1), dk_) < 4 * tolerance);
      CHECK(largest_error(back.result(2), dv_) < 4 * tolerance);
      const std::vector<std::byte> bytes[] = {forward.bytes(0), back.bytes(0), back.bytes(1),
                                              back.bytes(2)};
      for (std::size_t i = 0; i < 4; ++i) {
        if (threads == 1) single[i] = bytes[i];
        CHECK((bytes[i] == single[i]));
      }
    }
  }

 private:
  attention_operand make(i32 time, i32 features, u32 seed) const {
    const i32 width = p_.heads * features;
    return {random_numbers(i64{p_.samples} * time * width, seed), time, width};
  }
  double scale() const { return 0.25; }

  void expect(i64 s, i64 h, i64 i) {
    i64 seen =
        p_.lengths ? static_cast<i64>(std::clamp<double>(lengths_[at(s)], 0, p_.keys)) : p_.keys;
    if (p_.causal) seen = std::min(seen, i + 1);
    std::vector<double> weight(at(seen));
    double most = -1e300, sum = 0;
    for (i64 j = 0; j < seen; ++j) {
      for (i64 f = 0; f < p_.features; ++f) {
        weight[at(j)] +=
            scale() * q_.of(s, i, h * p_.features + f) * k_.of(s, j, h * p_.features + f);
      }
      most = std::max(most, weight[at(j)]);
    }
    for (double& w : weight) sum += w = std::exp(w - most);
    for (double& w : weight) w /= sum;
    const auto value = [&](i64 f) { return h * p_.value_features + f; };
    double share = 0;
    for (i64 f = 0; f < p_.value_features; ++f) {
      const double g = dy_.of(s, i, value(f));
      double y = 0;
      for (i64 j = 0; j < seen; ++j) {
        y += weight[at(j)] * v_.of(s, j, value(f));
        dv_[at((s * p_.keys + j) * v_.width + value(f))] += weight[at(j)] * g;
      }
      y_[at((s * p_.queries + i) * dy_.width + value(f))] = y;
      share += y * g;
    }
    for (i64 j = 0; j < seen; ++j) {
      double dp = 0;
      for (i64 f = 0; f < p_.value_features; ++f) {
        dp += v_.of(s, j, value(f)) * dy_.of(s, i, value(f));
      }
      const double ds = scale() * weight[at(j)] * (dp - share);
      for (i64 f = h * p_.features; f < (h + 1) * p_.features; ++f) {
        dq_[at((s * p_.queries + i) * q_.width + f)] += ds * k_.of(s, j, f);
        dk_[at((s * p_.keys + j) * q_.width + f)] += ds * q_.of(s, i, f);
      }
    }
  }

  host_call prepare(kind what, element type, i32 threads) const {
    host_call c(what, p_.last);
    attention_sizes n{p_.samples,        p_.heads, p_.queries, p_.keys, p_.features,
                      p_.value_features, {},       {},         {},      {}};
    const auto lay = [&](i32(&step)[3], const attention_operand& x) {
      step[0] = p_.last ? 1 : x.time * x.width;
      step[1] = x.width * (p_.last ? p_.samples : 1);
      step[2] = p_.last ? p_.samples : 1;
    };
    lay(n.q, q_);
    lay(n.k, k_);
    lay(n.v, v_);
    lay(n.y, dy_);
    n.write(c.s);
    c.attr.product.scale = static_cast<float>(scale());
    c.attr.causal = p_.causal;
    c.step.threads = threads;
    c.in(0, q_.values, type, p_.samples);
    c.in(1, k_.values, type, p_.samples);
    c.in(2, v_.values, type, p_.samples);
    if (p_.lengths) c.in(3, lengths_, element::int32);
    return c;
  }

  static double largest_error(const numbers& got, const numbers& wanted) {
    double worst = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const double off = std::abs(got[i] - wanted[i]) / (1 + std::abs(wanted[i]));
      if (!(off <= worst)) worst = off;
    }
    return worst;
  }

  attention_case p_;
  attention_operand q_, k_, v_, dy_;
  numbers y_, dq_, dk_, dv_;
  numbers lengths_;
};

}  // namespace

TEST_CASE("attention and its gradient are what their formulas say", "[backends][host]") {
  for (const bool last : {false, true}) {
    for (const bool causal : {false, true}) {
      for (const bool lengths : {false, true}) {
        const auto check = [&](const attention_case& p) {
          attention_check c(p);
          c.run(element::f32, 2e-5);
          c.run(element::f16, 4e-3);
        };
        check({16, 2, 3, 4, 3, 2, last, causal, lengths});      // less than a vector
        check({16, 1, 20, 17, 16, 8, last, causal, lengths});   // one block
        check({16, 1, 70, 90, 19, 11, last, causal, lengths});  // several of both
      }
    }
  }
  for (const bool last : {false, true}) {  // heads that shorten the blocks
    attention_check c({16, 1, 17, 33, 200, 256, last, true, true});
    c.run(element::f32, 2e-5);
  }
}

TEST_CASE("products with samples innermost are the sums they stand for", "[backends][host]") {
  for (const element type : {element::f32, element::f16}) {
    check_product(16, 2, 9, 5, 11, 0, type);    // less than a tile at both ends
    check_product(32, 1, 8, 16, 8, 2, type);    // scores
    check_product(16, 1, 13, 40, 70, 1, type);  // more columns than a panel has
    check_product(16, 1, 41, 530, 9, 4, type);  // a sum in pieces, rows in blocks
    check_product(48, 3, 7, 3, 20, 0, type);    // without panels
  }
}
