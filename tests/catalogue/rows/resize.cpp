// Rows of the table: adaptive pooling, up-sampling and unpooling.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

i32 build_resize(graph& g, i32 batch, bool last, kind what, const shape& image, i32 height,
                 i32 width, bool aligned = false) {
  return ops::resize(g, what, input(g, image.batch_of(batch), last), height, width, layer, aligned);
}

i32 build_unpool(graph& g, i32 batch, bool last, const shape& image, const window& w) {
  const i32 x = input(g, image.batch_of(batch), last);
  const i32 y = ops::pool2d(g, kind::max_pool2d, x, w, layer);
  const operation pool = g.operations[g.operations.size() - 1];
  return ops::max_unpool2d_like(g, y, pool, image[1], image[2], layer);
}

}  // namespace

std::vector<row> resize_rows() {
  return {
      {"adaptive_avg_pool2d to 3x2", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::adaptive_avg_pool2d, shape(5, 13, 7), 3, 2);
       }},
      {"adaptive_avg_pool2d to 1x1", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::adaptive_avg_pool2d, shape(3, 7, 7), 1, 1);
       }},
      {"adaptive_avg_pool2d to a larger image", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::adaptive_avg_pool2d, shape(2, 3, 4), 5, 9);
       }},
      {"adaptive_max_pool2d to 4x3", agreement::norm,  // gradients add up
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::adaptive_max_pool2d, shape(3, 10, 11), 4, 3);
       }},
      {"adaptive_max_pool2d, windows of more than 256 cells", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::adaptive_max_pool2d, shape(1, 20, 34), 1, 2);
       }},
      {"upsample_nearest to twice the size", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::upsample_nearest, shape(3, 5, 6), 10, 12);
       }},
      {"upsample_nearest to odd sizes", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::upsample_nearest, shape(2, 6, 5), 4, 13);
       }},
      {"upsample_nearest wider than what is kept", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::upsample_nearest, shape(1, 1, 7), 1, 600);
       }},
      {"upsample_bilinear to twice the size", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::upsample_bilinear, shape(3, 5, 6), 10, 12);
       }},
      {"upsample_bilinear, corners aligned", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::upsample_bilinear, shape(2, 4, 7), 9, 13, true);
       }},
      {"upsample_bilinear to a smaller image", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::upsample_bilinear, shape(2, 9, 11), 3, 4);
       }},
      {"upsample_bilinear wider than what is kept", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::upsample_bilinear, shape(1, 1, 300), 1, 700);
       }},
      {"max_unpool2d by flat places, some none", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 3, 4, 5), last);
         const i32 indices =
             add_tensor(g, shape(n, 3, 4, 5), {.type = element::int32, .batch_last = last});
         return ops::max_unpool2d(g, x, indices, 7, 6, layer);
       }},
      {"max_unpool2d of a max pool 2x2", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_unpool(g, n, last, shape(4, 9, 8), make_window(2, 2, 0));
       }},
      {"max_unpool2d of a max pool whose windows overlap", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_unpool(g, n, last, shape(2, 7, 10), make_window(3, 2, 1));
       }},
      {"max_unpool2d of windows of more than 256 cells", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_unpool(g, n, last, shape(1, 34, 18), make_window(17, 17, 0));
       }},
      {"adaptive_max_pool2d to a larger image", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_resize(g, n, last, kind::adaptive_max_pool2d, shape(3, 5, 7), 6, 11);
       }},
  };
}

}  // namespace tessera::testing
