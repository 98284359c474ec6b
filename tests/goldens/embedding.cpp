// Golden checks of embedding.

#include <goldens/case_graph.hpp>

namespace tessera::testing {

void check_embedding(const golden_case& c, findings& f) {
  const shape indices = c.tensor("inputs", "indices").dims_as_they_are();
  check_operation(c, f, indices[0], [&](case_graph& net, attribute_reader& attrs) {
    const i32 rows = attrs.get<i32>("num");
    const i32 width = attrs.get<i32>("dim");
    const auto given = attrs.get<io::json>("padding_idx");
    const i32 padding = given.is_null() ? -1 : given.get<i32>();
    const i32 x = net.input("indices", indices, role::input, element::int32);
    const i32 table = net.weight("weight", shape(rows, width));
    net.output("y", ops::embedding(net.g, x, table, padding, {"golden", 0, ""}));
  });
}

}  // namespace tessera::testing
