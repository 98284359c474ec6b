#include <tessera/backends/accelerator/update.hpp>

#include <support/catch.hpp>
#include <support/update_rules.hpp>
#include <tessera/backends/accelerator/update_rules.hpp>

#include <limits>

#include "accelerator_support.hpp"

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr machine ipu = accelerator::ipu_mk1;

update_rule sgd(float momentum, bool nesterov, float decay, float dampening) {
  update_rule r;
  r.what = optimizer_kind::sgd;
  r.momentum = momentum;
  r.nesterov = nesterov;
  r.weight_decay = decay;
  r.dampening = dampening;
  return r;
}

update_rule adam(bool amsgrad, float decay) {
  update_rule r;
  r.what = optimizer_kind::adam;
  r.amsgrad = amsgrad;
  r.weight_decay = decay;
  return r;
}

loss_scaling scaling(skip_rule skip, float scale) {
  loss_scaling s;
  s.skip = skip;
  s.dynamic = true;
  s.initial = scale;
  s.interval = 2;
  return s;
}

/// The states of both sides follow each other for some steps.
void check_steps(model_case m, i32 gradient_slot, i32 steps) {
  random_values random(31);
  random.fill(m.out[0], element::f32);
  model_case wanted = m;
  for (i32 step = 0; step < steps; ++step) {
    for (const i32 slot : {0, 1}) {
      if (!m.sizes.has_input(slot)) continue;
      random.fill(m.in[static_cast<std::size_t>(slot)], m.sizes.input_type(slot));
      wanted.in[static_cast<std::size_t>(slot)] = m.in[static_cast<std::size_t>(slot)];
    }
    const accelerator::counters counted = run_on_model<ipu>(m, 1 + step % 2);
    CHECK(counted.total == accelerator::price(ipu, m.sizes));
    wanted(&reference::run);
    CHECK(*m.output<i32>(4) == *wanted.output<i32>(4));
  }
  CAPTURE(ops::name_of(m.sizes.what), name_of(m.sizes.input_type(gradient_slot)));
  for (i32 slot = 0; slot < 4; ++slot) {
    if (!m.sizes.has_output(slot)) continue;
    double worst = 0;
    for (i64 i = 0; i < m.output_count(slot); ++i) {
      const double b = wanted.output_value(slot, i);
      worst = std::max(worst, std::abs(m.output_value(slot, i) - b) / (1 + std::abs(b)));
    }
    // Two f32 computations of a few steps each. Where gradients are computed first and stored as
    // halves, another order of sums may round one of them the other way: 2^-11 of it.
    const bool computed = !ops::reads_gradient(m.sizes.what);
    const bool others = ops::is_rule_update(m.sizes.what);  // small sums cancel, small roots divide
    CHECK(worst < (computed ? 2e-3 : others ? 2e-4 : 2e-6));
  }
}

}  // namespace

TEST_CASE("updates follow the reference through several steps", "[backends]") {
  const update_rule rules[] = {
      sgd(0, false, 0, 0),          sgd(0.9f, false, 0, 0), sgd(0.9f, true, 0.01f, 0),
      sgd(0.8f, false, 0.1f, 0.3f), adam(false, 0),         adam(true, 0.01f)};
  for (const update_rule& rule : rules) {
    for (const skip_rule skip : {skip_rule::none, skip_rule::step, skip_rule::tensor}) {
      for (const element type : {element::f16, element::f32}) {
        const loss_scaling scale = scaling(skip, skip == skip_rule::none ? 1.0f : 64.0f);
        model_case m = elementwise_case(kind::update, 3001, type, 1);
        give_update(m, 3001, rule, scale);
        check_steps(m, 0, 4);

        model_case dense = dense_case(kind::dense_weight_gradient, {16, 20, 9}, type, true, false);
        dense.sizes.what = kind::dense_weight_update;
        give_update(dense, 20 * 9, rule, scale);
        check_steps(dense, 1, 2);
        model_case conv = conv_case(kind::conv2d_weight_gradient,
                                    conv_of(16, 2, 6, 6, 5, 3, 3, 1, 1, 1, 1), type, true, false);
        conv.sizes.what = kind::conv2d_weight_update;
        give_update(conv, 2 * 5 * 9, rule, scale);
        check_steps(conv, 1, 2);
        model_case bias;
        bias.sizes.what = kind::bias_update;
        bias.sizes.batch_last = true;
        bias_sizes{16, 7, 12}.write(bias.sizes);
        bias.give_input(1, 16 * 7 * 12, type);
        give_update(bias, 7, rule, scale);
        check_steps(bias, 1, 2);
      }
    }
  }
}

TEST_CASE("updates by every rule follow the reference at their price", "[backends]") {
  for (const named_rule& r : all_update_rules()) {
    const kind what = ops::update_kind(r.rule.what);
    if (what == kind::update) continue;
    for (const skip_rule skip : {skip_rule::none, skip_rule::step, skip_rule::tensor}) {
      for (const element type : {element::f16, element::f32}) {
        for (const i32 slices : {1, 3}) {
          if (slices > 1 && !ops::is_norm_update(what)) continue;
          INFO(r.name);
          model_case m = elementwise_case(what, 60000, type, 1);
          norm_update_sizes{slices, 60000 / slices}.write(m.sizes);
          give_update(m, 60000, r.rule, scaling(skip, skip == skip_rule::none ? 1.0f : 64.0f));
          check_steps(m, 0, 4);
        }
      }
    }
  }
}

TEST_CASE("what clips gradients costs its price", "[backends]") {
  random_values random(7);
  for (const i32 count : {1, 31, 5000, 200000}) {
    for (const element type : {element::f16, element::f32}) {
      CAPTURE(count, name_of(type));
      model_case norm;
      norm.sizes.what = kind::gradient_norm;
      bias_sizes{1, 1, count}.write(norm.sizes);
      norm.give_input(1, count, type);
      norm.give_output(0, 1, element::f32);
      random.fill(norm.in[1], type);
      model_case wanted = norm;
      CHECK(run_on_model<ipu>(norm, 2).total == accelerator::price(ipu, norm.sizes));
      wanted(&reference::run);
      CHECK(norm.output_value(0, 0) == Approx(wanted.output_value(0, 0)).epsilon(1e-5));
      model_case adjust = elementwise_case(kind::adjust_gradient, count, type, 1);
      adjust.give_input(1, count, element::f32);
      adjust.attr.update.l1 = 0.25f;
      adjust.attr.limits.value = 0.5f;
      random.fill_inputs(adjust);
      wanted = adjust;
      CHECK(run_on_model<ipu>(adjust, 2).total == accelerator::price(ipu, adjust.sizes));
      wanted(&reference::run);
      CHECK(adjust.out == wanted.out);
    }
  }
  model_case factor;
  factor.sizes.what = kind::clip_factor;
  elementwise_sizes{40}.write(factor.sizes);
  factor.give_input(0, 40, element::f32);
  factor.give_output(0, ops::clip_count, element::f32);
  factor.attr.limits.norm = 1;
  random.fill_inputs(factor);
  CHECK(run_on_model<ipu>(factor).total == accelerator::price(ipu, factor.sizes));
}

TEST_CASE("a fused update is its gradient, rounded, and an update of that", "[backends]") {
  random_values random(32);
  model_case fused =
      conv_case(kind::conv2d_weight_gradient, conv_of(16, 3, 8, 8, 6, 5, 5, 1, 2, 1, 1),
                element::f16, true, false);
  random.fill_inputs(fused);
  model_case gradient = fused;
  run_on_model<ipu>(gradient);
  const update_rule rule = adam(false, 0);
  const i64 n = 3 * 6 * 25;
  model_case apart = elementwise_case(kind::update, static_cast<i32>(n), element::f16, 1);
  apart.in[0] = gradient.out[0];
  give_update(apart, n, rule, scaling(skip_rule::tensor, 16));
  fused.sizes.what = kind::conv2d_weight_update;
  give_update(fused, n, rule, scaling(skip_rule::tensor, 16));
  random.fill(fused.out[0], element::f32);
  apart.out[0] = fused.out[0];
  run_on_model<ipu>(fused);
  run_on_model<ipu>(apart);
  CHECK(fused.out == apart.out);
}

TEST_CASE("an overflow skips the step or the tensor, as the rule says", "[backends]") {
  for (const element type : {element::f16, element::f32}) {
    model_case m = elementwise_case(kind::update, 100, type, 1);
    give_update(m, 100, sgd(0, false, 0, 0), scaling(skip_rule::tensor, 8));
    if (type == element::f16) {
      m.input<half>(0)[57] = half{0x7c00};
    } else {
      m.input<float>(0)[57] = std::numeric_limits<float>::quiet_NaN();
    }
    model_case before = m;
    run_on_model<ipu>(m);
    CHECK(m.out == before.out);
    CHECK(m.input<float>(2)[ops::scaler_overflow] == 1);

    // skip_rule::step: the test marks, the update only looks.
    m.attr.scaling.skip = skip_rule::step;
    run_on_model<ipu>(m);
    CHECK(m.out == before.out);
    model_case test;
    test.sizes.what = kind::overflow_test;
    elementwise_sizes{100}.write(test.sizes);
    test.give_input(0, 100, type);
    test.give_output(0, 4, element::f32);
    CHECK(run_on_model<ipu>(test).total == accelerator::price(ipu, test.sizes));
    CHECK(test.output<float>(0)[ops::scaler_overflow] == 0);
    test.in[0] = m.in[0];
    run_on_model<ipu>(test);
    CHECK(test.output<float>(0)[ops::scaler_overflow] == 1);
  }
}

TEST_CASE("the loss scale backs off and grows", "[backends]") {
  model_case m;
  m.sizes.what = kind::scaler_update;
  elementwise_sizes{1}.write(m.sizes);
  m.give_output(0, 4, element::f32);
  m.attr.scaling = scaling(skip_rule::step, 1024);
  float* s = m.output<float>(0);
  s[ops::scaler_scale] = 1024;
  s[ops::scaler_overflow] = 1;
  CHECK(run_on_model<ipu>(m).total == accelerator::price(ipu, m.sizes));
  CHECK(s[ops::scaler_scale] == 512);
  CHECK(s[ops::scaler_skipped] == 1);
  CHECK(s[ops::scaler_overflow] == 0);
  run_on_model<ipu>(m);
  CHECK(s[ops::scaler_scale] == 512);
  CHECK(s[ops::scaler_good_steps] == 1);
  run_on_model<ipu>(m);
  CHECK(s[ops::scaler_scale] == 1024);
  CHECK(s[ops::scaler_good_steps] == 0);
}

TEST_CASE("the bias corrections are those of a power function", "[backends]") {
  for (const float beta : {0.9f, 0.999f, 0.5f}) {
    for (const i32 t : {1, 2, 3, 7, 100, 12345}) {
      CHECK(ops::bias_correction(beta, t) ==
            Approx(1 - std::pow(static_cast<double>(beta), t)).epsilon(1e-12));
    }
  }
}
