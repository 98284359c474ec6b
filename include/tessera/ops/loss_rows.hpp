#pragma once

// Losses row by row: a row is the logits of one target, or vectors that are compared.
//
//   softmax_cross_entropy   (logits z, target class t, ., class weights v), p = softmax(z)
//     row     (1 - eps) v[t] (-log p[t]) + eps / C sum_c v[c] (-log p[c])
//     slope   p ((1 - eps) v[t] + eps / C sum_c v[c]) - (1 - eps) v[t] onehot(t) - eps / C v
//     W       sum of v[t] over the rows that count (their number without class weights)
//   soft_cross_entropy      (logits z, probabilities t, ., v), q = (1 - eps) t + eps / C
//     row     sum_c v[c] q[c] (-log p[c]);   slope p sum_c v[c] q[c] - v q;   W = rows that count
//   nll                     (log p, t, ., v)
//     row     -v[t] x[t];   slope -v[t] onehot(t);   W as for softmax_cross_entropy
//   multiclass_hinge        (x, t, ., v), h_c = max(0, margin - x[t] + x[c])
//     row     v[t] / C sum over c != t of h_c^power;   W = rows that count
//     slope   v[t] / C power h_c^(power - 1) [h_c > 0]; of t minus the sum of the others'
//   distillation            (student's logits, teacher's), p = softmax(teacher / T), q of student
//     row     sum_c p (log p - log q);   slope (q - p) / T;   W = rows that count
//   cosine_embedding        (a, b, ., target t), c = a b / sqrt((|a|^2 + 1e-12) (|b|^2 + 1e-12))
//     row     t = 1: 1 - c;  t = -1: max(0, c - margin);  else 0
//   triplet                 (anchor a, near p, ., far n), u = a - p + eps, w = a - n + eps
//     row     max(0, |u| - |w| + margin), |.| of power 2 (or 1: sum of magnitudes)
//
// eps label smoothing, C classes. A class that is outside 0..C-1 and not ignore_index makes the
// loss and the gradient of its row NaN; ignore_index counts for losses with classes only. Slopes at
// kinks are 0; that of |u| at u = 0 too.
//
// Over time the operands are seen without it: rows in the order of memory, of which number r
// belongs to sample r mod samples.
//
// Sources: Szegedy et al. 2016 (smoothing); Hinton, Vinyals, Dean 2015 (distillation); Crammer,
// Singer 2001 and Weston, Watkins 1999 (hinge); Schroff et al. 2015 (triplets).

#include <tessera/ops/loss.hpp>

namespace tessera::ops {

namespace detail {

/// Makes rows of operands over time. `like` says how they lie; false where a point in time has more
/// than one row.
constexpr bool rows_without_time(graph& g, i32 like, i32* values, i32 value_count, i32* labels,
                                 i32 label_count, loss_attributes& attr, const char* where) {
  const tensor t = g.tensors[like];
  if (t.stack == 0) return true;
  if (t.dims.rank != t.stack + 2) {
    refuse(g, {where, "one value per class at each point in time", spell_all<64>(t.sample()),
               "end with each_step<dense<classes>>"});
    return false;
  }
  const i32 times = times_of(t);
  const i32 samples = t.dims[t.stack];
  const i32 classes = t.dims[t.stack + 1];
  // Innermost samples are positions of a point in time, else every one is a row of its own.
  const shape rows =
      t.batch_last ? shape(times, classes, samples) : shape(times * samples, classes);
  const shape single = t.batch_last ? shape(times, samples) : shape(times * samples);
  for (i32 i = 0; i < value_count; ++i) values[i] = without_time(g, values[i], rows);
  for (i32 i = 0; i < label_count; ++i) labels[i] = without_time(g, labels[i], single);
  attr.samples = samples;
  return true;
}

/// The shape of one number for each row of `logits`.
constexpr shape shape_of_rows(const tensor& logits) {
  shape s = logits.dims;
  for (i32 axis = 1; axis + 1 < s.rank; ++axis) s[axis] = s[axis + 1];
  if (s.rank > 1) s[--s.rank] = 0;
  return s;
}

}  // namespace detail

/// A loss over classes whose targets are their numbers: softmax_cross_entropy, nll,
/// multiclass_hinge. logits (batch, classes[, ...]), target (batch[, ...]) i32, class weights
/// (classes) or -1. Over time: logits (time, batch, classes), target (time, batch).
constexpr i32 class_loss(graph& g, kind what, i32 logits, i32 target, i32 class_weights,
                         loss_attributes attr, const char* where) {
  if (!detail::rows_without_time(g, logits, &logits, 1, &target, 1, attr, where)) return logits;
  operation op;
  op.what = what;
  op.in[0] = logits;
  op.in[1] = target;
  op.in[3] = class_weights;
  return append_loss(g, op, g.tensors[target].dims, attr);
}

constexpr i32 softmax_cross_entropy(graph& g, i32 logits, i32 target, i32 class_weights,
                                    const loss_attributes& attr) {
  return class_loss(g, kind::softmax_cross_entropy, logits, target, class_weights, attr,
                    "softmax_cross_entropy");
}

/// A loss over classes whose targets are values of the logits' shape: soft_cross_entropy,
/// distillation.
constexpr i32 distribution_loss(graph& g, kind what, i32 logits, i32 target, i32 class_weights,
                                loss_attributes attr, const char* where) {
  i32 values[] = {logits, target};
  if (!detail::rows_without_time(g, logits, values, 2, nullptr, 0, attr, where)) return logits;
  operation op;
  op.what = what;
  op.in[0] = values[0];
  op.in[1] = values[1];
  op.in[3] = class_weights;
  return append_loss(g, op, detail::shape_of_rows(g.tensors[op.in[0]]), attr);
}

/// a, b (batch, features), target (batch) of 1 and -1.
constexpr i32 cosine_embedding(graph& g, i32 a, i32 b, i32 target, loss_attributes attr) {
  i32 values[] = {a, b};
  if (!detail::rows_without_time(g, a, values, 2, &target, 1, attr, "cosine_embedding")) return a;
  operation op;
  op.what = kind::cosine_embedding;
  op.in[0] = values[0];
  op.in[1] = values[1];
  op.in[3] = target;
  return append_loss(g, op, g.tensors[target].dims, attr);
}

/// anchor, near, far (batch, features).
constexpr i32 triplet(graph& g, i32 anchor, i32 near, i32 far, loss_attributes attr) {
  i32 values[] = {anchor, near, far};
  if (!detail::rows_without_time(g, anchor, values, 3, nullptr, 0, attr, "triplet")) return anchor;
  operation op;
  op.what = kind::triplet;
  op.in[0] = values[0];
  op.in[1] = values[1];
  op.in[3] = values[2];
  return append_loss(g, op, detail::shape_of_rows(g.tensors[op.in[0]]), attr);
}

constexpr loss_sizes sizes_of_row_loss(const graph& g, const operation& op) {
  const shape& y = g.tensors[op.in[0]].dims;
  loss_sizes sizes{y[0], 1, 1};
  for (i32 axis = 1; axis < y.rank; ++axis) (axis > 1 ? sizes.inner : sizes.classes) *= y[axis];
  return sizes;
}

}  // namespace tessera::ops
