// Rows of the table: products, and what is added to or multiplied with channels.

#include <catalogue/catalogue.hpp>

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

i32 build_conv_transpose(graph& g, i32 batch, bool last, const shape& image, i32 out,
                         const window& w, i32 padding, i32 groups = 1, bool bias = true) {
  const i32 x = input(g, image.batch_of(batch), last);
  const i32 weight = add_weight(g, shape(image[0], out / groups, w.kernel[0], w.kernel[1]));
  const i32 b = bias ? add_weight(g, shape(out), element::f32, "bias") : -1;
  return ops::conv_transpose2d(g, x, weight, b, w, {padding, padding}, groups, layer);
}

template <i32 (*Operation)(graph&, i32, i32, tensor_name)>
i32 build_by_channel(graph& g, i32 batch, bool last, const shape& sample, i32 stack = 0) {
  const shape over_time(sample[0], batch, sample[1], sample[2]);
  const i32 x = input(g, stack == 0 ? sample.batch_of(batch) : over_time, last);
  g.tensors[x].stack = stack;
  return Operation(g, x, add_weight(g, shape(sample[stack])), layer);
}

}  // namespace

std::vector<row> product_rows() {
  return {
      {"dense 1 to 1", agreement::sum, build_dense<1, 1>},
      {"dense 7 to 3", agreement::sum, build_dense<7, 3>},
      {"dense 33 to 19", agreement::sum, build_dense<33, 19>},
      {"dense 400 to 120", agreement::sum, build_dense<400, 120>},
      {"dense without bias", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return ops::dense(g, input(g, shape(n, 3), last), add_weight(g, shape(2, 3)), -1, layer);
       }},
      {"dense of rows that are no samples", agreement::sum,
       [](graph& g, i32, bool) {
         const i32 x = add_tensor(g, shape(3, 5), {.batched = false, .differentiable = true});
         return ops::dense(g, x, add_weight(g, shape(4, 5)), add_weight(g, shape(4)), layer);
       }},
      {"dense of a view", agreement::sum,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 2, 1, 3), last);
         const i32 flat = ops::view(g, ops::unary(g, kind::relu, x, layer), shape(n, 6));
         return ops::dense(g, flat, add_weight(g, shape(2, 6)), -1, layer);
       }},
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
      {"conv_transpose2d 3x3 of 4x7x5", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_conv_transpose(g, n, last, shape(4, 7, 5), 6, make_window(3, 1, 0), 0);
       }},
      {"conv_transpose2d 4x4, stride 2, padding 1, groups 2", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_conv_transpose(g, n, last, shape(4, 5, 6), 6, make_window(4, 2, 1), 1, 2);
       }},
      {"conv_transpose2d, dilation 2, output padding beyond the stride, no bias", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_conv_transpose(g, n, last, shape(2, 4, 3), 2, make_window(2, 1, 0, 2), 1, 1,
                                     false);
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
  };
}

}  // namespace tessera::testing
