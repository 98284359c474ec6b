// Golden checks of what attention is made of: products of activations, softmax, scaled dot product
// and additive attention, positions; on every backend and layout.

#include <tessera/ops/attention.hpp>
#include <tessera/optim/initialize.hpp>
#include <catalogue/goldens/case_graph.hpp>

namespace tessera::testing {

namespace {

/// The outermost extent of what comes out of a product of these shapes, 1 for plain matrices.
i32 leading_extent(const shape& a, const shape& b) {
  const i32 rank = std::max(a.rank, b.rank);
  if (rank <= 2) return 1;
  const i32 of_a = a.rank == rank ? a[0] : 1;
  const i32 of_b = b.rank == rank ? b[0] : 1;
  return std::max(of_a, of_b);
}

/// An input whose first extent counts samples where there are `rank` extents and as many samples.
i32 input_of(case_graph& net, const golden_case& c, const std::string& name, i32 rank, i32 batch) {
  const shape dims = c.tensor("inputs", name).dims_as_they_are();
  const bool batched = rank > 2 && dims.rank == rank && dims[0] == batch;
  return net.input(name, dims, role::input, element::f32, batched);
}

void check_along_axis(const golden_case& c, findings& f, kind what) {
  const shape dims = c.tensor("inputs", "x").dims_as_they_are();
  i32 axis = c.attributes().get<i32>("axis");
  if (axis < 0) axis += dims.rank;
  // Along axis 0 there are no samples: all extents are values.
  check_operation(c, f, axis == 0 ? 1 : dims[0], [&](case_graph& net, attribute_reader& attrs) {
    attrs.get<i32>("axis");
    const i32 x = net.input("x", dims, role::input, element::f32, axis > 0);
    net.output("y", ops::softmax(net.g, what, x, axis > 0 ? axis - 1 : 0, layer));
  });
}

}  // namespace

void check_matmul(const golden_case& c, findings& f) {
  const shape a = c.tensor("inputs", "a").dims_as_they_are();
  const shape b = c.tensor("inputs", "b").dims_as_they_are();
  const i32 batch = leading_extent(a, b);
  check_operation(c, f, batch, [&](case_graph& net, attribute_reader& attrs) {
    const i32 rank = std::max(a.rank, b.rank);
    const i32 left = input_of(net, c, "a", rank, batch);
    const i32 right = input_of(net, c, "b", rank, batch);
    const bool transpose_a = attrs.get<bool>("transpose_a");
    const bool transpose_b = attrs.get<bool>("transpose_b");
    net.output("y", ops::matmul(net.g, left, right, transpose_a, transpose_b, layer));
  });
}

void check_softmax(const golden_case& c, findings& f) { check_along_axis(c, f, kind::softmax); }
void check_log_softmax(const golden_case& c, findings& f) {
  check_along_axis(c, f, kind::log_softmax);
}

void check_scaled_dot_product(const golden_case& c, findings& f) {
  const shape q = c.tensor("inputs", "q").dims_as_they_are();
  const i32 batch = q.rank > 2 ? q[0] : 1;
  const i32 heads = q.rank > 3 ? q[1] : 1;
  check_operation(c, f, batch, [&](case_graph& net, attribute_reader& attrs) {
    const auto operand = [&](const char* name) {
      const shape dims = c.tensor("inputs", name).dims_as_they_are();
      return net.input(name, shape(batch, heads, dims[dims.rank - 2], dims[dims.rank - 1]));
    };
    const i32 query = operand("q");
    const i32 key = operand("k");
    const i32 value = operand("v");
    ops::attention_masks masks;
    masks.causal = attrs.get<bool>("causal");
    attrs.get<io::json>("mask");  // its kind shows in its type
    if (c.has("inputs", "mask")) {
      const golden_tensor mask = c.tensor("inputs", "mask");
      shape dims = mask.dims_as_they_are();
      // (queries, keys), or with samples in front, or (heads, queries, keys)
      const bool batched = dims.rank == q.rank && dims.rank > 2 && (dims[0] > 1 || batch == 1);
      if (!batched && dims.rank == 4) dims = dims.sample();
      masks.mask[0] = net.input("mask", dims, role::input,
                                mask.boolean ? element::uint8 : element::f32, batched);
    }
    const ops::attention_outputs y =
        ops::attention(net.g, query, key, value, 0, masks, nullptr, layer);
    net.output("y", y.y);
    net.output("p", y.weights);
  });
}

void check_sinusoidal_positions(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const i32 times = attrs.get<i32>("T");
  const i32 features = attrs.get<i32>("D");
  attrs.all_must_be_asked();
  random_stream unused(1);
  std::vector<double> values(static_cast<std::size_t>(times * features));
  initialize(initializer::sinusoidal, features, times, unused, values);
  f.compare("outputs", "y", values);
}

}  // namespace tessera::testing
