// Plans of networks with several inputs, outputs and losses.

#include <tessera/network/job.hpp>

#include <support/catch.hpp>
#include <support/plan_validator.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;

/// Each of two values through a dense layer of its own, and the first one as it is.
struct three_ways {
  static constexpr bundle build(builder& b, const bundle& x) {
    bundle y;
    y.items[y.size++] = dense<4>::build(b, x.items[0]);
    y.items[y.size++] = dense<6>::build(b, x.items[1]);
    y.items[y.size++] = x.items[0];
    return y;
  }
};

using net = network<inputs<input<5>, input<3>>, three_ways>;

TEST_CASE("Inputs, outputs, targets and losses are listed in their order", "[network]") {
  using job = training<net, losses<softmax_cross_entropy, mse, weighted<mse, 10>>, sgd, batch<4>>;
  constexpr auto& g = job::plan::step_graph;
  STATIC_REQUIRE(g.inputs.size() == 2);
  STATIC_REQUIRE(g.tensors[g.inputs[0]].dims == shape(4, 5));
  STATIC_REQUIRE(g.tensors[g.inputs[1]].dims == shape(4, 3));
  STATIC_REQUIRE(spell(g.tensors[g.inputs[0]].name) == "input");
  STATIC_REQUIRE(spell(g.tensors[g.inputs[1]].name) == "input2");
  STATIC_REQUIRE(g.outputs.size() == 3);
  STATIC_REQUIRE(g.outputs[2] == g.inputs[0]);
  STATIC_REQUIRE(g.targets.size() == 3);
  STATIC_REQUIRE(g.tensors[g.targets[0]].dims == shape(4));
  STATIC_REQUIRE(g.tensors[g.targets[1]].dims == shape(4, 6));
  STATIC_REQUIRE(spell(g.tensors[g.targets[2]].name) == "target3");
  STATIC_REQUIRE(g.losses.size() == 3);
  STATIC_REQUIRE(spell(g.tensors[g.losses[0]].name) == "loss");
  STATIC_REQUIRE(spell(g.tensors[g.losses[2]].name) == "loss3");
  // Rows of 64 bytes: 4 x 5 and 4 x 3 floats; labels, 4 x 6 and 4 x 5 floats.
  STATIC_REQUIRE(job::memory.input_bytes == 128 + 64);
  STATIC_REQUIRE(job::memory.target_bytes == 64 + 128 + 128);
  STATIC_REQUIRE(job::parameter_count == 5 * 4 + 4 + 3 * 6 + 6);
}

TEST_CASE("All outputs of an inference are kept, inputs among them stay inputs", "[network]") {
  using job = inference<net, batch<2>>;
  constexpr auto& g = job::plan::step_graph;
  STATIC_REQUIRE(g.tensors[g.outputs[0]].what == role::result);
  STATIC_REQUIRE(spell(g.tensors[g.outputs[1]].name) == "output2");
  STATIC_REQUIRE(g.tensors[g.outputs[2]].what == role::input);
  STATIC_REQUIRE(job::placement(g.outputs[0]).dies == job::operation_count);
  STATIC_REQUIRE(job::placement(g.outputs[1]).dies == job::operation_count);
}

template <class Job>
void check_plan(const graph& g) {
  const passes::step_plan plan = passes::plan_step(g);
  REQUIRE(g.tensors.size() == Job::tensor_count);
  for (i32 id = 0; id < Job::tensor_count; ++id) {
    CHECK(plan.locations[id].where == Job::placement(id).at.where);
    CHECK(plan.locations[id].offset == Job::placement(id).at.offset);
  }
  CHECK(fault_of(g, Job::plan::where.locations.data(), Job::memory).empty());
}

TEST_CASE("Plans of several inputs and losses replay without a fault", "[network]") {
  using sums = losses<softmax_cross_entropy, mse, mse>;
  using in_f32 = training<net, sums, adam, batch<32>>;
  using in_f16 = training<net, sums, adam, batch<5>, mixed<fp16>>;
  check_plan<in_f32>(make_training<net, sums>(in_f32::options, in_f32::update));
  check_plan<in_f16>(make_training<net, sums>(in_f16::options, in_f16::update));
  using predicts = inference<net, batch<3>>;
  check_plan<predicts>(make_inference<net, void>(predicts::options));
}

TEST_CASE("More than eight inputs do not fit into a graph", "[network]") {
  STATIC_REQUIRE(endpoints::max_count == 8);
  constexpr endpoints one(3);
  STATIC_REQUIRE(one.size() == 1);
  STATIC_REQUIRE(one[0] == 3);
  STATIC_REQUIRE(one[1] == -1);
  constexpr auto said = [] {
    graph g;
    builder b(g, 1, purpose::training);
    for (i32 i = 0; i < 9; ++i) b.input(shape(2));
    return spell(g.wrong);
  };
  STATIC_REQUIRE(said() ==
                 "network: expected at most 8 inputs, got more; join some of them before the "
                 "network");
}

}  // namespace
