#pragma once

// Where tests find their files and may write their own.

#include <cstdlib>
#include <filesystem>
#include <string>

#include <unistd.h>  // getpid

namespace tessera::testing {

/// Folder of the golden cases that come with the project.
inline std::string own_goldens_folder() { return TESSERA_TEST_DATA "/goldens"; }

/// Folder of the golden cases: what the environment variable TESSERA_GOLDENS names, by default
/// the project's own.
inline std::string goldens_folder() {
  const char* named = std::getenv("TESSERA_GOLDENS");
  return named && *named ? named : own_goldens_folder();
}

/// A file of tests/data: data_file("memory/lenet5.fp16.csv").
inline std::string data_file(const std::string& name) {
  return std::string(TESSERA_TEST_DATA "/") + name;
}

/// An empty folder of this object's own under the system's temporary folder, removed with all
/// that is in it at the end of its life.
class scratch_folder {
 public:
  scratch_folder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("tessera-test-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~scratch_folder() {
    std::error_code ignored;  // a failing clean-up is no failing test
    std::filesystem::remove_all(path_, ignored);
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;

  /// Full path of a file in the folder.
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace tessera::testing
