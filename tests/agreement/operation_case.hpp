#pragma once

// The table of agreement: what a row is, and how it is run forward and backward on every backend,
// in both layouts and precisions.
//
// What agreement means, per element, against the reference backend with the same element types:
//   exact    relu, max pooling, dropout, sums of two: one rounding of one value, equal bit for bit
//   sum      2 (n + 2) 2^-24 sum |products|: each of two orders of an n-term f32 sum is off by at
//            most n 2^-24 of the sum of magnitudes (Higham, Accuracy and Stability, ch. 4), which
//            is had by running the same graph on magnitudes; bias and division add 2
//   smooth   functions of the mathematical library against own polynomials: 16 places of f32,
//            and one for every loss that is added up
//   norm     8 (n + 8) 2^-24 (1 + |value|): sums of n terms of size 1 in two orders, times an
//   inverse
//            deviation of up to 4
// With halves each result is rounded once more, and two sums on either side of a tie become
// neighbours: 2^-10 of the value.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <tessera/passes/precision.hpp>

#include <algorithm>
#include <cmath>

namespace tessera::testing {

inline constexpr tensor_name layer{"test", 0, ""};
inline constexpr double place = 0x1p-24;  // half a unit in the last place of an f32 in [1, 2)

enum class agreement { exact, sum, smooth, norm };

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

struct operation_case {
  const char* name;
  agreement how;
  i32 (*build)(graph&, i32 batch, bool last);  // returns the output
};

/// The longest sum of an operation or its gradients.
inline i64 longest_sum(const graph& g) {
  i64 n = 1;
  for (const operation& op : g.operations) {
    const signature s = ops::sign(g, op);
    if (op.what == kind::dense) {
      const auto d = dense_sizes::of(s);
      n = std::max({n, i64{d.batch}, i64{d.in}, i64{d.out}});
    }
    if (op.what == kind::conv2d) {
      const auto c = conv_sizes::of(s);
      const i64 kernel = i64{c.kernel_height} * c.kernel_width;
      n = std::max({n, kernel * c.group_in(), kernel * c.group_out(),
                    i64{c.batch} * c.out_height * c.out_width});
    }
    if (op.what == kind::conv2d_data_gradient) {  // run forward: a transposed convolution
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

/// One graph of the table in one precision and layout, with what to fill and what to compare.
struct prepared {
  graph g;
  std::vector<i32> fill;
  std::vector<i32> compare;
  i64 terms = 1;

  prepared(const operation_case& c, i32 batch, bool last, element type) {
    const i32 y = c.build(g, batch, last);
    terms = longest_sum(g);
    const bool loss = g.tensors[y].what == role::result;
    const i32 tensors = g.tensors.size();
    differentiated d = differentiate_from(g, loss ? std::vector<i32>{} : std::vector<i32>{y});
    keep(g, y);
    passes::assign_precision(
        g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
    compare.push_back(y);
    for (i32 id = 0; id < tensors; ++id) {
      const role what = g.tensors[id].what;
      const bool given = what == role::input || what == role::parameter;
      if (given && d.gradients[id] >= 0) compare.push_back(d.gradients[id]);
      const bool statistic = what == role::statistic;
      if (statistic) compare.push_back(id);
      if (given || statistic || what == role::target || what == role::constant) fill.push_back(id);
    }
    for (const i32 id : d.seeds) fill.push_back(id);
  }

  /// `v` from [-1, 1), as the losses call for that read tensor `id`.
  double as_operand_of_losses(i32 id, double v) const {
    for (const operation& op : g.operations) {
      if (!is_loss(op.what)) continue;
      for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
        if (op.in[slot] < 0 || storage_of(g, op.in[slot]) != id) continue;
        switch (values_of_operand(op.what, slot)) {
          case operand_values::shares: return 0.5 + 0.45 * v;
          case operand_values::signs: return v < 0 ? -1 : 1;
          case operand_values::positive: return 1 + 0.5 * v;
          case operand_values::any: break;
        }
      }
    }
    return v;
  }

  /// Everything compared, after one step. `magnitudes`: of all values that go in.
  std::vector<std::vector<double>> run(const graph_backend& b, bool magnitudes, i32 threads,
                                       i32 valid) const {
    interpreter net(g, b.find);
    random_stream random(g.operations.size());
    i32 classes = 1;
    for (const operation& op : g.operations) {
      if (names_classes(op.what)) classes = g.tensors[op.in[0]].dims[1];
      if (op.what == kind::embedding) classes = g.tensors[op.in[1]].dims[0] + 1;  // one is no row
      if (op.what == kind::select_by_length || op.what == kind::masked_softmax) classes = 2;
      if (op.what == kind::embedding_bag) classes = g.tensors[op.in[1]].dims[0] + 1;
      if (op.what == kind::max_unpool2d) {  // two numbers are no places
        classes = g.tensors[op.out[0]].dims[2] * g.tensors[op.out[0]].dims[3] + 2;
      }
    }
    for (const i32 id : fill) {
      std::vector<double> values(static_cast<std::size_t>(g.tensors[id].dims.count()));
      for (double& v : values) {
        v = 2 * static_cast<double>(random.next_uniform()) - 1;
        if (!is_real(g.tensors[id].type)) v = random.next_below(static_cast<u32>(classes));
        const bool positive =
            g.tensors[id].what == role::constant || g.tensors[id].what == role::statistic;
        if (magnitudes || positive) v = std::abs(v);
        v = as_operand_of_losses(id, v);
      }
      net.write(id, values);
    }
    for (const operation& op : g.operations) {
      if (op.what != kind::ctc) continue;
      for (const i32 slot : {1, 3, 5}) {
        const whole_values whole =
            ops::whole_values_of_ctc(ops::sizes_of_ctc(g, op), slot, op.attr.loss.blank);
        std::vector<double> values(static_cast<std::size_t>(g.tensors[op.in[slot]].dims.count()));
        for (double& v : values) {
          v = whole.at(static_cast<i32>(random.next_below(static_cast<u32>(whole.draws()))));
        }
        net.write(op.in[slot], values);
      }
    }
    net.run({.seed = 9, .step = 3, .valid = valid, .threads = threads});
    std::vector<std::vector<double>> results;
    for (const i32 id : compare) results.push_back(net.read(id));
    return results;
  }
};

/// What an element may be off by.
inline double allowed(agreement how, const tensor& t, i64 terms, double value, double magnitude) {
  const bool half_type = t.type == element::f16;
  const double rounding = half_type ? 0x1p-10 * std::abs(value) + 0x1p-24 : 0;
  switch (how) {
    case agreement::exact: return 0;
    case agreement::sum: return 2 * static_cast<double>(terms + 2) * place * magnitude + rounding;
    // A gradient reads a rounded output: with halves its own neighbours count.
    case agreement::smooth:
      return (half_type ? 4 * 0x1p-11 : static_cast<double>(16 + terms) * place) *
                 (1 + std::abs(value)) +
             rounding;
    case agreement::norm:
      return 8 * static_cast<double>(terms + 8) * place * (1 + std::abs(value)) + rounding;
  }
  return 0;
}

/// Runs a row on all backends.
inline void check_agreement(const operation_case& c) {
  for (const i32 batch : {1, 5, 32}) {
    for (const element type : {element::f32, element::f16}) {
      for (const bool last : {false, true}) {
        const prepared p(c, batch, last, type);
        const i32 valid = batch > 4 ? batch - 2 : batch;
        const auto want = p.run(reference_backend, false, 1, valid);
        const auto size = p.run(reference_backend, true, 1, valid);
        for (const graph_backend& b : backends()) {
          if (last && layouts(b, batch).size() == 1) continue;
          INFO(c.name << ", batch " << batch << ", " << name_of(type)
                      << (last ? ", samples innermost, " : ", ") << b.name);
          const auto got = p.run(b, false, 1, valid);
          for (std::size_t k = 0; k < want.size(); ++k) {
            const tensor& t = p.g.tensors[p.compare[k]];
            double worst = 0;  // share of what is allowed
            for (std::size_t i = 0; i < want[k].size(); ++i) {
              const double off = std::abs(got[k][i] - want[k][i]);
              const double limit = allowed(c.how, t, p.terms, want[k][i], size[k][i]);
              if (!(off <= limit)) worst = std::max(worst, limit > 0 ? off / limit : INFINITY);
            }
            INFO("tensor " << spell(t.name).view());
            CHECK(worst == 0);
          }
          CHECK(p.run(b, false, 3, valid) == got);  // no result depends on the threads
        }
      }
    }
  }
}

}  // namespace tessera::testing
