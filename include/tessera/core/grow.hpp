#pragma once

// A growable array that works inside a constant evaluation as well as at run time.
//
// Graphs grow while they are built and rewritten; std::vector is several times dearer for the
// compiler (and clang rejects it in constants with libstdc++ 12). The storage never leaves the
// evaluation: results are frozen into arrays of exact size.

#include <tessera/core/types.hpp>

namespace tessera {

/// Sequence of `T` (default constructible, copyable) that doubles its storage when it is full.
/// References to elements die when it grows.
template <class T>
class grow {
 public:
  constexpr grow() = default;
  constexpr explicit grow(i32 size) { resize(size); }
  constexpr grow(const grow& other) { append(other); }
  constexpr grow(grow&& other) noexcept
      : items_(other.items_), size_(other.size_), capacity_(other.capacity_) {
    other.items_ = nullptr;
    other.size_ = other.capacity_ = 0;
  }
  constexpr grow& operator=(const grow& other) {
    if (this != &other) {
      if (capacity_ == 0) items_ = nullptr;
      size_ = 0;
      append(other);
    }
    return *this;
  }
  constexpr grow& operator=(grow&& other) noexcept {
    if (this != &other) {
      if (capacity_ > 0) delete[] items_;
      items_ = other.items_;
      size_ = other.size_;
      capacity_ = other.capacity_;
      other.items_ = nullptr;
      other.size_ = other.capacity_ = 0;
    }
    return *this;
  }
  constexpr ~grow() {
    if (capacity_ > 0) delete[] items_;
  }

  /// The elements of an array that outlives this one, to be read: nothing is copied until something
  /// is appended.
  static constexpr grow borrow(const T* items, i32 size) {
    grow borrowed;
    borrowed.items_ = const_cast<T*>(items);
    borrowed.size_ = size;
    return borrowed;
  }

  constexpr i32 size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr T* data() { return items_; }
  constexpr const T* data() const { return items_; }
  constexpr T* begin() { return items_; }
  constexpr T* end() { return items_ + size_; }
  constexpr const T* begin() const { return items_; }
  constexpr const T* end() const { return items_ + size_; }
  constexpr T& operator[](i32 index) { return items_[index]; }
  constexpr const T& operator[](i32 index) const { return items_[index]; }
  constexpr T& back() { return items_[size_ - 1]; }

  /// Appends a copy and returns its index.
  constexpr i32 push(const T& item) {
    if (size_ == capacity_) {
      const T copy = item;  // `item` may lie in the storage that reserve() gives up
      reserve(size_ + 1);
      items_[size_] = copy;
    } else {
      items_[size_] = item;
    }
    return size_++;
  }

  /// Makes room for so many elements in all.
  constexpr void reserve(i32 wanted) {
    if (wanted <= capacity_) return;
    i32 capacity = capacity_ < 8 ? 8 : capacity_ * 2;
    if (capacity < wanted) capacity = wanted;
    T* moved = new T[static_cast<std::size_t>(capacity)]{};
    for (i32 i = 0; i < size_; ++i) moved[i] = items_[i];
    if (capacity_ > 0) delete[] items_;
    items_ = moved;
    capacity_ = capacity;
  }

  constexpr void resize(i32 size) {
    reserve(size);
    for (i32 i = size_; i < size; ++i) items_[i] = T{};
    size_ = size;
  }

  constexpr void clear() { size_ = 0; }

 private:
  constexpr void append(const grow& other) {
    reserve(size_ + other.size_);
    for (i32 i = 0; i < other.size_; ++i) items_[size_ + i] = other.items_[i];
    size_ += other.size_;
  }

  T* items_ = nullptr;
  i32 size_ = 0;
  i32 capacity_ = 0;
};

}  // namespace tessera
