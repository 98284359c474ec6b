#include <catalogue/catalogue.hpp>

namespace tessera::testing {

std::vector<row> all_rows() {
  std::vector<row> all;
  for (const auto family :
       {product_rows, norm_rows, pool_rows, resize_rows, pointwise_rows, move_rows, cell_rows,
        embedding_rows, attention_rows, expert_rows, loss_rows}) {
    for (const row& r : family()) all.push_back(r);
  }
  return all;
}

std::vector<i32> example::losses() const {
  std::vector<i32> ids;
  for (const operation& op : g.operations) {
    if (is_loss(op.what) || op.what == kind::balance_loss) ids.push_back(op.out[0]);
  }
  return ids;
}

std::vector<i32> example::seeded() const {
  if (!losses().empty()) return {};
  std::vector<i32> ids;
  for (const i32 id : of) {
    if (g.tensors[id].differentiable) ids.push_back(id);
  }
  return ids;
}

catalogue_case case_of(const row& r, i32 batch) {
  const auto build = [build = r.build, batch](bool last) {
    example e;
    e.of = build(e.g, batch, last);
    return e;
  };
  return {r.name, r.how, batch, build};
}

}  // namespace tessera::testing
