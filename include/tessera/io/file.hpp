#pragma once

// Files: read in whole pieces or not at all, and replaced in one instant.
//
//   write NAME.tmp.<pid> -> fsync it -> rename it to NAME -> fsync the folder
//
// Whatever fails before the rename, the new file is removed and NAME is as it was; from the rename
// on, NAME is the new file, whole. A crash or a power cut at any moment leaves one of the two.
// The system calls that writing makes can be handed in, so that tests can let each of them fail.
// Functions are marked cold: they wait for the disk, so the compiler need not make them fast.
// POSIX. Two threads must not write the same NAME at once.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/io/message.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace tessera::io {

namespace detail {

/// "model.safetensors: No such file or directory", from the number a system call left in errno.
[[gnu::cold]] inline error file_error(const std::string& path, const char* doing, int number) {
  return error(message({path, ": ", doing, ": ", std::strerror(number)}));
}

/// Memory for `bytes` bytes of `path`, aligned to 16; an error instead of bad_alloc.
[[gnu::cold]] inline std::vector<std::byte> allocate(u64 bytes, const std::string& path) {
  try {
    return std::vector<std::byte>(bytes);
  } catch (const std::exception&) {  // bad_alloc or length_error
    refuse({path, ": not enough memory for ", bytes, " bytes"});
  }
}

}  // namespace detail

/// A regular file open for reading, front to back.
class input_file {
 public:
  /// Errors   "PATH: cannot open: No such file or directory", "PATH: is a directory, not a file"
  [[gnu::cold]] explicit input_file(const std::string& path) : path_(path) {
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    handle_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (handle_ < 0) throw detail::file_error(path, "cannot open", errno);
    struct stat status = {};
    if (::fstat(handle_, &status) != 0) {
      const int number = errno;
      ::close(handle_);
      throw detail::file_error(path, "cannot open", number);
    }
    if (!S_ISREG(status.st_mode)) {
      ::close(handle_);
      refuse({path, S_ISDIR(status.st_mode) ? ": is a directory, not a file"
                                            : ": is not a regular file"});
    }
    size_ = static_cast<u64>(status.st_size);
  }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;
  ~input_file() { ::close(handle_); }

  /// Bytes in the file when it was opened.
  u64 size() const { return size_; }

  /// Fills `to` with the next bytes.
  /// Errors   "PATH: ended after 100 bytes, 120 were expected" where the file has shrunk meanwhile
  [[gnu::cold]] void read(std::span<std::byte> to) {
    std::size_t done = 0;
    while (done < to.size()) {
      const ssize_t count = ::read(handle_, to.data() + done, to.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw detail::file_error(path_, "cannot read", errno);
      if (count == 0) {
        refuse(
            {path_, ": ended after ", at_ + done, " bytes, ", at_ + to.size(), " were expected"});
      }
      done += static_cast<std::size_t>(count);
    }
    at_ += done;
  }

 private:
  std::string path_;
  int handle_ = -1;
  u64 size_ = 0;
  u64 at_ = 0;
};

/// All bytes of a file, aligned to 16.
/// Errors   those of input_file
[[gnu::cold]] inline std::vector<std::byte> read_file(const std::string& path) {
  input_file file(path);
  std::vector<std::byte> bytes = detail::allocate(file.size(), path);
  file.read(bytes);
  return bytes;
}

/// The system calls that `write_file` makes, each with the meaning it has in POSIX: -1 and errno
/// for a failure. Tests hand in their own.
struct file_calls {
  int (*open)(const char* path, int flags, unsigned mode) =
      [](const char* path, int flags, unsigned mode) { return ::open(path, flags, mode); };
  long (*write)(int handle, const void* bytes,
                std::size_t count) = [](int handle, const void* bytes, std::size_t count) -> long {
    return ::write(handle, bytes, count);
  };
  int (*sync)(int handle) = [](int handle) { return ::fsync(handle); };
  int (*close)(int handle) = [](int handle) { return ::close(handle); };
  int (*rename)(const char* from, const char* to) = [](const char* from, const char* to) {
    return std::rename(from, to);
  };
  int (*remove)(const char* path) = [](const char* path) { return ::unlink(path); };
};

namespace detail {

/// The folder a path lies in: "runs" of "runs/lenet.safetensors", "." of "lenet.safetensors".
[[gnu::cold]] inline std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Where a file written under `path` belongs, and the permissions it takes over: a link is followed
/// and stays a link, anything but a regular file (/dev/null, a folder) is refused, since the rename
/// would put a file in its place.
struct write_target {
  std::string path;
  unsigned mode = 0666;
  bool exists = false;

  [[gnu::cold]] explicit write_target(const std::string& named) : path(named) {
    struct stat status = {};
    if (::lstat(named.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
      char* const resolved = ::realpath(named.c_str(), nullptr);
      if (resolved == nullptr) throw file_error(named, "cannot follow the link", errno);
      path = resolved;
      std::free(resolved);
    }
    if (::lstat(path.c_str(), &status) != 0) return;  // a new file; open() finds what is wrong
    if (!S_ISREG(status.st_mode)) {
      refuse({named, S_ISDIR(status.st_mode) ? ": is a directory, cannot write a file there"
                                             : ": is not a regular file, cannot replace it"});
    }
    mode = status.st_mode & 0777;
    exists = true;
  }
};

/// The folder a file lies in. A new name is an entry of the folder and reaches the disk with it.
class folder_handle {
 public:
  [[gnu::cold]] folder_handle(const std::string& path, const std::string& named,
                              const file_calls& calls)
      : calls_(calls), named_(named) {
    handle_ = calls_.open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (handle_ < 0) throw file_error(named_, "cannot write", errno);
  }
  folder_handle(const folder_handle&) = delete;
  folder_handle& operator=(const folder_handle&) = delete;
  ~folder_handle() { calls_.close(handle_); }

  [[gnu::cold]] void sync() const {
    // Some file systems have nothing to synchronise in a folder and say so with EINVAL.
    if (calls_.sync(handle_) == 0 || errno == EINVAL) return;
    throw file_error(named_, "is written, but may not survive a power cut", errno);
  }

 private:
  const file_calls& calls_;
  std::string named_;
  int handle_ = -1;
};

/// The file under its temporary name: removed again unless `keep` was called.
class temporary_file {
 public:
  [[gnu::cold]] temporary_file(const write_target& target, const std::string& named,
                               const file_calls& calls)
      : calls_(calls), named_(named), path_(message({target.path, ".tmp.", ::getpid()})) {
    // A crashed process with this number may have left one; O_EXCL alone would trip over it for
    // ever, and without O_EXCL a link planted under this name would be written through.
    ::unlink(path_.c_str());
    handle_ = calls_.open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, target.mode);
    if (handle_ < 0) throw file_error(named_, "cannot write", errno);
    // The mode given to open() passes through the umask; a replaced file keeps its own.
    if (target.exists && ::fchmod(handle_, target.mode) != 0) {
      const int number = errno;
      discard();
      throw file_error(named_, "cannot write", number);
    }
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  ~temporary_file() { discard(); }

  const std::string& path() const { return path_; }

  [[gnu::cold]] void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const long count = calls_.write(handle_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) throw file_error(named_, "cannot write", count < 0 ? errno : EIO);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  /// Everything is on the disk when this returns.
  [[gnu::cold]] void finish() {
    if (calls_.sync(handle_) != 0) throw file_error(named_, "cannot write", errno);
    const int handle = handle_;
    handle_ = -1;  // closed even where close() reports an error
    if (calls_.close(handle) != 0) throw file_error(named_, "cannot write", errno);
  }

  void keep() { kept_ = true; }

 private:
  [[gnu::cold]] void discard() {
    if (handle_ >= 0) calls_.close(handle_);
    handle_ = -1;
    if (!kept_) calls_.remove(path_.c_str());
  }

  const file_calls& calls_;
  std::string named_;
  std::string path_;
  int handle_ = -1;
  bool kept_ = false;
};

}  // namespace detail

/// Puts a file with these bytes, piece after piece, in the place of `path`.
///
/// A file that is replaced keeps its permissions; a link keeps pointing to where it does.
/// Errors   "PATH: cannot write: No space left on device", and PATH is as it was; or "PATH: is
///          written, but may not survive a power cut: ..." where only the last step failed
[[gnu::cold]] inline void write_file(const std::string& path,
                                     std::span<const std::span<const std::byte>> pieces,
                                     const file_calls& calls = {}) {
  const detail::write_target target(path);
  // Opened first: what can fail should fail while the old file is still there.
  const detail::folder_handle folder(target.path, path, calls);
  detail::temporary_file file(target, path, calls);
  for (const auto piece : pieces) file.write(piece);
  file.finish();
  if (calls.rename(file.path().c_str(), target.path.c_str()) != 0) {
    throw detail::file_error(path, "cannot write", errno);
  }
  file.keep();
  folder.sync();
}

/// The same for one piece of text.
[[gnu::cold]] inline void write_file(const std::string& path, std::string_view text,
                                     const file_calls& calls = {}) {
  const std::span<const std::byte> piece = std::as_bytes(std::span(text.data(), text.size()));
  write_file(path, std::span(&piece, 1), calls);
}

}  // namespace tessera::io
