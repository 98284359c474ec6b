#pragma once

// What the tests of host kernels share: operands in storage type and layout from plain numbers,
// calls of kernels, comparison within a derived bound.

#include <support/catch.hpp>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <tessera/core/bfloat16.hpp>
#include <tessera/core/half.hpp>
#include <tessera/ir/call.hpp>

namespace tessera::testing {

using numbers = std::vector<double>;

/// host::find_kernel, compiled once for all tests (host_kernels.cpp).
kernel find_host_kernel(const signature& s);

/// Uniform numbers that every storage type holds exactly: multiples of 2^-6 in [-2, 2].
inline numbers random_numbers(i64 n, u32 seed) {
  std::mt19937 random(seed);
  numbers values(static_cast<std::size_t>(n));
  for (double& x : values) x = static_cast<double>(static_cast<i32>(random() % 257) - 128) / 64;
  return values;
}

/// One call of a host kernel. Operands are given and taken as numbers with the sample first;
/// memory has exactly their bytes, so that a sanitizer sees what goes beyond.
class host_call {
 public:
  signature s;
  attributes attr;
  step_values step;

  host_call(kind what, bool batch_last) {
    s.what = what;
    s.batch_last = batch_last;
  }

  /// `batch` > 0: an operand of that many samples.
  void in(i32 slot, const numbers& values, element type = element::f32, i32 batch = 0) {
    s.set_type(slot, type);
    in_[slot] = make(values, type, batch);
    in_pointer_[slot] = in_[slot].get();
  }
  void out(i32 slot, const numbers& values, element type = element::f32, i32 batch = 0) {
    s.set_type(8 + slot, type);
    out_[slot] = make(values, type, batch);
    out_pointer_[slot] = out_[slot].get();
    count_[slot] = static_cast<i64>(values.size());
    batch_[slot] = batch;
  }
  void out(i32 slot, i64 count, element type = element::f32, i32 batch = 0) {
    out(slot, numbers(static_cast<std::size_t>(count), 77.0), type, batch);
  }
  /// Output `slot` lies in the bytes of input `over`.
  void out_in_place(i32 slot, i32 over, i64 count, element type, i32 batch) {
    s.set_type(8 + slot, type);
    out_pointer_[slot] = in_pointer_[over];
    count_[slot] = count;
    batch_[slot] = batch;
  }

  void run() {
    const kernel k = find_host_kernel(s);
    REQUIRE(k != nullptr);
    run(k);
  }
  void run(kernel k) { k(call{in_pointer_, out_pointer_, &s, &attr, &step}); }

  numbers result(i32 slot) const {
    numbers values(static_cast<std::size_t>(count_[slot]));
    const element type = s.output_type(slot);
    for (i64 i = 0; i < count_[slot]; ++i) {
      values[static_cast<std::size_t>(i)] =
          read(out_pointer_[slot], type, place(i, count_[slot], batch_[slot]));
    }
    return values;
  }

  double input_number(i32 slot, i64 i) const {
    return read(in_pointer_[slot], s.input_type(slot), i);
  }

  /// Bytes of an output, to compare bit by bit.
  std::vector<std::byte> bytes(i32 slot) const {
    const i64 n = count_[slot] * bytes_of(s.output_type(slot));
    return {out_pointer_[slot], out_pointer_[slot] + n};
  }

 private:
  i64 place(i64 i, i64 count, i32 batch) const {
    if (batch == 0 || !s.batch_last) return i;
    const i64 size = count / batch;
    return i % size * batch + i / size;
  }

  static double read(const std::byte* p, element type, i64 i) {
    switch (type) {
      case element::f32: return reinterpret_cast<const float*>(p)[i];
      case element::f16: return to_float(reinterpret_cast<const half*>(p)[i]);
      case element::bf16: return to_float(reinterpret_cast<const bfloat16*>(p)[i]);
      case element::uint8: return reinterpret_cast<const u8*>(p)[i];
      case element::int32: return reinterpret_cast<const i32*>(p)[i];
      default: return 0;
    }
  }
  static void write(std::byte* p, element type, i64 i, double x) {
    switch (type) {
      case element::f32: reinterpret_cast<float*>(p)[i] = static_cast<float>(x); break;
      case element::f16: reinterpret_cast<half*>(p)[i] = to_half(static_cast<float>(x)); break;
      case element::bf16:
        reinterpret_cast<bfloat16*>(p)[i] = to_bfloat16(static_cast<float>(x));
        break;
      case element::uint8: reinterpret_cast<u8*>(p)[i] = static_cast<u8>(x); break;
      case element::int32: reinterpret_cast<i32*>(p)[i] = static_cast<i32>(x); break;
      default: break;
    }
  }
  std::unique_ptr<std::byte[]> make(const numbers& values, element type, i32 batch) const {
    const i64 count = static_cast<i64>(values.size());
    auto memory = std::make_unique<std::byte[]>(static_cast<std::size_t>(count * bytes_of(type)));
    for (i64 i = 0; i < count; ++i) {
      write(memory.get(), type, place(i, count, batch), values[static_cast<std::size_t>(i)]);
    }
    return memory;
  }

  std::unique_ptr<std::byte[]> in_[8];
  std::unique_ptr<std::byte[]> out_[6];
  std::byte* in_pointer_[8] = {};
  std::byte* out_pointer_[6] = {};
  i64 count_[6] = {};
  i32 batch_[6] = {};
};

/// Half a unit in the last place of a value of 16 bits, relative to it; 0 of a float.
inline double rounding_of(element type) {
  return type == element::f16 ? 0x1p-11 : type == element::bf16 ? 0x1p-8 : 0;
}

/// A sum in double and the sum of its terms' magnitudes.
struct bounded_sum {
  double value = 0;
  double size = 0;
  void add(double term) {
    value += term;
    size += std::abs(term);
  }
};

/// The largest excess over what rounding allows: a float sum of n terms in any order is off by at
/// most n 2^-24 times the sum of magnitudes; storing in 16 bits by half a unit of the value
/// more (2^-25 where it is subnormal). At most 0 where all is well.
inline double excess(const numbers& got, const std::vector<bounded_sum>& wanted, i64 terms,
                     element type) {
  double worst = -1;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double size = wanted[i].size;
    double bound = static_cast<double>(terms + 2) * 0x1p-24 * size;
    if (bytes_of(type) == 2) {
      bound += (std::abs(wanted[i].value) + bound) * rounding_of(type) + 0x1p-25;
    }
    const double over = std::abs(got[i] - wanted[i].value) - bound;
    if (!(over <= worst)) worst = over;
  }
  return worst;
}

}  // namespace tessera::testing
