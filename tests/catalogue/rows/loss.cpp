// Rows of the table: losses.

#include <catalogue/catalogue.hpp>

#include <tessera/ops/style.hpp>

namespace tessera::testing {

namespace {

i32 build_entropy(graph& g, i32 batch, bool last, i32 classes, bool spatial, bool weighted,
                  const loss_attributes& attr) {
  const i32 z =
      spatial ? input(g, shape(batch, classes, 2, 3), last) : input(g, shape(batch, classes), last);
  const shape dims = spatial ? shape(batch, 2, 3) : shape(batch);
  const i32 t =
      add_tensor(g, dims, {.what = role::target, .type = element::int32, .batch_last = last});
  const i32 v =
      weighted ? add_tensor(g, shape(classes), {.what = role::constant, .batched = false}) : -1;
  return ops::softmax_cross_entropy(g, z, t, v, attr);
}

/// A loss over time: logits (time, batch, classes).
i32 build_entropy_over_time(graph& g, i32 batch, bool last, const shape& logits,
                            const shape& target, const loss_attributes& attr) {
  const auto with_batch = [&](shape s) {  // time first
    s = s.batch_of(s[0]);
    s[1] = batch;
    return s;
  };
  const i32 z = input(g, with_batch(logits), last);
  const i32 t = add_tensor(g, with_batch(target),
                           {.what = role::target, .type = element::int32, .batch_last = last});
  g.tensors[z].stack = g.tensors[t].stack = 1;
  return ops::softmax_cross_entropy(g, z, t, -1, attr);
}

i32 build_mse(graph& g, i32 batch, bool last, reduction reduce) {
  const i32 y = input(g, shape(batch, 7), last);
  const i32 t = add_tensor(g, shape(batch, 7),
                           {.what = role::target, .batch_last = last, .differentiable = true});
  return ops::mse(g, y, t, {.reduce = reduce, .weight = 0.5f});
}

i32 build_elements(graph& g, i32 n, bool last, kind what, const loss_attributes& attr,
                   bool weighted = false, bool over_time = false) {
  const shape dims = over_time ? shape(3, n, 7) : shape(n, 3, 5);
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

}  // namespace

std::vector<row> loss_rows() {
  return {
      {"softmax_cross_entropy of 10", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_entropy(g, n, last, 10, false, false, {}); }},
      {"softmax_cross_entropy of 2, smoothing, weights, sum", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_entropy(g, n, last, 2, false, true,
                              {.reduce = reduction::sum, .label_smoothing = 0.1f});
       }},
      {"softmax_cross_entropy over positions, one class ignored, none", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_entropy(g, n, last, 5, true, false,
                              {.reduce = reduction::none, .ignore_index = 2});
       }},
      {"softmax_cross_entropy over positions, weights, smoothing", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_entropy(g, n, last, 5, true, true, {.label_smoothing = 0.2f, .weight = 2});
       }},
      {"softmax_cross_entropy over time", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_entropy_over_time(g, n, last, shape(4, 9), shape(4), {.ignore_index = 3});
       }},
      {"softmax_cross_entropy over one point in time, smoothing", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_entropy_over_time(g, n, last, shape(1, 9), shape(1),
                                        {.label_smoothing = 0.1f});
       }},
      {"mse over time", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 y = input(g, shape(3, n, 7), last);
         const i32 t = add_tensor(g, shape(3, n, 7), {.what = role::target, .batch_last = last});
         g.tensors[y].stack = g.tensors[t].stack = 1;
         return ops::mse(g, y, t, {});
       }},
      {"mse", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_mse(g, n, last, reduction::mean); }},
      {"mse, sum", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_mse(g, n, last, reduction::sum); }},
      {"mse, none", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_mse(g, n, last, reduction::none); }},
      {"softmax_cross_entropy, sum, smoothing, class weights, ignored class", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_entropy(g, n, last, 4, false, true,
                              {.reduce = reduction::sum,
                               .label_smoothing = 0.2f,
                               .ignore_index = 1,
                               .weight = 1.5f});
       }},
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
      {"l1 over time, weights, sum", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_elements(g, n, last, kind::l1, {.reduce = reduction::sum}, true, true);
       }},
      {"smooth_l1, weights, one loss each", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_elements(g, n, last, kind::smooth_l1, {.reduce = reduction::none}, true);
       }},
      {"huber over time, mean over samples", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_elements(g, n, last, kind::huber, {.reduce = reduction::batch_mean}, false,
                               true);
       }},
      {"mse, weights of elements", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_elements(g, n, last, kind::mse, {}, true); }},
      {"bce, weights of elements", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_elements(g, n, last, kind::bce, {}, true); }},
      {"binary_hinge, margin", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_elements(g, n, last, kind::binary_hinge, {.margin = 0.8f}, true);
       }},
      {"distillation over time, sum", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_distribution(g, last, kind::distillation, shape(2, n, 4), 1, false,
                                   {.reduce = reduction::sum, .temperature = 0.5f});
       }},
      {"cosine_embedding, no margin, one loss each", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_cosine(g, n, last, {.reduce = reduction::none, .margin = 0});
       }},
      {"triplet, one vector learns", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 a = add_tensor(g, shape(n, 4), {.batch_last = last});
         const i32 far = add_tensor(g, shape(n, 4), {.batch_last = last});
         return ops::triplet(g, a, input(g, shape(n, 4), last), far, {.reduce = reduction::sum});
       }},
      {"gram matrices", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 2, 3, 4), last);
         const i32 wanted =
             add_tensor(g, shape(n, 2, 2), {.what = role::target, .batch_last = last});
         return ops::element_loss(g, kind::mse, ops::gram(g, x, layer), wanted, {});
       }},
      {"total variation", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 2, 3, 4), last);
         const ops::variation_losses tv =
             ops::total_variation(g, x, {.reduce = reduction::sum, .weight = 0.1f}, layer);
         return outputs{tv.down, tv.across};
       }},
  };
}

}  // namespace tessera::testing
