// Losses on every backend.

#include <agreement/operation_case.hpp>

namespace tessera::testing {

namespace {

i32 build_elements(graph& g, i32 n, bool last, kind what, const loss_attributes& attr,
                   bool weighted = false, bool over_time = false) {
  const shape dims = over_time ? shape(3, n, 7) : shape(n, 3, 5);
  const i32 stack = over_time ? 1 : 0;
  const i32 x = input(g, dims, last);
  const i32 t = add_tensor(g, dims, {.what = role::target, .batch_last = last});
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

i32 build_classes(graph& g, i32 n, bool last, kind what, bool spatial, bool weighted,
                  const loss_attributes& attr) {
  const i32 z = input(g, spatial ? shape(n, 6, 2, 3) : shape(n, 6), last);
  const i32 t = add_tensor(g, spatial ? shape(n, 2, 3) : shape(n),
                           {.what = role::target, .type = element::int32, .batch_last = last});
  const i32 v = weighted ? add_tensor(g, shape(6), {.what = role::constant, .batched = false}) : -1;
  return ops::class_loss(g, what, z, t, v, attr, "test");
}

i32 build_distribution(graph& g, bool last, kind what, const shape& dims, i32 stack, bool weighted,
                       const loss_attributes& attr) {
  const i32 z = input(g, dims, last);
  const i32 t = add_tensor(g, dims, {.what = role::target, .batch_last = last});
  g.tensors[z].stack = g.tensors[t].stack = stack;
  const i32 v =
      weighted ? add_tensor(g, shape(dims[1]), {.what = role::constant, .batched = false}) : -1;
  return ops::distribution_loss(g, what, z, t, v, attr, "test");
}

i32 build_cosine(graph& g, i32 n, bool last, const loss_attributes& attr) {
  const i32 a = input(g, shape(n, 9), last);
  const i32 b = input(g, shape(n, 9), last);
  const i32 t = add_tensor(g, shape(n), {.what = role::target, .batch_last = last});
  return ops::cosine_embedding(g, a, b, t, attr);
}

i32 build_ctc(graph& g, i32 n, bool last, const ctc_sizes& size, const loss_attributes& attr) {
  const auto whole = [&](const shape& dims) {
    return add_tensor(g, dims, {.what = role::target, .type = element::int32, .batch_last = last});
  };
  const i32 z = input(g, shape(size.time, n, size.classes), last);
  g.tensors[z].stack = 1;
  const i32 labels = whole(shape(n, size.labels));
  const i32 frames = whole(shape(n));
  return ops::ctc(g, z, labels, frames, whole(shape(n)), attr);
}

i32 build_triplet(graph& g, i32 n, bool last, const loss_attributes& attr) {
  const i32 a = input(g, shape(n, 9), last);
  const i32 near = input(g, shape(n, 9), last);
  return ops::triplet(g, a, near, input(g, shape(n, 9), last), attr);
}

const operation_case cases[] = {
    {"l1", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_elements(g, n, last, kind::l1, {}); }},
    {"l1 over time, weights, none", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::l1, {.reduce = reduction::none}, true, true);
     }},
    {"smooth_l1", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::smooth_l1, {.weight = 0.7f, .delta = 0.4f});
     }},
    {"huber, weights, mean over samples", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::huber,
                             {.reduce = reduction::batch_mean, .delta = 0.5f}, true);
     }},
    {"bce_with_logits", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::bce_with_logits, {});
     }},
    {"bce_with_logits, weights of elements and positives", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::bce_with_logits, {}, true);
     }},
    {"bce_with_logits over time, weights of elements and positives, none", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::bce_with_logits, {.reduce = reduction::none}, true,
                             true);
     }},
    {"bce", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_elements(g, n, last, kind::bce, {}); }},
    {"kl_div", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::kl_div, {.reduce = reduction::batch_mean});
     }},
    {"kl_div of logarithms over time", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::kl_div, {.log_target = true}, false, true);
     }},
    {"binary_hinge, squares", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::binary_hinge, {.power = 2}, true);
     }},
    {"hinge_embedding, sum", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_elements(g, n, last, kind::hinge_embedding,
                             {.reduce = reduction::sum, .margin = 0.3f});
     }},
    {"nll, class weights", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_classes(g, n, last, kind::nll, false, true, {});
     }},
    {"nll, sum, an ignored class", agreement::smooth,  // a mean over nothing is NaN
     [](graph& g, i32 n, bool last) {
       return build_classes(g, n, last, kind::nll, false, false,
                            {.reduce = reduction::sum, .ignore_index = 2});
     }},
    {"nll over positions, none", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_classes(g, n, last, kind::nll, true, false, {.reduce = reduction::none});
     }},
    {"multiclass_hinge", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_classes(g, n, last, kind::multiclass_hinge, false, false, {.margin = 0.7f});
     }},
    {"multiclass_hinge over positions, squares, class weights", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_classes(g, n, last, kind::multiclass_hinge, true, true, {.power = 2});
     }},
    {"soft_cross_entropy", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_distribution(g, last, kind::soft_cross_entropy, shape(n, 20), 0, false, {});
     }},
    {"soft_cross_entropy over positions, smoothing, class weights, none", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_distribution(g, last, kind::soft_cross_entropy, shape(n, 5, 2, 3), 0, true,
                                 {.reduce = reduction::none, .label_smoothing = 0.2f});
     }},
    {"soft_cross_entropy over time", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_distribution(g, last, kind::soft_cross_entropy, shape(3, n, 4), 1, false, {});
     }},
    {"distillation", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_distribution(g, last, kind::distillation, shape(n, 11), 0, false,
                                 {.temperature = 2.5f});
     }},
    {"distillation over positions, none", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_distribution(g, last, kind::distillation, shape(n, 3, 17), 0, false,
                                 {.reduce = reduction::none, .temperature = 0.5f});
     }},
    {"cosine_embedding", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_cosine(g, n, last, {.margin = 0.1f}); }},
    {"ctc", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_ctc(g, n, last, {.time = 12, .batch = n, .classes = 5, .labels = 4}, {});
     }},
    {"ctc, many states and classes, blank last, none", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_ctc(g, n, last, {.time = 40, .batch = n, .classes = 37, .labels = 19},
                        {.reduce = reduction::none, .blank = 36});
     }},
    {"triplet", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_triplet(g, n, last, {}); }},
    {"triplet of sums of magnitudes, none", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return build_triplet(g, n, last, {.reduce = reduction::none, .margin = 0.5f, .power = 1});
     }},
};

}  // namespace

TEST_CASE("losses agree on all backends, in both layouts, in f32 and f16", "[agreement]") {
  for (const operation_case& c : cases) check_agreement(c);
}

}  // namespace tessera::testing
