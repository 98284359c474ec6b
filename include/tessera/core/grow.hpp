#pragma once

// A growable array that works inside a constant evaluation as well as at run time.
//
// Graphs grow while they are built and rewritten; std::vector is several times dearer for the
// compiler (and clang rejects it in constants with libstdc++ 12). The storage never leaves the
// evaluation: results are frozen into arrays of exact size. Room that is not used yet holds no
// elements: default values there cost g++ 12 a sixth of its memory for a graph of 300 operations.

#include <tessera/core/types.hpp>
#include <memory>
#include <type_traits>

namespace tessera {

/// Sequence of `T` (copyable; default constructible where it is resized) that doubles its storage
/// when it is full. References to elements die when it grows.
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
      if (capacity_ == 0) {
        items_ = nullptr;
        size_ = 0;
      }
      clear();
      append(other);
    }
    return *this;
  }
  constexpr grow& operator=(grow&& other) noexcept {
    if (this != &other) {
      release();
      items_ = other.items_;
      size_ = other.size_;
      capacity_ = other.capacity_;
      other.items_ = nullptr;
      other.size_ = other.capacity_ = 0;
    }
    return *this;
  }
  constexpr ~grow() { release(); }

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
    if (size_ < capacity_) {
      std::construct_at(items_ + size_, item);
    } else {
      const i32 capacity = capacity_for(size_ + 1);
      T* const moved = allocate(capacity);
      std::construct_at(moved + size_, item);  // first: it may lie in the storage that is given up
      move_to(moved, capacity);
    }
    return size_++;
  }

  /// Makes room for so many elements in all.
  constexpr void reserve(i32 wanted) {
    if (wanted <= capacity_) return;
    const i32 capacity = capacity_for(wanted);
    move_to(allocate(capacity), capacity);
  }

  constexpr void resize(i32 size) {
    reserve(size);
    for (i32 i = size_; i < size; ++i) std::construct_at(items_ + i);
    destroy_from(size);
    size_ = size;
  }

  constexpr void clear() { resize(0); }

 private:
  constexpr i32 capacity_for(i32 wanted) const {
    const i32 doubled = capacity_ < 32 ? 32 : capacity_ * 2;
    return doubled < wanted ? wanted : doubled;
  }

  static constexpr T* allocate(i32 capacity) {
    return std::allocator<T>{}.allocate(static_cast<std::size_t>(capacity));
  }

  constexpr void move_to(T* storage, i32 capacity) {
    for (i32 i = 0; i < size_; ++i) std::construct_at(storage + i, items_[i]);
    release();
    items_ = storage;
    capacity_ = capacity;
  }

  /// Gives the storage back; a borrowed one has no capacity.
  constexpr void release() {
    if (capacity_ == 0) return;
    destroy_from(0);
    std::allocator<T>{}.deallocate(items_, static_cast<std::size_t>(capacity_));
  }

  constexpr void destroy_from(i32 first) {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      for (i32 i = first; i < size_; ++i) std::destroy_at(items_ + i);
    }
  }

  constexpr void append(const grow& other) {
    reserve(size_ + other.size_);
    for (i32 i = 0; i < other.size_; ++i) std::construct_at(items_ + size_ + i, other.items_[i]);
    size_ += other.size_;
  }

  T* items_ = nullptr;
  i32 size_ = 0;
  i32 capacity_ = 0;
};

}  // namespace tessera
