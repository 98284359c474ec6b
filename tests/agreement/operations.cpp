// Every operation, forward and backward, on every backend: the same results as the plain loops.
// Some families have their part of the table in files of their own.

#include <agreement/operation_case.hpp>

namespace tessera::testing {

namespace {

template <i32 In, i32 Out>
i32 build_dense(graph& g, i32 batch, bool last) {
  const i32 x = input(g, shape(batch, In), last);
  return ops::dense(g, x, add_weight(g, shape(Out, In)),
                    add_weight(g, shape(Out), element::f32, "bias"), layer);
}

i32 build_conv(graph& g, i32 batch, bool last, const shape& image, i32 out, const window& w,
               i32 groups = 1, bool bias = true) {
  const i32 x = input(g, image.batch_of(batch), last);
  const i32 weight = add_weight(g, shape(out, image[0] / groups, w.kernel[0], w.kernel[1]));
  const i32 b = bias ? add_weight(g, shape(out), element::f32, "bias") : -1;
  return ops::conv2d(g, x, weight, b, w, groups, layer);
}

i32 build_pool(graph& g, i32 batch, bool last, kind what, const shape& image, window w,
               bool ceil = false, bool pad = false) {
  w.ceil_mode = ceil;
  w.count_include_pad = pad;
  return ops::pool2d(g, what, input(g, image.batch_of(batch), last), w, layer);
}

template <kind What>
i32 build_unary(graph& g, i32 batch, bool last) {
  attributes attr;
  attr.rate = 0.4f;
  attr.salt = 5;
  return ops::unary(g, What, input(g, shape(batch, 3, 7), last), layer, attr);
}

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

i32 build_mse(graph& g, i32 batch, bool last, reduction reduce) {
  const i32 y = input(g, shape(batch, 7), last);
  const i32 t = add_tensor(g, shape(batch, 7), {.what = role::target, .batch_last = last});
  return ops::mse(g, y, t, {.reduce = reduce, .weight = 0.5f});
}

/// h + c of a cell whose state has H features, so that both get a gradient.
template <i32 H>
i32 build_lstm(graph& g, i32 n, bool last) {
  const i32 z = input(g, shape(n, 4 * H), last);
  const ops::lstm_outputs state = ops::lstm_cell(g, z, input(g, shape(n, H), last), layer);
  return ops::add(g, state.h, state.c, layer);
}

template <i32 H>
i32 build_gru(graph& g, i32 n, bool last) {
  const i32 zx = input(g, shape(n, 3 * H), last);
  const i32 zh = input(g, shape(n, 3 * H), last);
  return ops::gru_cell(g, zx, zh, input(g, shape(n, H), last), layer);
}

i32 build_select(graph& g, i32 n, bool last, bool with_a, bool with_b) {
  const i32 lengths = add_tensor(g, shape(n), {.type = element::int32, .batch_last = last});
  const i32 a = with_a ? input(g, shape(n, 3, 7), last) : -1;
  const i32 b = with_b ? input(g, shape(n, 3, 7), last) : -1;
  return ops::select_by_length(g, lengths, a, b, layer);
}

i32 build_embedding(graph& g, const shape& indices, bool last, i32 rows, i32 width, i32 stack = 0,
                    i32 padding = -1) {
  const i32 i = add_tensor(g, indices, {.type = element::int32, .batch_last = last});
  g.tensors[i].stack = stack;
  return ops::embedding(g, i, add_weight(g, shape(rows, width)), padding, layer);
}

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

i32 build_conv_transpose(graph& g, i32 batch, bool last, const shape& image, i32 out,
                         const window& w, i32 padding, i32 groups = 1) {
  const i32 x = input(g, image.batch_of(batch), last);
  const i32 weight = add_weight(g, shape(image[0], out / groups, w.kernel[0], w.kernel[1]));
  return ops::conv_transpose2d(g, x, weight, add_weight(g, shape(out), element::f32, "bias"), w,
                               {padding, padding}, groups, layer);
}

template <i32 (*Operation)(graph&, i32, i32, tensor_name)>
i32 build_by_channel(graph& g, i32 batch, bool last, const shape& sample, i32 stack = 0) {
  const shape over_time(sample[0], batch, sample[1], sample[2]);
  const i32 x = input(g, stack == 0 ? sample.batch_of(batch) : over_time, last);
  g.tensors[x].stack = stack;
  return Operation(g, x, add_weight(g, shape(sample[stack])), layer);
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

const operation_case cases[] = {
    {"dense 1 to 1", agreement::sum, build_dense<1, 1>},
    {"dense 7 to 3", agreement::sum, build_dense<7, 3>},
    {"dense 33 to 19", agreement::sum, build_dense<33, 19>},
    {"dense 400 to 120", agreement::sum, build_dense<400, 120>},
    {"conv2d 5x5 of 1x28x28, padding 2", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_conv(g, n, last, shape(1, 28, 28), 6, make_window(5, 1, 2));
     }},
    {"conv2d 5x5 of 6x14x14", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_conv(g, n, last, shape(6, 14, 14), 16, make_window(5, 1, 0));
     }},
    {"conv2d 1x1", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_conv(g, n, last, shape(5, 3, 3), 7, make_window(1, 1, 0));
     }},
    {"conv2d 3x3, stride 2, groups 2, no bias", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_conv(g, n, last, shape(4, 9, 7), 6, make_window(3, 2, 1), 2, false);
     }},
    {"conv2d 3x3, dilation 2, depthwise", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_conv(g, n, last, shape(3, 8, 11), 3, make_window(3, 1, 2, 2), 3);
     }},
    {"conv2d 1x7, uneven padding, stride 3 down", agreement::sum,
     [](graph& g, i32 n, bool last) {
       window w = make_window(1, 1, 0);
       w.kernel[1] = 7;
       w.stride[0] = 3;
       w.pad_begin[1] = 2;
       w.pad_end[1] = 4;
       return build_conv(g, n, last, shape(2, 8, 9), 5, w);
     }},
    {"dropout", agreement::exact, build_unary<kind::dropout>},
    {"bernoulli", agreement::exact, build_unary<kind::bernoulli>},
    {"bernoulli of many", agreement::exact,
     [](graph& g, i32 n, bool last) {
       return ops::bernoulli(g, input(g, shape(n, 1001), last), 7, layer);
     }},
    {"bernoulli, given draws", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const i32 p = input(g, shape(n, 37), last);
       return ops::bernoulli(g, p, 0, layer, input(g, shape(n, 37), last));
     }},
    {"gaussian_noise", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::gaussian_noise(g, input(g, shape(n, 667), last), 0.8f, 7, layer);
     }},
    {"gaussian_noise, given draws", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       const i32 x = input(g, shape(n, 5, 3), last);
       return ops::gaussian_noise(g, x, 0.3f, 0, layer, input(g, shape(n, 5, 3), last));
     }},
    {"weigh_samples", agreement::exact,
     [](graph& g, i32 n, bool last) {
       return ops::weigh_samples(g, input(g, shape(n, 7, 13), last), -1.5f, 0, layer);
     }},
    {"weigh_samples that all count", agreement::exact,
     [](graph& g, i32 n, bool last) {
       return ops::weigh_samples(g, input(g, shape(n, 41), last), 1, n, layer);
     }},
    {"weigh_samples over time", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const i32 x = input(g, shape(3, n, 17), last);
       g.tensors[x].stack = 1;
       return ops::weigh_samples(g, x, 2, 0, layer);
     }},
    {"add", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const i32 a = input(g, shape(n, 5, 3), last);
       return ops::add(g, a, input(g, shape(n, 5, 3), last), layer);
     }},
    {"subtract", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const i32 a = input(g, shape(n, 5, 3), last);
       return ops::subtract(g, a, input(g, shape(n, 5, 3), last), layer);
     }},
    {"multiply", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const i32 a = input(g, shape(n, 5, 3), last);
       return ops::multiply(g, a, input(g, shape(n, 5, 3), last), layer);
     }},
    {"copy", agreement::exact, build_unary<kind::copy>},
    {"concat of channels, zeros between", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const ops::part parts[] = {
           {input(g, shape(n, 3, 7), last)}, {.zeros = 2}, {input(g, shape(n, 5, 7), last)}};
       return ops::concat(g, parts, 3, 0, layer);
     }},
    {"concat of a thousand features", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const ops::part parts[] = {{input(g, shape(n, 1001), last)}, {input(g, shape(n, 3), last)}};
       return ops::concat(g, parts, 2, 0, layer);
     }},
    {"split along a later axis, a part left over", agreement::exact,
     [](graph& g, i32 n, bool last) {
       const i32 extents[] = {4, 1, 4};
       const auto parts = ops::split(g, input(g, shape(n, 3, 9), last), extents, 3, 1, layer);
       return ops::subtract(g, parts[0], parts[2], layer);
     }},
    {"lstm_cell of 1", agreement::smooth, build_lstm<1>},
    {"lstm_cell of 19", agreement::smooth, build_lstm<19>},
    {"lstm_cell of 300", agreement::smooth, build_lstm<300>},
    {"gru_cell of 1", agreement::smooth, build_gru<1>},
    {"gru_cell of 19", agreement::smooth, build_gru<19>},
    {"gru_cell of 300", agreement::smooth, build_gru<300>},
    {"select_by_length", agreement::exact,
     [](graph& g, i32 n, bool last) { return build_select(g, n, last, true, true); }},
    {"select_by_length, or zeros", agreement::exact,
     [](graph& g, i32 n, bool last) { return build_select(g, n, last, true, false); }},
    {"select_by_length, zeros or", agreement::exact,
     [](graph& g, i32 n, bool last) { return build_select(g, n, last, false, true); }},
    {"embedding of 1 row", agreement::exact,  // sums too have one order
     [](graph& g, i32 n, bool last) { return build_embedding(g, shape(n), last, 1, 3); }},
    {"embedding of 500 rows of 70, several positions", agreement::exact,
     [](graph& g, i32 n, bool last) {
       return build_embedding(g, shape(n, 6), last, 500, 70, 0, 2);
     }},
    {"embedding over time", agreement::exact,
     [](graph& g, i32 n, bool last) { return build_embedding(g, shape(9, n), last, 11, 17, 1); }},
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
    {"batch_norm_inference", agreement::norm,
     [](graph& g, i32 n, bool last) {
       return build_norm(g, n, last, kind::batch_norm_inference, shape(5, 3, 4), shape(5),
                         {.epsilon = 0.1f});
     }},
    {"batch_norm_inference of features, not affine", agreement::norm,
     [](graph& g, i32 n, bool last) {
       return build_norm(g, n, last, kind::batch_norm_inference, shape(37), {}, {.epsilon = 0.1f});
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
    {"bias_add", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_by_channel<ops::bias_add>(g, n, last, shape(5, 3, 7));
     }},
    {"bias_add of features", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_by_channel<ops::bias_add>(g, n, last, shape(37));
     }},
    {"bias_add over time", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_by_channel<ops::bias_add>(g, n, last, shape(3, 5, 7), 1);
     }},
    {"channel_scale", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_by_channel<ops::channel_scale>(g, n, last, shape(5, 6, 7));
     }},
    {"channel_scale of features", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_by_channel<ops::channel_scale>(g, n, last, shape(259));
     }},
    {"channel_scale over time", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_by_channel<ops::channel_scale>(g, n, last, shape(3, 17, 2), 1);
     }},
    {"conv_transpose2d 3x3 of 4x7x5", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_conv_transpose(g, n, last, shape(4, 7, 5), 6, make_window(3, 1, 0), 0);
     }},
    {"conv_transpose2d 4x4, stride 2, padding 1, groups 2", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_conv_transpose(g, n, last, shape(4, 5, 6), 6, make_window(4, 2, 1), 1, 2);
     }},
    {"max_pool2d 2x2", agreement::exact,
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::max_pool2d, shape(6, 28, 28), make_window(2, 2, 0));
     }},
    {"max_pool2d of the whole plane", agreement::exact,
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::max_pool2d, shape(3, 5, 5), make_window(5, 5, 0));
     }},
    {"max_pool2d, padding, ceil_mode, overlap", agreement::sum,  // gradients add up
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::max_pool2d, shape(2, 7, 10), make_window(3, 2, 1), true);
     }},
    {"max_pool2d, dilation", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::max_pool2d, shape(1, 9, 8), make_window(2, 1, 0, 3));
     }},
    {"avg_pool2d 2x2", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::avg_pool2d, shape(6, 28, 28), make_window(2, 2, 0));
     }},
    {"avg_pool2d of the whole plane", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::avg_pool2d, shape(3, 5, 5), make_window(5, 5, 0));
     }},
    {"avg_pool2d, padding counted, overlap", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::avg_pool2d, shape(2, 7, 9), make_window(3, 2, 1), true,
                         true);
     }},
    {"avg_pool2d, padding not counted, ceil_mode", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_pool(g, n, last, kind::avg_pool2d, shape(2, 7, 10), make_window(3, 2, 1), true);
     }},
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
       return build_entropy_over_time(g, n, last, shape(1, 9), shape(1), {.label_smoothing = 0.1f});
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
};

TEST_CASE("every operation agrees on all backends, in both layouts, in f32 and f16",
          "[agreement]") {
  for (const operation_case& c : cases) check_agreement(c);
}

}  // namespace

}  // namespace tessera::testing
