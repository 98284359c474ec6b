// Transformers: parameters beside published numbers, names and shapes.

#include <tessera/models/transformer.hpp>

#include <support/catch.hpp>

#include <support/plan_validator.hpp>
#include <tessera/ir/names.hpp>
#include <tessera/network/make.hpp>
#include <tessera/nn/loss.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/passes/locate.hpp>

#include <set>
#include <string>

using namespace tessera;
using namespace tessera::models;

namespace {

template <class Input, class Model>
graph graph_of() {
  const graph g = make_forward<network<Input, Model>, void>(1, purpose::training);
  INFO(spell(g.wrong).view());
  REQUIRE(!g.wrong.wrong());
  return g;
}

/// Trained and not.
i64 count_parameters(const graph& g, bool trained = true) {
  i64 n = 0;
  for (const tensor& t : g.tensors) {
    const bool parameter = t.what == role::parameter && t.of < 0;
    if (parameter && t.differentiable == trained) n += t.dims.count();
  }
  return n;
}

std::set<std::string> weight_names(const graph& g) {
  std::set<std::string> names;
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter || t.of >= 0) continue;
    for (i32 slice = 0; slice < slices_of(g, t.name.scope); ++slice) {
      names.emplace(full_name(g, t.name, slice).view());
    }
  }
  return names;
}

}  // namespace

TEST_CASE("the layers of BERT base have 85,054,464 parameters and PyTorch's names", "[models]") {
  const graph g = graph_of<inputs<sequence<128, 768>, tokens<>>,
                           transformer_encoder<12, 12, 3072, with_gelu, key_lengths>>();
  CHECK(count_parameters(g) == 85'054'464);
  CHECK(g.tensors[g.outputs[0]].sample() == shape(128, 768));
  CHECK(g.operations.size() < 30);  // eleven of the layers are one body
  const auto names = weight_names(g);
  CHECK(names.size() == 12 * 12);
  for (const char* name : {"layers.0.self_attn.in_proj_weight", "layers.11.self_attn.in_proj_bias",
                           "layers.3.self_attn.out_proj.weight", "layers.3.self_attn.out_proj.bias",
                           "layers.5.linear1.weight", "layers.5.linear2.bias",
                           "layers.7.norm1.weight", "layers.7.norm2.bias"}) {
    INFO(name);
    CHECK(names.count(name) == 1);
  }
}

TEST_CASE("GPT-2 small has 124,439,808 parameters", "[models]") {
  const graph g = graph_of<tokens<16>, gpt<50257, 1024, 768, 12, 12>>();
  CHECK(count_parameters(g) == 124'439'808);
  CHECK(g.tensors[g.outputs[0]].sample() == shape(16, 50257));
  CHECK(weight_names(g).count("h.11.linear1.weight") == 1);
  CHECK(weight_names(g).count("wte.weight") == 1);
  CHECK(weight_names(g).count("wpe.weight") == 1);
}

TEST_CASE("a small GPT without tied output and with sinusoidal positions", "[models]") {
  const graph tied = graph_of<tokens<8>, gpt<65, 8, 32, 4, 3>>();
  const graph apart = graph_of<tokens<8>, gpt<65, 0, 32, 4, 3, false>>();
  CHECK(count_parameters(apart) == count_parameters(tied) - 8 * 32 + 65 * 32);
  CHECK(count_parameters(apart, false) == 8 * 32);  // positions, not trained
  CHECK(weight_names(apart).count("lm_head.weight") == 1);
}

TEST_CASE("a decoder has PyTorch's parameters", "[models]") {
  // nn.TransformerDecoderLayer(512, 8, 2048): 2 attentions, 2 linears, 3 norms.
  const graph g = graph_of<inputs<sequence<5, 512>, sequence<7, 512>>,
                           transformer_decoder<6, 8, 2048, causal>>();
  CHECK(count_parameters(g) == 6 * 4'204'032);
  const auto names = weight_names(g);
  CHECK(names.size() == 6 * 18);
  CHECK(names.count("layers.5.multihead_attn.in_proj_weight") == 1);
  CHECK(names.count("layers.0.norm3.bias") == 1);
}

TEST_CASE("plans of transformers keep every byte that is still read", "[models]") {
  for (const i32 samples : {2, 16}) {
    job_options o;
    o.batch = samples;
    for (const bool half : {false, true}) {
      if (half) o.precision = read_job_options<mixed<fp16>>().precision;
      const graph g = make_training<network<tokens<4>, gpt<9, 4, 8, 2, 3>>, softmax_cross_entropy>(
          o, rule_of<adam>());
      REQUIRE(!g.wrong.wrong());
      const passes::step_plan plan = passes::plan_step(g, true);
      CHECK(testing::fault_of(g, plan.locations.data(), plan.memory) == "");
    }
  }
}
