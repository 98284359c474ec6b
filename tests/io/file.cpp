#include <tessera/io/file.hpp>

#include <support/catch.hpp>

#include "folder.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

using namespace io_test;
using namespace tessera;
using tessera::io::read_file;
using tessera::io::write_file;

namespace {

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("A file that was written reads back byte for byte", "[io]") {
  const folder here;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += static_cast<char>(i * 7 + i / 251);
  for (const std::size_t size : {0u, 1u, 7u, 4096u, 100'000u}) {
    write_file(here / "file", text.substr(0, size));
    CHECK(get(here / "file") == text.substr(0, size));
    CHECK(text_of(read_file(here / "file")) == text.substr(0, size));
  }
  CHECK(here.entries() == 1);
}

TEST_CASE("Reading says which file and why it cannot", "[io]") {
  const folder here;
  CHECK(words_of([&] { read_file(here / "none"); }) ==
        (here / "none") + ": cannot open: No such file or directory");
  CHECK(words_of([&] { read_file(here.path.string()); }) ==
        here.path.string() + ": is a directory, not a file");
  CHECK(words_of([&] { read_file("/dev/zero"); }) == "/dev/zero: is not a regular file");
  REQUIRE(::mkfifo((here / "pipe").c_str(), 0600) == 0);  // must not wait for a writer
  CHECK(words_of([&] { read_file(here / "pipe"); }) == (here / "pipe") + ": is not a regular file");
}

TEST_CASE("A file that shrinks while it is read is an error", "[io]") {
  const folder here;
  put(here / "file", "0123456789");
  io::input_file file(here / "file");
  put(here / "file", "0123");
  std::vector<std::byte> bytes(10);
  CHECK(words_of([&] { file.read(bytes); }) ==
        (here / "file") + ": ended after 4 bytes, 10 were expected");
}

TEST_CASE("A file larger than memory is an error, not a crash", "[io]") {
  const folder here;
  put(here / "file", "x");
  // A hole of 4 PiB where the file system allows that; a size that no machine allocates.
  if (::truncate((here / "file").c_str(), off_t{1} << 52) != 0) return;
  CHECK(contains(words_of([&] { read_file(here / "file"); }),
                 "not enough memory for 4503599627370496"));
}

TEST_CASE("Pieces are written one after the other, however little each call takes", "[io]") {
  const folder here;
  const std::string a = "first, ", b = "", c = "then the second";
  const std::span<const std::byte> pieces[] = {
      std::as_bytes(std::span(a)), std::as_bytes(std::span(b)), std::as_bytes(std::span(c))};
  faulty::short_writes = true;
  write_file(here / "file", pieces, faulty::calls(-1));
  faulty::short_writes = false;
  CHECK(get(here / "file") == "first, then the second");
  CHECK(std::count(faulty::log.begin(), faulty::log.end(), "write") == 3 + 5);
}

TEST_CASE("The new file is on the disk before it takes the name, and the name after", "[io]") {
  const folder here;
  write_file(here / "file", "new", faulty::calls(-1));
  const std::vector<std::string> expected = {"open",  "open",   "write", "sync",
                                             "close", "rename", "sync",  "close"};
  CHECK(faulty::log == expected);
}

TEST_CASE("Whichever call fails, the old file or the new one is there whole", "[io]") {
  for (const bool exists : {true, false}) {
    int failures = 0;
    for (int k = 0;; ++k) {
      const folder here;
      if (exists) put(here / "file", "the old file");
      const std::string words =
          words_of([&] { write_file(here / "file", "the new one", faulty::calls(k)); });
      INFO("call " << k << ": " << words);
      const int counted = faulty::count;
      if (k >= counted) {  // no call left to fail
        CHECK(words == "no error");
        break;
      }
      const std::string failed = faulty::log[static_cast<std::size_t>(k)];
      const bool renamed = std::count(faulty::log.begin(), faulty::log.begin() + k, "rename") == 1;
      if (renamed) {
        // Only the folder is left: the new file is in its place. Closing a folder loses nothing.
        CHECK(get(here / "file") == "the new one");
        CHECK(words == (failed == "sync"
                            ? (here / "file") + ": is written, but may not survive a power cut: "
                                                "No space left on device"
                            : "no error"));
        CHECK(here.entries() == 1);
      } else {
        ++failures;
        CHECK(words == (here / "file") + ": cannot write: No space left on device");
        CHECK(get(here / "file") == (exists ? "the old file" : ""));
        CHECK(here.entries() == (exists ? 1 : 0));
      }
    }
    CHECK(failures == 6);  // two opens, write, sync, close, rename
  }
}

TEST_CASE("A folder that cannot be written to is an error", "[io]") {
  const folder here;
  CHECK(words_of([&] { write_file(here / "none/file", "x"); }) ==
        (here / "none/file") + ": cannot write: No such file or directory");
}

TEST_CASE("What is no file is not replaced by one", "[io]") {
  const folder here;
  CHECK(words_of([&] { write_file(here.path.string(), "x"); }) ==
        here.path.string() + ": is a directory, cannot write a file there");
  REQUIRE(::mkfifo((here / "pipe").c_str(), 0600) == 0);
  CHECK(words_of([&] { write_file(here / "pipe", "x"); }) ==
        (here / "pipe") + ": is not a regular file, cannot replace it");
  CHECK(std::filesystem::is_fifo(here / "pipe"));
}

TEST_CASE("A link stays a link, and its file keeps its permissions", "[io]") {
  const folder here;
  std::filesystem::create_directory(here / "store");
  put(here / "store/file", "old");
  REQUIRE(::chmod((here / "store/file").c_str(), 0640) == 0);
  std::filesystem::create_symlink("store/file", here / "link");
  write_file(here / "link", "new");
  CHECK(std::filesystem::is_symlink(here / "link"));
  CHECK(get(here / "store/file") == "new");
  struct stat status = {};
  REQUIRE(::stat((here / "store/file").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);

  std::filesystem::create_symlink("nowhere", here / "dangling");
  CHECK(contains(words_of([&] { write_file(here / "dangling", "x"); }), "cannot follow the link"));
}

TEST_CASE("What a crashed program left under the temporary name is no hindrance", "[io]") {
  const folder here;
  const std::string left = (here / "file") + ".tmp." + std::to_string(::getpid());
  put(here / "precious", "precious");
  std::filesystem::create_symlink(here / "precious", left);
  write_file(here / "file", "new");
  CHECK(get(here / "file") == "new");
  CHECK(get(here / "precious") == "precious");
  CHECK(here.entries() == 2);
}

TEST_CASE("A program killed at any moment leaves a whole file", "[io]") {
  const folder here;
  const std::string path = here / "file";
  put(path, std::string(50'000, 'a'));
  int changed = 0;
  for (int round = 0; round < 60; ++round) {
    const std::string before = get(path);
    const pid_t child = ::fork();
    if (child == 0) {  // writes one version after the other until it is killed
      try {
        for (int version = 0;; ++version) {
          write_file(path, std::string(static_cast<std::size_t>(50'000 + version % 7 * 1000),
                                       static_cast<char>('a' + (round + version) % 26)));
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    REQUIRE(child > 0);
    ::usleep(static_cast<useconds_t>(300 + round * 131 % 4000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    const std::string after = get(path);
    REQUIRE(after.size() >= 50'000);
    REQUIRE(after.size() % 1000 == 0);
    REQUIRE(after == std::string(after.size(), after[0]));
    changed += after != before;
  }
  CHECK(changed > 0);  // otherwise nothing was put to the test
}
