#pragma once

// Updates: a parameter and its optimizer state, changed in place by the parameter's gradient.
//
//   update               in: gradient, -, scaler      out: parameter, states (up to 3), applied
//   dense_weight_update  in: x, dy, scaler            out: the same
//   conv2d_weight_update in: x, dy, scaler            out: the same
//   bias_update          in: -, dy, scaler            out: the same
//   embedding_update     in: indices, dy, scaler      out: the same, scratch   ops/embedding.hpp
//   rmsprop_update ...   in: gradient, -, scaler      out: the same, and one more (out 5): a number
//                                                     that the rule carries on
//                                                     (ops/update_rules.hpp)
//   adjust_gradient      in: gradient, parameter, scaler   out: gradient
//   gradient_norm        in: -, gradient              out: norm
//   clip_factor          in: norms, -, scaler         out: clip (norm of all, factor)
//   overflow_test        in: gradient                 out: scaler
//   scaler_update        in: -                        out: scaler
//
// All but the fused forms may read `clip` in slot 3. The forms of one operation are what the whole
// program uses: one that trains with sgd or adam compiles no other rule.
//
// The fused forms compute the gradient piece by piece and apply it at once, so that it never has a
// buffer. `applied` (i32) counts the updates this parameter has had: Adam's t.
//
// A parameter of 16 bits (precision_policy::masters off) is widened, updated in f32 and rounded
// stochastically: up or down by chance, so that its expectation is the exact result and updates
// below half a unit in the last place are not lost (rounding_words; Gupta et al. 2015). lamb and
// lars take the norm of the parameter as it was stored. With update_rule::splits it is whole in
// f32: 16 more bits of it lie in the state of slot 7 (core/split_float.hpp), nothing is left to
// chance, and the parameter itself is the f32 number rounded to nearest.
//
// Arithmetic is f32 on f32 parameters and states. A gradient stored in 16 bits is rounded to them
// first, also where it is fused and never stored; then g = float(gradient) / scale, times the
// factor of clipping.
//
// adjust_gradient adds the gradient of the L1 penalty, scale l1 sign(w), and then limits every
// element to +-scale value. Where losses are scaled, elements that are not finite stay as they are,
// so that an overflow is seen. Norms are those of unscaled gradients: gradient_norm gives that of
// one tensor as it is stored, (sum |g|^p)^(1/p) or the largest |g|, summed in blocks whose order no
// number of threads changes; clip_factor joins them, divides by the scale and finds
// min(1, limit / (norm + 1e-6)), as PyTorch does. A norm that is not a number makes the factor
// none, an infinite one makes it 0. (Pascanu, Mikolov, Bengio 2013)
//
// The scaler is four f32: the scale, good steps in a row, 1 if this step overflowed, and how often
// that has happened. skip_rule::step: overflow_test sets the third from every gradient and each
// update looks at it first. skip_rule::tensor: an update whose own gradient is not finite sets it
// and leaves its parameter alone. scaler_update ends the step: it adapts the scale
// (ir/attributes.hpp, loss_scaling) and clears the third.

#include <tessera/core/random.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ir/graph.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// The random words that round a 16-bit parameter which has no 32-bit master: another one for every
/// element, parameter, slice of a stack, and step.
constexpr element_words rounding_words(const call& c) {
  return {{c.step->seed,
           (u64{1} << 63) + static_cast<u64>(c.attr->salt) + (static_cast<u64>(c.trip) << 32)},
          c.step->step << 32};
}

/// The output of an update that holds the lower 16 bits of a split parameter.
inline constexpr i32 rest_slot = 7;

enum scaler_slot : i32 { scaler_scale, scaler_good_steps, scaler_overflow, scaler_skipped };
enum clip_slot : i32 { clip_norm, clip_factor, clip_count };

/// What scaler_update does to the four numbers, on every backend.
constexpr void adapt_scale(float* scaler, const loss_scaling& rule) {
  if (scaler[scaler_overflow] != 0) {
    scaler[scaler_skipped] += 1;
    scaler[scaler_good_steps] = 0;
    if (rule.dynamic) scaler[scaler_scale] *= rule.backoff;
  } else {
    scaler[scaler_good_steps] += 1;
    if (rule.dynamic && scaler[scaler_good_steps] >= static_cast<float>(rule.interval)) {
      scaler[scaler_scale] *= rule.growth;
      scaler[scaler_good_steps] = 0;
    }
  }
  scaler[scaler_overflow] = 0;
}

/// Updates of all rules, fused or not.
constexpr bool is_update(kind what) {
  return (what >= kind::update && what <= kind::lars_update) || is_lookup_update(what);
}

/// Updates by rules that are never fused.
constexpr bool is_rule_update(kind what) {
  return what >= kind::rmsprop_update && what <= kind::lars_update;
}

/// Those of them that need norms over a whole tensor first.
constexpr bool is_norm_update(kind what) {
  return what == kind::lamb_update || what == kind::lars_update;
}

/// Updates whose gradient is a tensor.
constexpr bool reads_gradient(kind what) { return what == kind::update || is_rule_update(what); }

/// The operation that applies a rule to a stored gradient.
constexpr kind update_kind(optimizer_kind rule) {
  if (rule <= optimizer_kind::adam) return kind::update;
  const i32 number = static_cast<i32>(rule) - static_cast<i32>(optimizer_kind::rmsprop);
  return static_cast<kind>(static_cast<i32>(kind::rmsprop_update) + number);
}
static_assert(update_kind(optimizer_kind::lars) == kind::lars_update);

constexpr norm_update_sizes sizes_of_norm_update(const graph& g, const operation& op) {
  const tensor& t = g.tensors[op.out[0]];
  i32 slices = 1;
  for (i32 axis = 0; axis < t.stack; ++axis) slices *= t.dims[axis];
  return {slices, static_cast<i32>(t.dims.count() / slices)};
}

/// What clip_factor puts out for the norm of all gradients.
constexpr float clip_factor_of(const gradient_limits& limits, double norm) {
  const double factor = static_cast<double>(limits.norm) / (norm + 1e-6);
  return factor > 1 ? 1.0f : static_cast<float>(factor);  // none stays none
}

constexpr const char* name_of_rule_update(kind what) {
  constexpr const char* names[] = {
      "rmsprop_update", "adagrad_update", "adadelta_update", "adamax_update", "nadam_update",
      "radam_update",   "rprop_update",   "lion_update",     "lamb_update",   "lars_update"};
  return names[static_cast<i32>(what) - static_cast<i32>(kind::rmsprop_update)];
}

/// The fused form of an operation that computes a parameter's gradient, none where there is none.
constexpr kind fused_update(kind gradient) {
  switch (gradient) {
    case kind::dense_weight_gradient: return kind::dense_weight_update;
    case kind::conv2d_weight_gradient: return kind::conv2d_weight_update;
    case kind::bias_gradient: return kind::bias_update;
    case kind::embedding_gradient: return kind::embedding_update;
    case kind::embedding_bag_gradient: return kind::embedding_bag_update;
    default: return kind::none;
  }
}

}  // namespace tessera::ops
