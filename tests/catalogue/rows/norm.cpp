// Rows of the table: normalizations.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

/// A normalization of samples of shape `sample`, with gamma and beta of shape `scales` where it has
/// extents.
i32 build_norm(graph& g, i32 n, bool last, kind what, const shape& sample, const shape& scales,
               const norm_attributes& attr) {
  const i32 x = input(g, sample.batch_of(n), last);
  const bool affine = scales.rank > 0;
  const i32 gamma = affine ? add_weight(g, scales, element::f32, "gamma") : -1;
  const bool biased = affine && what != kind::rms_norm;
  const i32 beta = biased ? add_weight(g, scales, element::f32, "beta") : -1;
  if (what == kind::group_norm) return ops::group_norm(g, x, gamma, beta, attr, layer);
  if (what == kind::layer_norm || what == kind::rms_norm) {
    return ops::layer_norm(g, what, x, gamma, beta, attr, layer);
  }
  const shape channels(sample[0]);
  const i32 mean = ops::statistic(g, channels, {"test", 0, "mean"}, initializer::zeros);
  const i32 variance = ops::statistic(g, channels, {"test", 0, "variance"}, initializer::ones);
  const auto append = what == kind::batch_norm ? &ops::batch_norm : &ops::batch_norm_inference;
  return append(g, x, gamma, beta, mean, variance, attr, layer);
}

}  // namespace

std::vector<row> norm_rows() {
  return {
      {"batch_norm", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::batch_norm, shape(5, 3, 4), shape(5), {});
       }},
      {"batch_norm of many positions, not affine", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::batch_norm, shape(2, 67, 71), {}, {.momentum = 0.3f});
       }},
      {"batch_norm of features", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::batch_norm, shape(37), shape(37), {.epsilon = 0.1f});
       }},
      {"batch_norm without statistics, gamma alone", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 11), last);
         const i32 gamma = add_weight(g, shape(11), element::f32, "gamma");
         return ops::batch_norm(g, x, gamma, -1, -1, -1, {.epsilon = 0.1f}, layer);
       }},
      {"batch_norm_inference", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::batch_norm_inference, shape(5, 3, 4), shape(5),
                           {.epsilon = 0.1f});
       }},
      {"batch_norm_inference of features, not affine", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::batch_norm_inference, shape(37), {},
                           {.epsilon = 0.1f});
       }},
      {"group_norm of 3 groups", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::group_norm, shape(6, 5, 7), shape(6), {.groups = 3});
       }},
      {"group_norm of single channels, not affine", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::group_norm, shape(4, 40), {}, {.groups = 4});
       }},
      {"group_norm of features", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::group_norm, shape(74), shape(74), {.groups = 2});
       }},
      {"group_norm of one group, beta alone", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 4, 2, 2), last);
         const i32 beta = add_weight(g, shape(4), element::f32, "beta");
         return ops::group_norm(g, x, -1, beta, {}, layer);
       }},
      {"layer_norm", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::layer_norm, shape(7, 9), shape(7, 9), {});
       }},
      {"layer_norm of the last extent", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::layer_norm, shape(3, 37), shape(37), {.extents = 1});
       }},
      {"layer_norm of 5000 features, not affine", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::layer_norm, shape(5000), {}, {});
       }},
      {"layer_norm of the last two extents, gamma alone", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 4, 2, 2), last);
         const i32 gamma = add_weight(g, shape(2, 2), element::f32, "gamma");
         return ops::layer_norm(g, kind::layer_norm, x, gamma, -1, {.extents = 2}, layer);
       }},
      {"layer_norm over time", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 x = sequence(g, shape(2, n, 5), last);
         const i32 gamma = add_weight(g, shape(5), element::f32, "gamma");
         const i32 beta = add_weight(g, shape(5), element::f32, "beta");
         return ops::layer_norm(g, kind::layer_norm, x, gamma, beta, {}, layer);
       }},
      {"rms_norm", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::rms_norm, shape(600), shape(600), {});
       }},
      {"rms_norm of the last extent, not affine", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_norm(g, n, last, kind::rms_norm, shape(3, 2, 21), {}, {.extents = 1});
       }},
      {"local_response_norm of 5 among 70 channels", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 70, 3, 5), last);
         return ops::local_response_norm(g, x, {.size = 5, .alpha = 0.4f}, layer);
       }},
      {"local_response_norm of 64, beta 1.3", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 150), last);
         return ops::local_response_norm(g, x, {.size = 64, .alpha = 0.5f, .beta = 1.3f, .k = 0.9f},
                                         layer);
       }},
  };
}

}  // namespace tessera::testing
