#include <tessera/network/make.hpp>

#include <support/catch.hpp>
#include <support/plan_validator.hpp>

#include <tessera/models.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/passes/locate.hpp>

#include <string>

// Plans of the training steps of all models, made at run time and replayed byte by byte. Channels
// are few and images small: the operations, and which of them share bytes, are the same.

namespace {

using namespace tessera;
using namespace tessera::testing;

struct model {
  const char* name;
  graph (*training)(const job_options&, const update_rule&);
  bool wide = false;  // many channels whatever it is told: replayed in one sample only
};

template <class Input, class Layers, class Loss = softmax_cross_entropy>
constexpr auto step_of = &make_training<network<Input, Layers>, Loss>;

const model zoo[] = {
    {"lenet5", step_of<image<1, 28, 28>, models::lenet5<>>},
    {"mlp", step_of<image<1, 8, 8>, models::mlp<20, 16, 10>>},
    {"deep_mlp", step_of<image<1, 8, 8>, models::deep_mlp<12, 16, 10>>},
    {"conv_autoencoder", step_of<image<1, 12, 12>, models::conv_autoencoder<1, 4, 6>, mse>},
    {"alexnet", step_of<image<3, 67, 67>, models::alexnet<10, 16>>, true},
    {"alexnet_towers", step_of<image<3, 67, 67>, models::alexnet_towers<10, 16>>, true},
    {"vgg11", step_of<image<3, 32, 32>, models::vgg<11, 10, 4, 16>>},
    {"vgg16", step_of<image<3, 32, 32>, models::vgg<16, 10, 4, 16>>},
    {"squeezenet", step_of<image<3, 65, 65>, models::squeezenet<10>>, true},
    {"googlenet", step_of<image<3, 64, 64>, models::googlenet<10>>, true},
    {"resnet18", step_of<image<3, 32, 32>, models::resnet<18, 10, 4>>},
    {"resnet34", step_of<image<3, 32, 32>, models::resnet<34, 10, 4>>},
    {"resnet50", step_of<image<3, 32, 32>, models::resnet<50, 10, 4>>},
    {"resnet50, shortcuts A",
     step_of<image<3, 32, 32>, models::resnet<50, 10, 4, models::shortcut::a>>},
    {"cifar_resnet", step_of<image<3, 32, 32>, models::cifar_resnet<20, 10, 4>>},
    {"unet", step_of<image<1, 32, 32>, models::unet<2, 4, 3>, pixel_cross_entropy>},
    {"char_lstm", step_of<tokens<6>, models::char_lstm<11, 8, 16, 2>>},
    {"lstm_tagger", step_of<sequence<7, 12>, models::lstm_tagger<16, 5, 2, both_directions>>},
    {"gpt", step_of<tokens<8>, models::gpt<20, 8, 16, 2, 3>>},
    {"gpt, untied", step_of<tokens<8>, models::gpt<20, 0, 16, 2, 3, false>>},
};

/// How a step is trained.
struct policy {
  const char* name;
  precision_policy precision;
  update_rule rule;
  gradient_limits limits;
};

const policy policies[] = {
    {"fp32, momentum", fp32::policy, rule_of<momentum_sgd>(), {}},
    {"fp32, gradients only", fp32::policy, {}, {}},
    {"fp32, adam, clipped", fp32::policy, rule_of<adam>(), {.norm = 1}},
    {"mixed, sgd, skip_tensor", mixed<fp16, skip_tensor>::policy, rule_of<sgd>(), {}},
    {"mixed, adam, skip_step", mixed<fp16, skip_step>::policy, rule_of<adam>(), {}},
};

}  // namespace

TEST_CASE("the plan of every model's training step holds byte by byte", "[network]") {
  for (const model& m : zoo) {
    for (const policy& p : policies) {
      for (const i32 batch : {1, 16}) {
        if (m.wide && batch > 1) continue;
        INFO(m.name << ", " << p.name << ", batch " << batch);
        job_options o;
        o.batch = batch;
        o.precision = p.precision;
        o.limits = p.limits;
        const graph g = m.training(o, p.rule);
        REQUIRE(spell(g.wrong).view() == "");
        for (const bool in_place : {true, false}) {
          const passes::step_plan plan = passes::plan_step(g, in_place);
          CHECK(fault_of(g, plan.locations.data(), plan.memory) == "");
          CHECK(plan.memory.arena_bytes >= plan.memory.lower_bound_bytes);
          CHECK(plan.memory.arena_bytes <= plan.memory.no_reuse_bytes);
        }
      }
    }
  }
}

TEST_CASE("what a repeated block starts from lies in its carry from the start", "[network]") {
  // Three blocks of a stage, the first apart: one stack for the outputs of all. What is copied
  // are gradients only, in place.
  job_options o;
  const graph g = step_of<image<3, 32, 32>, models::resnet<50, 10, 4>>(o, rule_of<sgd>());
  const passes::liveness live = passes::find_liveness(g);
  i32 gradients = 0;
  for (const operation& op : g.operations) {
    if (op.what != kind::copy) continue;
    CHECK(g.tensors[op.out[0]].what == role::gradient);
    CHECK(live.buffer_of[op.in[0]] == live.buffer_of[op.out[0]]);
    ++gradients;
  }
  CHECK(gradients == 4);  // one for each stage
}
