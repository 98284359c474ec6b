// Golden checks of embedding and embedding bags.

#include <catalogue/goldens/case_graph.hpp>

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
    net.output("y", ops::embedding(net.g, x, table, padding, layer));
  });
}

/// As a list with offsets; and, where nothing but the table has a gradient, as bags of one length
/// that are filled up with numbers that are no rows.
void check_embedding_bag(const golden_case& c, findings& f) {
  const std::vector<double> list = c.tensor("inputs", "indices").values;
  const std::vector<double> offsets = c.tensor("inputs", "offsets").values;
  const i32 entries = static_cast<i32>(list.size());
  const i32 bags = static_cast<i32>(offsets.size());
  const auto read = [&](case_graph& net, attribute_reader& attrs, i32 x, i32 weights, i32 starts) {
    const auto mode = attrs.choice<bag_mode>(
        "mode", {{"sum", bag_mode::sum}, {"mean", bag_mode::mean}, {"max", bag_mode::max}});
    const shape rows(attrs.get<i32>("num"), attrs.get<i32>("dim"));
    const auto given = attrs.get<io::json>("padding_idx");
    const i32 padding = given.is_null() ? -1 : given.get<i32>();
    const i32 table = net.weight("weight", rows);
    net.output("y", ops::embedding_bag(net.g, x, table, weights, starts, mode, padding, layer));
  };
  const bool weighted = c.has("inputs", "per_sample_weights");
  check_operation(c, f, bags, [&](case_graph& net, attribute_reader& attrs) {
    const i32 starts = net.input("offsets", shape(bags), role::input, element::int32);
    const i32 x = net.input("indices", shape(entries), role::input, element::int32, false);
    const i32 weights =
        weighted ? net.input("per_sample_weights", shape(entries), role::input, element::f32, false)
                 : -1;
    read(net, attrs, x, weights, starts);
  });
  if (weighted) return;
  std::size_t longest = 1;
  const auto end_of = [&](std::size_t b) {
    return b + 1 < offsets.size() ? static_cast<std::size_t>(offsets[b + 1]) : list.size();
  };
  for (std::size_t b = 0; b < offsets.size(); ++b) {
    longest = std::max(longest, end_of(b) - static_cast<std::size_t>(offsets[b]));
  }
  std::vector<double> filled(offsets.size() * longest, -1);
  for (std::size_t b = 0; b < offsets.size(); ++b) {
    const auto first = static_cast<std::size_t>(offsets[b]);
    for (std::size_t e = first; e < end_of(b); ++e) filled[b * longest + e - first] = list[e];
  }
  check_operation(c, f, bags, [&](case_graph& net, attribute_reader& attrs) {
    const i32 x = add_tensor(net.g, shape(bags, static_cast<i32>(longest)),
                             {.type = element::int32, .batch_last = net.batch_last()});
    net.given(x, filled);
    read(net, attrs, x, -1, -1);
  });
}

}  // namespace tessera::testing
