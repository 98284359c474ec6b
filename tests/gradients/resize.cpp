// Gradients of adaptive pooling, up-sampling and unpooling.

#include <gradients/checked_case.hpp>

namespace tessera::testing {

namespace {

i32 build(graph& g, bool last, kind what, i32 height, i32 width, bool aligned = false) {
  return ops::resize(g, what, input(g, shape(2, 3, 5, 7), last), height, width, layer, aligned);
}

const checked_case cases[] = {
    {"adaptive_avg_pool2d",
     [](graph& g, bool last) { return build(g, last, kind::adaptive_avg_pool2d, 3, 2); }},
    {"adaptive_avg_pool2d to a larger image",
     [](graph& g, bool last) { return build(g, last, kind::adaptive_avg_pool2d, 8, 9); }},
    {"adaptive_max_pool2d",
     [](graph& g, bool last) { return build(g, last, kind::adaptive_max_pool2d, 2, 4); }},
    {"adaptive_max_pool2d to a larger image",
     [](graph& g, bool last) { return build(g, last, kind::adaptive_max_pool2d, 6, 11); }},
    {"upsample_nearest",
     [](graph& g, bool last) { return build(g, last, kind::upsample_nearest, 10, 17); }},
    {"upsample_nearest to a smaller image",
     [](graph& g, bool last) { return build(g, last, kind::upsample_nearest, 4, 3); }},
    {"upsample_bilinear",
     [](graph& g, bool last) { return build(g, last, kind::upsample_bilinear, 11, 14); }},
    {"upsample_bilinear, corners aligned",
     [](graph& g, bool last) { return build(g, last, kind::upsample_bilinear, 11, 13, true); }},
    {"upsample_bilinear to a smaller image",
     [](graph& g, bool last) { return build(g, last, kind::upsample_bilinear, 3, 1, true); }},
    {"max_unpool2d, numbers that repeat and numbers out of range",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 3, 4, 2), last);
       const i32 indices =
           add_tensor(g, shape(2, 3, 4, 2), {.type = element::int32, .batch_last = last});
       return ops::max_unpool2d(g, x, indices, 3, 2, layer);
     }},
    {"max_unpool2d of a max pool, windows that overlap",
     [](graph& g, bool last) {
       const i32 y = ops::pool2d(g, kind::max_pool2d, input(g, shape(2, 3, 7, 8), last),
                                 make_window(3, 2, 1), layer);
       const operation pool = g.operations[g.operations.size() - 1];
       return ops::max_unpool2d_like(g, y, pool, 7, 8, layer);
     }},
};

}  // namespace

std::vector<checked_case> resize_cases() { return {std::begin(cases), std::end(cases)}; }

TEST_CASE("gradients of resizing agree with central differences", "[gradients]") {
  for (const checked_case& c : cases) check_case(c);
}

}  // namespace tessera::testing
