#include <tessera/network/make.hpp>

#include <support/catch.hpp>
#include <support/plan_validator.hpp>
#include <support/same_step.hpp>

#include <tessera/nn.hpp>
#include <tessera/optim/optimizer.hpp>

// Loops over the same time become one, and the step stays the same bit for bit.

namespace {

using namespace tessera;
using namespace tessera::testing;

template <class Network, class Loss = softmax_cross_entropy>
graph forward(i32 batch) {
  graph g = make_forward<Network, Loss>(batch, purpose::training);
  INFO(spell(g.wrong).view());
  REQUIRE_FALSE(g.wrong.wrong());
  for (const i32 loss : g.losses) g.tensors[loss].what = role::result;
  return g;
}

i32 count_loops(const graph& g) {
  i32 count = 0;
  for (const operation& op : g.operations) count += op.what == kind::loop ? 1 : 0;
  return count;
}

/// Loops of the forward pass, before and after.
template <class Network, class Loss = softmax_cross_entropy>
void check_loops(i32 before, i32 after) {
  graph g = forward<Network, Loss>(3);
  CHECK(count_loops(g) == before);
  CHECK(passes::join_loops(g) == before - after);
  CHECK(count_loops(g) == after);
}

constexpr precision_policy precisions[] = {fp32::policy, mixed<fp16, skip_tensor>::policy,
                                           mixed<fp16, skip_step>::policy};

/// The step as it is made without recomputation, and the joined one, whole and in all ways of least
/// memory.
template <class Network, class Loss = softmax_cross_entropy, class Optimizer = momentum_sgd>
void check_bits() {
  for (const precision_policy& precision : precisions) {
    for (const i32 batch : {3, 16}) {
      const update_rule rule = rule_of<Optimizer>();
      const graph before = forward<Network, Loss>(batch);
      graph plain = before;
      complete_training_graph(plain, precision, rule);
      graph joined = before;
      append_backward(joined, precision, rule, {}, true);
      passes::write_into_slots(joined);
      graph least = before;
      complete_training_graph(least, precision, rule, {}, {recompute_goal::least, 0});
      for (const graph* const g : {&joined, &least}) {
        const passes::step_plan plan = passes::plan_step(*g);
        CHECK(fault_of(*g, plan.locations.data(), plan.memory) == "");
        CHECK(difference(plain, *g, 5) == "");
      }
      CHECK(passes::bound_of(least) < passes::bound_of(plain));
    }
  }
}

using tagger = network<sequence<12, 5>, lstm<6>, each_step<dense<4>>>;
using stacked =
    network<sequence<12, 5>, gru<6, layers<2>>, rnn<5>, each_step<dense<4>, tessera::tanh>>;

}  // namespace

TEST_CASE("layers over the same time become one loop", "[passes]") {
  check_loops<tagger>(2, 1);
  check_loops<stacked, mse>(4, 1);
  check_loops<network<sequence<12, 5>, lstm<6, layers<3>, last_output>, dense<4>>>(3, 1);
}

TEST_CASE("joined loops compute the same bits", "[passes]") {
  check_bits<tagger>();
  check_bits<stacked, mse>();
  check_bits<tagger, softmax_cross_entropy, summing_sgd>();
}

TEST_CASE("loops stay apart where bits would change or time runs the other way", "[passes]") {
  // The other direction, a whole sequence, a slice that is read twice, readers elsewhere.
  check_loops<network<sequence<12, 5>, lstm<6>, lstm<6, reversed>, each_step<dense<4>>>>(3, 3);
  check_loops<network<sequence<12, 5>, lstm<6, both_directions>, lstm<5>, each_step<dense<4>>>>(4,
                                                                                                3);
  check_loops<network<sequence<12, 5>, lstm<6>, layer_norm<>, each_step<dense<4>>>>(2, 2);
  check_loops<network<sequence<12, 6>, lstm<6>, residual<lstm<6>>, each_step<dense<4>>>>(3, 3);
  check_loops<network<sequence<12, 5>, lstm<6>, each_step<residual<dense<6>>>>, mse>(2, 2);
  check_loops<
      network<input<12>, dense<8>, repeat<4, dense<8>>, relu, repeat<4, dense<8>>, dense<4>>>(2, 2);
}
