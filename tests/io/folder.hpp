#pragma once

// What the tests of file formats share: a folder of their own, the words of an error, and the
// writing of a file without the library.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>

#include <tessera/io/file.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace io_test {

/// A new folder, removed at the end.
struct folder {
  std::filesystem::path path;

  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tessera-io-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("no folder for temporary files");
    path = name;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  std::string operator/(const std::string& name) const { return (path / name).string(); }

  /// How many entries it has: a temporary file left behind shows here.
  std::ptrdiff_t entries() const {
    return std::distance(std::filesystem::directory_iterator(path),
                         std::filesystem::directory_iterator());
  }
};

inline void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string get(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The words of the tessera::error that `act` throws; "no error" without one. Other exceptions
/// pass.
template <class Act>
std::string words_of(Act act) {
  try {
    act();
  } catch (const tessera::error& found) {
    return found.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// System calls of which one fails: the `fail_at`-th of those that can make writing fail, counted
/// from 0. Opening may fail for want of permission, all others with a full disk.
struct faulty {
  static inline int fail_at = -1;
  static inline int count = 0;
  static inline bool short_writes = false;
  static inline std::vector<std::string> log;

  static bool fails(const char* call) {
    log.push_back(call);
    errno = ENOSPC;
    return count++ == fail_at;
  }

  static tessera::io::file_calls calls(int fail_at_call) {
    fail_at = fail_at_call;
    count = 0;
    log.clear();
    static const tessera::io::file_calls real;
    tessera::io::file_calls result;
    result.open = [](const char* path, int flags, unsigned mode) {
      return fails("open") ? -1 : real.open(path, flags, mode);
    };
    result.write = [](int handle, const void* bytes, std::size_t size) {
      return fails("write") ? -1L : real.write(handle, bytes, short_writes && size > 3 ? 3 : size);
    };
    result.sync = [](int handle) { return fails("sync") ? -1 : real.sync(handle); };
    // A close that reports an error has closed the file all the same.
    result.close = [](int handle) {
      const int closed = real.close(handle);
      return fails("close") ? -1 : closed;
    };
    result.rename = [](const char* from, const char* to) {
      return fails("rename") ? -1 : real.rename(from, to);
    };
    result.remove = [](const char* path) {
      log.push_back("remove");
      return real.remove(path);
    };
    return result;
  }
};

}  // namespace io_test
