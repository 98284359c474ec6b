#include <tessera/passes/table_products.hpp>

#include <support/catch.hpp>
#include <support/plan_validator.hpp>
#include <support/same_step.hpp>

#include <tessera/nn.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/runtime/gradient_check.hpp>

// Tables are multiplied instead of what is looked up in them: the same values, and gradients that
// are the derivatives of these.

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

i32 count(const graph& g, kind what) {
  i32 n = 0;
  for (const operation& op : g.operations) n += op.what == what ? 1 : 0;
  return n;
}

/// Inputs of a graph are rows of a table of 5, or none (-1, 7); there are 4 classes.
void draw_indices(i32, const tensor& t, std::span<double> values) {
  if (t.type != element::int32) return;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = t.what == role::input ? static_cast<double>((i * 7 + i / 3) % 9) - 1
                                      : static_cast<double>(i % 4);
  }
}

/// The loss of a forward graph, to the bit.
std::vector<double> loss_of_batch(const graph& g) {
  interpreter net(g, &reference::find_kernel);
  fill_randomly(net, 3);
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    if (t.of >= 0 || (t.what != role::input && t.what != role::target)) continue;
    std::vector<double> values = net.read(id);
    draw_indices(id, t, values);
    net.write(id, values);
  }
  net.run({.valid = g.batch});
  return net.read(g.losses[0]);
}

/// How many tables are multiplied; what the network computes stays the same, and its gradients are
/// right (where no gradient is cut off on purpose).
template <class Network, class Loss = softmax_cross_entropy>
void check(i32 tables, i32 batch, bool exact = true) {
  INFO("batch " << batch);
  const graph plain = forward<Network, Loss>(batch);
  graph g = plain;
  CHECK(passes::multiply_tables(g) == tables);
  if (tables == 0) return;
  CHECK(loss_of_batch(g) == loss_of_batch(plain));
  if (!exact) return;
  const gradient_report report = check_gradients(g, {.most_per_tensor = 12, .fill = draw_indices});
  INFO(report.message);
  CHECK(report.ok());
}

constexpr precision_policy precisions[] = {fp32::policy, mixed<fp16, skip_tensor>::policy,
                                           mixed<bf16, static_scale<1>>::policy};

/// The step with all stacks and the one with the fewest leave the same bits behind.
template <class Network, class Optimizer = momentum_sgd>
void check_bits() {
  for (const precision_policy& precision : precisions) {
    for (const i32 batch : {3, 16}) {
      const update_rule rule = rule_of<Optimizer>();
      const graph before = forward<Network>(batch);
      graph plain = before;
      complete_training_graph(plain, precision, rule);
      CHECK(count(plain, kind::embedding_gradient) == 1);
      graph least = before;
      complete_training_graph(least, precision, rule, {}, {recompute_goal::least, 0});
      for (const graph* const g : {&plain, &least}) {
        const passes::step_plan plan = passes::plan_step(*g);
        CHECK(fault_of(*g, plan.locations.data(), plan.memory) == "");
      }
      CHECK(difference(plain, least, 5) == "");
      CHECK(difference(plain, plain, 5, false) == "");
    }
  }
}

// As many classes as samples: fill_randomly draws labels below both.
using tagger = network<tokens<12>, embedding<5, 4>, lstm<3>, each_step<dense<16>>>;

}  // namespace

TEST_CASE("products of looked-up rows become rows of the table's product", "[passes]") {
  for (const i32 batch : {3, 16}) {
    check<tagger>(1, batch);
    check<network<tokens<12>, embedding<5, 16>, gru<3, last_output>, dense<4>>>(1, batch);
    check<network<tokens<12>, embedding<5, 8>, rnn<3, reversed>, each_step<dense<4>>>>(1, batch);
    check<network<tokens<12>, embedding<5, 16>, lstm<2, both_directions>, each_step<dense<4>>>>(
        1, batch);
    check<network<tokens<12>, embedding<5, 4>, lstm<3, tessera::truncate<4>>, each_step<dense<4>>>>(
        1, batch, false);
    check<network<tokens<12>, embedding<5, 4>, each_step<dense<6>, tessera::tanh, dense<4>>>>(
        1, batch);
  }
  check<network<tokens<>, embedding<5, 8>, dense<4>>>(1, 16);
}

TEST_CASE("tables stay where their products are read beside them, or would not pay", "[passes]") {
  check<network<tokens<12>, embedding<5, 4>, each_step<residual<dense<4>>>>>(0, 16);
  check<network<tokens<12>, embedding<5, 4>, each_step<tessera::tanh, dense<4>>>>(0, 16);
  check<network<tokens<12>, embedding<5, 4, padding_index<0>>, lstm<3>, each_step<dense<4>>>>(0,
                                                                                              16);
  check<network<tokens<12>, embedding<5, 4, sparse>, lstm<3>, each_step<dense<4>>>>(0, 16);
  check<network<tokens<12>, embedding<50, 4>, lstm<3>, each_step<dense<4>>>>(0, 3);
  check<network<tokens<12>, embedding<5, 4>, lstm<40>, each_step<dense<4>>>>(0, 3);
}

TEST_CASE("multiplied tables leave the same bits with and without recomputation", "[passes]") {
  check_bits<tagger>();
  check_bits<network<tokens<12>, embedding<5, 8>, rnn<3, reversed>, each_step<dense<16>>>>();
  check_bits<tagger, adam>();
}
