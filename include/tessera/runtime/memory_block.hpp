#pragma once

// The one block of memory that a program works in, allocated once and zeroed.

#include <tessera/ir/memory.hpp>
#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

namespace tessera {

/// Owns `size` zeroed bytes on a cache line. Movable, not copyable.
class memory_block {
 public:
  memory_block() = default;
  explicit memory_block(i64 size) : size_(size) {
    if (size == 0) return;
    bytes_ = static_cast<std::byte*>(::operator new(static_cast<std::size_t>(size), alignment()));
    std::fill_n(bytes_, size, std::byte{0});
  }
  memory_block(memory_block&& other) noexcept
      : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  memory_block& operator=(memory_block&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~memory_block() {
    if (bytes_ != nullptr) ::operator delete(bytes_, alignment());
  }

  std::byte* data() const { return bytes_; }
  i64 size() const { return size_; }

 private:
  static constexpr std::align_val_t alignment() { return std::align_val_t{tensor_alignment}; }

  std::byte* bytes_ = nullptr;
  i64 size_ = 0;
};

}  // namespace tessera
