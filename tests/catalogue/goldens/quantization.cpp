// Golden checks of quantized inference: every whole number that a case stores, on every backend and
// layout. What an output is rescaled to is had twice, from the stored sums and at once.

#include <catalogue/goldens/case_graph.hpp>

#include <algorithm>
#include <cmath>

namespace tessera::testing {

namespace {

/// Constant numbers of a graph.
i32 constant(case_graph& net, element type, std::vector<double> values) {
  const i32 id = add_tensor(net.g, shape(static_cast<i32>(values.size())),
                            {.what = role::constant, .type = type, .batched = false});
  net.given(id, std::move(values));
  return id;
}

double largest(const golden_tensor& t) {
  double most = 0;
  for (const double v : t.values) most = std::max(most, std::abs(v));
  return most;
}

/// The rule of TensorFlow Lite's quantized dense and convolution.
void check_affine_product(const golden_case& c, findings& f, bool conv) {
  const golden_tensor x = c.tensor("inputs", "x");
  check_operation(c, f, static_cast<i32>(x.dims[0]), [&](case_graph& net, attribute_reader& attrs) {
    graph& g = net.g;
    const double x_scale = attrs.get<double>("x_scale");
    const double y_scale = attrs.get<double>("y_scale");
    const i32 x_zero = attrs.get<i32>("x_zero_point");
    const i32 y_zero = attrs.get<i32>("y_zero_point");
    const i32 w_zero = attrs.get<i32>("w_zero_point");
    attrs.ignore("weights_asymmetric");
    const bool per_channel = attrs.get<bool>("per_channel");
    const i32 least = attrs.get<i32>("act_min");
    const i32 most = attrs.get<i32>("act_max");
    if (attrs.get<bool>("relu") && least < y_zero) f.note("a relu that ends below real 0");
    const auto multipliers = attrs.get<std::vector<i32>>("multiplier");
    const auto shifts = attrs.get<std::vector<i32>>("shift");
    const golden_tensor w_scale = c.tensor("weights", "w_scale");
    for (std::size_t o = 0; o < w_scale.values.size(); ++o) {
      const fixed_multiplier chosen = choose_multiplier(x_scale * w_scale.values[o] / y_scale);
      if (chosen != fixed_multiplier{multipliers[o], shifts[o]}) f.note("another multiplier");
      if (!per_channel && w_scale.values[o] != w_scale.values[0]) f.note("scales differ");
    }
    const i32 in = net.input("x");
    const shape w_dims = c.tensor("weights", "w").dims_as_they_are();
    const i32 w = net.weight("w", w_dims);
    const i32 b = net.weight("b", shape(w_dims[0]));
    const i32 scales = net.weight("w_scale", shape(w_dims[0]));
    const i32 in_scale = constant(net, element::f32, {x_scale});
    const i32 in_zero = constant(net, element::int32, {double(x_zero)});
    const i32 out_zero = constant(net, element::int32, {double(y_zero)});
    const i32 weight_zero = constant(net, element::int32, {double(w_zero)});
    const i32 x_q = ops::quantize(g, in, in_scale, in_zero, -1, element::int8, layer);
    const i32 w_q = ops::quantize(g, w, scales, weight_zero, -1, element::int8, layer);
    const i32 b_q = ops::quantize(g, b, scales, -1, in_scale, element::int32, layer);
    const i32 zeros = constant(net, element::int32, {double(x_zero), double(w_zero)});
    const auto numbers = [&](const std::vector<i32>& all) {
      return constant(net, element::int32, {all.begin(), all.end()});
    };
    const ops::requantization to{
        numbers(multipliers), numbers(shifts),
        constant(net, element::int32, {double(y_zero), double(least), double(most)})};
    window win;
    if (conv) {
      attrs.pair("stride", win.stride);
      attrs.pair("padding", win.pad_begin);
      for (i32 axis = 0; axis < 2; ++axis) {
        win.pad_end[axis] = win.pad_begin[axis];
        win.kernel[axis] = w_dims[2 + axis];
      }
    } else {
      attrs.ignore("stride");
      attrs.ignore("padding");
    }
    const i32 groups = attrs.get<i32>("groups");
    const auto product = [&](const ops::requantization& r) {
      return conv ? ops::quantized_conv2d(g, x_q, w_q, b_q, zeros, r, win, groups, layer)
                  : ops::quantized_dense(g, x_q, w_q, b_q, zeros, r, layer);
    };
    const i32 sums = product({});
    const i32 from_sums = ops::requantize(g, sums, to, element::int8, layer);
    net.output("x_q", x_q);
    net.output("w_q", w_q);
    net.output("b_q", b_q);
    net.output("acc", sums);
    net.output("y_q", product(to));
    net.output("y_dequant", ops::dequantize(g, from_sums, constant(net, element::f32, {y_scale}),
                                            out_zero, layer));
  });
}

/// The largest magnitude of w x + b, in real numbers: hidden layers are stored rectified.
double largest_of_dense(const golden_case& c, const std::string& number, const golden_tensor& x) {
  const golden_tensor w = c.tensor("weights", "w" + number);
  const golden_tensor b = c.tensor("weights", "b" + number);
  const auto in = static_cast<std::size_t>(w.dims[1]);
  double most = 0;
  for (std::size_t row = 0; row < x.values.size() / in; ++row) {
    for (std::size_t o = 0; o < b.values.size(); ++o) {
      double sum = b.values[o];
      for (std::size_t i = 0; i < in; ++i) sum += w.values[o * in + i] * x.values[row * in + i];
      most = std::max(most, std::abs(sum));
    }
  }
  return most;
}

/// A layer in dynamic fixed point.
struct fixed_point_layer {
  i32 sums = -1;
  i32 weight = -1;
  i32 out = -1;
  i32 out_length = 0;
};

/// `number`: the layer's among several, "" for the only one.
fixed_point_layer append_fixed_point(case_graph& net, const golden_case& c, findings& f,
                                     attribute_reader& lengths, const std::string& number, i32 x,
                                     i32 x_length, double most, bool rectified, const window* win) {
  graph& g = net.g;
  const auto length = [&](const std::string& name, double reach) {
    const i32 given = lengths.get<i32>(name);
    if (choose_fractional_length(reach) != given) f.note("another fractional length of " + name);
    return given;
  };
  const golden_tensor w = c.tensor("weights", "w" + number);
  const shape dims = w.dims_as_they_are();
  const i32 w_length = length("w" + number, largest(w));
  fixed_point_layer made;
  made.out_length = length("y" + number, most);
  const auto scale = [&](i32 by) {
    return constant(net, element::f32, {double(fixed_point_scale(by))});
  };
  made.weight = ops::quantize(g, net.weight("w" + number, dims), scale(w_length), -1, -1,
                              element::int8, layer);
  const i32 bias = ops::quantize(g, net.weight("b" + number, shape(dims[0])),
                                 scale(x_length + w_length), -1, -1, element::int32, layer);
  const ops::requantization to{
      -1, constant(net, element::int32, {double(made.out_length - x_length - w_length)}),
      constant(net, element::int32, {0, rectified ? 0.0 : -128.0, 127})};
  const auto product = [&](const ops::requantization& r) {
    return win != nullptr ? ops::quantized_conv2d(g, x, made.weight, bias, -1, r, *win, 1, layer)
                          : ops::quantized_dense(g, x, made.weight, bias, -1, r, layer);
  };
  made.sums = product({});
  made.out = product(to);
  return made;
}

}  // namespace

void check_requantize(const golden_case& c, findings& f) {
  const std::vector<double> sums = c.tensor("inputs", "acc").values;
  const std::vector<double> valid = c.tensor("inputs", "valid").values;
  check_operation(c, f, 1, [&](case_graph& net, attribute_reader& attrs) {
    const auto real = attrs.get<std::vector<double>>("real_multiplier");
    const auto multipliers = attrs.get<std::vector<i32>>("multiplier");
    const auto shifts = attrs.get<std::vector<i32>>("shift");
    for (std::size_t i = 0; i < real.size(); ++i) {
      if (choose_multiplier(real[i]) != fixed_multiplier{multipliers[i], shifts[i]}) {
        f.note("another multiplier");
      }
    }
    const shape dims(static_cast<i32>(real.size()), static_cast<i32>(sums.size()));
    net.input("valid", dims, role::constant, element::f32, false);
    const i32 acc =
        add_tensor(net.g, dims, {.what = role::constant, .type = element::int32, .batched = false});
    std::vector<double> all;
    for (std::size_t i = 0; i < real.size(); ++i) all.insert(all.end(), sums.begin(), sums.end());
    net.given(acc, all);
    const ops::requantization to{
        constant(net, element::int32, {multipliers.begin(), multipliers.end()}),
        constant(net, element::int32, {shifts.begin(), shifts.end()}), -1};
    net.output("y", ops::requantize(net.g, acc, to, element::int32, layer),
               [&](std::vector<double> y) {
                 for (std::size_t i = 0; i < y.size(); ++i) y[i] *= valid[i];
                 return y;
               });
  });
}

void check_quantize(const golden_case& c, findings& f) {
  check_operation(c, f, 1, [&](case_graph& net, attribute_reader& attrs) {
    if (attrs.get<std::string>("rounding") != "half away from zero") f.note("another rounding");
    const i32 x = net.input("x", c.tensor("inputs", "x").dims_as_they_are(), role::input,
                            element::f32, false);
    const i32 scale = constant(net, element::f32, {attrs.get<double>("scale")});
    const i32 zero = constant(net, element::int32, {double(attrs.get<i32>("zero_point"))});
    net.output("q", ops::quantize(net.g, x, scale, zero, -1, element::int8, layer));
  });
}

void check_choose_affine(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const auto ranges = attrs.get<std::vector<std::vector<double>>>("ranges");
  const auto scales = attrs.get<std::vector<double>>("scale");
  const auto zeros = attrs.get<std::vector<i32>>("zero_point");
  attrs.all_must_be_asked();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const affine got = choose_affine(ranges[i].at(0), ranges[i].at(1));
    if (got != affine{static_cast<float>(scales[i]), zeros[i]}) f.note("another affine rule");
  }
}

void check_quantized_dense(const golden_case& c, findings& f) { check_affine_product(c, f, false); }
void check_quantized_conv(const golden_case& c, findings& f) { check_affine_product(c, f, true); }

void check_fixed_point_mlp(const golden_case& c, findings& f) {
  const golden_tensor x = c.tensor("inputs", "x");
  check_operation(c, f, static_cast<i32>(x.dims[0]), [&](case_graph& net, attribute_reader& attrs) {
    const auto sizes = attrs.get<std::vector<i32>>("sizes");
    attribute_reader lengths = attrs.group("fractional_lengths");
    i32 length = lengths.get<i32>("x");
    if (choose_fractional_length(largest(x)) != length) f.note("another fractional length of x");
    const i32 scale = constant(net, element::f32, {double(fixed_point_scale(length))});
    i32 value = ops::quantize(net.g, net.input("x"), scale, -1, -1, element::int8, layer);
    net.output("x_q", value);
    for (std::size_t i = 1; i < sizes.size(); ++i) {
      const std::string number = std::to_string(i);
      const golden_tensor real = i == 1 ? x : c.tensor("aux", "real_y" + std::to_string(i - 1));
      const fixed_point_layer made =
          append_fixed_point(net, c, f, lengths, number, value, length,
                             largest_of_dense(c, number, real), i + 1 < sizes.size(), nullptr);
      net.output("w" + number + "_q", made.weight);
      net.output("acc" + number, made.sums);
      net.output("y" + number + "_q", made.out);
      value = made.out;
      length = made.out_length;
    }
    lengths.all_must_be_asked();
  });
}

void check_fixed_point_conv(const golden_case& c, findings& f) {
  const golden_tensor x = c.tensor("inputs", "x");
  check_operation(c, f, static_cast<i32>(x.dims[0]), [&](case_graph& net, attribute_reader& attrs) {
    attribute_reader lengths = attrs.group("fractional_lengths");
    const i32 length = lengths.get<i32>("x");
    if (choose_fractional_length(largest(x)) != length) f.note("another fractional length of x");
    const i32 scale = constant(net, element::f32, {double(fixed_point_scale(length))});
    window win;
    attrs.pair("stride", win.stride);
    attrs.pair("padding", win.pad_begin);
    const shape w = c.tensor("weights", "w").dims_as_they_are();
    for (i32 axis = 0; axis < 2; ++axis) {
      win.pad_end[axis] = win.pad_begin[axis];
      win.kernel[axis] = w[2 + axis];
    }
    const i32 value = ops::quantize(net.g, net.input("x"), scale, -1, -1, element::int8, layer);
    const double most = largest(c.tensor("aux", "real_y"));
    const bool rectified = attrs.get<bool>("relu", false);
    const fixed_point_layer made =
        append_fixed_point(net, c, f, lengths, "", value, length, most, rectified, &win);
    net.output("x_q", value);
    net.output("w_q", made.weight);
    net.output("acc", made.sums);
    net.output("y_q", made.out);
    lengths.all_must_be_asked();
  });
}

}  // namespace tessera::testing
