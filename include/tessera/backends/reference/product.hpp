#pragma once

// dense, conv2d and their gradients as plain loops (ops/dense.hpp, ops/conv.hpp have the sums).
//
// Each result is one sum, run in the order in which its formula names the indices, from the first
// product on, the bias added last, rounded when it is stored:
//
//   dense                  over i                 conv2d                  over c, r, s
//   dense_data_gradient    over o                 conv2d_data_gradient    over o, r, s
//   dense_weight_gradient  over n, then slices    conv2d_weight_gradient  over n, p, q
//   bias_gradient          over n, positions
//
// The gradients of parameters are function objects from an element to its value, because the fused
// updates (update.hpp) take them apart too.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::reference {

template <class Real>
void dense(const call& c) {
  const auto n = dense_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto weight = in<Real>(c, 1);
  const auto bias = in<Real>(c, 2);
  const auto y = out<Real>(c, 0);
  const batch_layout in_x{c.sizes->batch_last, n.batch, n.in};
  const batch_layout in_y{c.sizes->batch_last, n.batch, n.out};
  for (i64 sample = 0; sample < n.batch; ++sample) {
    for (i64 o = 0; o < n.out; ++o) {
      Real sum = 0;
      for (i64 i = 0; i < n.in; ++i) sum += x[in_x.at(sample, i)] * weight[o * n.in + i];
      if (bias) sum += bias[o];
      y.set(in_y.at(sample, o), sum);
    }
  }
}

template <class Real>
void dense_data_gradient(const call& c) {
  const auto n = dense_sizes::of(*c.sizes);
  const auto dy = in<Real>(c, 0);
  const auto weight = in<Real>(c, 1);
  const auto dx = out<Real>(c, 0);
  const batch_layout in_x{c.sizes->batch_last, n.batch, n.in};
  const batch_layout in_y{c.sizes->batch_last, n.batch, n.out};
  for (i64 sample = 0; sample < n.batch; ++sample) {
    for (i64 i = 0; i < n.in; ++i) {
      Real sum = 0;
      for (i64 o = 0; o < n.out; ++o) sum += dy[in_y.at(sample, o)] * weight[o * n.in + i];
      dx.set(in_x.at(sample, i), sum);
    }
  }
}

/// Element (o, i) of a dense weight's gradient, counted as the weight lies.
template <class Real>
class dense_weight_gradient {
 public:
  explicit dense_weight_gradient(const call& c)
      : n_(dense_sizes::of(*c.sizes)),
        x_(in<Real>(c, 0)),
        dy_(in<Real>(c, 1)),
        in_x_{c.sizes->batch_last, n_.batch, n_.in},
        in_y_{c.sizes->batch_last, n_.batch, n_.out} {}

  i64 count() const { return i64{n_.out} * n_.in; }
  element type() const { return dy_.type(); }

  Real operator()(i64 e) const {
    const i64 o = e / n_.in;
    const i64 i = e % n_.in;
    if (n_.stack == 1) return of_slice(o, i, 0);
    Real total = 0;
    for (i64 k = 0; k < n_.stack; ++k) {
      total = rounded_to(type(), total + rounded_to(type(), of_slice(o, i, n_.slice(k))));
    }
    return total;
  }

 private:
  // Compiled once, so that a stack and its slices one by one give the same bits: whether a product
  // and its addition are one instruction is the compiler's choice wherever it inlines this.
  [[gnu::noinline]] Real of_slice(i64 o, i64 i, i64 slice) const {
    const i64 x = slice * n_.batch * n_.in;
    const i64 dy = slice * n_.batch * n_.out;
    Real sum = 0;
    for (i64 sample = 0; sample < n_.batch; ++sample)
      sum += dy_[dy + in_y_.at(sample, o)] * x_[x + in_x_.at(sample, i)];
    return sum;
  }

  dense_sizes n_;
  numbers<Real> x_;
  numbers<Real> dy_;
  batch_layout in_x_;
  batch_layout in_y_;
};

/// Element o of a bias's gradient, of dense and conv2d.
template <class Real>
class bias_gradient {
 public:
  explicit bias_gradient(const call& c)
      : n_(bias_sizes::of(*c.sizes)),
        dy_(in<Real>(c, 1)),
        in_y_{c.sizes->batch_last, n_.batch, i64{n_.channels} * n_.inner} {}

  i64 count() const { return n_.channels; }
  element type() const { return dy_.type(); }

  Real operator()(i64 o) const {
    Real sum = 0;
    for (i64 sample = 0; sample < n_.batch; ++sample)
      for (i64 i = 0; i < n_.inner; ++i) sum += dy_[in_y_.at(sample, o * n_.inner + i)];
    return sum;
  }

 private:
  bias_sizes n_;
  numbers<Real> dy_;
  batch_layout in_y_;
};

/// Where the tensors of a convolution keep their elements, and which input cell a filter cell
/// meets.
struct conv_places {
  conv_sizes n;
  image_layout x;
  image_layout y;

  explicit conv_places(const signature& s)
      : n(conv_sizes::of(s)),
        x(s, n.batch, n.in_channels, n.in_height, n.in_width),
        y(s, n.batch, n.out_channels, n.out_height, n.out_width) {}

  i64 weight(i64 o, i64 channel, i64 r, i64 s) const {
    return ((o * n.group_in() + channel) * n.kernel_height + r) * n.kernel_width + s;
  }
  i64 first_channel(i64 o) const { return o / n.group_out() * n.group_in(); }
  i64 row(i64 p, i64 r) const { return p * n.stride_height + r * n.dilation_height - n.pad_top; }
  i64 column(i64 q, i64 s) const { return q * n.stride_width + s * n.dilation_width - n.pad_left; }
  bool has_row(i64 h) const { return h >= 0 && h < n.in_height; }
  bool has_column(i64 w) const { return w >= 0 && w < n.in_width; }
};

template <class Real>
void conv2d(const call& c) {
  const conv_places at(*c.sizes);
  const conv_sizes& n = at.n;
  const auto x = in<Real>(c, 0);
  const auto weight = in<Real>(c, 1);
  const auto bias = in<Real>(c, 2);
  const auto y = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 o = 0; o < n.out_channels; ++o)
      for (i64 p = 0; p < n.out_height; ++p)
        for (i64 q = 0; q < n.out_width; ++q) {
          Real sum = 0;
          for (i64 k = 0; k < n.group_in(); ++k)
            for (i64 r = 0; r < n.kernel_height; ++r)
              for (i64 s = 0; s < n.kernel_width; ++s) {
                const i64 h = at.row(p, r);
                const i64 w = at.column(q, s);
                if (!at.has_row(h) || !at.has_column(w)) continue;
                sum += x[at.x.at(sample, at.first_channel(o) + k, h, w)] *
                       weight[at.weight(o, k, r, s)];
              }
          if (bias) sum += bias[o];
          y.set(at.y.at(sample, o, p, q), sum);
        }
}

/// The window position whose cell `k` of its kernel lies on input cell `i`, or -1.
inline i64 window_on(i64 i, i64 k, i64 pad, i64 dilation, i64 stride, i64 positions) {
  const i64 start = i + pad - k * dilation;
  if (start < 0 || start % stride != 0 || start / stride >= positions) return -1;
  return start / stride;
}

template <class Real>
void conv2d_data_gradient(const call& c) {
  const conv_places at(*c.sizes);
  const conv_sizes& n = at.n;
  const auto dy = in<Real>(c, 0);
  const auto weight = in<Real>(c, 1);
  const auto dx = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 channel = 0; channel < n.in_channels; ++channel)
      for (i64 h = 0; h < n.in_height; ++h)
        for (i64 w = 0; w < n.in_width; ++w) {
          const i64 group = channel / n.group_in();
          const i64 k = channel % n.group_in();
          Real sum = 0;
          for (i64 o = group * n.group_out(); o < (group + 1) * n.group_out(); ++o)
            for (i64 r = 0; r < n.kernel_height; ++r)
              for (i64 s = 0; s < n.kernel_width; ++s) {
                const i64 p =
                    window_on(h, r, n.pad_top, n.dilation_height, n.stride_height, n.out_height);
                const i64 q =
                    window_on(w, s, n.pad_left, n.dilation_width, n.stride_width, n.out_width);
                if (p < 0 || q < 0) continue;
                sum += dy[at.y.at(sample, o, p, q)] * weight[at.weight(o, k, r, s)];
              }
          dx.set(at.x.at(sample, channel, h, w), sum);
        }
}

/// Element (o, c, r, s) of a filter bank's gradient, counted as the weight lies.
template <class Real>
class conv2d_weight_gradient {
 public:
  explicit conv2d_weight_gradient(const call& c)
      : at_(*c.sizes), x_(in<Real>(c, 0)), dy_(in<Real>(c, 1)) {}

  i64 count() const {
    return i64{at_.n.out_channels} * at_.n.group_in() * at_.n.kernel_height * at_.n.kernel_width;
  }
  element type() const { return dy_.type(); }

  Real operator()(i64 e) const {
    const conv_sizes& n = at_.n;
    const i64 s = e % n.kernel_width;
    const i64 r = e / n.kernel_width % n.kernel_height;
    const i64 k = e / (i64{n.kernel_width} * n.kernel_height) % n.group_in();
    const i64 o = e / (i64{n.kernel_width} * n.kernel_height * n.group_in());
    Real sum = 0;
    for (i64 sample = 0; sample < n.batch; ++sample)
      for (i64 p = 0; p < n.out_height; ++p)
        for (i64 q = 0; q < n.out_width; ++q) {
          const i64 h = at_.row(p, r);
          const i64 w = at_.column(q, s);
          if (!at_.has_row(h) || !at_.has_column(w)) continue;
          sum +=
              dy_[at_.y.at(sample, o, p, q)] * x_[at_.x.at(sample, at_.first_channel(o) + k, h, w)];
        }
    return sum;
  }

 private:
  conv_places at_;
  numbers<Real> x_;
  numbers<Real> dy_;
};

/// Stores a parameter's whole gradient.
template <class Real, template <class> class Gradient>
void store_gradient(const call& c) {
  const Gradient<Real> gradient(c);
  const auto to = out<Real>(c, 0);
  for (i64 e = 0; e < gradient.count(); ++e) to.set(e, gradient(e));
}

}  // namespace tessera::reference
