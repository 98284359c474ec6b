#include <tessera/data/gzip.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>
#include <support/paths.hpp>

#include <fstream>
#include <string>

using namespace tessera;
using namespace tessera::testing;

namespace {

// "abcabcabcabcabcabc\n" by `gzip -n`: compressed, with a back reference.
const byte_string compressed_text{0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                  0x03, 0x4b, 0x4c, 0x4a, 0x4e, 0x44, 0x45, 0x5c, 0x00,
                                  0x4a, 0xe4, 0x66, 0x35, 0x13, 0x00, 0x00, 0x00};

std::string whole(const std::string& path, i64 part = 7) {
  data::byte_file file(path);
  std::string text;
  for (;;) {
    std::string more(static_cast<std::size_t>(part), '?');
    const i64 got = file.read(reinterpret_cast<u8*>(more.data()), part);
    text.append(more, 0, static_cast<std::size_t>(got));
    if (got < part) return text;
  }
}

byte_string many_bytes(std::size_t count) {
  byte_string bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<u8>(i * i >> 3);
  return bytes;
}

}  // namespace

TEST_CASE("a plain file is read as it is", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("plain"), {'t', 'e', 'x', 't', 0, 255});
  CHECK(whole(folder.file("plain")) == std::string("text\0\xff", 6));
  CHECK_FALSE(data::byte_file(folder.file("plain")).packed());
}

TEST_CASE("a compressed file is unpacked whatever it is called", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("text"), compressed_text);
  CHECK(whole(folder.file("text")) == "abcabcabcabcabcabc\n");
  CHECK(data::byte_file(folder.file("text")).packed());
}

TEST_CASE("a plain file called .gz is read as it is", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("text.gz"), {'a', 'b'});
  CHECK(whole(folder.file("text.gz")) == "ab");
}

TEST_CASE("files larger than the buffers come whole in parts of any size", "[data]") {
  const scratch_folder folder;
  const byte_string bytes = many_bytes(200'000);
  const std::string expected(bytes.begin(), bytes.end());
  write_bytes(folder.file("plain"), bytes);
  write_bytes(folder.file("packed"), gzip_stored(bytes));
  for (const i64 part : {1, 1000, 65536, 200'000, 3'000'000}) {
    CHECK(whole(folder.file("plain"), part) == expected);
    CHECK(whole(folder.file("packed"), part) == expected);
  }
}

TEST_CASE("gzip files of several members and of none but empty ones are read", "[data]") {
  const scratch_folder folder;
  byte_string two = compressed_text;
  const byte_string stored = gzip_stored({'x', 'y'});
  two.insert(two.end(), stored.begin(), stored.end());
  write_bytes(folder.file("two"), two);
  CHECK(whole(folder.file("two")) == "abcabcabcabcabcabc\nxy");
  write_bytes(folder.file("empty"), gzip_stored({}));
  CHECK(whole(folder.file("empty")).empty());
}

TEST_CASE("an empty file has no bytes", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("empty"), {});
  CHECK(whole(folder.file("empty")).empty());
}

TEST_CASE("a missing file and a folder are named", "[data]") {
  const scratch_folder folder;
  const std::string missing = folder.file("missing");
  CHECK(error_of([&] { data::byte_file file(missing); }) == missing + ": no such file");
  const std::string here = folder.file(".");
  CHECK(error_of([&] { data::byte_file file(here); }) == here + ": is a folder, expected a file");
}

TEST_CASE("a gzip file cut off anywhere is truncated", "[data]") {
  const scratch_folder folder;
  const std::string path = folder.file("cut");
  for (std::size_t length = 2; length < compressed_text.size(); ++length) {
    write_bytes(path, byte_string(compressed_text.begin(),
                                  compressed_text.begin() + static_cast<std::ptrdiff_t>(length)));
    CAPTURE(length);
    CHECK(error_of([&] { whole(path); }) == path + ": gzip data ends early; the file is truncated");
  }
}

TEST_CASE("a gzip file with a changed byte is refused or unpacks to the same", "[data]") {
  const scratch_folder folder;
  const std::string path = folder.file("changed");
  const std::string expected = whole([&] {
    write_bytes(path, compressed_text);
    return path;
  }());
  int refused = 0;
  for (std::size_t i = 2; i < compressed_text.size(); ++i) {
    byte_string changed = compressed_text;
    changed[i] ^= 0x10;
    write_bytes(path, changed);
    std::string text;
    const std::string wrong = error_of([&] { text = whole(path); });
    CAPTURE(i, wrong, text);
    if (wrong == "(no error)") {
      // Time stamp, speed flag and system are of no matter to the contents.
      CHECK((i >= 4 && i < 10));
      CHECK(text == expected);
    } else {
      CHECK_THAT(wrong, starts_with(path + ": "));
      ++refused;
    }
  }
  CHECK(refused >= static_cast<int>(compressed_text.size()) - 2 - 6);
}

TEST_CASE("a wrong checksum and a wrong length are damage", "[data]") {
  const scratch_folder folder;
  const std::string path = folder.file("damaged");
  byte_string bytes = gzip_stored({1, 2, 3});
  bytes[bytes.size() - 8] ^= 1;
  write_bytes(path, bytes);
  CHECK(error_of([&] { whole(path); }) == path + ": damaged gzip data (incorrect data check)");
  bytes = gzip_stored({1, 2, 3});
  bytes[bytes.size() - 4] ^= 1;
  write_bytes(path, bytes);
  CHECK(error_of([&] { whole(path); }) == path + ": damaged gzip data (incorrect length check)");
}

TEST_CASE("garbage for gzip data and after it is refused", "[data]") {
  const scratch_folder folder;
  const std::string path = folder.file("garbage");
  write_bytes(path, {0x1f, 0x8b, 'n', 'o', ' ', 'g', 'z', 'i', 'p'});
  CHECK_THAT(error_of([&] { whole(path); }), starts_with(path + ": damaged gzip data ("));

  byte_string bytes = compressed_text;
  bytes.push_back('!');
  write_bytes(path, bytes);
  CHECK(error_of([&] { whole(path); }) == path + ": garbage after the end of the gzip data");

  // Garbage that begins like another member, and a member that is cut off.
  bytes.back() = 0x1f;
  write_bytes(path, bytes);
  CHECK(error_of([&] { whole(path); }) == path + ": gzip data ends early; the file is truncated");
  bytes.push_back('!');
  write_bytes(path, bytes);
  CHECK_THAT(error_of([&] { whole(path); }), starts_with(path + ": damaged gzip data ("));
}

TEST_CASE("no more is unpacked than is asked for", "[data]") {
  const scratch_folder folder;
  const std::string path = folder.file("long");
  byte_string bytes = gzip_stored(many_bytes(300'000));
  bytes[70'000] ^= 1;               // within the second block: found by the checksum alone
  bytes[10 + 2 * (5 + 65535)] = 7;  // the third block is of a kind that does not exist
  write_bytes(path, bytes);
  data::byte_file file(path);
  byte_string some(1000);
  CHECK(file.read(some.data(), 1000) == 1000);
  const byte_string expected = many_bytes(1000);
  CHECK(some == expected);
  CHECK(error_of([&] { whole(path); }) == path + ": damaged gzip data (invalid block type)");
}
