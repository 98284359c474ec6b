// The mode that checks gradients: every case against central differences in f64.

#include <catalogue/catalogue.hpp>

#include <tessera/runtime/gradient_check.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <set>

namespace tessera::testing {

namespace {

/// A padding row is read like any other but not learned: its gradient is no derivative.
void name_no_padding(const graph& g, i32 id, std::span<double> values) {
  for (const operation& op : g.operations) {
    const i32 padding = op.attr.padding_index;
    if (op.what != kind::embedding || op.in[0] != id || padding < 0) continue;
    std::replace(values.begin(), values.end(), double(padding), double(padding == 0 ? 1 : 0));
  }
}

}  // namespace

void check_gradients_of(const catalogue_case& c, bool may_have_kinks) {
  for (const bool last : {false, true}) {
    const example e = c.build(last);
    INFO(c.name << (last ? ", samples innermost" : ""));
    gradient_check options{.most_per_tensor = 40, .outputs = e.seeded()};
    options.fill = [&](i32 id, const tensor&, std::span<double> values) {
      for (const auto& [given, v] : e.given) {
        if (given == id) std::copy(v.begin(), v.end(), values.begin());
      }
      name_no_padding(e.g, id, values);
    };
    const auto check = [&](const gradient_check& how) {
      const gradient_report r = check_gradients(e.g, how);
      INFO(r.message);
      CHECK(r.ok());
      if (!may_have_kinks) CHECK(r.kinks == 0);
    };
    if (!options.outputs.empty()) {
      check(options);
      continue;
    }
    // A loss with a gradient from above; as the end; and with a padded sample.
    gradient_check above = options;
    above.outputs = e.losses();
    check(above);
    for (const i32 padded : {0, 1}) {
      options.valid = c.batch > padded ? c.batch - padded : c.batch;
      check(options);
    }
  }
}

namespace {

TEST_CASE("gradients of every operation agree with central differences", "[gradients]") {
  for (const row& r : all_rows()) {
    if (r.has_gradient) check_gradients_of(case_of(r, 3));
  }
}

TEST_CASE("the table has every operation that can be differentiated", "[gradients]") {
  std::set<kind> seen;
  for (const row& r : all_rows()) {
    if (!r.has_gradient) continue;
    for (const operation& op : case_of(r, 2).build(false).g.operations) seen.insert(op.what);
  }
  for (i32 i = 0; i < static_cast<i32>(kind::count); ++i) {
    const auto what = static_cast<kind>(i);
    if (what == kind::loop || what == kind::end_loop) continue;  // by what is between them
    if (what == kind::user) continue;                            // by what the user says
    if (what == kind::route_tokens) continue;                    // whole numbers beside others
    // An operation can be differentiated if its rule appends something for it.
    graph g;
    const i32 x = add_tensor(g, shape(1, 1, 1, 1), {.differentiable = true});
    operation op;
    op.what = what;
    op.in[0] = x;
    op.in[1] = add_weight(g, shape(1, 1, 1, 1));
    op.out[0] =
        add_tensor(g, shape(1, 1, 1, 1), {.what = role::activation, .differentiable = true});
    g.add(op);
    const passes::seed seed{op.out[0], add_seed(g, op.out[0])};
    const grow<i32> gradients = passes::differentiate(g, &seed, 1);
    INFO(ops::name_of(what));
    CHECK((gradients[x] >= 0 || gradients[op.in[1]] >= 0) == (seen.count(what) > 0));
  }
}

/// Runs a kernel of the wrong kind in one place.
template <kind Instead>
void run_wrong(const call& c) {
  signature s = *c.sizes;
  s.what = Instead;
  call other = c;
  other.sizes = &s;
  reference::run(other);
}

template <kind Wrong, kind Instead>
kernel find_wrong(const signature& s) {
  return s.what == Wrong ? &run_wrong<Instead> : reference::find_kernel(s);
}

TEST_CASE("a wrong gradient is found", "[gradients]") {
  graph g;
  const i32 x = input(g, shape(2, 3), false);
  const i32 y = ops::unary(g, kind::tanh, x, layer);
  gradient_check options{.outputs = {y}};
  CHECK(check_gradients(g, options).ok());
  options.find = &find_wrong<kind::tanh_gradient, kind::sigmoid_gradient>;
  const gradient_report r = check_gradients(g, options);
  CHECK_FALSE(r.ok());
  CHECK(r.wrong.size() == 6);
  CHECK_THAT(r.message, contains("gradient of test.value[0]: expected "));
}

TEST_CASE("kinks are counted and left out", "[gradients]") {
  graph g;
  const i32 x = input(g, shape(1, 4), false);
  const i32 y = ops::unary(g, kind::relu, x, layer);
  const gradient_report r = check_gradients(
      g, {.outputs = {y}, .fill = [&](i32, const tensor& t, std::span<double> values) {
            if (t.differentiable) values[1] = values[2] = 0;
          }});
  CHECK(r.kinks == 2);
  CHECK(r.checked == 2);
  CHECK(r.ok());
}

TEST_CASE("elements that are equal share the gradient of a maximum", "[gradients]") {
  for (const kind what : {kind::maximum, kind::minimum}) {
    graph g;
    const i32 a = input(g, shape(1, 3), false);
    const i32 b = input(g, shape(1, 3), false);
    const differentiated d = differentiate_from(g, {ops::broadcast(g, what, a, b, layer)});
    interpreter net(g, &reference::find_kernel);
    net.write(a, std::vector<double>{1, 2, 3});
    net.write(b, std::vector<double>{3, 2, 1});
    net.write(d.seeds[0], std::vector<double>{8, 8, 8});
    net.run({.valid = 1});
    const std::vector<double> rising = {0, 4, 8};
    const std::vector<double> falling = {8, 4, 0};
    CHECK(net.read(d.gradients[a]) == (what == kind::maximum ? rising : falling));
    CHECK(net.read(d.gradients[b]) == (what == kind::maximum ? falling : rising));
  }
  graph g;
  const i32 x = input(g, shape(1, 5), false);
  const differentiated d =
      differentiate_from(g, {ops::reduce(g, kind::reduce_amax, x, 0b10, false, layer)});
  interpreter net(g, &reference::find_kernel);
  net.write(x, std::vector<double>{3, 1, 3, 3, -2});
  net.write(d.seeds[0], std::vector<double>{6});
  net.run({.valid = 1});
  CHECK(net.read(d.gradients[x]) == std::vector<double>{2, 0, 2, 2, 0});
}

TEST_CASE("nothing to compare is not a passed check", "[gradients]") {
  graph g;
  const i32 x = add_tensor(g, shape(1, 4));
  const i32 y = ops::unary(g, kind::relu, x, layer);
  CHECK_FALSE(check_gradients(g, {.outputs = {y}}).ok());
}

}  // namespace

}  // namespace tessera::testing
