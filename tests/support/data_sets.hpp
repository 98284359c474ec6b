#pragma once

// Real data sets, where there are any: $TESSERA_DATA is the folder that holds all of them.

#include <support/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tessera::testing {

/// The folder of a data set; empty, with a warning, where it is not at hand.
inline std::filesystem::path data_set(const std::string& name) {
  const char* root = std::getenv("TESSERA_DATA");
  if (root && *root && std::filesystem::is_directory(std::filesystem::path(root) / name)) {
    return std::filesystem::path(root) / name;
  }
  WARN("skipped: set TESSERA_DATA to a folder that holds " << name << "/");
  return {};
}

/// FNV-1a: 64 bits that any change of a byte changes.
class digest {
 public:
  template <class Bytes>
  digest& add(const Bytes& bytes) {
    for (const auto byte : bytes)
      hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 1099511628211u;
    return *this;
  }
  unsigned long long value() const { return hash_; }

 private:
  unsigned long long hash_ = 14695981039346656037u;
};

}  // namespace tessera::testing
