#include <tessera/report/scaling.hpp>

#include <tessera/machine/presets.hpp>
#include <tessera/runtime/price_on.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>
#include <support/well_formed.hpp>

#include <numeric>
#include <set>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;
using namespace tessera::accelerator;

namespace {

constexpr machine mk2 = accelerator::ipu_mk2;

using values = std::vector<i64>;

/// Device d begins with its own numbers.
std::vector<values> made_values(i64 devices, i64 elements) {
  std::vector<values> all;
  for (i64 d = 0; d < devices; ++d) {
    values v;
    for (i64 e = 0; e < elements; ++e) v.push_back((d + 1) * 1000 + e * e);
    all.push_back(v);
  }
  return all;
}

values sum_of(const std::vector<values>& all) {
  values sum(all[0].size(), 0);
  for (const values& v : all) {
    for (std::size_t e = 0; e < v.size(); ++e) sum[e] += v[e];
  }
  return sum;
}

/// What a simulation of messages counts.
struct simulated {
  std::vector<values> result;
  i64 exchanges = 0;
  i64 link_cycles = 0;
  i64 meet_cycles = 0;
  i64 add_cycles = 0;
  i64 link_bytes = 0;
  i64 added = 0;
};

/// The ring, message by message: part p of every device's array goes once round to be summed and
/// once to be handed out.
simulated simulate_ring(const machine& m, i64 devices, i64 elements, i64 bytes) {
  simulated s;
  s.result = made_values(devices, elements);
  const i64 part = (elements + devices - 1) / devices;
  const auto begin = [&](i64 p) { return std::min(elements, p * part); };
  const auto mod = [&](i64 p) { return (p % devices + devices) % devices; };
  for (i64 step = 0; step < 2 * (devices - 1); ++step) {
    const bool adds = step < devices - 1;
    const std::vector<values> before = s.result;
    i64 most = 0;
    for (i64 d = 0; d < devices; ++d) {
      const i64 p = mod(adds ? d - step : d + 1 - (step - (devices - 1)));
      values& to = s.result[static_cast<std::size_t>(mod(d + 1))];
      for (i64 e = begin(p); e < begin(p + 1); ++e) {
        const i64 sent = before[static_cast<std::size_t>(d)][static_cast<std::size_t>(e)];
        i64& at = to[static_cast<std::size_t>(e)];
        at = adds ? at + sent : sent;
        s.added += adds ? 1 : 0;
      }
      most = std::max(most, begin(p + 1) - begin(p));
      s.link_bytes += (begin(p + 1) - begin(p)) * bytes;
    }
    ++s.exchanges;
    s.link_cycles += link_cycles(m, most * bytes);
    s.meet_cycles += meeting_cycles(m, 1);
    if (adds) s.add_cycles += accelerator::detail::adding_cycles(m, most);
  }
  return s;
}

/// The tree on a line of chips: link i joins chips i and i + 1.
simulated simulate_tree(const machine& m, i64 devices, i64 elements, i64 bytes) {
  simulated s;
  s.result = made_values(devices, elements);
  std::vector<i64> distances;
  for (i64 hops = 1; hops < devices; hops *= 2) distances.push_back(hops);
  const auto round = [&](i64 hops, bool adds) {
    std::set<i64> links;
    for (i64 low = 0; low + hops < devices; low += 2 * hops) {
      values& near = s.result[static_cast<std::size_t>(low)];
      values& far = s.result[static_cast<std::size_t>(low + hops)];
      for (i64 link = low; link < low + hops; ++link) CHECK(links.insert(link).second);
      for (std::size_t e = 0; e < near.size(); ++e) {
        if (adds)
          near[e] += far[e];
        else
          far[e] = near[e];
        s.added += adds ? 1 : 0;
      }
      s.link_bytes += hops * elements * bytes;
    }
    ++s.exchanges;
    s.link_cycles += link_cycles(m, elements * bytes);
    s.meet_cycles += meeting_cycles(m, hops);
    if (adds) s.add_cycles += accelerator::detail::adding_cycles(m, elements);
  };
  for (const i64 hops : distances) round(hops, true);
  std::reverse(distances.begin(), distances.end());
  for (const i64 hops : distances) round(hops, false);
  return s;
}

void check_equal(const all_reduce_price& p, const simulated& s, i64 devices, i64 elements) {
  const values sum = sum_of(made_values(devices, elements));
  for (const values& v : s.result) CHECK(v == sum);
  CHECK(p.exchanges == s.exchanges);
  CHECK(p.link_cycles == s.link_cycles);
  CHECK(p.meet_cycles == s.meet_cycles);
  CHECK(p.add_cycles == s.add_cycles);
  CHECK(p.link_bytes == s.link_bytes);
  CHECK(p.vector_ops == s.added);
}

using small = network<image<1, 4, 4>, conv<2, 3>, relu, flatten, dense<3>>;
using small_job = training<small, softmax_cross_entropy, momentum_sgd, batch<2>>;

constexpr parallel_price pod = cost_on<small_job, devices<64, mk2>>;
static_assert(pod.devices == 64 && pod.step == cost<small_job, mk2>);
static_assert(pod.reduction.cycles() > 0 && pod.cycles() > pod.step.cycles());
static_assert(cost_on<small_job, devices<1, mk2>>.reduction == all_reduce_price{});

}  // namespace

TEST_CASE("rings and trees cost what their messages do", "[report][price]") {
  for (i64 devices = 2; devices <= 17; ++devices) {
    for (const i64 elements : {i64{1}, i64{2}, i64{7}, devices, 3 * devices + 1, i64{1000}}) {
      for (const element type : {element::f16, element::f32}) {
        const i64 bytes = bytes_of(type);
        check_equal(ring_all_reduce(mk2, devices, elements, type),
                    simulate_ring(mk2, devices, elements, bytes), devices, elements);
        check_equal(tree_all_reduce(mk2, devices, elements, type),
                    simulate_tree(mk2, devices, elements, bytes), devices, elements);
      }
    }
  }
}

TEST_CASE("all-reduces meet their closed forms", "[report][price]") {
  // 25.6 million halves on 64 chips: 2 x 63 exchanges of 400,000 elements at 136 GB/s.
  const all_reduce_price ring = ring_all_reduce(mk2, 64, 25'600'000, element::f16);
  CHECK(mk2.links.bytes_per_second() == 136'000'000'000);
  CHECK(ring.link_cycles == 126 * ((800'000 * i64{133} + 13'599) / 13'600));
  CHECK(ring.meet_cycles == 126 * (90 + 100 + 20));  // 15 ns at 1.33 GHz
  CHECK(ring.link_bytes == 2 * 63 * i64{51'200'000});
  CHECK(all_reduce(mk2, 64, 25'600'000, element::f16) == ring);
  // Few bytes on many chips: 12 exchanges begin sooner than 126.
  const all_reduce_price tree = all_reduce(mk2, 64, 100, element::f16);
  CHECK(tree.path == reduction_path::tree);
  CHECK(tree.meet_cycles == 2 * (6 * 190 + 63 * 20));
  CHECK(all_reduce(mk2, 1, 100, element::f16) == all_reduce_price{});
  CHECK(tree_rounds(1) == 0);
  CHECK(tree_rounds(5) == 3);
}

TEST_CASE("as many gradients are summed as there are parameters", "[report][price]") {
  const gradient_volume v = accelerator::gradients_of(thaw(small_job::plan::step_graph));
  CHECK(v.elements == small_job::parameter_count);
  CHECK(v.type == element::f32);
  job_options o;
  o.batch = 2;
  o.precision = tessera::mixed<fp16>::policy;
  const graph g = make_training<small, softmax_cross_entropy>(o, rule_of<momentum_sgd>());
  CHECK(accelerator::gradients_of(g).type == element::f16);
  CHECK(accelerator::gradients_of(g).elements == small_job::parameter_count);
}

TEST_CASE("weak and strong scaling state rates and efficiency", "[report][price]") {
  const gradient_volume gradients{1'000'000, element::f32};
  const price_of_batch price = [](i32 batch) {
    step_price p;
    p.compute_cycles = 100'000 + 50'000 * i64{batch};
    p.energy_fJ = 1000;
    return p;
  };
  const std::vector<i32> counts{1, 2, 4, 8, 64};
  const scaling_curve weak = scale_weakly(mk2, counts, 4, price, gradients);
  REQUIRE(weak.points.size() == 5);
  CHECK(weak.points[0].efficiency == Approx(1));
  for (const scaling_point& p : weak.points) {
    CHECK(p.batch == 4 * p.devices);
    CHECK(p.price.step == price(4));
    CHECK(p.price.cycles() ==
          300'000 + all_reduce(mk2, p.devices, 1'000'000, element::f32).cycles());
    CHECK(p.efficiency == Approx(300'000.0 / static_cast<double>(p.price.cycles())));
    CHECK(p.price.energy_fJ() == p.devices * 1000 + p.price.reduction.energy_fJ);
  }
  const scaling_curve strong = scale_strongly(mk2, counts, 6, price, gradients);
  REQUIRE(strong.points.size() == 3);  // 8 and 64 are more than samples
  CHECK(strong.points[2].device_batch == 2);
  CHECK(strong.points[2].batch == 6);
  CHECK(strong.points[0].efficiency == Approx(1));
  CHECK(strong.points[1].samples_per_second() ==
        Approx(6 * 1.33e9 / static_cast<double>(strong.points[1].price.cycles())));

  std::ostringstream table;
  report_scaling(table, strong);
  CHECK(table.str().find("strong, batch 6 in all\n") == 0);
  const io::json report = io::parse_json(to_json(weak).dump(), "curve");
  CHECK(report.at("points").size() == 5);
  CHECK(report.at("points")[4].at("cycles") == weak.points[4].price.cycles());
  const std::string svg = text_of([&](std::ostream& out) {
    write_scaling_svg(out, {weak, strong, {"none", {}}}, "<a>");
  });
  CHECK(well_formed(svg));
}
