// Runs every golden case whose operation exists, and prints how many that are.
//
// Operations are looked up by the name a case gives; nothing here knows a case or a shape.

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <goldens/checks.hpp>

#include <cstdio>

namespace {

using namespace tessera;
using namespace tessera::testing;

/// Operations that exist, with what checks them.
const std::map<std::string, golden_check> checks{
    {"dense", check_dense},
    {"conv2d", check_conv},
    {"conv1d", check_conv},
    {"conv_transpose2d", check_conv_transpose},
    {"max_pool2d", check_max_pool},
    {"max_pool1d", check_max_pool},
    {"avg_pool2d", check_avg_pool},
    {"avg_pool1d", check_avg_pool},
    {"global_max_pool2d", check_global_max_pool},
    {"global_avg_pool2d", check_global_avg_pool},
    {"adaptive_avg_pool2d", check_adaptive_avg_pool},
    {"adaptive_max_pool2d", check_adaptive_max_pool},
    {"upsample_nearest2d", check_upsample_nearest},
    {"upsample_bilinear2d", check_upsample_bilinear},
    {"max_unpool2d", check_max_unpool},
    {"relu", check_activation},
    {"tanh", check_activation},
    {"sigmoid", check_activation},
    {"relu6", check_activation},
    {"leaky_relu", check_activation},
    {"elu", check_activation},
    {"selu", check_activation},
    {"gelu_erf", check_activation},
    {"gelu_tanh", check_activation},
    {"silu", check_activation},
    {"softplus", check_activation},
    {"hardswish", check_activation},
    {"hardsigmoid", check_activation},
    {"hardtanh", check_activation},
    {"mish", check_activation},
    {"softsign", check_activation},
    {"exp", check_activation},
    {"square", check_activation},
    {"abs", check_activation},
    {"identity", check_identity},
    {"prelu", check_prelu},
    {"glu", check_glu},
    {"maxout", check_maxout},
    {"add", check_binary},
    {"sub", check_binary},
    {"mul", check_binary},
    {"div", check_binary},
    {"maximum", check_binary},
    {"minimum", check_binary},
    {"reduce_sum", check_reduction},
    {"reduce_mean", check_reduction},
    {"reduce_amax", check_reduction},
    {"permute", check_permute},
    {"concat", check_concat},
    {"matmul", check_matmul},
    {"softmax", check_softmax},
    {"log_softmax", check_log_softmax},
    {"scaled_dot_product_attention", check_scaled_dot_product},
    {"sinusoidal_positions", check_sinusoidal_positions},
    {"multi_head_attention", check_multi_head_attention},
    {"transformer_encoder_layer", check_encoder_layer},
    {"additive_attention", check_additive_attention},
    {"net_transformer", check_net_transformer},
    {"embedding", check_embedding},
    {"moe_noisy_topk", check_mixture},
    {"quantize", check_quantize},
    {"requantize", check_requantize},
    {"choose_affine", check_choose_affine},
    {"quantized_dense", check_quantized_dense},
    {"quantized_conv2d", check_quantized_conv},
    {"dynamic_fixed_point_mlp", check_fixed_point_mlp},
    {"dynamic_fixed_point_conv2d", check_fixed_point_conv},
    {"embedding_bag", check_embedding_bag},
    {"dropout", check_dropout},
    {"batchnorm", check_batch_norm},
    {"groupnorm", check_group_norm},
    {"instancenorm", check_instance_norm},
    {"layernorm", check_layer_norm},
    {"rmsnorm", check_rms_norm},
    {"lrn", check_local_response_norm},
    {"mse", check_mse},
    {"l1", check_l1},
    {"smooth_l1", check_smooth_l1},
    {"huber", check_huber},
    {"bce_with_logits", check_bce_with_logits},
    {"bce", check_bce},
    {"kl_div", check_kl_div},
    {"binary_hinge", check_binary_hinge},
    {"hinge_embedding", check_hinge_embedding},
    {"cross_entropy", check_cross_entropy},
    {"nll", check_nll},
    {"multiclass_hinge", check_multiclass_hinge},
    {"cosine_embedding", check_cosine_embedding},
    {"triplet", check_triplet},
    {"distillation", check_distillation},
    {"ctc", check_ctc},
    {"style_transfer_losses", check_style},
    {"optimizer_sgd", check_optimizer},
    {"optimizer_adam", check_optimizer},
    {"optimizer_adamw", check_optimizer},
    {"optimizer_rmsprop", check_optimizer},
    {"optimizer_adagrad", check_optimizer},
    {"optimizer_adadelta", check_optimizer},
    {"optimizer_adamax", check_optimizer},
    {"optimizer_nadam", check_optimizer},
    {"optimizer_radam", check_optimizer},
    {"optimizer_rprop", check_optimizer},
    {"optimizer_lion", check_optimizer},
    {"optimizer_lamb", check_optimizer},
    {"optimizer_lars", check_optimizer},
    {"clip_grad_norm", check_clip},
    {"clip_grad_value", check_clip},
    {"lr_constant", check_schedule},
    {"lr_step", check_schedule},
    {"lr_multistep", check_schedule},
    {"lr_exponential", check_schedule},
    {"lr_cosine", check_schedule},
    {"lr_cosine_restarts", check_schedule},
    {"lr_warmup_cosine", check_schedule},
    {"lr_polynomial", check_schedule},
    {"lr_noam", check_schedule},
    {"lr_one_cycle", check_schedule},
    {"init_statistics", check_initializer},
    {"rnn_tanh", check_rnn},
    {"lstm", check_lstm},
    {"gru", check_gru},
    {"mdlstm2d", check_mdlstm},
    {"gridlstm_block", check_grid_lstm_block},
    {"gridlstm2d", check_grid_lstm},
    {"rbm_cd", check_rbm_cd},
    {"rbm_exact_likelihood", check_rbm_exact_likelihood},
    {"net_mlp", check_net_mlp},
    {"net_charlstm", check_net_char_lstm},
    {"net_lenet5", check_net_lenet5},
    {"net_resnet8", check_net_resnet8},
    {"net_inception", check_net_inception},
    {"net_convae", check_net_convae},
    {"mixed_spec", check_mixed_spec},
    {"mixed_mlp", check_mixed_mlp},
    {"mixed_lenet5", check_mixed_lenet5},
    {"half_to_float", check_half_to_float},
    {"float_to_half", check_float_to_half},
    {"float_to_bfloat16", check_float_to_bfloat16},
    {"stochastic_rounding_statistics", check_stochastic_rounding},
    {"fp16_dot", check_fp16_dot},
    {"fp16_gemm", check_fp16_gemm},
    {"half_arithmetic", check_half_arithmetic},
};

/// How the cases of one operation fared.
struct tally {
  i32 run = 0;
  i32 passed = 0;
  i32 skipped = 0;
  std::string reason;  // of the first that was skipped, wholly or in part
};

void print(const std::map<std::string, tally>& by_operation) {
  tally sum;
  std::printf("%-34s %5s %7s %8s\n", "golden cases of", "run", "passed", "skipped");
  const auto row = [](const std::string& name, const tally& t) {
    std::printf("%-34s %5d %7d %8d  %s\n", name.c_str(), t.run, t.passed, t.skipped,
                t.reason.c_str());
  };
  for (const auto& [name, t] : by_operation) {
    row(name, t);
    sum.run += t.run;
    sum.passed += t.passed;
    sum.skipped += t.skipped;
  }
  row("all operations", sum);
}

TEST_CASE("every golden case whose operation exists agrees", "[goldens]") {
  const golden_folder folder(goldens_folder());
  std::map<std::string, tally> by_operation;
  for (const golden_case& c : folder.cases()) {
    tally& t = by_operation[c.op()];
    const auto check = checks.find(c.op());
    if (check == checks.end()) {
      ++t.skipped;
      t.reason = "the operation does not exist yet";
      continue;
    }
    findings f(c);
    try {
      check->second(c, f);
    } catch (const not_there_yet& why) {
      ++t.skipped;
      if (t.reason.empty()) t.reason = why.what();
      continue;
    } catch (const std::exception& wrong) {  // unknown attributes, missing tensors, bad graphs
      f.note(wrong.what());
    }
    ++t.run;
    if (t.reason.empty()) t.reason = f.left_out();
    if (f.wrong().empty()) ++t.passed;
    for (const std::string& wrong : f.wrong()) FAIL_CHECK(wrong);
  }
  print(by_operation);
  for (const auto& [name, check] : checks) {  // a folder without cases must not pass
    if (by_operation.count(name) == 0) WARN("no golden case of " << name);
  }
  CHECK(!by_operation.empty());
}

TEST_CASE("golden comparison: tolerance, exactness, infinities, NaN, equal share", "[goldens]") {
  const io::json loose{{"rtol", 0.1}, {"atol", 1.0}};
  const double nan = std::nan("");
  CHECK(disagreement(loose, {10, -10}, {12, -12}).empty());
  CHECK_FALSE(disagreement(loose, {10}, {12.01}).empty());
  CHECK(disagreement(loose, {nan, INFINITY}, {nan, INFINITY}).empty());
  CHECK_FALSE(disagreement(loose, {nan}, {1}).empty());
  CHECK_FALSE(disagreement(loose, {1}, {nan}).empty());
  CHECK_FALSE(disagreement(loose, {INFINITY}, {-INFINITY}).empty());
  CHECK_FALSE(disagreement(loose, {1}, {1, 1}).empty());
  const io::json exact{{"exact", true}};
  CHECK(disagreement(exact, {1, nan}, {1, nan}).empty());
  CHECK_FALSE(disagreement(exact, {1}, {std::nextafter(1.0, 2.0)}).empty());
  const io::json mostly{{"rtol", 0.1}, {"atol", 1.0}, {"min_equal_fraction", 0.5}};
  CHECK(disagreement(mostly, {1, 2}, {1, 2.1}).empty());
  CHECK_FALSE(disagreement(mostly, {1, 2}, {1.1, 2.1}).empty());
}

TEST_CASE("an attribute nobody asks for, or an unknown word, is an error", "[goldens]") {
  const io::json attrs{{"stride", {1, 2}}, {"reduction", "median"}};
  attribute_reader a(attrs);
  i32 stride[2];
  a.pair("stride", stride);
  CHECK(stride[1] == 2);
  CHECK_THROWS_AS(a.all_must_be_asked(), error);
  const std::map<std::string, i32> words{{"mean", 1}};
  CHECK_THROWS_AS(a.choice("reduction", words), error);
  a.all_must_be_asked();
}

}  // namespace
