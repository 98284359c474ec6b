// The price of operations over axes, of glu, prelu and activations on the model: the counters of a
// run equal it, in pieces of one tile and of many, whatever the number of threads.

#include "accelerator_support.hpp"

#include <support/catch.hpp>
#include <tessera/ops/axes_sizes.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;

template <machine M>
void check_price(const model_case& given) {
  model_case m = given;
  const auto expected = accelerator::price(M, m.sizes);
  CHECK(run_on_model<M>(m).total == expected);
  model_case threaded = given;
  CHECK(run_on_model<M>(threaded, 3).total == expected);
  CHECK(threaded.out == m.out);
  CHECK(expected.vertices > 0);
}

void check_price(model_case m) {
  random_values random(3);
  random.fill_inputs(m);
  check_price<accelerator::ipu_mk1>(m);
  check_price<accelerator::small_array>(m);
}

/// Operands of an operation over axes; of three axes the bits say which an operand has.
model_case axes_case(kind what, i32 a, i32 b, i32 c, u32 has_0, u32 has_1, element type) {
  model_case m;
  m.sizes.what = what;
  axes_sizes n;
  n.axes = 3;
  n.extent[0] = a, n.extent[1] = b, n.extent[2] = c;
  n.has[0] = has_0, n.has[1] = has_1;
  n.write(m.sizes);
  if (ops::is_broadcast(what)) {
    m.give_input(0, n.count_of(0), type);
    m.give_input(1, n.count_of(1), type);
    if (ops::is_broadcast_gradient(what)) m.give_input(2, n.count(), type);
    m.give_output(0, n.count(), type);
  } else if (ops::is_reduction(what)) {
    m.give_input(0, n.count(), type);
    m.give_output(0, n.count_of(0), type);
  } else {
    const bool largest = what == kind::reduce_amax_gradient;
    m.give_input(0, largest ? n.count() : n.count_of(0), type);
    if (largest) {
      m.give_input(1, n.count_of(0), type);
      m.give_input(2, n.count_of(0), type);
    }
    m.give_output(0, n.count(), type);
  }
  return m;
}

model_case channel_case(kind what, bias_sizes n, element type) {
  model_case m;
  m.sizes.what = what;
  n.write(m.sizes);
  const bool slopes = what == kind::prelu_slope_gradient;
  m.give_input(0, n.count(), type);
  m.give_input(1, slopes ? n.count() : n.channels, type);
  if (what == kind::prelu_gradient) m.give_input(2, n.count(), type);
  m.give_output(0, slopes ? n.channels : n.count(), type);
  return m;
}

model_case gate_case(kind what, gate_sizes n, element type) {
  model_case m;
  m.sizes.what = what;
  n.write(m.sizes);
  m.give_input(0, 2 * n.count(), type);
  if (what == kind::glu_gradient) m.give_input(1, n.count(), type);
  m.give_output(0, what == kind::glu ? n.count() : 2 * n.count(), type);
  return m;
}

}  // namespace

TEST_CASE("counters of operations over axes equal the price", "[backends]") {
  for (const element type : {element::f32, element::f16}) {
    for (const i32 size : {3, 40}) {
      for (const kind what : {kind::broadcast_add, kind::divide, kind::maximum,
                              kind::maximum_gradient, kind::divide_gradient}) {
        check_price(axes_case(what, size, 7, 31, 0b111, 0b010, type));
        check_price(axes_case(what, size, 5, 33, 0b101, 0b011, type));
      }
      for (const kind what : {kind::reduce_sum, kind::reduce_mean, kind::reduce_amax, kind::expand,
                              kind::reduce_mean_gradient, kind::reduce_amax_gradient}) {
        check_price(axes_case(what, size, 7, 31, 0b010, 0b111, type));
        check_price(axes_case(what, size, 9, 20, 0b101, 0b111, type));
        check_price(axes_case(what, size, 9, 20, 0b000, 0b111, type));
      }
    }
  }
}

TEST_CASE("counters of prelu, glu, permute and activations equal the price", "[backends]") {
  for (const element type : {element::f32, element::f16}) {
    for (const kind what : {kind::prelu, kind::prelu_gradient, kind::prelu_slope_gradient}) {
      check_price(channel_case(what, {3, 5, 40}, type));
      check_price(channel_case(what, {64, 1, 500}, type));
    }
    for (const kind what : {kind::glu, kind::glu_gradient}) {
      check_price(gate_case(what, {3, 7}, type));
      check_price(gate_case(what, {40, 1000}, type));
    }
    for (const kind what : {kind::gelu_erf, kind::softplus, kind::mish, kind::leaky_relu}) {
      check_price(elementwise_case(what, 5000, type, 1));
      check_price(elementwise_case(ops::gradient_kind(what), 5000, type, 2));
    }
    model_case m;
    m.sizes.what = kind::permute;
    permute_sizes n;
    n.axes = 2;
    n.extent[0] = 60, n.extent[1] = 70;
    n.step[0] = 1, n.step[1] = 60;
    n.write(m.sizes);
    m.give_input(0, n.count(), type);
    m.give_output(0, n.count(), type);
    check_price(m);
  }
}

TEST_CASE("a function of more steps costs more cycles", "[backends]") {
  const auto cycles = [](kind what) {
    const model_case m = elementwise_case(what, 100000, element::f32, 1);
    return accelerator::price(accelerator::ipu_mk1, m.sizes).compute_cycles;
  };
  CHECK(cycles(kind::relu) < cycles(kind::leaky_relu));
  CHECK(cycles(kind::leaky_relu) < cycles(kind::silu));
  CHECK(cycles(kind::silu) < cycles(kind::gelu_erf));
}
