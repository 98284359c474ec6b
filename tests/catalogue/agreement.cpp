// The mode that compares backends: every case forward and backward on each of them, in all layouts
// and precisions, for any number of threads.
//
// What agreement means, per element, against the reference backend with the same element types:
//   exact    relu, max pooling, dropout, sums of two: one rounding of one value, equal bit for bit
//   sum      2 (n + 2) 2^-24 sum |products|: each of two orders of an n-term f32 sum is off by at
//            most n 2^-24 of the sum of magnitudes (Higham, Accuracy and Stability, ch. 4), which
//            is had by running the same graph on magnitudes; bias and division add 2
//   smooth   functions of the mathematical library against own polynomials: 16 places of f32,
//            and one for every loss that is added up, times the loss's weight
//   norm     8 (n + 8) 2^-24 (1 + |value|): sums of n terms of size 1 in two orders, times an
//            inverse deviation of up to 4
// With halves each result is rounded once more, and two sums on either side of a tie become
// neighbours: 2^-10 of the value. A loop hands such differences from trip to trip: so many times
// 2^-10 of 1 + |value|. With bfloat16 it is 2^-7.

#include <catalogue/catalogue.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/machine/presets.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/runtime/draw_values.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <algorithm>
#include <cmath>

namespace tessera::testing {

namespace {

constexpr double place = 0x1p-24;  // half a unit in the last place of an f32 in [1, 2)

/// The longest sum of an operation or its gradients.
i64 longest_sum(const graph& g) {
  i64 n = 1;
  for (const operation& op : g.operations) {
    if (op.what == kind::loop || op.what == kind::end_loop) continue;
    const signature s = ops::sign(g, op);
    if (op.what == kind::dense) {
      const auto d = dense_sizes::of(s);
      n = std::max({n, i64{d.batch}, i64{d.in}, i64{d.out}});
    }
    // A transposed convolution is a data gradient run forward.
    if (op.what == kind::conv2d || op.what == kind::conv2d_data_gradient) {
      const auto c = conv_sizes::of(s);
      const i64 kernel = i64{c.kernel_height} * c.kernel_width;
      n = std::max({n, kernel * c.group_in(), kernel * c.group_out(),
                    i64{c.batch} * c.out_height * c.out_width});
    }
    if (ops::is_broadcast(op.what) ||
        ops::is_reduce_family(op.what)) {  // sums over what is lacking
      const auto a = axes_sizes::of(s);
      n = std::max({n, a.times(0), a.times(1)});
    }
    if (op.what == kind::matmul) {
      const auto m = matmul_sizes::of(s);
      n = std::max({n, i64{m.inner}, i64{m.rows} * m.samples * m.heads,
                    i64{m.columns} * m.samples * m.heads});
    }
    if (op.what == kind::additive_scores) {
      const auto a = additive_sizes::of(s);
      n = std::max({n, i64{a.features}, a.pairs()});
    }
    if (op.what == kind::attention) {
      const auto a = attention_sizes::of(s);
      n = std::max({n, i64{a.features}, i64{a.value_features}, i64{a.keys}, i64{a.queries}});
    }
    if (op.what == kind::softmax || op.what == kind::log_softmax) {
      n = std::max(n, i64{softmax_sizes::of(s).along});
    }
    if (op.what == kind::masked_softmax) n = std::max(n, i64{masked_softmax_sizes::of(s).columns});
    if (is_by_channel(op.what)) {
      const auto b = bias_sizes::of(s);
      n = std::max(n, i64{b.batch} * b.inner);
    }
    if (op.what == kind::max_pool2d || op.what == kind::avg_pool2d) {
      const auto p = pool_sizes::of(s);
      n = std::max(n, i64{p.kernel_height} * p.kernel_width);
    }
    if (op.what == kind::embedding_bag) {  // all entries may be of one row
      const auto b = bag_sizes::of(s);
      n = std::max({n, i64{b.entries(s)}, i64{b.width}});
    }
    if (is_resize(op.what)) {
      const auto r = resize_sizes::of(s);
      const auto down = ops::axis_of(op.what, r, 0);
      const auto across = ops::axis_of(op.what, r, 1);
      n = std::max({n, i64{down.most_cells()} * across.most_cells(),
                    i64{down.most_readers()} * across.most_readers()});
    }
    if (ops::is_norm(op.what)) {  // of a statistic, or of the gradient of a scale
      const auto l = norm_sizes::of(s);
      n = std::max({n, l.row(), i64{l.batch} * l.rows * l.inner});
    }
    if (op.what == kind::local_response_norm) n = response_sizes::of(s).window;
    if (is_element_loss(op.what)) n = element_loss_sizes::of(s).count;
    if (is_row_loss(op.what)) n = loss_sizes::of(s).rows();
    if (op.what == kind::ctc) n = i64{ctc_sizes::of(s).time} * 4;
  }
  return n;
}

/// A case in one precision and layout, with what to fill and what to compare.
struct prepared {
  graph g;
  std::vector<std::pair<i32, std::vector<double>>> given;
  std::vector<i32> fill;
  std::vector<i32> compare;
  i64 terms = 1;
  i64 trips = 1;      // of the innermost loop, in all
  double weight = 1;  // of the heaviest loss

  prepared(const catalogue_case& c, bool last, element type) {
    const example e = c.build(last);
    given = e.given;
    g = e.g;
    terms = longest_sum(g);
    for (const operation& op : g.operations) {
      if (is_loss(op.what)) weight = std::max(weight, double{op.attr.loss.weight});
    }
    for (const i32 body : bodies_of_operations(g)) trips = std::max(trips, runs_of(g, body));
    const i32 tensors = g.tensors.size();
    const differentiated d = differentiate_from(g, e.seeded());
    for (const i32 id : e.of) {
      keep(g, id);
      compare.push_back(id);
    }
    passes::assign_precision(
        g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
    for (i32 id = 0; id < tensors; ++id) {
      if (!filled_by_caller(g.tensors[id])) continue;
      fill.push_back(id);
      if (d.gradients[id] >= 0) compare.push_back(d.gradients[id]);
      if (g.tensors[id].what == role::statistic) compare.push_back(id);
    }
    for (const i32 id : d.seeds) fill.push_back(id);
  }

  /// Everything compared, after one step. `magnitudes`: of all values that go in.
  std::vector<std::vector<double>> run(const graph_backend& b, bool magnitudes, i32 threads,
                                       i32 valid, void* counted = nullptr) const {
    interpreter net(g, b.find);
    random_stream random(g.operations.size());
    const auto write = [&](i32 id, std::vector<double> values) {
      for (double& v : values) v = magnitudes ? std::abs(v) : v;
      net.write(id, values);
    };
    for (const i32 id : fill) write(id, draw_values(g, id, random));
    for (const auto& [id, values] : given) write(id, values);
    net.run({.seed = 9, .step = 3, .valid = valid, .threads = threads, .backend = counted});
    std::vector<std::vector<double>> results;
    for (const i32 id : compare) results.push_back(net.read(id));
    return results;
  }

  /// A run of the model counts what its operations are priced at.
  void check_price(const graph_backend& b, i32 valid) const {
    accelerator::counters counted;
    run(b, false, 2, valid, &counted);
    accelerator::operation_price stated;
    const grow<i32> bodies = bodies_of_operations(g);
    for (i32 i = 0; i < g.operations.size(); ++i) {
      const operation& op = g.operations[i];
      if (op.what == kind::loop || op.what == kind::end_loop) continue;
      stated +=
          accelerator::price_of_runs(accelerator::ipu_mk1, ops::sign(g, op), runs_of(g, bodies[i]),
                                     runs_with_kept_weights(g, op, bodies[i]));
    }
    CHECK(counted.total == stated);
  }
};

/// What an element may be off by.
double allowed(agreement how, const tensor& t, const prepared& p, double value, double magnitude) {
  const bool half_type = bytes_of(t.type) == 2;
  const double unit = t.type == element::bf16 ? 0x1p-7 : 0x1p-10;  // of a value of 16 bits
  const i64 terms = p.terms;
  const double rounding = half_type ? unit * std::abs(value) + 0x1p-24 : 0;
  switch (how) {
    case agreement::exact: return 0;
    case agreement::sum: return 2 * static_cast<double>(terms + 2) * place * magnitude + rounding;
    // A gradient reads a rounded output: with halves its own neighbours count.
    case agreement::smooth:
      return p.weight * (half_type ? 2 * unit : static_cast<double>(16 + terms) * place) *
                 (1 + std::abs(value)) +
             rounding;
    case agreement::norm:
      if (half_type && p.trips > 1) {
        return static_cast<double>(p.trips) * unit * (1 + std::abs(value));
      }
      return 8 * static_cast<double>(terms + 8) * place * (1 + std::abs(value)) + rounding;
  }
  return 0;
}

}  // namespace

void check_agreement_of(const catalogue_case& c) {
  const i32 valid = c.batch > 4 ? c.batch - 2 : c.batch;
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const bool last : {false, true}) {
      const prepared p(c, last, type);
      const auto want = p.run(reference_backend, false, 1, valid);
      const auto size = p.run(reference_backend, true, 1, valid);
      for (const graph_backend& b : type == element::bf16 ? bfloat16_backends() : backends()) {
        if (last && layouts(b, c.batch).size() == 1) continue;
        INFO(c.name << ", batch " << c.batch << ", " << name_of(type)
                    << (last ? ", samples innermost, " : ", ") << b.name);
        const auto got = p.run(b, false, 1, valid);
        for (std::size_t k = 0; k < want.size(); ++k) {
          const tensor& t = p.g.tensors[p.compare[k]];
          const agreement how = is_real(t.type) ? c.how : agreement::exact;
          double worst = 0;  // share of what is allowed
          for (std::size_t i = 0; i < want[k].size(); ++i) {
            const double off = std::abs(got[k][i] - want[k][i]);
            const double limit = allowed(how, t, p, want[k][i], size[k][i]);
            if (!(off <= limit)) worst = std::max(worst, limit > 0 ? off / limit : INFINITY);
          }
          INFO("tensor " << spell(t.name).view());
          CHECK(worst == 0);
        }
        CHECK(p.run(b, false, 3, valid) == got);  // no result depends on the threads
        if (b.name == std::string("ipu_mk1")) p.check_price(b, valid);
      }
    }
  }
}

TEST_CASE("every operation agrees on all backends, in both layouts, in f32, f16 and bf16",
          "[agreement]") {
  for (const row& r : all_rows()) {
    for (const i32 batch : {1, 5, 32}) check_agreement_of(case_of(r, batch));
  }
}

}  // namespace tessera::testing
