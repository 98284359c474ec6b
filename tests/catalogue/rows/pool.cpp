// Rows of the table: pooling.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

i32 build_pool(graph& g, i32 batch, bool last, kind what, const shape& image, window w,
               bool ceil = false, bool pad = false) {
  w.ceil_mode = ceil;
  w.count_include_pad = pad;
  return ops::pool2d(g, what, input(g, image.batch_of(batch), last), w, layer);
}

}  // namespace

std::vector<row> pool_rows() {
  return {
      {"max_pool2d 2x2", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_pool(g, n, last, kind::max_pool2d, shape(6, 28, 28), make_window(2, 2, 0));
       }},
      {"max_pool2d of the whole plane", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_pool(g, n, last, kind::max_pool2d, shape(3, 5, 5), make_window(5, 5, 0));
       }},
      {"max_pool2d, padding, ceil_mode, overlap", agreement::norm,  // gradients add up
       [](graph& g, i32 n, bool last) {
         return build_pool(g, n, last, kind::max_pool2d, shape(2, 7, 10), make_window(3, 2, 1),
                           true);
       }},
      {"max_pool2d, dilation", agreement::norm,
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
         return build_pool(g, n, last, kind::avg_pool2d, shape(2, 7, 10), make_window(3, 2, 1),
                           true);
       }},
  };
}

}  // namespace tessera::testing
