#pragma once

// Losses over classes, distributions and pairs of vectors.
//
//   softmax_cross_entropy   pixel_cross_entropy     logits, target: a class
//   nll                                             logarithms of probabilities, a class
//   multiclass_hinge                                scores, a class
//   soft_cross_entropy                              logits, target: probabilities
//   distillation                                    logits, a class and a teacher's logits
//   cosine_embedding   triplet                      two or three outputs
//
// Those with a class as their target may have `static constexpr float class_weights[]`. Labels of
// ignore_index do not count; a label that is no class makes the loss NaN, and the gradient of its
// row. Formulas, sums and what NaN does: ops/loss_rows.hpp.

#include <tessera/nn/loss_policy.hpp>

namespace tessera {

namespace detail {

template <class L>
constexpr value append_class_loss(builder& b, value logits, kind what, const char* where) {
  const loss_attributes attr = loss_attributes_of<L>();
  if (!is_reduced(b, attr, where)) return {};
  graph& g = b.network();
  const tensor& t = g.tensors[logits.id];
  const value weights = append_class_weights<L>(b, t.dims[t.stack + 1], where);
  const value target = append_row_target(b, logits, element::int32);
  if (!b.usable(target)) return {};
  return append_loss(b, ops::class_loss(g, what, logits.id, target.id, weights.id, attr, where));
}

/// What losses over classes have.
struct class_loss_defaults {
  static constexpr reduction reduce = reduction::mean;
  static constexpr i32 ignore_index = -100;
};

}  // namespace detail

/// Mean over the batch, and over time where there is time, of -log softmax(logits)[label]; with
/// class weights divided by the sum of those of the labels.
///
/// Shapes   logits (batch, classes)         target (batch), class numbers as i32   loss scalar, f32
///          logits (time, batch, classes)   target (time, batch)
/// Errors   "softmax_cross_entropy: expected a rank-1 output ..."
struct softmax_cross_entropy : detail::class_loss_defaults {
  static constexpr float label_smoothing = 0;

  template <class L = softmax_cross_entropy>
  static constexpr value build(builder& b, value logits) {
    if (!detail::has_one_row(b, logits, "softmax_cross_entropy")) return {};
    return detail::append_class_loss<L>(b, logits, kind::softmax_cross_entropy,
                                        "softmax_cross_entropy");
  }
};

/// The same with a class for each pixel: segmentation.
///
/// Shapes   logits (batch, classes, height, width)   target (batch, height, width), i32
/// Errors   "pixel_cross_entropy: expected a rank-3 output ..."
struct pixel_cross_entropy : detail::class_loss_defaults {
  static constexpr float label_smoothing = 0;

  template <class L = pixel_cross_entropy>
  static constexpr value build(builder& b, value logits) {
    if (!b.usable(logits)) return {};
    if (b.sample(logits).rank != 3 || b.network().tensors[logits.id].stack > 0) {
      return b.fail({"pixel_cross_entropy", "a rank-3 output (classes x height x width)",
                     spell_all<64>(b.sample(logits)), "end with conv<classes, 1>"});
    }
    return detail::append_class_loss<L>(b, logits, kind::softmax_cross_entropy,
                                        "pixel_cross_entropy");
  }
};

/// Mean of -output[label]: the output is log p.
struct nll : detail::class_loss_defaults {
  template <class L = nll>
  static constexpr value build(builder& b, value log_p) {
    if (!detail::has_one_row(b, log_p, "nll")) return {};
    return detail::append_class_loss<L>(b, log_p, kind::nll, "nll");
  }
};

/// Mean over samples of 1 / classes sum over c != label of max(0, margin - y[label] + y[c])^power.
/// (Weston, Watkins 1999)
struct multiclass_hinge : detail::class_loss_defaults {
  static constexpr float margin = 1;
  static constexpr i32 power = 1;

  template <class L = multiclass_hinge>
  static constexpr value build(builder& b, value y) {
    if (!detail::has_one_row(b, y, "multiclass_hinge")) return {};
    return detail::append_class_loss<L>(b, y, kind::multiclass_hinge, "multiclass_hinge");
  }
};

/// Mean over samples of -sum of target log softmax(logits): targets are probabilities (mixed
/// labels, a teacher's). Class weights weigh the terms of the sum.
///
/// Shapes   logits and target (batch, classes), or (time, batch, classes)   loss scalar, f32
struct soft_cross_entropy {
  static constexpr reduction reduce = reduction::mean;
  static constexpr float label_smoothing = 0;

  template <class L = soft_cross_entropy>
  static constexpr value build(builder& b, value logits) {
    constexpr const char* where = "soft_cross_entropy";
    constexpr loss_attributes attr = detail::loss_attributes_of<L>();
    if (!detail::has_one_row(b, logits, where) || !detail::is_reduced(b, attr, where)) return {};
    graph& g = b.network();
    const tensor t = g.tensors[logits.id];
    const value weights = detail::append_class_weights<L>(b, t.dims[t.stack + 1], where);
    const value target = append_target(b, t);
    if (!b.usable(target)) return {};
    return append_loss(b, ops::distribution_loss(g, kind::soft_cross_entropy, logits.id, target.id,
                                                 weights.id, attr, where));
  }
};

/// A student learns from labels and from a teacher: two losses,
///   alpha T^2 mean KL(softmax(teacher / T) || softmax(student / T))  and
///   (1 - alpha) mean cross entropy(student, label).
/// T is `temperature`. (Hinton, Vinyals, Dean 2015)
///
/// Targets  0: labels (batch), i32; 1: the teacher's logits (batch, classes). A network that puts
///          out a bundle (student, teacher) has its teacher within, `frozen`: then labels alone.
struct distillation {
  static constexpr reduction reduce = reduction::mean;
  static constexpr float temperature = 4;
  static constexpr float alpha = 0.5f;

  template <class L = distillation>
  static constexpr value build(builder& b, const bundle& y) {
    constexpr const char* where = "distillation";
    loss_attributes attr = detail::loss_attributes_of<L>();
    static_assert(L::temperature > 0 && L::alpha >= 0 && L::alpha <= 1,
                  "distillation: expected a temperature above 0 and alpha from 0 to 1");
    if (!b.usable(y) || !detail::is_reduced(b, attr, where)) return {};
    if (y.size < 1 || y.size > 2) {
      return b.fail({where, "the student's logits, or student's and teacher's",
                     spell_all<64>(y.size, " outputs"), "put out one or two values"});
    }
    graph& g = b.network();
    const value student = y.items[0];
    if (!detail::has_one_row(b, student, where)) return {};
    const value label = detail::append_row_target(b, student, element::int32);
    const value teacher = y.size == 2 ? y.items[1] : append_target(b, g.tensors[student.id]);
    if (!b.usable(label) || !b.usable(teacher)) return {};
    if (g.tensors[teacher.id].dims != g.tensors[student.id].dims) {
      return b.fail({where, "a teacher with the student's classes",
                     spell_all<64>(b.sample(student), " and ", b.sample(teacher)),
                     "make the two agree"});
    }
    attr.weight = L::alpha * L::temperature * L::temperature;
    append_loss(
        b, ops::distribution_loss(g, kind::distillation, student.id, teacher.id, -1, attr, where));
    attr.weight = 1 - L::alpha;
    return append_loss(b, ops::softmax_cross_entropy(g, student.id, label.id, -1, attr));
  }
};

namespace detail {

/// True where a bundle has `count` vectors of one size.
constexpr bool are_vectors(builder& b, const bundle& y, i32 count, const char* where) {
  if (!b.usable(y)) return false;
  if (y.size != count) {
    b.fail({where, spell_all(count, " outputs"), spell_all<64>(y.size),
            "put out a bundle: branch<...> or each<...>"});
    return false;
  }
  for (i32 i = 0; i < count; ++i) {
    if (!has_one_row(b, y.items[i], where)) return false;
    if (b.sample(y.items[i]) == b.sample(y.items[0])) continue;
    b.fail({where, "vectors of one size",
            spell_all<64>(b.sample(y.items[0]), " and ", b.sample(y.items[i])),
            "give them the same layers: each<...>"});
    return false;
  }
  return true;
}

}  // namespace detail

/// Two outputs whose directions agree where the target is 1 (1 - cosine) and differ where it is -1
/// (max(0, cosine - margin)). Any other target makes the loss NaN.
///
/// Shapes   a, b (batch, features)   target (batch), f32   loss scalar, f32
struct cosine_embedding {
  static constexpr reduction reduce = reduction::mean;
  static constexpr float margin = 0;

  template <class L = cosine_embedding>
  static constexpr value build(builder& b, const bundle& y) {
    constexpr const char* where = "cosine_embedding";
    constexpr loss_attributes attr = detail::loss_attributes_of<L>();
    if (!detail::are_vectors(b, y, 2, where) || !detail::is_reduced(b, attr, where)) return {};
    const value target = detail::append_row_target(b, y.items[0], element::f32);
    if (!b.usable(target)) return {};
    return append_loss(
        b, ops::cosine_embedding(b.network(), y.items[0].id, y.items[1].id, target.id, attr));
  }
};

/// Three outputs (anchor, near, far): max(0, |anchor - near| - |anchor - far| + margin), `epsilon`
/// added to every difference. There is no target. (Schroff et al. 2015)
struct triplet {
  static constexpr reduction reduce = reduction::mean;
  static constexpr float margin = 1;
  static constexpr i32 power = 2;
  static constexpr float epsilon = 1e-6f;

  template <class L = triplet>
  static constexpr value build(builder& b, const bundle& y) {
    constexpr const char* where = "triplet";
    constexpr loss_attributes attr = detail::loss_attributes_of<L>();
    if (!detail::are_vectors(b, y, 3, where) || !detail::is_reduced(b, attr, where)) return {};
    return append_loss(
        b, ops::triplet(b.network(), y.items[0].id, y.items[1].id, y.items[2].id, attr));
  }
};

static_assert(loss_function<softmax_cross_entropy> && loss_function<triplet>);

}  // namespace tessera
