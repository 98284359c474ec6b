// Every operation of the table, forward and backward, priced on every machine there is.

#include <catalogue/catalogue.hpp>

#include <support/catch.hpp>
#include <tessera/backends/accelerator/price.hpp>
#include <tessera/machine/presets.hpp>
#include <tessera/passes/precision.hpp>

namespace tessera::testing {

namespace {

/// Signatures of a row's operations and their gradients.
std::vector<signature> signatures_of(const row& r, i32 batch, bool last, element type) {
  const example e = case_of(r, batch).build(last);
  graph g = e.g;
  differentiate_from(g, e.seeded());
  for (const i32 id : e.of) keep(g, id);
  passes::assign_precision(
      g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
  std::vector<signature> all;
  for (const operation& op : g.operations) {
    if (op.what == kind::loop || op.what == kind::end_loop) continue;
    all.push_back(ops::sign(g, op));
  }
  return all;
}

}  // namespace

TEST_CASE("every preset prices every operation and gradient of the table", "[prices]") {
  i64 priced = 0;
  for (const row& r : all_rows()) {
    for (const i32 batch : {1, 32}) {
      for (const element type : {element::f32, element::f16}) {
        for (const signature& s : signatures_of(r, batch, batch == 32, type)) {
          for (const machine* m : accelerator::machines) {
            INFO(r.name << " on " << m->name << ", kind " << static_cast<i32>(s.what));
            const accelerator::operation_price p = accelerator::price(*m, s);
            const bool costs = p.cycles() > 0 && p.vertices > 0 && p.energy_fJ > 0;
            const bool sound = p.compute_cycles >= 0 && p.exchange_cycles >= 0 &&
                               p.sync_cycles >= 0 && p.macs >= 0 && p.vector_ops >= 0 &&
                               p.peak_tile_bytes >= 0;
            CHECK((costs && sound));
            ++priced;
          }
        }
      }
    }
  }
  CHECK(priced > 10000);
}

}  // namespace tessera::testing
