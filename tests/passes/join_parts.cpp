#include <tessera/passes/join_parts.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/plan_validator.hpp>
#include <support/random_graph.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/models/googlenet.hpp>
#include <tessera/models/unet.hpp>
#include <tessera/nn.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/passes/locate.hpp>

#include <cstring>

namespace {

using namespace tessera;
using namespace tessera::testing;

i32 count(const graph& g, kind what) {
  i32 n = 0;
  for (const operation& op : g.operations) n += op.what == what ? 1 : 0;
  return n;
}

/// Two steps with copies and without give the same bits, in no more bytes.
template <class Network, class Loss = softmax_cross_entropy>
void check(i32 batch, const precision_policy& precision, bool joins) {
  INFO("batch " << batch << ", " << name_of(precision.storage));
  job_options o;
  o.batch = batch;
  o.precision = precision;
  graph copied = make_unfinished_training<Network, Loss>(o, rule_of<momentum_sgd>(), false);
  REQUIRE(spell(copied.wrong).view() == "");
  graph joined = copied;
  passes::write_into_slots(joined);
  REQUIRE(count(copied, kind::concat) > 0);
  CHECK((count(joined, kind::concat) == 0) == joins);
  CHECK((count(joined, kind::split) < count(copied, kind::split)) == joins);
  interpreter a(copied, reference::find_kernel);
  for (const bool in_place : {true, false}) {
    interpreter b(joined, reference::find_kernel, {.in_place = in_place, .poison = true});
    CHECK(fault_of(joined, b.plan().locations.data(), b.plan().memory) == "");
    if (in_place && joins) CHECK(b.plan().memory.arena_bytes < a.plan().memory.arena_bytes);
    fill_randomly(a, 1);
    fill_randomly(b, 1);
    a.reset_state();
    for (u64 step = 0; step < 2; ++step) {
      for (interpreter* net : {&a, &b}) {
        net->run({.learning_rate = 0.01f, .seed = 2, .step = step, .valid = batch});
      }
    }
    for (i32 id = 0; id < copied.tensors.size(); ++id) {
      const tensor& t = copied.tensors[id];
      if (t.of >= 0 || (t.what != role::parameter && t.what != role::state)) continue;
      INFO("tensor " << id);
      CHECK(std::memcmp(a.data(id), b.data(id), static_cast<std::size_t>(t.bytes())) == 0);
    }
  }
}

using branch = chain<conv<4, 3, pad<1>>, relu>;
using inception = network<image<2, 8, 8>, branch,
                          concat<branch, conv<3, 1>, chain<max_pool<3, stride<1>, pad<1>>, branch>>,
                          conv<4, 1>, relu, flatten, dense<5>>;
/// Each layer sees all before it: a whole is a part of the next.
using densely = network<image<2, 6, 6>, branch, concat<chain<>, branch>, concat<chain<>, branch>,
                        concat<chain<>, batch_norm>, flatten, dense<5>>;
using small_unet = network<image<1, 16, 16>, models::unet<2, 4, 2>>;

const precision_policy policies[] = {fp32::policy, mixed<fp16, skip_tensor>::policy};

}  // namespace

TEST_CASE("branches write into their concat and read its gradient in place", "[passes]") {
  for (const precision_policy& p : policies) {
    check<inception>(1, p, true);
    check<inception>(16, p, true);
    check<inception>(3, p, false);  // parts of three samples lie apart
  }
}

TEST_CASE("a whole may be a part, and a part may be read by others", "[passes]") {
  for (const precision_policy& p : policies) {
    check<densely>(1, p, true);
    check<densely>(16, p, true);
  }
}

TEST_CASE("skips of a U-Net lie in their concat from the start", "[passes]") {
  check<small_unet, pixel_cross_entropy>(1, fp32::policy, true);
  check<small_unet, pixel_cross_entropy>(16, fp32::policy, true);
}

TEST_CASE("parts that are absent, given twice or kept as results are copied", "[passes]") {
  const auto joins = [](bool twice, bool result, bool zeros) {
    graph g;
    const i32 x = add_tensor(g, shape(1, 4));
    const i32 a = ops::unary(g, kind::tanh, x, {"a", 1, ""});
    const i32 b = ops::unary(g, kind::tanh, x, {"b", 1, ""});
    if (result) keep(g, a);
    const ops::part parts[] = {{a}, {twice ? a : b}, {-1, zeros ? 3 : 0}};
    keep(g, ops::concat(g, parts, zeros ? 3 : 2, 0, {"join", 1, ""}));
    passes::write_into_slots(g);
    return count(g, kind::concat) == 0;
  };
  CHECK(joins(false, false, false));
  CHECK_FALSE(joins(true, false, false));
  CHECK_FALSE(joins(false, true, false));
  CHECK_FALSE(joins(false, false, true));
}
