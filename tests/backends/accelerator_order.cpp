// Bit for bit: the model's kernels against straight scalar loops in the order that is stated.

#include <tessera/backends/accelerator.hpp>

#include <support/catch.hpp>

#include <array>

#include "accelerator_support.hpp"

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr machine blocks_of_four = accelerator::ipu_mk1;

/// Sums in a chain, on so few tiles that blocks are uneven.
constexpr machine chains = [] {
  machine m = accelerator::ipu_mk1;
  m.matrix.order = accumulation::chain;
  m.tiles = 50;
  return m;
}();

/// ipu_mk1 with another matrix unit, on so few tiles that sums are long.
constexpr machine with_unit(accumulation order, i32 length, rounding round, bool ends) {
  machine m = accelerator::ipu_mk1;
  m.tiles = 5;
  m.matrix.order = order;
  m.matrix.rows = m.matrix.depth = length;
  m.matrix.round = round;
  m.matrix.numbers.flush_inputs = m.matrix.numbers.flush_outputs = ends;
  m.matrix.numbers.saturate = ends;
  m.matrix.numbers.seed = ends ? 77 : 0;
  return m;
}
constexpr machine cuts = with_unit(accumulation::block4, 4, rounding::toward_zero, false);
constexpr machine chance_chains = with_unit(accumulation::chain, 1, rounding::stochastic, false);
constexpr machine short_folds = with_unit(accumulation::folds, 5, rounding::nearest_even, true);
constexpr machine long_folds = with_unit(accumulation::folds, 16, rounding::stochastic, true);
constexpr machine two_by_two = with_unit(accumulation::tree, 2, rounding::toward_zero, true);
constexpr machine small_trees = with_unit(accumulation::tree, 8, rounding::nearest_even, false);
constexpr machine large_trees = with_unit(accumulation::tree, 64, rounding::stochastic, true);

constexpr u64 step_seed = 41;
constexpr u64 step_number = 13;

/// The word of element `i` of the first output: of the seeds, the operation (here number 0), step.
u32 word_of(const machine& on, i64 i) {
  const u64 seed = step_seed + u64{on.matrix.numbers.seed} * 0x9e3779b97f4a7c15u;
  const philox generator{seed, u64{1} << 62};
  return generator((step_number << 32) + static_cast<u64>(i / 4))[static_cast<i32>(i % 4)];
}

float number(half x) { return to_float(x); }
float number(bfloat16 x) { return to_float(x); }
float number(float x) { return x; }

/// An operand as the machine's matrix unit takes it.
float operand(const machine& on, half x) {
  return on.matrix.numbers.flush_inputs && (x.bits & 0x7c00) == 0 ? (x.bits > 0x7fff ? -0.0f : 0.0f)
                                                                  : to_float(x);
}
float operand(const machine& on, float x) {
  return on.matrix.numbers.flush_inputs && std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
}

float operand(const machine& on, bfloat16 x) { return operand(on, to_float(x)); }

/// A sum as the machine stores it as element `i` of a tensor.
void give(const machine& on, std::vector<half>& to, i64 i, float x) {
  half y;
  switch (on.matrix.round) {
    case rounding::nearest_even: y = portable::to_half(x); break;
    case rounding::toward_zero: y = portable::to_half_toward_zero(x); break;
    case rounding::stochastic: y = to_half_stochastic_add(x, word_of(on, i)); break;
  }
  if (on.matrix.numbers.saturate && (y.bits & 0x7fff) == 0x7c00) --y.bits;
  if (on.matrix.numbers.flush_outputs && (y.bits & 0x7c00) == 0) y.bits &= 0x8000;
  to[static_cast<std::size_t>(i)] = y;
}
void give(const machine& on, std::vector<bfloat16>& to, i64 i, float x) {
  bfloat16 y;
  switch (on.matrix.round) {
    case rounding::nearest_even: y = to_bfloat16(x); break;
    case rounding::toward_zero: y = to_bfloat16_toward_zero(x); break;
    case rounding::stochastic: y = to_bfloat16_stochastic(x, word_of(on, i)); break;
  }
  if (on.matrix.numbers.saturate && (y.bits & 0x7fff) == 0x7f80) --y.bits;
  if (on.matrix.numbers.flush_outputs && (y.bits & 0x7f80) == 0) y.bits &= 0x8000;
  to[static_cast<std::size_t>(i)] = y;
}
void give(const machine& on, std::vector<float>& to, i64 i, float x) {
  if (on.matrix.numbers.saturate && std::isinf(x)) x = std::copysign(0x1.fffffep127f, x);
  to[static_cast<std::size_t>(i)] = operand(on, x);
  if (!on.matrix.numbers.flush_outputs) to[static_cast<std::size_t>(i)] = x;
}

/// One sum in the machine's order, one product after another.
class sum_in_order {
 public:
  explicit sum_in_order(const matrix_unit& unit) : order_(unit.order) {
    if (order_ == accumulation::folds) length_ = unit.rows;
    if (order_ == accumulation::block4) length_ = 4;
    if (order_ == accumulation::tree) length_ = unit.depth;
  }

  void add(float a, float b) {
    if (order_ == accumulation::chain) {
      sum_ = std::fma(a, b, sum_);
      return;
    }
    a_.push_back(a);
    b_.push_back(b);
    if (static_cast<i32>(a_.size()) == length_) flush();
  }
  float result() {
    if (!a_.empty()) flush();
    return sum_;
  }

 private:
  void flush() {
    if (order_ == accumulation::folds) {
      float fold = 0;
      for (std::size_t i = 0; i < a_.size(); ++i) fold = std::fma(a_[i], b_[i], fold);
      sum_ += fold;
    } else {
      a_.resize(static_cast<std::size_t>(length_));
      b_.resize(static_cast<std::size_t>(length_));
      sum_ += tree(0, a_.size());
    }
    a_.clear();
    b_.clear();
  }
  // volatile: the first product of each pair is rounded, as stated, whatever the compiler likes.
  float tree(std::size_t first, std::size_t count) const {
    if (count == 2) {
      volatile float p = a_[first] * b_[first];
      return std::fma(a_[first + 1], b_[first + 1], p);
    }
    volatile float low = tree(first, count / 2);
    volatile float high = tree(first + count / 2, count / 2);
    return low + high;
  }

  accumulation order_;
  i32 length_ = 1;
  float sum_ = 0;
  std::vector<float> a_, b_;
};

i64 at(bool last, i64 n, i64 c, i64 h, i64 w, i64 batch, i64 channels, i64 height, i64 width) {
  return last ? ((c * height + h) * width + w) * batch + n
              : ((n * channels + c) * height + h) * width + w;
}

/// What `m` must compute, bit for bit, from its mapping on `on`.
template <class T>
std::vector<T> straight(model_case& m, const machine& on) {
  const conv_sizes n = conv_sizes::of(m.sizes);
  const accelerator::mapping map = accelerator::map(on, m.sizes);
  const bool last = m.sizes.batch_last;
  const T* in0 = m.input<T>(0);
  const T* in1 = m.input<T>(1);
  const T* bias = m.sizes.has_input(2) ? m.input<T>(2) : nullptr;
  const auto x = [&](i64 b, i64 c, i64 h, i64 w) {
    return at(last, b, c, h, w, n.batch, n.in_channels, n.in_height, n.in_width);
  };
  const auto y = [&](i64 b, i64 o, i64 p, i64 q) {
    return at(last, b, o, p, q, n.batch, n.out_channels, n.out_height, n.out_width);
  };
  const auto weight = [&](i64 o, i64 c, i64 r, i64 s) {
    return ((o * n.group_in() + c) * n.kernel_height + r) * n.kernel_width + s;
  };
  std::vector<T> result(static_cast<std::size_t>(m.output_count(0)));

  if (m.sizes.what == kind::conv2d) {
    for (i64 b = 0; b < n.batch; ++b)
      for (i64 o = 0; o < n.out_channels; ++o)
        for (i64 p = 0; p < n.out_height; ++p)
          for (i64 q = 0; q < n.out_width; ++q) {
            float total = 0;
            const i64 first = o / n.group_out() * n.group_in();
            for (i32 k = 0; k < map.count(accelerator::axis_c); ++k) {
              sum_in_order sum(on.matrix);
              for (i64 r = 0; r < n.kernel_height; ++r)
                for (i64 s = 0; s < n.kernel_width; ++s)
                  for (i64 c = map.begin(accelerator::axis_c, k);
                       c < map.begin(accelerator::axis_c, k) + map.size(accelerator::axis_c, k);
                       ++c) {
                    const i64 h = p * n.stride_height + r * n.dilation_height - n.pad_top;
                    const i64 w = q * n.stride_width + s * n.dilation_width - n.pad_left;
                    const bool inside = h >= 0 && h < n.in_height && w >= 0 && w < n.in_width;
                    sum.add(inside ? operand(on, in0[x(b, first + c, h, w)]) : 0,
                            operand(on, in1[weight(o, c, r, s)]));
                  }
              total = k == 0 ? sum.result() : total + sum.result();
            }
            if (bias != nullptr) total += number(bias[o]);
            give(on, result, y(b, o, p, q), total);
          }
  }
  if (m.sizes.what == kind::conv2d_data_gradient) {
    for (i64 b = 0; b < n.batch; ++b)
      for (i64 c = 0; c < n.in_channels; ++c)
        for (i64 h = 0; h < n.in_height; ++h)
          for (i64 w = 0; w < n.in_width; ++w) {
            float total = 0;
            const i64 first = c / n.group_in() * n.group_out();
            for (i32 k = 0; k < map.count(accelerator::axis_o); ++k) {
              sum_in_order sum(on.matrix);
              for (i64 r = 0; r < n.kernel_height; ++r)
                for (i64 s = 0; s < n.kernel_width; ++s)
                  for (i64 o = map.begin(accelerator::axis_o, k);
                       o < map.begin(accelerator::axis_o, k) + map.size(accelerator::axis_o, k);
                       ++o) {
                    const i64 top = h + n.pad_top - r * n.dilation_height;
                    const i64 left = w + n.pad_left - s * n.dilation_width;
                    const bool meets = top >= 0 && left >= 0 && top % n.stride_height == 0 &&
                                       left % n.stride_width == 0 &&
                                       top / n.stride_height < n.out_height &&
                                       left / n.stride_width < n.out_width;
                    sum.add(meets ? operand(on, in0[y(b, first + o, top / n.stride_height,
                                                      left / n.stride_width)])
                                  : 0,
                            operand(on, in1[weight(first + o, c % n.group_in(), r, s)]));
                  }
              total = k == 0 ? sum.result() : total + sum.result();
            }
            give(on, result, x(b, c, h, w), total);
          }
  }
  if (m.sizes.what == kind::conv2d_weight_gradient) {
    using namespace accelerator;
    for (i64 o = 0; o < n.out_channels; ++o)
      for (i64 c = 0; c < n.group_in(); ++c)
        for (i64 r = 0; r < n.kernel_height; ++r)
          for (i64 s = 0; s < n.kernel_width; ++s) {
            float total = 0;
            bool first = true;
            for (i32 bh = 0; bh < map.count(axis_h); ++bh)
              for (i32 bw = 0; bw < map.count(axis_w); ++bw)
                for (i32 bb = 0; bb < map.count(axis_b); ++bb) {
                  sum_in_order sum(on.matrix);
                  for (i64 p = map.begin(axis_h, bh);
                       p < map.begin(axis_h, bh) + map.size(axis_h, bh); ++p)
                    for (i64 q = map.begin(axis_w, bw);
                         q < map.begin(axis_w, bw) + map.size(axis_w, bw); ++q)
                      for (i64 b = map.begin(axis_b, bb);
                           b < map.begin(axis_b, bb) + map.size(axis_b, bb); ++b) {
                        // Rows and columns are one axis where the kernel is a point.
                        const i64 place = p * map.of.extent[axis_w] + q;
                        const i64 row = place / n.out_width;
                        const i64 column = place % n.out_width;
                        const i64 h = row * n.stride_height + r * n.dilation_height - n.pad_top;
                        const i64 w = column * n.stride_width + s * n.dilation_width - n.pad_left;
                        const bool inside = h >= 0 && h < n.in_height && w >= 0 && w < n.in_width;
                        const i64 channel = o / n.group_out() * n.group_in() + c;
                        // The field, here the output gradient, is the first factor.
                        sum.add(operand(on, in1[y(b, o, row, column)]),
                                inside ? operand(on, in0[x(b, channel, h, w)]) : 0);
                      }
                  total = first ? sum.result() : total + sum.result();
                  first = false;
                }
            give(on, result, weight(o, c, r, s), total);
          }
  }
  return result;
}

/// Runs a kernel of the model on any machine: programs name theirs by type, tests of many do not.
void run_on_machine(const machine& on, model_case& m, accelerator::model_kernel run, i32 threads) {
  static const machine* current = nullptr;
  static accelerator::model_kernel called = nullptr;
  current = &on;
  called = run;
  accelerator::counters counted;
  m.step.backend = &counted;
  m.step.threads = threads;
  m(+[](const call& c) { called(*current, c); });
  m.step.backend = nullptr;
}

template <class T>
void check_bits(const machine& on, model_case m) {
  CAPTURE(ops::name_of(m.sizes.what), on.name, m.sizes.batch_last, sizeof(T));
  CAPTURE(static_cast<i32>(on.matrix.order), on.matrix.depth, static_cast<i32>(on.matrix.round));
  m.step.seed = step_seed;
  m.step.step = step_number;
  const std::vector<T> wanted = straight<T>(m, on);
  run_on_machine(on, m, &accelerator::run_product<T>, 2);
  CHECK(std::memcmp(wanted.data(), m.output<T>(0), wanted.size() * sizeof(T)) == 0);
}

}  // namespace

TEST_CASE("sums are made in the order that is stated, bit for bit", "[backends]") {
  random_values random(11);
  const conv_sizes shapes[] = {
      conv_of(16, 1, 9, 9, 6, 5, 5, 1, 2, 1, 1), conv_of(16, 6, 7, 8, 20, 3, 3, 1, 0, 1, 1),
      conv_of(3, 4, 6, 9, 8, 3, 2, 2, 1, 1, 2), conv_of(2, 37, 4, 4, 5, 2, 2, 1, 1, 2, 1),
      conv_of(32, 70, 1, 1, 40, 1, 1, 1, 0, 1, 1)};
  for (const conv_sizes& n : shapes) {
    for (const kind what :
         {kind::conv2d, kind::conv2d_data_gradient, kind::conv2d_weight_gradient}) {
      for (const bool last : {false, true}) {
        if (last && n.batch % 16 != 0) continue;
        model_case narrow = conv_case(what, n, element::f16, last, true);
        random.fill_inputs(narrow);
        check_bits<half>(blocks_of_four, narrow);
        check_bits<half>(chains, narrow);
        check_bits<half>(cuts, narrow);
        check_bits<half>(chance_chains, narrow);
        check_bits<half>(short_folds, narrow);
        check_bits<half>(long_folds, narrow);
        check_bits<half>(two_by_two, narrow);
        check_bits<half>(small_trees, narrow);
        check_bits<half>(large_trees, narrow);
        model_case brain = conv_case(what, n, element::bf16, last, true);
        for (std::size_t slot = 0; slot < 3; ++slot) {
          for (std::size_t i = 0; i < brain.in[slot].size() / 2; ++i) {
            brain.input<bfloat16>(static_cast<i32>(slot))[i] = to_bfloat16(random.uniform(-1, 1));
          }
        }
        check_bits<bfloat16>(cuts, brain);
        check_bits<bfloat16>(short_folds, brain);
        check_bits<bfloat16>(long_folds, brain);
        check_bits<bfloat16>(small_trees, brain);
        model_case wide = conv_case(what, n, element::f32, last, true);
        random.fill_inputs(wide);
        check_bits<float>(blocks_of_four, wide);
        check_bits<float>(chains, wide);
        check_bits<float>(short_folds, wide);
        check_bits<float>(large_trees, wide);
      }
    }
  }
}

TEST_CASE("subnormal operands and results, and overflows, end as the machine says", "[backends]") {
  random_values random(14);
  // Products from far below the smallest half to far above the largest.
  for (const kind what : {kind::conv2d, kind::conv2d_data_gradient, kind::conv2d_weight_gradient}) {
    model_case m =
        conv_case(what, conv_of(16, 5, 4, 4, 6, 3, 3, 1, 1, 1, 1), element::f16, true, true);
    for (std::size_t slot = 0; slot < 3; ++slot) {
      for (std::size_t i = 0; i < m.in[slot].size() / 2; ++i) {
        const float scale = std::ldexp(1.0f, random.whole(-24, slot == 1 ? 0 : 14));
        m.input<half>(static_cast<i32>(slot))[i] = to_half(scale * random.uniform(-2, 2));
      }
    }
    check_bits<half>(short_folds, m);
    check_bits<half>(long_folds, m);
    check_bits<half>(two_by_two, m);
    check_bits<half>(large_trees, m);
    check_bits<half>(chains, m);
  }
}

TEST_CASE("vector operations store their results as the machine says, whoever computes them",
          "[backends]") {
  random_values random(15);
  model_case m = elementwise_case(kind::add, 5003, element::f16, 2);
  for (i32 slot = 0; slot < 2; ++slot) {
    for (i64 i = 0; i < 5003; ++i) {
      const float scale = std::ldexp(1.0f, random.whole(-30, 16));
      m.input<half>(slot)[i] = to_half(scale * random.uniform(-2, 2));
    }
  }
  m.step.seed = step_seed;
  m.step.step = step_number;
  for (const machine& on :
       {blocks_of_four, cuts, chance_chains, short_folds, long_folds, two_by_two}) {
    std::vector<half> wanted(5003);
    for (i64 i = 0; i < 5003; ++i) {
      give(on, wanted, i, to_float(m.input<half>(0)[i]) + to_float(m.input<half>(1)[i]));
    }
    for (const i32 threads : {1, 3}) {
      run_on_machine(on, m, &accelerator::run_add<half>, threads);
      CHECK(std::memcmp(wanted.data(), m.output<half>(0), 5003 * sizeof(half)) == 0);
    }
  }
}

TEST_CASE("words of stochastic rounding belong to operation, slice, output and element",
          "[backends]") {
  random_values random(17);
  constexpr i32 batch = 5, features = 333;
  const auto cell = [&](element type) {
    model_case m;
    m.sizes.what = kind::lstm_cell;
    cell_sizes{batch, features}.write(m.sizes);
    m.give_input(0, 4 * batch * features, type);
    m.give_input(1, batch * features, type);
    m.give_output(0, batch * features, type);
    m.give_output(1, batch * features, type);
    m.give_output(2, 4 * batch * features, type);
    m.step.seed = step_seed;
    m.step.step = step_number;
    m.number = 6;
    m.trip = 3;
    return m;
  };
  model_case stored = cell(element::f16);
  model_case exact = cell(element::f32);
  random.fill_inputs(stored);
  for (i32 slot = 0; slot < 2; ++slot) {
    for (i64 i = 0; i < i64{slot == 0 ? 4 : 1} * batch * features; ++i) {
      exact.input<float>(slot)[i] = to_float(stored.input<half>(slot)[i]);
    }
  }
  run_on_machine(chance_chains, exact, &accelerator::run_lstm_cell<float>, 1);
  for (const i32 threads : {1, 4}) {
    run_on_machine(chance_chains, stored, &accelerator::run_lstm_cell<half>, threads);
    for (u64 slot = 0; slot < 3; ++slot) {
      const philox words{step_seed, u64{1} << 62 | slot << 58 | u64{6} << 32 | 3};
      const i32 output = static_cast<i32>(slot);
      i32 wrong = 0;
      for (i64 i = 0; i < stored.output_count(output); ++i) {
        const random_block block = words((step_number << 32) + static_cast<u64>(i / 4));
        const half wanted =
            to_half_stochastic_add(exact.output<float>(output)[i], block[static_cast<i32>(i % 4)]);
        wrong += stored.output<half>(output)[i] == wanted ? 0 : 1;
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("products of two activations are summed in the same orders", "[backends]") {
  random_values random(16);
  // y (rows, columns) = scale a (rows, inner) b (inner, columns), row by row.
  for (const auto& [rows, inner, columns] :
       {std::array{1, 5, 1}, std::array{33, 300, 7}, std::array{40, 64, 65}}) {
    model_case m;
    m.sizes.what = kind::matmul;
    const i32 r = rows, k = inner, c = columns;
    matmul_sizes{1, 1, r, k, c, {0, 0, k, 1}, {0, 0, c, 1}, {r * c, r * c, c, 1}}.write(m.sizes);
    m.attr.product.scale = 0.75f;
    m.give_input(0, i64{r} * k, element::f16);
    m.give_input(1, i64{k} * c, element::f16);
    m.give_output(0, i64{r} * c, element::f16);
    random.fill_inputs(m);
    m.step.seed = step_seed;
    m.step.step = step_number;
    for (const machine& on : {blocks_of_four, chains, cuts, chance_chains, short_folds, long_folds,
                              two_by_two, small_trees, large_trees}) {
      const accelerator::mapping map = accelerator::map(on, m.sizes);
      std::vector<half> wanted(static_cast<std::size_t>(r * c));
      for (i32 i = 0; i < r; ++i) {
        for (i32 j = 0; j < c; ++j) {
          float total = 0;
          for (i32 block = 0; block < map.count(accelerator::axis_c); ++block) {
            sum_in_order sum(on.matrix);
            const i32 begin = map.begin(accelerator::axis_c, block);
            for (i32 at = begin; at < begin + map.size(accelerator::axis_c, block); ++at) {
              sum.add(operand(on, m.input<half>(0)[i * k + at]),
                      operand(on, m.input<half>(1)[at * c + j]));
            }
            total = block == 0 ? sum.result() : total + sum.result();
          }
          give(on, wanted, i * c + j, total * 0.75f);
        }
      }
      run_on_machine(on, m, &accelerator::run_matmul<half>, 2);
      CAPTURE(r, k, c, static_cast<i32>(on.matrix.order), on.matrix.depth);
      CHECK(std::memcmp(wanted.data(), m.output<half>(0), wanted.size() * sizeof(half)) == 0);
    }
  }
}

TEST_CASE("the plain form of a dot product is what a kernel computes", "[backends]") {
  random_values random(12);
  for (const i32 k : {1, 3, 4, 7, 16, 33, 256}) {
    // Few enough inputs for one tile, so that the sum is not cut.
    model_case m = dense_case(kind::dense, {1, k, 1}, element::f16, false, false);
    random.fill_inputs(m);
    model_case chained = m;
    constexpr machine one_tile = [] {
      machine on = accelerator::ipu_mk1;
      on.tiles = 1;
      return on;
    }();
    constexpr machine one_tile_chain = [] {
      machine on = accelerator::ipu_mk1;
      on.tiles = 1;
      on.matrix.order = accumulation::chain;
      return on;
    }();
    run_on_machine(one_tile, m, &accelerator::run_product<half>, 1);
    run_on_machine(one_tile_chain, chained, &accelerator::run_product<half>, 1);
    const half* a = m.input<half>(0);
    const half* b = m.input<half>(1);
    CHECK(m.output<half>(0)[0] == to_half(accelerator::dot(one_tile.matrix, a, b, k)));
    CHECK(chained.output<half>(0)[0] == to_half(accelerator::dot(one_tile_chain.matrix, a, b, k)));
  }
}

TEST_CASE("orders differ where f32 rounds, and each is what it says", "[backends]") {
  // 2^12 2^12 = 2^24; adding 1 to it is lost one by one, not in two_by_two.
  half a[6];
  half b[6];
  for (half& h : a) h = to_half(1);
  for (half& h : b) h = to_half(1);
  a[0] = b[0] = to_half(4096);
  CHECK(accelerator::dot(chains.matrix, a, b, 6) == 16777216.0f);
  // (2^24 + 1) rounds to 2^24, (1 + 1) = 2, sum 2^24 + 2; then 1 + 1 again.
  CHECK(accelerator::dot(blocks_of_four.matrix, a, b, 6) == 16777220.0f);
  // Two lanes: 2^24 + 1 + 1 loses both ones; the other has 3.
  CHECK(accelerator::dot_in_lanes(2, a, b, 6) == 16777220.0f);
  CHECK(accelerator::dot_in_lanes(1, a, b, 6) == 16777216.0f);
}

TEST_CASE("bias gradients take turns in 16 sums and fold them", "[backends]") {
  random_values random(13);
  for (const bool last : {false, true}) {
    model_case m;
    m.sizes.what = kind::bias_gradient;
    m.sizes.batch_last = last;
    const bias_sizes n{16, 5, 321};
    n.write(m.sizes);
    m.give_input(1, i64{n.batch} * n.channels * n.inner, element::f16);
    m.give_output(0, n.channels, element::f16);
    random.fill_inputs(m);
    const accelerator::mapping map = accelerator::map(blocks_of_four, m.sizes);
    REQUIRE(map.count(accelerator::axis_b) > 1);
    run_on_machine(blocks_of_four, m, &accelerator::run_stored_bias_gradient<half>, 1);
    for (i64 o = 0; o < n.channels; ++o) {
      float total = 0;
      for (i32 block = 0; block < map.count(accelerator::axis_b); ++block) {
        float acc[16] = {};
        for (i32 i = 0; i < map.size(accelerator::axis_b, block); ++i) {
          const i64 e = map.begin(accelerator::axis_b, block) + i;
          const i64 place = last ? o * n.inner * n.batch + e
                                 : (e / n.inner * n.channels + o) * n.inner + e % n.inner;
          acc[i % 16] += to_float(m.input<half>(1)[place]);
        }
        for (i32 width = 8; width > 0; width /= 2)
          for (i32 i = 0; i < width; ++i) acc[i] += acc[i + width];
        total = block == 0 ? acc[0] : total + acc[0];
      }
      CHECK(m.output<half>(0)[o] == to_half(total));
    }
  }
}

TEST_CASE("the vector unit's functions are within two units in the last place", "[backends]") {
  using accelerator::lane_count;
  const auto worst = [](auto ours, auto exact, float low, float high, i32 steps) {
    double most = 0;
    for (i32 i = 0; i <= steps; ++i) {
      const float x = low + (high - low) * static_cast<float>(i) / static_cast<float>(steps);
      const double wanted = exact(static_cast<double>(x));
      const float got = ours(accelerator::set(x))[0];
      const float near = static_cast<float>(wanted);
      const double unit =
          std::max(static_cast<double>(std::nextafter(std::abs(near), HUGE_VALF)) - std::abs(near),
                   0x1p-149);
      most = std::max(most, std::abs(got - wanted) / unit);
    }
    return most;
  };
  const auto exp = [](accelerator::lanes x) { return accelerator::exp(x); };
  const auto log = [](accelerator::lanes x) { return accelerator::log(x); };
  const auto tanh = [](accelerator::lanes x) { return accelerator::tanh(x); };
  const auto sigmoid = [](accelerator::lanes x) { return accelerator::sigmoid(x); };
  CHECK(worst(
            exp, [](double x) { return std::exp(x); }, -87, 88, 200001) < 2);
  CHECK(worst(
            exp, [](double x) { return std::exp(x); }, -103, -87, 20001) < 2);
  CHECK(worst(
            log, [](double x) { return std::log(x); }, 0x1p-140f, 0x1p-100f, 100001) < 2);
  CHECK(worst(
            log, [](double x) { return std::log(x); }, 0.3f, 5, 200001) < 2);
  CHECK(worst(
            log, [](double x) { return std::log(x); }, 5, 1e30f, 100001) < 2);
  CHECK(worst(
            tanh, [](double x) { return std::tanh(x); }, -1, 1, 200001) < 2);
  CHECK(worst(
            tanh, [](double x) { return std::tanh(x); }, -12, 12, 200001) < 2);
  CHECK(worst(
            sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 30, 200001) < 3);

  const float inf = __builtin_inff();
  const auto of = [](auto f, float x) { return f(accelerator::set(x))[0]; };
  CHECK(of(exp, -inf) == 0);
  CHECK(of(exp, inf) == inf);
  CHECK(of(exp, 0) == 1);
  CHECK(std::isnan(of(exp, NAN)));
  CHECK(of(log, 0) == -inf);
  CHECK(of(log, inf) == inf);
  CHECK(of(log, 1) == 0);
  CHECK(std::isnan(of(log, -1)));
  CHECK(std::isnan(of(log, NAN)));
  CHECK(of(tanh, inf) == 1);
  CHECK(of(tanh, -inf) == -1);
  CHECK(std::signbit(of(tanh, -0.0f)));
  CHECK(std::isnan(of(tanh, NAN)));
  CHECK(of(sigmoid, 0) == 0.5f);
  CHECK(of(sigmoid, -inf) == 0);
  CHECK(of(sigmoid, inf) == 1);
}
