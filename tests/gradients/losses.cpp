// Gradients of losses.

#include <tessera/ops/style.hpp>
#include <gradients/checked_case.hpp>

namespace tessera::testing {

namespace {

/// x (samples, 2, 3) or over time (2, samples, 5), with target and, where asked for, weights.
i32 build_elements(graph& g, bool last, kind what, const loss_attributes& attr,
                   bool weighted = false, bool over_time = false) {
  const shape dims = over_time ? shape(2, 3, 5) : shape(3, 2, 3);
  const i32 stack = over_time ? 1 : 0;
  const i32 x = input(g, dims, last);
  const i32 t = add_tensor(
      g, dims,
      {.what = role::target, .batch_last = last, .differentiable = ops::is_symmetric_loss(what)});
  ops::element_loss_operands more;
  if (weighted) {
    more.weights = add_tensor(g, dims, {.what = role::constant, .batch_last = last});
    g.tensors[more.weights].stack = stack;
  }
  if (weighted && what == kind::bce_with_logits) {
    more.positive_weights =
        add_tensor(g, shape(dims[stack + 1]), {.what = role::constant, .batched = false});
  }
  g.tensors[x].stack = g.tensors[t].stack = stack;
  return ops::element_loss(g, what, x, t, attr, more);
}

i32 build_classes(graph& g, bool last, kind what, const shape& logits, const shape& target,
                  bool weighted, const loss_attributes& attr) {
  const i32 z = input(g, logits, last);
  const i32 t =
      add_tensor(g, target, {.what = role::target, .type = element::int32, .batch_last = last});
  const i32 v =
      weighted ? add_tensor(g, shape(logits[1]), {.what = role::constant, .batched = false}) : -1;
  return ops::class_loss(g, what, z, t, v, attr, "checked");
}

i32 build_distribution(graph& g, bool last, kind what, const shape& logits, bool weighted,
                       const loss_attributes& attr, i32 stack = 0) {
  const i32 z = input(g, logits, last);
  const i32 t = add_tensor(g, logits, {.what = role::target, .batch_last = last});
  g.tensors[z].stack = g.tensors[t].stack = stack;
  const i32 v =
      weighted ? add_tensor(g, shape(logits[1]), {.what = role::constant, .batched = false}) : -1;
  return ops::distribution_loss(g, what, z, t, v, attr, "checked");
}

i32 build_cosine(graph& g, bool last, const loss_attributes& attr) {
  const i32 a = input(g, shape(5, 4), last);
  const i32 b = input(g, shape(5, 4), last);
  const i32 t = add_tensor(g, shape(5), {.what = role::target, .batch_last = last});
  return ops::cosine_embedding(g, a, b, t, attr);
}

/// 2 labels at most, 7 frames: every sample can be aligned.
i32 build_ctc(graph& g, bool last, const loss_attributes& attr) {
  const auto whole = [&](const shape& dims) {
    return add_tensor(g, dims, {.what = role::target, .type = element::int32, .batch_last = last});
  };
  const i32 z = input(g, shape(7, 3, 4), last);
  g.tensors[z].stack = 1;
  const i32 labels = whole(shape(3, 2));
  const i32 frames = whole(shape(3));
  return ops::ctc(g, z, labels, frames, whole(shape(3)), attr);
}

i32 build_triplet(graph& g, bool last, const loss_attributes& attr) {
  const i32 a = input(g, shape(5, 4), last);
  const i32 near = input(g, shape(5, 4), last);
  return ops::triplet(g, a, near, input(g, shape(5, 4), last), attr);
}

const checked_case cases[] = {
    {"l1", [](graph& g, bool last) { return build_elements(g, last, kind::l1, {}); }},
    {"l1 over time, weights, sum",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::l1, {.reduce = reduction::sum}, true, true);
     }},
    {"smooth_l1",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::smooth_l1, {.weight = 0.7f, .delta = 0.4f});
     }},
    {"smooth_l1, one loss each",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::smooth_l1, {.reduce = reduction::none}, true);
     }},
    {"huber",
     [](graph& g, bool last) { return build_elements(g, last, kind::huber, {.delta = 0.5f}); }},
    {"huber over time, mean over samples",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::huber, {.reduce = reduction::batch_mean}, false, true);
     }},
    {"mse, weights of elements",
     [](graph& g, bool last) { return build_elements(g, last, kind::mse, {}, true); }},
    {"bce_with_logits",
     [](graph& g, bool last) { return build_elements(g, last, kind::bce_with_logits, {}); }},
    {"bce_with_logits, weights of elements and positives",
     [](graph& g, bool last) { return build_elements(g, last, kind::bce_with_logits, {}, true); }},
    {"bce_with_logits over time, weights of elements and positives",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::bce_with_logits, {.reduce = reduction::none}, true,
                             true);
     }},
    {"bce", [](graph& g, bool last) { return build_elements(g, last, kind::bce, {}, true); }},
    {"kl_div",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::kl_div, {.reduce = reduction::batch_mean});
     }},
    {"kl_div of logarithms over time",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::kl_div,
                             {.reduce = reduction::batch_mean, .log_target = true}, false, true);
     }},
    {"binary_hinge",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::binary_hinge, {.margin = 0.8f}, true);
     }},
    {"binary_hinge, squares",
     [](graph& g, bool last) { return build_elements(g, last, kind::binary_hinge, {.power = 2}); }},
    {"hinge_embedding",
     [](graph& g, bool last) {
       return build_elements(g, last, kind::hinge_embedding, {.margin = 0.3f});
     }},
    {"nll",
     [](graph& g, bool last) {
       return build_classes(g, last, kind::nll, shape(5, 4), shape(5), false, {});
     }},
    {"nll over positions, class weights, an ignored class, one loss each",
     [](graph& g, bool last) {
       return build_classes(g, last, kind::nll, shape(3, 4, 2, 2), shape(3, 2, 2), true,
                            {.reduce = reduction::none, .ignore_index = 2});
     }},
    {"nll, weighted mean",
     [](graph& g, bool last) {
       return build_classes(g, last, kind::nll, shape(5, 4), shape(5), true, {.weight = 3});
     }},
    {"multiclass_hinge",
     [](graph& g, bool last) {
       return build_classes(g, last, kind::multiclass_hinge, shape(5, 4), shape(5), false,
                            {.margin = 0.7f});
     }},
    {"multiclass_hinge over positions, squares, class weights, sum",
     [](graph& g, bool last) {
       return build_classes(g, last, kind::multiclass_hinge, shape(3, 4, 2), shape(3, 2), true,
                            {.reduce = reduction::sum, .power = 2});
     }},
    {"soft_cross_entropy",
     [](graph& g, bool last) {
       return build_distribution(g, last, kind::soft_cross_entropy, shape(5, 4), false, {});
     }},
    {"soft_cross_entropy, smoothing, class weights, positions, one loss each",
     [](graph& g, bool last) {
       return build_distribution(g, last, kind::soft_cross_entropy, shape(3, 4, 2), true,
                                 {.reduce = reduction::none, .label_smoothing = 0.2f});
     }},
    {"soft_cross_entropy over time",
     [](graph& g, bool last) {
       return build_distribution(g, last, kind::soft_cross_entropy, shape(2, 3, 4), false, {}, 1);
     }},
    {"distillation",
     [](graph& g, bool last) {
       return build_distribution(g, last, kind::distillation, shape(5, 4), false,
                                 {.temperature = 2.5f});
     }},
    {"distillation over time, sum",
     [](graph& g, bool last) {
       return build_distribution(g, last, kind::distillation, shape(2, 3, 4), false,
                                 {.reduce = reduction::sum, .temperature = 0.5f}, 1);
     }},
    {"cosine_embedding", [](graph& g, bool last) { return build_cosine(g, last, {.margin = 0}); }},
    {"cosine_embedding, margin, one loss each",
     [](graph& g, bool last) {
       return build_cosine(g, last, {.reduce = reduction::none, .margin = 0.2f});
     }},
    {"triplet", [](graph& g, bool last) { return build_triplet(g, last, {}); }},
    {"triplet of sums of magnitudes, one loss each",
     [](graph& g, bool last) {
       return build_triplet(g, last, {.reduce = reduction::none, .margin = 0.5f, .power = 1});
     }},
    {"ctc", [](graph& g, bool last) { return build_ctc(g, last, {.blank = 0}); }},
    {"ctc, the blank in the middle, one loss each",
     [](graph& g, bool last) {
       return build_ctc(g, last, {.reduce = reduction::none, .weight = 0.5f, .blank = 2});
     }},
    {"ctc, sum",
     [](graph& g, bool last) {
       return build_ctc(g, last, {.reduce = reduction::sum, .blank = 3});
     }},
    {"gram matrices",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(3, 2, 3, 4), last);
       const i32 wanted = add_tensor(g, shape(3, 2, 2), {.what = role::target, .batch_last = last});
       return ops::element_loss(g, kind::mse, ops::gram(g, x, layer), wanted, {});
     }},
    {"total variation",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(3, 2, 3, 4), last);
       const ops::variation_losses tv =
           ops::total_variation(g, x, {.reduce = reduction::sum, .weight = 0.1f}, layer);
       return ops::add(g, tv.down, tv.across, layer);
     }},
    {"triplet, one vector learns",
     [](graph& g, bool last) {
       const i32 a = add_tensor(g, shape(5, 4), {.batch_last = last});
       const i32 far = add_tensor(g, shape(5, 4), {.batch_last = last});
       return ops::triplet(g, a, input(g, shape(5, 4), last), far, {.reduce = reduction::sum});
     }},
};

}  // namespace

std::vector<checked_case> loss_cases() { return {std::begin(cases), std::end(cases)}; }

TEST_CASE("gradients of losses agree with central differences", "[gradients]") {
  for (const checked_case& c : cases) check_case(c);
}

}  // namespace tessera::testing
