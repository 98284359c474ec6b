// What single elements of a convolution and its gradients are, by the formula.

#include <host/convolutions/convolutions.hpp>

namespace convolutions {

namespace {

/// Where elements lie, row-major, and which elements meet in a term of the sums.
struct layer_map {
  tessera::conv_sizes n;

  i64 x(i64 sample, i64 c, i64 h, i64 w) const {
    return ((sample * n.in_channels + c) * n.in_height + h) * n.in_width + w;
  }
  i64 w(i64 o, i64 c, i64 i, i64 j) const {
    return ((o * n.group_in() + c) * n.kernel_height + i) * n.kernel_width + j;
  }
  i64 y(i64 sample, i64 o, i64 p, i64 q) const {
    return ((sample * n.out_channels + o) * n.out_height + p) * n.out_width + q;
  }
  /// Where filter element (i, j) at output (p, q) reads; false where that is padding.
  bool reads(i64 p, i64 q, i64 i, i64 j, i64& h, i64& v) const {
    h = p * n.stride_height + i * n.dilation_height - n.pad_top;
    v = q * n.stride_width + j * n.dilation_width - n.pad_left;
    return h >= 0 && h < n.in_height && v >= 0 && v < n.in_width;
  }
};

double value(operand o, i64 i) { return static_cast<double>(problem::at(o, i)); }

double forward(const layer_map& t, i64 element) {
  const tessera::conv_sizes& n = t.n;
  const i64 q = element % n.out_width;
  const i64 p = element / n.out_width % n.out_height;
  const i64 o = element / (i64{n.out_width} * n.out_height) % n.out_channels;
  const i64 sample = element / (i64{n.out_width} * n.out_height * n.out_channels);
  const i64 first = o / n.group_out() * n.group_in();
  double sum = 0;
  for (i64 c = 0; c < n.group_in(); ++c) {
    for (i64 i = 0; i < n.kernel_height; ++i) {
      for (i64 j = 0; j < n.kernel_width; ++j) {
        i64 h = 0;
        i64 v = 0;
        if (!t.reads(p, q, i, j, h, v)) continue;
        sum += value(operand::x, t.x(sample, first + c, h, v)) * value(operand::w, t.w(o, c, i, j));
      }
    }
  }
  return sum;
}

double data(const layer_map& t, i64 element) {
  const tessera::conv_sizes& n = t.n;
  const i64 v = element % n.in_width;
  const i64 h = element / n.in_width % n.in_height;
  const i64 channel = element / (i64{n.in_width} * n.in_height) % n.in_channels;
  const i64 sample = element / (i64{n.in_width} * n.in_height * n.in_channels);
  const i64 c = channel % n.group_in();
  const i64 first = channel / n.group_in() * n.group_out();
  double sum = 0;
  for (i64 i = 0; i < n.kernel_height; ++i) {
    for (i64 j = 0; j < n.kernel_width; ++j) {
      const i64 down = h + n.pad_top - i * n.dilation_height;
      const i64 right = v + n.pad_left - j * n.dilation_width;
      if (down < 0 || right < 0 || down % n.stride_height != 0 || right % n.stride_width != 0) {
        continue;
      }
      const i64 p = down / n.stride_height;
      const i64 q = right / n.stride_width;
      if (p >= n.out_height || q >= n.out_width) continue;
      for (i64 o = first; o < first + n.group_out(); ++o) {
        sum += value(operand::y, t.y(sample, o, p, q)) * value(operand::w, t.w(o, c, i, j));
      }
    }
  }
  return sum;
}

double weight(const layer_map& t, i64 element) {
  const tessera::conv_sizes& n = t.n;
  const i64 j = element % n.kernel_width;
  const i64 i = element / n.kernel_width % n.kernel_height;
  const i64 c = element / (i64{n.kernel_width} * n.kernel_height) % n.group_in();
  const i64 o = element / (i64{n.kernel_width} * n.kernel_height * n.group_in());
  const i64 channel = o / n.group_out() * n.group_in() + c;
  double sum = 0;
  for (i64 sample = 0; sample < n.batch; ++sample) {
    for (i64 p = 0; p < n.out_height; ++p) {
      for (i64 q = 0; q < n.out_width; ++q) {
        i64 h = 0;
        i64 v = 0;
        if (!t.reads(p, q, i, j, h, v)) continue;
        sum +=
            value(operand::x, t.x(sample, channel, h, v)) * value(operand::y, t.y(sample, o, p, q));
      }
    }
  }
  return sum;
}

}  // namespace

std::vector<double> expected_values(const problem& p) {
  const layer_map t{p.sizes()};
  std::vector<double> values;
  for (const i64 element : compared_elements(p)) {
    values.push_back(p.what == pass::forward ? forward(t, element)
                     : p.what == pass::data  ? data(t, element)
                                             : weight(t, element));
  }
  return values;
}

}  // namespace convolutions
