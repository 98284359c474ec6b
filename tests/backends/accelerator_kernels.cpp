#include <tessera/backends/accelerator.hpp>

#include <support/catch.hpp>

#include "accelerator_support.hpp"

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr machine ipu = accelerator::ipu_mk1;
constexpr machine array = accelerator::small_array;

/// A machine so small that sums are cut and blocks are uneven.
constexpr machine few_tiles = [] {
  machine m = accelerator::ipu_mk1;
  m.tiles = 13;
  m.exchange.startup_cycles = 1;
  m.exchange.sync_cycles = 1;
  return m;
}();

/// Compares output `slot` with the same in double: `terms` products in every sum. A stored half is
/// off by half a unit in its last place, an f32 sum by one rounding per term of values up to 4.
void check_close(model_case& got, model_case& wanted, i32 slot, double terms) {
  const bool narrow = got.sizes.output_type(slot) == element::f16;
  i64 wrong = 0;
  double worst = 0;
  for (i64 i = 0; i < got.output_count(slot); ++i) {
    const double a = got.output_value(slot, i);
    const double b = wanted.output_value(slot, i);
    const double slack =
        (narrow ? 0x1p-10 * std::abs(b) + 0x1p-24 : 0x1p-22 * std::abs(b)) + terms * 4 * 0x1p-24;
    if (std::isnan(a) != std::isnan(b) || std::abs(a - b) > slack) {
      ++wrong;
      worst = std::max(worst, std::abs(a - b));
    }
  }
  CAPTURE(worst, got.output_count(slot));
  CHECK(wrong == 0);
}

/// Runs a case on the model in several ways: close to double, equal for any number of threads, and
/// counted as priced.
template <machine M>
void check(const model_case& prepared, double terms) {
  CAPTURE(ops::name_of(prepared.sizes.what), M.name, prepared.sizes.batch_last,
          name_of(prepared.sizes.output_type(0)));
  model_case wanted = prepared;
  run_in_double(wanted);
  model_case got = prepared;
  const accelerator::counters counted = run_on_model<M>(got);
  for (i32 slot = 0; slot < 4; ++slot) {
    if (got.sizes.has_output(slot)) check_close(got, wanted, slot, terms);
  }
  CHECK(counted.total == accelerator::price(M, prepared.sizes));
  CHECK(counted.operations == 1);

  model_case threaded = prepared;
  const accelerator::counters again = run_on_model<M>(threaded, 3);
  CHECK(again.total == counted.total);
  CHECK(threaded.out == got.out);
  model_case uncounted = prepared;
  uncounted(accelerator::find_kernel<M>(uncounted.sizes));
  CHECK(uncounted.out == got.out);
}

void check_on_all(const model_case& prepared, double terms) {
  check<ipu>(prepared, terms);
  check<few_tiles>(prepared, terms);
  check<array>(prepared, terms);
}

constexpr element types[] = {element::f16, element::f32};

}  // namespace

TEST_CASE("dense and its gradients agree with double and cost what was priced", "[backends]") {
  random_values random(1);
  const dense_sizes shapes[] = {{16, 40, 12}, {32, 120, 84}, {5, 7, 3}, {1, 300, 10}, {48, 1, 1}};
  for (const dense_sizes& n : shapes) {
    for (const element type : types) {
      for (const kind what :
           {kind::dense, kind::dense_data_gradient, kind::dense_weight_gradient}) {
        for (const bool last : {false, true}) {
          if (last && n.batch % 16 != 0) continue;
          model_case m = dense_case(what, n, type, last, n.in != 7);
          random.fill_inputs(m);
          check_on_all(m, 310);
        }
      }
    }
  }
}

TEST_CASE("conv2d and its gradients agree with double and cost what was priced", "[backends]") {
  random_values random(2);
  const conv_sizes shapes[] = {
      conv_of(16, 1, 12, 12, 6, 5, 5, 1, 2, 1, 1), conv_of(32, 6, 7, 7, 16, 5, 5, 1, 0, 1, 1),
      conv_of(3, 4, 6, 9, 8, 3, 2, 2, 1, 1, 2),    conv_of(2, 6, 8, 8, 6, 3, 3, 1, 2, 2, 6),
      conv_of(1, 3, 9, 9, 5, 4, 3, 3, 1, 1, 1),    conv_of(16, 40, 3, 3, 70, 1, 1, 1, 0, 1, 1)};
  for (const conv_sizes& n : shapes) {
    for (const element type : types) {
      for (const kind what :
           {kind::conv2d, kind::conv2d_data_gradient, kind::conv2d_weight_gradient}) {
        for (const bool last : {false, true}) {
          if (last && n.batch % 16 != 0) continue;
          model_case m = conv_case(what, n, type, last, n.stride_height == 1);
          random.fill_inputs(m);
          check_on_all(m, what == kind::conv2d_weight_gradient ? 2400 : 400);
        }
      }
    }
  }
}

TEST_CASE("bias gradients agree with double in both layouts", "[backends]") {
  random_values random(3);
  for (const bias_sizes n : {bias_sizes{16, 6, 100}, bias_sizes{3, 5, 7}, bias_sizes{32, 10, 1}}) {
    for (const element type : types) {
      for (const bool last : {false, true}) {
        if (last && n.batch % 16 != 0) continue;
        model_case m;
        m.sizes.what = kind::bias_gradient;
        m.sizes.batch_last = last;
        n.write(m.sizes);
        m.give_input(1, i64{n.batch} * n.channels * n.inner, type);
        m.give_output(0, n.channels, type);
        random.fill_inputs(m);
        check_on_all(m, n.batch * n.inner);
      }
    }
  }
}

TEST_CASE("pooling agrees with double, winners included", "[backends]") {
  random_values random(4);
  const pool_sizes shapes[] = {
      {16, 6, 8, 8, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0},
      {32, 3, 7, 9, 3, 4, 3, 3, 2, 2, 0, 0, 0, 0, 1, 1, 0},
      {2, 3, 7, 6, 4, 3, 3, 2, 2, 2, 1, 0, 1, 1, 1, 1, 1},        // padding that counts
      {3, 2, 6, 6, 3, 3, 2, 2, 2, 2, 1, 1, 0, 0, 1, 1, 0},        // padding that does not
      {1, 1, 9, 9, 5, 5, 3, 3, 1, 1, 0, 0, 0, 0, 2, 2, 0},        // dilation, overlapping windows
      {16, 1, 20, 20, 2, 2, 18, 18, 2, 2, 0, 0, 0, 0, 1, 1, 0}};  // 324 cells: i32 winners
  for (const pool_sizes& n : shapes) {
    for (const element type : types) {
      for (const bool last : {false, true}) {
        if (last && n.batch % 16 != 0) continue;
        for (const kind forward : {kind::max_pool2d, kind::avg_pool2d}) {
          model_case m = pool_case(forward, n, type, last);
          random.fill_inputs(m);
          check_on_all(m, 400);
          const bool largest = forward == kind::max_pool2d;
          model_case back = pool_case(
              largest ? kind::max_pool2d_gradient : kind::avg_pool2d_gradient, n, type, last);
          random.fill_inputs(back);
          if (largest) {
            run_in_double(m);
            back.in[1] = m.out[1];
          }
          check_on_all(back, 400);
        }
      }
    }
  }
}

TEST_CASE("elementwise operations agree with double", "[backends]") {
  random_values random(5);
  for (const i32 count : {1, 31, 1000, 50000}) {
    for (const element type : types) {
      for (const kind what : {kind::relu, kind::tanh, kind::sigmoid, kind::dropout}) {
        model_case m = elementwise_case(what, count, type, 1);
        m.attr.rate = 0.25f;
        m.attr.salt = 3;
        m.step.seed = 11;
        m.step.step = 5;
        random.fill(m.in[0], type, -4, 4);
        check_on_all(m, 2);
      }
      for (const kind what :
           {kind::relu_gradient, kind::tanh_gradient, kind::sigmoid_gradient, kind::add}) {
        model_case m = elementwise_case(what, count, type, 2);
        random.fill_inputs(m);
        check_on_all(m, 2);
      }
      for (const element to : types) {
        model_case m = elementwise_case(kind::cast, count, type, 1);
        m.give_output(0, count, to);
        random.fill_inputs(m);
        check_on_all(m, 0);
      }
    }
  }
}

TEST_CASE("an operation may overwrite its operand", "[backends]") {
  random_values random(6);
  for (const kind what : {kind::tanh, kind::relu, kind::dropout}) {
    model_case m = elementwise_case(what, 5000, element::f16, 1);
    m.attr.rate = 0.5f;
    random.fill_inputs(m);
    model_case apart = m;
    run_on_model<ipu>(apart);
    std::byte* bytes[8] = {m.in[0].data()};
    const call c{bytes, bytes, &m.sizes, &m.attr, &m.step};
    accelerator::find_kernel<ipu>(m.sizes)(c);
    CHECK(m.in[0] == apart.out[0]);
  }
}

TEST_CASE("losses and their gradients agree with double", "[backends]") {
  random_values random(7);
  const loss_sizes shapes[] = {{16, 10, 1}, {32, 10, 1}, {5, 3, 4}, {48, 7, 2}, {1, 1, 1}};
  for (const loss_sizes& n : shapes) {
    for (const element type : types) {
      for (const bool last : {false, true}) {
        if (last && n.batch % 16 != 0) continue;
        for (const reduction reduce : {reduction::mean, reduction::sum, reduction::none}) {
          for (i32 form = 0; form < 4; ++form) {
            const bool weighted = form == 1;
            model_case m;
            m.sizes.what = kind::softmax_cross_entropy;
            m.sizes.batch_last = last;
            n.write(m.sizes);
            m.attr.loss.reduce = reduce;
            m.attr.loss.label_smoothing = form == 2 ? 0.1f : 0.0f;
            m.attr.loss.weight = form == 3 ? 0.5f : 1.0f;
            m.step.valid = form == 3 ? (n.batch + 1) / 2 : n.batch;
            const i64 rows = i64{n.batch} * n.inner;
            m.give_input(0, rows * n.classes, type);
            m.give_input(1, rows, element::int32);
            random.fill(m.in[0], type, -3, 3);
            for (i64 i = 0; i < rows; ++i) m.input<i32>(1)[i] = random.whole(0, n.classes - 1);
            if (rows > 4) m.input<i32>(1)[3] = m.attr.loss.ignore_index;
            model_case back = m;
            if (weighted) {
              m.give_input(3, n.classes, element::f32);
              random.fill(m.in[3], element::f32, 0.5f, 2);
              back.give_input(3, n.classes, element::f32);
              back.in[3] = m.in[3];
            }
            m.give_output(0, reduce == reduction::none ? rows : 1, element::f32);
            check_on_all(m, 100 + 16.0 * static_cast<double>(rows));
            back.sizes.what = kind::softmax_cross_entropy_gradient;
            back.give_output(0, rows * n.classes, type);
            if (form == 2) {
              back.give_input(2, 4, element::f32);
              back.input<float>(2)[0] = 8;
            }
            if (form == 3) {
              back.give_input(4, reduce == reduction::none ? rows : 1, element::f32);
              random.fill(back.in[4], element::f32);
            }
            check_on_all(back, 100);
          }
          model_case m;
          m.sizes.what = kind::mse;
          m.sizes.batch_last = last;
          const i32 values = n.classes * n.inner;
          element_loss_sizes{n.batch * values, last ? n.batch : n.batch * values, last ? 1 : values,
                             1, 1, 1}
              .write(m.sizes);
          m.attr.loss.reduce = reduce;
          m.step.valid = (n.batch + 1) / 2;
          const i64 elements = i64{n.batch} * n.classes * n.inner;
          m.give_input(0, elements, type);
          m.give_input(1, elements, element::f32);
          random.fill_inputs(m);
          model_case back = m;
          m.give_output(0, reduce == reduction::none ? elements : 1, element::f32);
          check_on_all(m, 4.0 * static_cast<double>(elements));
          back.sizes.what = kind::mse_gradient;
          back.give_output(0, elements, type);
          check_on_all(back, 10);
        }
      }
    }
  }
}

TEST_CASE("a target that does not exist makes loss and gradient NaN", "[backends]") {
  model_case m;
  m.sizes.what = kind::softmax_cross_entropy;
  loss_sizes{2, 3, 1}.write(m.sizes);
  m.step.valid = 2;
  m.give_input(0, 6, element::f32);
  m.give_input(1, 2, element::int32);
  m.input<i32>(1)[0] = 3;
  model_case back = m;
  m.give_output(0, 1, element::f32);
  run_on_model<ipu>(m);
  CHECK(std::isnan(m.output<float>(0)[0]));
  back.sizes.what = kind::softmax_cross_entropy_gradient;
  back.give_output(0, 6, element::f32);
  run_on_model<ipu>(back);
  CHECK(std::isnan(back.output<float>(0)[0]));
}
