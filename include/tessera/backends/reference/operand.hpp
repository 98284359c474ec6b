#pragma once

// How the reference kernels see memory: every operand as an array of numbers of one compute type.
//
//   policy   stored as         computed in
//   fp64     f64               double
//   others   f32, f16, bf16    float
//
// A 16-bit element is widened when it is read and rounded once, to nearest even, when it is
// written; a call with an f64 operand computes in double throughout. The type is looked at for
// every element: slow, and nothing to get wrong.

#include <tessera/core/bfloat16.hpp>
#include <tessera/core/half.hpp>
#include <tessera/ir/call.hpp>
#include <cmath>
#include <cstddef>

namespace tessera::reference {

/// Read access to an input or output of a call; false where the operand is absent.
template <class Real>
class numbers {
 public:
  numbers(const std::byte* bytes, element type) : bytes_(bytes), type_(type) {}

  explicit operator bool() const { return bytes_ != nullptr; }

  Real operator[](i64 i) const {
    switch (type_) {
      case element::f64: return static_cast<Real>(as<double>()[i]);
      case element::f32: return static_cast<Real>(as<float>()[i]);
      case element::f16: return static_cast<Real>(to_float(as<half>()[i]));
      case element::bf16: return static_cast<Real>(to_float(as<bfloat16>()[i]));
      case element::uint8: return static_cast<Real>(as<u8>()[i]);
      case element::int32: return static_cast<Real>(as<i32>()[i]);
      case element::int64: return static_cast<Real>(as<i64>()[i]);
      case element::int8: return static_cast<Real>(as<i8>()[i]);
      case element::uint16: return static_cast<Real>(as<u16>()[i]);
    }
    return Real(0);
  }

  element type() const { return type_; }

 protected:
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes_);
  }

 private:
  const std::byte* bytes_;
  element type_;
};

/// An output: can be written too.
template <class Real>
class cells : public numbers<Real> {
 public:
  cells(std::byte* bytes, element type) : numbers<Real>(bytes, type), bytes_(bytes) {}

  /// Stores `value` with one rounding.
  void set(i64 i, Real value) const {
    switch (this->type()) {
      case element::f64: to<double>()[i] = static_cast<double>(value); return;
      case element::f32: to<float>()[i] = static_cast<float>(value); return;
      case element::f16: to<half>()[i] = to_half(static_cast<float>(value)); return;
      case element::bf16: to<bfloat16>()[i] = to_bfloat16(static_cast<float>(value)); return;
      case element::uint8: to<u8>()[i] = static_cast<u8>(value); return;
      case element::int32: to<i32>()[i] = static_cast<i32>(value); return;
      case element::int64: to<i64>()[i] = static_cast<i64>(value); return;
      case element::int8: to<i8>()[i] = static_cast<i8>(value); return;
      case element::uint16: to<u16>()[i] = static_cast<u16>(value); return;
    }
  }

 private:
  template <class T>
  T* to() const {
    return reinterpret_cast<T*>(bytes_);
  }

  std::byte* bytes_;
};

template <class Real>
numbers<Real> in(const call& c, i32 slot) {
  if (!c.sizes->has_input(slot)) return {nullptr, element::f32};
  return {c.in[slot], c.sizes->input_type(slot)};
}

template <class Real>
cells<Real> out(const call& c, i32 slot) {
  if (!c.sizes->has_output(slot)) return {nullptr, element::f32};
  return {c.out[slot], c.sizes->output_type(slot)};
}

/// `value` as a tensor of type `stored` would give it back.
template <class Real>
Real rounded_to(element stored, Real value) {
  if (stored == element::f16)
    return static_cast<Real>(to_float(to_half(static_cast<float>(value))));
  if (stored == element::bf16)
    return static_cast<Real>(to_float(to_bfloat16(static_cast<float>(value))));
  return value;
}

/// 1 / (1 + e^-x)
template <class Real>
Real logistic(Real x) {
  return 1 / (1 + std::exp(-x));
}

/// Where element `i` of sample `n` lies: samples innermost or outermost.
struct batch_layout {
  bool last;
  i64 samples;
  i64 sample_size;

  i64 at(i64 n, i64 i) const { return last ? i * samples + n : n * sample_size + i; }
};

/// Where (channel, row, column) of sample `n` lies.
struct image_layout {
  batch_layout batch;
  i64 height;
  i64 width;

  image_layout(const signature& s, i64 samples, i64 channels, i64 rows, i64 columns)
      : batch{s.batch_last, samples, channels * rows * columns}, height(rows), width(columns) {}

  i64 at(i64 n, i64 channel, i64 row, i64 column) const {
    return batch.at(n, (channel * height + row) * width + column);
  }
};

}  // namespace tessera::reference
