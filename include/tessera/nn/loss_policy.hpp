#pragma once

// How losses are chosen and changed.
//
// A loss is a struct of constants; to change one, derive and hide it:
//
//   struct careful : tessera::softmax_cross_entropy {
//     static constexpr float label_smoothing = 0.1f;
//     static constexpr float class_weights[] = {1, 1, 2};
//   };
//   using job = training<net, careful, adam>;
//
// The framework asks `Loss::build<Loss>(b, y)`, so that the constants of the derived type are the
// ones that count; a loss of the user's own is any type with `build(b, y)`.

#include <tessera/nn/endpoints.hpp>

namespace tessera {

/// A loss that takes a Y: a value, or the bundle of all outputs. It appends its targets and itself.
template <class L, class Y>
concept loss_on = requires(builder& b, const Y& y) {
  { L::template build<L>(b, y) } -> std::same_as<value>;
}
|| requires(builder& b, const Y& y) {
  { L::build(b, y) } -> std::same_as<value>;
};

template <class L>
concept loss_function = loss_on<L, value> || loss_on<L, bundle>;

/// Appends loss L on y.
template <class L, class Y>
requires(loss_on<L, Y>) constexpr value build_loss(builder& b, const Y& y) {
  if constexpr (requires { L::template build<L>(b, y); }) {
    return L::template build<L>(b, y);
  } else {
    return L::build(b, y);
  }
}

namespace detail {

/// The constants of a loss type as attributes.
template <class L>
constexpr loss_attributes loss_attributes_of() {
  loss_attributes a;
  if constexpr (requires { L::reduce; }) a.reduce = L::reduce;
  if constexpr (requires { L::label_smoothing; }) a.label_smoothing = L::label_smoothing;
  if constexpr (requires { L::ignore_index; }) a.ignore_index = L::ignore_index;
  if constexpr (requires { L::margin; }) a.margin = L::margin;
  if constexpr (requires { L::delta; }) a.delta = L::delta;
  if constexpr (requires { L::power; }) a.power = L::power;
  if constexpr (requires { L::epsilon; }) a.epsilon = L::epsilon;
  if constexpr (requires { L::temperature; }) a.temperature = L::temperature;
  if constexpr (requires { L::log_target; }) a.log_target = L::log_target;
  if constexpr (requires { L::blank; }) a.blank = L::blank;
  if constexpr (requires { L::zero_infinity; }) a.zero_infinity = L::zero_infinity;
  return a;
}

/// Numbers that a loss brings along, as a constant of the network.
template <i32 Count>
constexpr value append_constant(builder& b, const float (&values)[Count], const char* part) {
  tensor t;
  t.dims = shape(Count);
  t.what = role::constant;
  t.values = values;
  t.name = {"loss", detail::ordinal_of(b.network().losses), part};
  return {b.network().add(t)};
}

/// The class weights of loss L for `classes` of them; empty where it has none.
template <class L>
constexpr value append_class_weights(builder& b, i32 classes, const char* where) {
  if constexpr (requires { L::class_weights[0]; }) {
    constexpr i32 count = static_cast<i32>(sizeof L::class_weights / sizeof *L::class_weights);
    if (count != classes) {
      return b.fail({where, spell_all(classes, " class weights"), spell_all<64>(count),
                     "give one for each class"});
    }
    return append_constant(b, L::class_weights, "class_weights");
  } else {
    return {};
  }
}

/// True where a loss becomes one number, as training needs it.
constexpr bool is_reduced(builder& b, const loss_attributes& a, const char* where) {
  if (a.reduce != reduction::none) return true;
  b.fail({where, "a reduction to one number", "none", "reduce by mean, batch_mean or sum"});
  return false;
}

/// A target with a number for each row of logits: for all extents but the classes.
constexpr value append_row_target(builder& b, value logits, element type) {
  tensor t = b.network().tensors[logits.id];
  for (i32 axis = t.stack + 1; axis + 1 < t.dims.rank; ++axis) t.dims[axis] = t.dims[axis + 1];
  t.dims[--t.dims.rank] = 0;
  t.type = type;
  return append_target(b, t);
}

/// True where `logits` has one value per class and nothing else, at each point in time if any.
constexpr bool has_one_row(builder& b, value logits, const char* where) {
  if (!b.usable(logits)) return false;
  const i32 time = b.network().tensors[logits.id].stack;
  if (b.sample(logits).rank == time + 1) return true;
  b.fail({where,
          time == 0 ? "a rank-1 output (one value per class)"
                    : "one value per class at each point in time",
          spell_all<64>(b.sample(logits)),
          time == 0 ? "end with flatten and dense<classes>"
                    : "end with each_step<flatten, dense<classes>>"});
  return false;
}

}  // namespace detail
}  // namespace tessera
