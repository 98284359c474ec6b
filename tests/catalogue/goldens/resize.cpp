// Golden checks of adaptive pooling, up-sampling and unpooling.

#include <catalogue/goldens/case_graph.hpp>

namespace tessera::testing {

namespace {

void check_resize(const golden_case& c, findings& f, kind what) {
  const shape dims = c.tensor("inputs", "x").dims_as(4);
  check_operation(c, f, dims[0], [&](case_graph& net, attribute_reader& attrs) {
    i32 size[2];
    attrs.pair("output", size);
    const bool aligned = attrs.get<bool>("align_corners", false);
    net.output("y", ops::resize(net.g, what, net.input("x"), size[0], size[1], layer, aligned));
  });
}

}  // namespace

void check_adaptive_avg_pool(const golden_case& c, findings& f) {
  check_resize(c, f, kind::adaptive_avg_pool2d);
}
void check_adaptive_max_pool(const golden_case& c, findings& f) {
  check_resize(c, f, kind::adaptive_max_pool2d);
}
void check_upsample_nearest(const golden_case& c, findings& f) {
  check_resize(c, f, kind::upsample_nearest);
}
void check_upsample_bilinear(const golden_case& c, findings& f) {
  check_resize(c, f, kind::upsample_bilinear);
}

/// With the numbers as they are; and where they are places of the case's windows, by those too, as
/// a network unpools what it has pooled.
void check_max_unpool(const golden_case& c, findings& f) {
  const shape dims = c.tensor("inputs", "x").dims_as(4);
  check_operation(c, f, dims[0], [&](case_graph& net, attribute_reader& attrs) {
    i32 size[2];
    attrs.pair("output_size", size);
    attrs.ignore("kernel");
    attrs.ignore("stride");
    attrs.ignore("padding");
    const i32 x = net.input("x");
    const i32 indices = net.input("indices", dims, role::input, element::int32);
    net.output("y", ops::max_unpool2d(net.g, x, indices, size[0], size[1], layer));
  });
  check_operation(c, f, dims[0], [&](case_graph& net, attribute_reader& attrs) {
    i32 size[2];
    attrs.pair("output_size", size);
    operation pool;
    attrs.pair("kernel", pool.attr.win.kernel);
    attrs.pair("stride", pool.attr.win.stride);
    if (attrs.has("padding")) attrs.pair("padding", pool.attr.win.pad_begin);
    const window& w = pool.attr.win;
    std::vector<double> places;
    for (const double index : c.tensor("inputs", "indices").values) {
      const i32 i = static_cast<i32>(places.size());
      const i32 row = static_cast<i32>(index) / size[1];
      const i32 column = static_cast<i32>(index) % size[1];
      const i32 r = row - i / dims[3] % dims[2] * w.stride[0] + w.pad_begin[0];
      const i32 s = column - i % dims[3] * w.stride[1] + w.pad_begin[1];
      places.push_back(r * w.kernel[1] + s);
    }
    const i32 x = net.input("x");
    pool.out[1] = add_tensor(net.g, dims, {.type = element::uint8});
    net.g.tensors[pool.out[1]].batch_last = net.g.tensors[x].batch_last;
    net.given(pool.out[1], places);
    net.output("y", ops::max_unpool2d_like(net.g, x, pool, size[0], size[1], layer));
  });
}

}  // namespace tessera::testing
