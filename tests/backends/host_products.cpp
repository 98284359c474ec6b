#include <tessera/backends/host/dense_fixed.hpp>

#include "host_support.hpp"

// dense, conv2d and their gradients against sums in double over the defining formulas, in both
// layouts and storage types, with sizes that do not fit any block.

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

void check_dense(const dense_sizes& n, element type) {
  const bool last = n.batch % 16 == 0;
  CAPTURE(n.batch, n.in, n.out, last, name_of(type));
  const numbers x = random_numbers(i64{n.batch} * n.in, 1);
  const numbers w = random_numbers(i64{n.out} * n.in, 2);
  const numbers b = random_numbers(n.out, 3);
  const numbers dy = random_numbers(i64{n.batch} * n.out, 4);
  std::vector<bounded_sum> y(at(i64{n.batch} * n.out));
  std::vector<bounded_sum> dx(x.size());
  std::vector<bounded_sum> dw(w.size());
  std::vector<bounded_sum> db(b.size());
  for (i64 s = 0; s < n.batch; ++s) {
    for (i64 o = 0; o < n.out; ++o) {
      const double g = dy[at(s * n.out + o)];
      y[at(s * n.out + o)].add(b[at(o)]);
      db[at(o)].add(g);
      for (i64 i = 0; i < n.in; ++i) {
        y[at(s * n.out + o)].add(x[at(s * n.in + i)] * w[at(o * n.in + i)]);
        dx[at(s * n.in + i)].add(g * w[at(o * n.in + i)]);
        dw[at(o * n.in + i)].add(g * x[at(s * n.in + i)]);
      }
    }
  }
  std::vector<std::byte> single[4];  // what one thread computes: others must agree bit by bit
  for (const i32 threads : {1, 2, 3}) {
    CAPTURE(threads);
    host_call forward(kind::dense, last);
    forward.step.threads = threads;
    n.write(forward.s);
    forward.in(0, x, type, n.batch);
    forward.in(1, w, type);
    forward.in(2, b, type);
    forward.out(0, i64{n.batch} * n.out, type, n.batch);
    forward.run();
    CHECK(excess(forward.result(0), y, n.in + 1, type) <= 0);
    if (threads == 1) single[0] = forward.bytes(0);
    CHECK(forward.bytes(0) == single[0]);

    host_call data(kind::dense_data_gradient, last);
    data.step.threads = threads;
    n.write(data.s);
    data.in(0, dy, type, n.batch);
    data.in(1, w, type);
    data.out(0, i64{n.batch} * n.in, type, n.batch);
    data.run();
    CHECK(excess(data.result(0), dx, n.out, type) <= 0);
    if (threads == 1) single[1] = data.bytes(0);
    CHECK(data.bytes(0) == single[1]);

    host_call weight(kind::dense_weight_gradient, last);
    weight.step.threads = threads;
    n.write(weight.s);
    weight.in(0, x, type, n.batch);
    weight.in(1, dy, type, n.batch);
    weight.out(0, i64{n.out} * n.in, type);
    weight.run();
    CHECK(excess(weight.result(0), dw, n.batch, type) <= 0);
    if (threads == 1) single[2] = weight.bytes(0);
    CHECK(weight.bytes(0) == single[2]);

    host_call bias(kind::bias_gradient, last);
    bias.step.threads = threads;
    bias_sizes{n.batch, n.out, 1}.write(bias.s);
    bias.in(1, dy, type, n.batch);
    bias.out(0, n.out, type);
    bias.run();
    CHECK(excess(bias.result(0), db, n.batch, type) <= 0);
    if (threads == 1) single[3] = bias.bytes(0);
    CHECK(bias.bytes(0) == single[3]);
  }
}

/// Matrices that lie in rows or, transposed, in columns; y is summed over samples where `summed`.
void check_matmul(i32 samples, i32 heads, i32 rows, i32 inner, i32 columns, i32 transposed,
                  bool summed, element type) {
  CAPTURE(samples, heads, rows, inner, columns, transposed, summed, name_of(type));
  matmul_sizes n{samples, heads, rows, inner, columns, {}, {}, {}};
  const auto lay = [&](i32(&step)[4], i32 height, i32 width, bool turned) {
    step[0] = heads * height * width, step[1] = height * width;
    step[2] = turned ? 1 : width, step[3] = turned ? height : 1;
  };
  lay(n.a, rows, inner, (transposed & 1) != 0);
  lay(n.b, inner, columns, (transposed & 2) != 0);
  lay(n.y, rows, columns, (transposed & 4) != 0);
  if (summed) n.y[0] = 0;
  const numbers a = random_numbers(i64{samples} * heads * rows * inner, 1);
  const numbers b = random_numbers(i64{samples} * heads * inner * columns, 2);
  std::vector<bounded_sum> y(at(i64{summed ? 1 : samples} * heads * rows * columns));
  const double scale = 0.25;
  for (i64 s = 0; s < samples; ++s) {
    for (i64 h = 0; h < heads; ++h) {
      for (i64 r = 0; r < rows; ++r) {
        for (i64 c = 0; c < columns; ++c) {
          bounded_sum& to = y[at(s * n.y[0] + h * n.y[1] + r * n.y[2] + c * n.y[3])];
          for (i64 k = 0; k < inner; ++k) {
            to.add(scale * a[at(s * n.a[0] + h * n.a[1] + r * n.a[2] + k * n.a[3])] *
                   b[at(s * n.b[0] + h * n.b[1] + k * n.b[2] + c * n.b[3])]);
          }
        }
      }
    }
  }
  std::vector<std::byte> single;
  for (const i32 threads : {1, 2, 3}) {
    host_call product(kind::matmul, false);
    product.step.threads = threads;
    product.attr.product.scale = static_cast<float>(scale);
    n.write(product.s);
    product.in(0, a, type);
    product.in(1, b, type);
    product.out(0, static_cast<i64>(y.size()), type);
    product.run();
    CHECK(excess(product.result(0), y, n.depth(), type) <= 0);
    if (threads == 1) single = product.bytes(0);
    CHECK(product.bytes(0) == single);
  }
}

struct conv_case {
  const char* what;
  conv_sizes n;
};

/// Fills in the extents of the output.
conv_sizes sized(conv_sizes n, i32 pad_bottom, i32 pad_right) {
  const auto cells = [](i32 in, i32 pads, i32 kernel, i32 dilation, i32 stride) {
    return (in + pads - (kernel - 1) * dilation - 1) / stride + 1;
  };
  n.out_height = cells(n.in_height, n.pad_top + pad_bottom, n.kernel_height, n.dilation_height,
                       n.stride_height);
  n.out_width =
      cells(n.in_width, n.pad_left + pad_right, n.kernel_width, n.dilation_width, n.stride_width);
  return n;
}

void check_conv(const conv_sizes& n, element type) {
  const bool last = n.batch % 16 == 0;
  CAPTURE(n.batch, last, name_of(type));
  const i64 x_size = i64{n.in_channels} * n.in_height * n.in_width;
  const i64 y_size = i64{n.out_channels} * n.out_height * n.out_width;
  const i64 w_count = i64{n.out_channels} * n.group_in() * n.kernel_height * n.kernel_width;
  const numbers x = random_numbers(n.batch * x_size, 1);
  const numbers w = random_numbers(w_count, 2);
  const numbers b = random_numbers(n.out_channels, 3);
  const numbers dy = random_numbers(n.batch * y_size, 4);
  std::vector<bounded_sum> y(at(n.batch * y_size));
  std::vector<bounded_sum> dx(x.size());
  std::vector<bounded_sum> dw(w.size());
  std::vector<bounded_sum> db(b.size());
  for (i64 s = 0; s < n.batch; ++s) {
    for (i64 o = 0; o < n.out_channels; ++o) {
      const i64 group = o / n.group_out();
      for (i64 p = 0; p < n.out_height; ++p) {
        for (i64 q = 0; q < n.out_width; ++q) {
          const std::size_t e = at(((s * n.out_channels + o) * n.out_height + p) * n.out_width + q);
          y[e].add(b[at(o)]);
          db[at(o)].add(dy[e]);
          for (i64 c = 0; c < n.group_in(); ++c) {
            for (i64 r = 0; r < n.kernel_height; ++r) {
              for (i64 t = 0; t < n.kernel_width; ++t) {
                const i64 h = p * n.stride_height + r * n.dilation_height - n.pad_top;
                const i64 v = q * n.stride_width + t * n.dilation_width - n.pad_left;
                if (h < 0 || h >= n.in_height || v < 0 || v >= n.in_width) continue;
                const std::size_t xe =
                    at(((s * n.in_channels + group * n.group_in() + c) * n.in_height + h) *
                           n.in_width +
                       v);
                const std::size_t we =
                    at(((o * n.group_in() + c) * n.kernel_height + r) * n.kernel_width + t);
                y[e].add(x[xe] * w[we]);
                dx[xe].add(dy[e] * w[we]);
                dw[we].add(dy[e] * x[xe]);
              }
            }
          }
        }
      }
    }
  }
  const i64 taps = i64{n.kernel_height} * n.kernel_width;
  std::vector<std::byte> single[4];  // what one thread computes: others must agree bit by bit
  for (const i32 threads : {1, 2, 3}) {
    CAPTURE(threads);
    host_call forward(kind::conv2d, last);
    forward.step.threads = threads;
    n.write(forward.s);
    forward.in(0, x, type, n.batch);
    forward.in(1, w, type);
    forward.in(2, b, type);
    forward.out(0, n.batch * y_size, type, n.batch);
    forward.run();
    CHECK(excess(forward.result(0), y, n.group_in() * taps + 1, type) <= 0);
    if (threads == 1) single[0] = forward.bytes(0);
    CHECK(forward.bytes(0) == single[0]);

    host_call data(kind::conv2d_data_gradient, last);
    data.step.threads = threads;
    n.write(data.s);
    data.in(0, dy, type, n.batch);
    data.in(1, w, type);
    data.out(0, n.batch * x_size, type, n.batch);
    data.run();
    CHECK(excess(data.result(0), dx, n.group_out() * taps, type) <= 0);
    if (threads == 1) single[1] = data.bytes(0);
    CHECK(data.bytes(0) == single[1]);

    host_call weight(kind::conv2d_weight_gradient, last);
    weight.step.threads = threads;
    n.write(weight.s);
    weight.in(0, x, type, n.batch);
    weight.in(1, dy, type, n.batch);
    weight.out(0, w_count, type);
    weight.run();
    CHECK(excess(weight.result(0), dw, i64{n.batch} * n.out_height * n.out_width, type) <= 0);
    if (threads == 1) single[2] = weight.bytes(0);
    CHECK(weight.bytes(0) == single[2]);

    host_call bias(kind::bias_gradient, last);
    bias.step.threads = threads;
    bias_sizes{n.batch, n.out_channels, n.out_height * n.out_width}.write(bias.s);
    bias.in(1, dy, type, n.batch);
    bias.out(0, n.out_channels, type);
    bias.run();
    CHECK(excess(bias.result(0), db, i64{n.batch} * n.out_height * n.out_width, type) <= 0);
    if (threads == 1) single[3] = bias.bytes(0);
    CHECK(bias.bytes(0) == single[3]);
  }
}

}  // namespace

TEST_CASE("dense and its gradients are the sums they stand for", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i32 batch : {1, 2, 5, 7, 16, 32, 48, 80, 144}) {
      check_dense({batch, 13, 10}, type);
      check_dense({batch, 64, 64}, type);
      check_dense({batch, 84, 17}, type);
      check_dense({batch, 1, 1}, type);
    }
    check_dense({3, 300, 3}, type);
    check_dense({16, 400, 120}, type);
    check_dense({16, 2100, 4}, type);  // longer than a panel of 16-bit weights
    check_dense({1, 4, 2100}, type);
    check_dense({48, 3, 1500}, type);
    check_dense({300, 30, 7}, type);  // more samples than a tile holds
    check_dense({272, 30, 7}, type);
    check_dense({100, 300, 40}, type);
    check_dense({33, 70, 530}, type);
    check_dense({32, 600, 33}, type);
    check_dense({9, 37, 129}, type);
    check_dense({4, 40, 1}, type);
    check_dense({530, 75, 39}, type);  // gradients in pieces of a sum
    check_dense({1, 300, 230}, type);  // enough for several threads
    check_dense({1, 230, 310}, type);
    check_dense({3, 250, 100}, type);
  }
}

namespace {

template <kind What, i32 In, i32 Out>
constexpr signature one_sample() {
  signature s;
  s.what = What;
  s.fixed = true;
  dense_sizes{1, In, Out}.write(s);
  return s;
}

/// Kernels of constant sizes against those of run-time sizes, bit by bit.
template <class T, i32 In, i32 Out>
void check_fixed() {
  CAPTURE(In, Out);
  constexpr element type = host::stored_as<T>;
  constexpr signature forward = one_sample<kind::dense, In, Out>();
  constexpr signature back = one_sample<kind::dense_data_gradient, In, Out>();
  STATIC_REQUIRE(host::fixes_dense(forward));
  const numbers x = random_numbers(In, 1);
  const numbers w = random_numbers(In * Out, 2);
  const numbers b = random_numbers(Out, 3);
  std::vector<std::byte> bits[2];
  for (const bool fixed : {false, true}) {
    host_call y(kind::dense, false);
    dense_sizes{1, In, Out}.write(y.s);
    y.in(0, x, type);
    y.in(1, w, type);
    y.in(2, b, type);
    y.out(0, Out, type);
    fixed ? y.run(host::fixed_dense_kernel<forward, T>()) : y.run();
    if (fixed) CHECK(y.bytes(0) == bits[0]);
    bits[0] = y.bytes(0);
    host_call dx(kind::dense_data_gradient, false);
    dense_sizes{1, In, Out}.write(dx.s);
    dx.in(0, b, type);
    dx.in(1, w, type);
    dx.out(0, In, type);
    fixed ? dx.run(host::fixed_dense_kernel<back, T>()) : dx.run();
    if (fixed) CHECK(dx.bytes(0) == bits[1]);
    bits[1] = dx.bytes(0);
  }
}

}  // namespace

TEST_CASE("dense of one sample gives the same bits with constant sizes", "[backends][host]") {
  check_fixed<float, 64, 10>();
  check_fixed<float, 13, 7>();
  check_fixed<float, 128, 33>();
  check_fixed<half, 33, 100>();
  check_fixed<half, 1, 1>();
  check_fixed<bfloat16, 20, 64>();
}

TEST_CASE("matmul multiplies matrices that lie in rows or in columns", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (i32 transposed = 0; transposed < 8; ++transposed) {
      for (const bool summed : {false, true}) {
        check_matmul(2, 2, 5, 7, 9, transposed, summed, type);
        check_matmul(3, 1, 20, 33, 17, transposed, summed, type);
        check_matmul(1, 2, 1, 40, 50, transposed, summed, type);
        check_matmul(1, 1, 70, 19, 1, transposed, summed, type);
      }
      check_matmul(1, 1, 70, 300, 75, transposed, false, type);
      check_matmul(1, 1, 3, 530, 200, transposed, false, type);
      check_matmul(1, 1, 41, 1040, 71, transposed, false, type);  // pieces, tiles, what is left
      check_matmul(9, 1, 13, 270, 20, transposed, true, type);
    }
    check_matmul(1, 1, 600, 20, 9, 1, false, type);
    check_matmul(2, 1, 37, 200, 35, 0, false, type);  // dot products for the last columns
    check_matmul(1, 1, 5, 1500, 3, 0, false, type);
    check_matmul(1, 1, 33, 131, 65, 2, false, type);
    check_matmul(1, 1, 9, 20, 600, 6, false, type);
    check_matmul(20, 1, 9, 257, 150, 2, true, type);  // more terms than a panel keeps
  }
}

TEST_CASE("conv2d and its gradients are the sums they stand for", "[backends][host]") {
  // batch, in channels, height, width, out channels, -, -, kernel, stride, pad, dilation, groups
  const conv_case cases[] = {
      {"lenet 1", sized({0, 1, 12, 12, 6, 0, 0, 5, 5, 1, 1, 2, 2, 1, 1, 1}, 2, 2)},
      {"lenet 2", sized({0, 6, 8, 8, 16, 0, 0, 5, 5, 1, 1, 0, 0, 1, 1, 1}, 0, 0)},
      {"3x3 pad", sized({0, 3, 7, 9, 5, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1)},
      {"1x1", sized({0, 5, 4, 6, 7, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1}, 0, 0)},
      {"1x1 groups", sized({0, 34, 5, 7, 36, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 2}, 0, 0)},
      {"1x1 of one cell", sized({0, 24, 1, 1, 37, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1}, 0, 0)},
      {"1x1 of many cells", sized({0, 18, 30, 20, 20, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1}, 0, 0)},
      {"1x1 depthwise", sized({0, 3, 5, 7, 6, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 3}, 0, 0)},
      {"1x1 stride", sized({0, 4, 7, 7, 3, 0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 1}, 0, 0)},
      {"stride", sized({0, 2, 9, 10, 4, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1}, 1, 1)},
      {"stride 3, 2", sized({0, 4, 11, 10, 2, 0, 0, 4, 3, 3, 2, 1, 2, 1, 1, 1}, 2, 0)},
      {"dilation", sized({0, 2, 10, 11, 3, 0, 0, 3, 2, 1, 1, 2, 1, 2, 3, 1}, 1, 2)},
      {"both", sized({0, 3, 13, 14, 2, 0, 0, 3, 3, 2, 4, 2, 3, 3, 2, 1}, 3, 1)},
      {"groups", sized({0, 6, 6, 5, 9, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 3}, 1, 1)},
      {"depthwise", sized({0, 4, 6, 6, 4, 0, 0, 3, 3, 2, 1, 1, 1, 1, 1, 4}, 1, 0)},
      {"asymmetric", sized({0, 2, 5, 6, 3, 0, 0, 2, 4, 1, 1, 3, 0, 1, 1, 1}, 0, 4)},
      {"only padding", sized({0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 2, 2, 1, 1, 1}, 1, 2)},
      {"1x7", sized({0, 3, 3, 9, 4, 0, 0, 1, 7, 1, 1, 0, 3, 1, 1, 1}, 0, 3)},
      {"whole image", sized({0, 2, 17, 18, 3, 0, 0, 17, 18, 1, 1, 0, 0, 1, 1, 1}, 0, 0)},
  };
  for (conv_case one : cases) {
    CAPTURE(one.what);
    for (const element type : {element::f32, element::f16, element::bf16}) {
      for (const i32 batch : {1, 3, 16, 32, 48}) {
        one.n.batch = batch;
        check_conv(one.n, type);
      }
    }
  }
}

TEST_CASE("convolutions too deep for a panel of 16-bit weights are the same sums",
          "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    check_conv(sized({16, 170, 4, 3, 7, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1), type);
    check_conv(sized({1, 170, 4, 3, 7, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1), type);
    check_conv(sized({16, 1, 40, 41, 2, 0, 0, 40, 40, 1, 1, 0, 0, 1, 1, 1}, 0, 0), type);
    check_conv(sized({1, 1, 40, 41, 2, 0, 0, 40, 40, 1, 1, 0, 0, 1, 1, 1}, 0, 0), type);
  }
}

TEST_CASE("convolutions whose panels are cut into pieces are the same sums", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    // Samples last; the workspace holds 131,072 floats, 32 samples at a time.
    const auto check = [&](i32 batch, const conv_sizes& n) {
      conv_sizes one = n;
      one.batch = batch;
      check_conv(one, type);
    };
    const conv_sizes wide = sized({0, 44, 3, 40, 4, 0, 0, 3, 4, 1, 1, 1, 1, 1, 1, 1}, 1, 2);
    check(16, wide);  // positions
    check(48, wide);
    const conv_sizes deep = sized({0, 170, 7, 5, 5, 0, 0, 5, 5, 2, 1, 1, 1, 1, 1, 1}, 1, 1);
    check(16, deep);  // channels of the sum: not even one position fits
    check(48, deep);
    check(16, sized({0, 170, 7, 5, 18, 0, 0, 5, 5, 1, 2, 1, 1, 1, 1, 1}, 1, 1));
    check(16, sized({0, 20, 4, 4, 370, 0, 0, 2, 5, 1, 1, 1, 2, 1, 1, 1}, 1, 2));  // of the output
    check(16, sized({0, 150, 4, 40, 17, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1}, 0, 0));
    check(32, sized({0, 6, 20, 9, 8, 0, 0, 5, 3, 1, 1, 8, 2, 4, 2, 2}, 8, 2));  // many ring rows
    check(16, sized({0, 3, 70, 70, 2, 0, 0, 3, 3, 1, 1, 2, 2, 33, 33, 1}, 0, 0));
    check(16, sized({0, 1, 3, 140, 6, 0, 0, 1, 5, 1, 2, 0, 5, 1, 3, 1}, 0, 5));  // many runs
    check(48, sized({0, 20, 7, 9, 18, 0, 0, 1, 1, 2, 3, 0, 0, 1, 1, 1}, 0, 0));  // columns skipped
    check(16, sized({0, 20, 7, 8, 18, 0, 0, 1, 1, 3, 2, 0, 1, 1, 1, 2}, 1, 0));
    // Channels that fill vectors of the weight gradient, and do not fill the last one.
    check(16, sized({0, 14, 6, 9, 5, 0, 0, 3, 2, 2, 1, 1, 1, 1, 3, 1}, 1, 2));
    check(48, sized({0, 26, 5, 6, 6, 0, 0, 2, 3, 1, 2, 0, 1, 2, 1, 2}, 1, 1));
    check(16, sized({0, 66, 3, 3, 3, 0, 0, 2, 2, 1, 1, 0, 1, 1, 1, 1}, 1, 0));
    // Output channels that do, where input channels are few; 600 in sets.
    check(16, sized({0, 3, 9, 11, 20, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1));
    check(48, sized({0, 3, 13, 17, 37, 0, 0, 7, 7, 2, 2, 3, 3, 1, 1, 1}, 2, 3));
    check(16, sized({0, 10, 8, 9, 44, 0, 0, 3, 3, 1, 2, 2, 1, 2, 3, 2}, 2, 1));
    check(16, sized({0, 9, 2, 3, 600, 0, 0, 5, 5, 1, 1, 2, 2, 1, 1, 1}, 2, 2));
  }
}

TEST_CASE("convolutions of single samples in strips and pieces are the same sums",
          "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    const auto check = [&](const conv_sizes& n) { check_conv(n, type); };
    // Samples first; the workspace holds 106,496 floats of cells.
    check(sized({1, 12, 30, 120, 7, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1));  // rows
    check(sized({1, 1, 1, 9000, 2, 0, 0, 1, 9, 1, 1, 0, 4, 1, 1, 1}, 0, 4));   // columns
    check(sized({2, 700, 3, 10, 5, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1));   // channels
    check(sized({1, 2, 60, 40, 2, 0, 0, 60, 3, 1, 1, 0, 0, 1, 1, 1}, 0, 0));   // taps
    check(sized({1, 3, 70, 70, 2, 0, 0, 3, 3, 1, 1, 2, 2, 33, 33, 1}, 2, 2));
    check(sized({1, 2, 40, 30, 3, 0, 0, 40, 3, 2, 2, 0, 1, 1, 1, 1}, 1, 0));  // over 16 slots
    check(sized({2, 3, 32, 48, 20, 0, 0, 16, 16, 16, 16, 0, 0, 1, 1, 1}, 0, 0));
    check(sized({2, 40, 5, 7, 50, 0, 0, 1, 1, 1, 2, 0, 0, 1, 1, 1}, 0, 0));
    // Channels that fill vectors of the weight gradient, and do not fill the last one.
    check(sized({5, 20, 9, 11, 13, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1}, 1, 1));
    check(sized({3, 52, 5, 6, 6, 0, 0, 2, 3, 1, 2, 0, 1, 2, 1, 2}, 1, 1));
    check(sized({1, 66, 3, 40, 9, 0, 0, 2, 2, 1, 1, 0, 1, 1, 1, 1}, 1, 0));
    check(sized({3, 20, 6, 7, 20, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 20}, 1, 1));
  }
}

TEST_CASE("convolutions of channels by themselves are the same sums", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    const auto check = [&](i32 batch, const conv_sizes& n) {
      conv_sizes one = n;
      one.batch = batch;
      check_conv(one, type);
    };
    // Samples first.
    check(1, sized({0, 5, 14, 14, 5, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 5}, 1, 1));
    check(3, sized({0, 3, 7, 37, 3, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 3}, 0, 2));
    check(1, sized({0, 2, 61, 120, 2, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 2}, 1, 1));  // strips
    check(2, sized({0, 3, 15, 13, 3, 0, 0, 5, 5, 1, 1, 2, 2, 1, 1, 3}, 2, 2));
    check(1, sized({0, 2, 12, 19, 2, 0, 0, 7, 7, 1, 1, 3, 3, 1, 1, 2}, 3, 3));
    check(2, sized({0, 3, 15, 35, 3, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 3}, 1, 1));
    check(1, sized({0, 2, 16, 20, 4, 0, 0, 4, 3, 3, 2, 2, 0, 1, 1, 2}, 1, 1));  // two of each
    check(1, sized({0, 2, 17, 22, 2, 0, 0, 3, 3, 1, 1, 2, 3, 2, 3, 2}, 2, 3));  // holes
    check(1, sized({0, 2, 18, 23, 2, 0, 0, 3, 4, 2, 3, 3, 1, 3, 2, 2}, 1, 4));  // and strides
    check(2, sized({0, 3, 1, 70, 3, 0, 0, 1, 31, 1, 1, 0, 15, 1, 1, 3}, 0, 15));
    check(1, sized({0, 3, 6, 5, 3, 0, 0, 1, 1, 3, 4, 0, 0, 1, 1, 3}, 0, 0));  // cells of no tap
    check(1, sized({0, 3, 2, 3, 3, 0, 0, 3, 3, 1, 1, 4, 5, 1, 1, 3}, 4, 5));  // rows of zeros only
    check(1, sized({0, 2, 4, 9000, 2, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 2}, 1, 1));
    check(2, sized({0, 20, 5, 4, 60, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 20}, 1, 1));
  }
}

TEST_CASE("batch sizes of a thousand samples work", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    check_conv(sized({1024, 1, 3, 3, 2, 0, 0, 2, 2, 1, 1, 0, 0, 1, 1, 1}, 0, 0), type);
    check_dense({1024, 9, 11}, type);
  }
}
