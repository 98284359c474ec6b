#pragma once

// Operands: numbers of every storage type that all contestants agree on, where they want them.

#include <tessera/core/convert.hpp>
#include <tessera/core/element.hpp>
#include <tessera/core/types.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace bench {

/// Number `i` of list `seed`: a multiple of 1/64 in [-1, 1). Every storage type holds it exactly,
/// and sums of some thousand products of two are exact in f32 in whatever order.
inline float number_at(tessera::u32 seed, tessera::i64 i) {
  tessera::u64 x = static_cast<tessera::u64>(i) * 0x9E3779B97F4A7C15u + seed * 0xBF58476D1CE4E5B9u;
  x ^= x >> 29;
  x *= 0x94D049BB133111EBu;
  return static_cast<float>(static_cast<int>(x >> 57) - 64) / 64;
}

/// `count` elements of T on a cache line, zeros at first, with room for one vector behind them.
template <class T>
class buffer {
 public:
  explicit buffer(tessera::i64 count)
      : bytes_((static_cast<std::size_t>(count) * sizeof(T) + 127) / 64 * 64),
        first_(static_cast<T*>(::operator new(bytes_, alignment))) {
    std::memset(static_cast<void*>(first_.get()), 0, bytes_);
  }
  T* data() { return first_.get(); }
  const T* data() const { return first_.get(); }
  T& operator[](tessera::i64 i) { return first_.get()[i]; }
  const T& operator[](tessera::i64 i) const { return first_.get()[i]; }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(first_.get()); }

 private:
  static constexpr std::align_val_t alignment{64};
  struct release {
    void operator()(T* p) const { ::operator delete(static_cast<void*>(p), alignment); }
  };
  std::size_t bytes_;
  std::unique_ptr<T, release> first_;
};

inline void store(float x, float& to) { to = x; }
inline void store(float x, tessera::half& to) { to = tessera::to_half(x); }
inline void store(float x, tessera::bfloat16& to) { to = tessera::to_bfloat16(x); }
inline double load(float x) { return static_cast<double>(x); }
inline double load(tessera::half x) { return static_cast<double>(tessera::to_float(x)); }
inline double load(tessera::bfloat16 x) { return static_cast<double>(tessera::to_float(x)); }

/// What computing in T costs in accuracy, as a contestant's tolerance: sums are in f32, and a
/// result is rounded to T.
template <class T>
inline constexpr double tolerance_of = 1e-5;
template <>
inline constexpr double tolerance_of<tessera::half> = 1e-3;
template <>
inline constexpr double tolerance_of<tessera::bfloat16> = 5e-3;

}  // namespace bench
