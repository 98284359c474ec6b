#pragma once

// What the families of golden checks share: a check runs one case and notes what disagrees.

#include <catalogue/catalogue.hpp>

#include <support/backends.hpp>
#include <support/golden.hpp>
#include <support/graphs.hpp>

#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tessera::testing {

/// Thrown by a check whose case is about something that does not exist yet: counted, with reason.
struct not_there_yet : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The disagreements of one case.
class findings {
 public:
  explicit findings(const golden_case& c) : case_(c) {}

  /// Hands a case that is an operation to another mode, instead of comparing its values.
  using mode = std::function<void(const catalogue_case&)>;
  findings(const golden_case& c, mode other) : case_(c), other_(std::move(other)) {}
  const mode& other_mode() const { return other_; }

  /// In front of everything noted from now on: "host, batch last: ".
  void set_where(const std::string& where) { where_ = where; }

  void note(const std::string& what) { wrong_.push_back(case_.id() + ": " + where_ + what); }

  /// Compares with the tensor of that section by the case's own rule.
  void compare(const std::string& section, const std::string& name,
               const std::vector<double>& got) {
    const std::string rule = section == "outputs" ? name : section + "/" + name;
    compare(case_.tolerance(rule), rule, case_.tensor(section, name).values, got);
  }
  void compare(const io::json& rule, const std::string& what, const std::vector<double>& want,
               const std::vector<double>& got) {
    const std::string wrong = disagreement(rule, want, got);
    if (!wrong.empty()) note(what + ": " + wrong);
  }

  /// Says that a part of the case is about something that does not exist yet.
  void leave_out(const std::string& what) { left_out_ = what; }

  const std::vector<std::string>& wrong() const { return wrong_; }
  const std::string& left_out() const { return left_out_; }

 private:
  const golden_case& case_;
  mode other_;
  std::string where_;
  std::vector<std::string> wrong_;
  std::string left_out_;
};

using golden_check = void (*)(const golden_case&, findings&);

/// An operation that cases name. Where backends can be compared on it, how they agree.
struct golden_operation {
  golden_check check;
  std::optional<agreement> how = {};
};

/// All of them (registry.cpp): nothing there knows a case or a shape.
const std::map<std::string, golden_operation>& golden_operations();

/// Hands every case of a folder that is an operation to another mode; returns how many those are.
i32 each_operation_case(const golden_folder& folder, const findings::mode& run);

/// Calls run(backend, batch_last) for every backend and layout that a batch may have there.
template <class Run>
void on_all_backends(findings& f, i32 batch, Run run) {
  for (const graph_backend& b : backends()) {
    for (const bool last : layouts(b, batch)) {
      f.set_where(std::string(b.name) + (last ? ", samples innermost: " : ": "));
      run(b, last);
    }
  }
  f.set_where("");
}

// operations.cpp
void check_dense(const golden_case&, findings&);
void check_conv(const golden_case&, findings&);
void check_conv_transpose(const golden_case&, findings&);
void check_max_pool(const golden_case&, findings&);
void check_avg_pool(const golden_case&, findings&);
void check_global_max_pool(const golden_case&, findings&);
void check_global_avg_pool(const golden_case&, findings&);
void check_concat(const golden_case&, findings&);
void check_dropout(const golden_case&, findings&);
void check_batch_norm(const golden_case&, findings&);
void check_group_norm(const golden_case&, findings&);
void check_instance_norm(const golden_case&, findings&);
void check_layer_norm(const golden_case&, findings&);
void check_rms_norm(const golden_case&, findings&);
void check_local_response_norm(const golden_case&, findings&);

// losses.cpp
void check_mse(const golden_case&, findings&);
void check_l1(const golden_case&, findings&);
void check_smooth_l1(const golden_case&, findings&);
void check_huber(const golden_case&, findings&);
void check_bce_with_logits(const golden_case&, findings&);
void check_bce(const golden_case&, findings&);
void check_kl_div(const golden_case&, findings&);
void check_binary_hinge(const golden_case&, findings&);
void check_hinge_embedding(const golden_case&, findings&);
void check_cross_entropy(const golden_case&, findings&);
void check_nll(const golden_case&, findings&);
void check_multiclass_hinge(const golden_case&, findings&);
void check_cosine_embedding(const golden_case&, findings&);
void check_triplet(const golden_case&, findings&);
void check_distillation(const golden_case&, findings&);
void check_ctc(const golden_case&, findings&);
void check_style(const golden_case&, findings&);

// resize.cpp
void check_adaptive_avg_pool(const golden_case&, findings&);
void check_adaptive_max_pool(const golden_case&, findings&);
void check_upsample_nearest(const golden_case&, findings&);
void check_upsample_bilinear(const golden_case&, findings&);
void check_max_unpool(const golden_case&, findings&);
// pointwise.cpp: activations, operations that broadcast, reductions, by the name of the operation
void check_activation(const golden_case&, findings&);
void check_identity(const golden_case&, findings&);
void check_prelu(const golden_case&, findings&);
void check_glu(const golden_case&, findings&);
void check_maxout(const golden_case&, findings&);
void check_binary(const golden_case&, findings&);
void check_reduction(const golden_case&, findings&);
void check_permute(const golden_case&, findings&);

// attention.cpp
void check_matmul(const golden_case&, findings&);
void check_softmax(const golden_case&, findings&);
void check_log_softmax(const golden_case&, findings&);
void check_scaled_dot_product(const golden_case&, findings&);
void check_sinusoidal_positions(const golden_case&, findings&);

// attention_layers.cpp
void check_multi_head_attention(const golden_case&, findings&);
void check_encoder_layer(const golden_case&, findings&);
void check_additive_attention(const golden_case&, findings&);

// transformer_net.cpp
void check_net_transformer(const golden_case&, findings&);

// embedding.cpp
void check_embedding(const golden_case&, findings&);
void check_embedding_bag(const golden_case&, findings&);

// experts.cpp
void check_mixture(const golden_case&, findings&);

// quantization.cpp
void check_quantize(const golden_case&, findings&);
void check_requantize(const golden_case&, findings&);
void check_choose_affine(const golden_case&, findings&);
void check_quantized_dense(const golden_case&, findings&);
void check_quantized_conv(const golden_case&, findings&);
void check_fixed_point_mlp(const golden_case&, findings&);
void check_fixed_point_conv(const golden_case&, findings&);

// recurrent.cpp
void check_rnn(const golden_case&, findings&);
void check_lstm(const golden_case&, findings&);
void check_gru(const golden_case&, findings&);

// grids.cpp
void check_mdlstm(const golden_case&, findings&);
void check_grid_lstm_block(const golden_case&, findings&);
void check_grid_lstm(const golden_case&, findings&);

// rbm.cpp
void check_rbm_cd(const golden_case&, findings&);
void check_rbm_exact_likelihood(const golden_case&, findings&);

// optimizers.cpp
void check_optimizer(const golden_case&, findings&);
void check_clip(const golden_case&, findings&);
void check_schedule(const golden_case&, findings&);
void check_initializer(const golden_case&, findings&);

// nets.cpp
void check_net_mlp(const golden_case&, findings&);
void check_net_lenet5(const golden_case&, findings&);

// branched_nets.cpp
void check_net_resnet8(const golden_case&, findings&);
void check_net_inception(const golden_case&, findings&);
void check_net_convae(const golden_case&, findings&);

// char_lstm.cpp
void check_net_char_lstm(const golden_case&, findings&);

// mixed_precision.cpp
void check_mixed_spec(const golden_case&, findings&);
void check_mixed_mlp(const golden_case&, findings&);
void check_mixed_lenet5(const golden_case&, findings&);

// fp16.cpp
void check_half_to_float(const golden_case&, findings&);
void check_float_to_half(const golden_case&, findings&);
void check_float_to_bfloat16(const golden_case&, findings&);
void check_stochastic_rounding(const golden_case&, findings&);
void check_fp16_dot(const golden_case&, findings&);
void check_fp16_gemm(const golden_case&, findings&);
void check_half_arithmetic(const golden_case&, findings&);

}  // namespace tessera::testing
