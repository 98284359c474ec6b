#include <tessera/io/safetensors.hpp>

#include <support/catch.hpp>

#include "folder.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace io_test;
using namespace tessera;
using namespace tessera::io;

namespace {

template <class T>
std::span<const std::byte> bytes_in(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

/// The bytes of a file: the header's length, the header, the data.
std::string file_of(const std::string& header, const std::string& data,
                    std::optional<u64> stated = {}) {
  const u64 length = stated.value_or(header.size());
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(length >> (8 * i));
  return file + header + data;
}

safetensors_file parse(const std::string& file) {
  return safetensors_file::parse(std::as_bytes(std::span(file)), "m");
}

/// The words behind "safetensors: m: ", or "no error".
std::string refused(const std::string& file) {
  const std::string words = words_of([&] { parse(file); });
  const std::string prefix = "safetensors: m: ";
  return words.starts_with(prefix) ? words.substr(prefix.size()) : words;
}

std::string entry(const std::string& name, const std::string& type, const std::string& dims,
                  i64 begin, i64 end) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + dims +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

bool same_tensors(const safetensors_file& a, const safetensors_file& b) {
  if (a.tensors().size() != b.tensors().size()) return false;
  for (std::size_t i = 0; i < a.tensors().size(); ++i) {
    const stored_tensor &x = a.tensors()[i], &y = b.tensors()[i];
    if (x.name != y.name || x.type != y.type || x.dims != y.dims ||
        x.bytes.size() != y.bytes.size() ||
        (!x.bytes.empty() && std::memcmp(x.bytes.data(), y.bytes.data(), x.bytes.size()) != 0)) {
      return false;
    }
  }
  return true;
}

/// Weights of a small network, with the values that text would lose.
struct weights {
  std::vector<float> conv = std::vector<float>(6 * 25);
  std::vector<float> bias = {0.0f,
                             -0.0f,
                             1e-45f,
                             std::numeric_limits<float>::infinity(),
                             std::bit_cast<float>(0x7fc12345u),
                             -3.25f};
  std::vector<std::uint16_t> half = {0x0001, 0x3c00, 0x7e01};
  std::vector<double> rate = {0.1};
  std::vector<std::uint8_t> mask = {1, 0, 255, 7, 9};
  std::vector<std::int64_t> step = {-1, std::numeric_limits<std::int64_t>::max()};
  std::vector<float> nothing;

  weights() {
    for (std::size_t i = 0; i < conv.size(); ++i) conv[i] = std::sin(static_cast<float>(i));
  }

  std::vector<named_tensor> tensors() const {
    return {{"conv1.weight", element::f32, shape(6, 1, 5, 5), bytes_in(conv)},
            {"conv1.bias", element::f32, shape(6), bytes_in(bias)},
            {"half", element::f16, shape(3), bytes_in(half)},
            {"rate", element::f64, shape(), bytes_in(rate)},
            {"mask", element::uint8, shape(5, 1), bytes_in(mask)},
            {"step", element::int64, shape(2), bytes_in(step)},
            {"nothing", element::f32, shape(0, 3), bytes_in(nothing)}};
  }
};

const std::map<std::string, std::string> notes = {{"example", "mnist"},
                                                  {"odd \"\\/\n\x01", "\xc3\xa9\xf0\x9f\x98\x80"}};

}  // namespace

TEST_CASE("Tensors that were written read back bit for bit", "[io]") {
  const folder here;
  const weights w;
  const auto written = w.tensors();
  write_safetensors(here / "m.safetensors", std::span<const named_tensor>(written), notes);
  const auto file = safetensors_file::read(here / "m.safetensors");
  CHECK(here.entries() == 1);
  CHECK(file.name() == here / "m.safetensors");
  CHECK(file.names() == std::vector<std::string>{"conv1.bias", "conv1.weight", "half", "mask",
                                                 "nothing", "rate", "step"});
  CHECK(file.metadata() == notes);
  for (const named_tensor& tensor : written) {
    const stored_tensor* found = file.find(tensor.name);
    REQUIRE(found != nullptr);
    CHECK(element_of(found->type) == tensor.type);
    CHECK(found->dimensions() == tensor.dims);
    REQUIRE(found->bytes.size() == tensor.bytes.size());
    CHECK(std::equal(found->bytes.begin(), found->bytes.end(), tensor.bytes.begin()));
    CHECK(reinterpret_cast<std::uintptr_t>(found->bytes.data()) % 8 == 0);
  }
  CHECK(file.find("conv1.weight")->as<float>()[1] == std::sin(1.0f));
  CHECK(file.find("step")->as<std::int64_t>()[0] == -1);
  for (const char* name : {"", "a", "conv1", "conv1.weighu", "zzz"})
    CHECK(file.find(name) == nullptr);

  // What was read can be written, and gives the same file.
  write_safetensors(here / "again.safetensors", file.tensors(), file.metadata());
  CHECK(get(here / "again.safetensors") == get(here / "m.safetensors"));
}

TEST_CASE("Equal tensors give equal files in whatever order they come", "[io]") {
  const folder here;
  const weights w;
  auto tensors = w.tensors();
  write_safetensors(here / "a", std::span<const named_tensor>(tensors));
  std::mt19937 random(1);
  for (int trial = 0; trial < 20; ++trial) {
    std::shuffle(tensors.begin(), tensors.end(), random);
    write_safetensors(here / "b", std::span<const named_tensor>(tensors));
    REQUIRE(get(here / "a") == get(here / "b"));
  }
}

TEST_CASE("The file written is the one the format asks for, byte by byte", "[io]") {
  const folder here;
  const std::vector<float> a = {1.0f, 2.0f};
  const std::vector<std::uint8_t> b = {7, 8, 9};
  const std::vector<double> c = {0.5};
  const stored_tensor tensors[] = {{"b", dtype::boolean, shape(3), bytes_in(b)},
                                   {"z", dtype::f64, shape(), bytes_in(c)},
                                   {"a", dtype::f32, shape(1, 2), bytes_in(a)}};
  write_safetensors(here / "m", tensors, {{"k", "v"}});
  // Large elements first, so that every tensor is aligned.
  std::string header = R"({"__metadata__":{"tessera.crc32c":"00000000","k":"v"},)"
                       R"("z":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                       R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},)"
                       R"("b":{"dtype":"BOOL","shape":[3],"data_offsets":[16,19]}})";
  while (header.size() % 8 != 0) header += ' ';
  std::string data("\0\0\0\0\0\0\xe0\x3f\0\0\x80\x3f\0\0\0\x40\x07\x08\x09", 19);
  std::string expected = file_of(header, data);
  // The checksum by its definition, one bit after the other, over the file with zeros in its place.
  u32 rest = 0xffffffff;
  for (const char letter : expected) {
    for (u32 bit = 0; bit < 8; ++bit) {
      const bool carry = ((rest ^ (static_cast<unsigned char>(letter) >> bit)) & 1) != 0;
      rest = carry ? rest >> 1 ^ 0x82f63b78 : rest >> 1;
    }
  }
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", ~rest);
  expected.replace(8 + header.find("00000000"), 8, digits);
  CHECK(get(here / "m") == expected);
}

TEST_CASE("A file of other programs is read: no order, no padding, no checksum", "[io]") {
  // An odd header length and a float at offset 3: in memory it is aligned all the same.
  std::string header = "{" + entry("f", "F32", "2", 3, 11) + "," + entry("e", "I8", "0,4", 3, 3) +
                       "," + entry("b", "U8", "3", 0, 3) + "}";
  while (header.size() % 2 == 0) header += ' ';
  const auto file = parse(file_of(header, std::string("\1\2\3\0\0\x80\x3f\0\0\0\x40", 11)));
  CHECK(file.names() == std::vector<std::string>{"b", "e", "f"});
  const auto f = file.find("f")->as<float>();
  CHECK(reinterpret_cast<std::uintptr_t>(f.data()) % 8 == 0);
  CHECK(f[0] == 1.0f);
  CHECK(f[1] == 2.0f);
  CHECK(file.find("b")->as<std::uint8_t>()[2] == 3);
  CHECK(file.find("e")->bytes.empty());
  CHECK(file.metadata().empty());
  CHECK(parse(file_of("{}", "")).tensors().empty());
}

TEST_CASE("A file that breaks a rule of the format is refused with the reason", "[io]") {
  const std::string data(24, 'x');
  const auto one = [](const std::string& text) { return "{" + text + "}"; };
  const std::string good = one(entry("a", "F32", "2,3", 0, 24));
  REQUIRE(refused(file_of(good, data)) == "no error");
  // 1 to 3: the header's length
  CHECK(refused("") ==
        "too short for a safetensors file: 0 bytes, the length of the header takes 8");
  CHECK(contains(refused("1234567"), "too short for a safetensors file: 7 bytes"));
  CHECK(refused(file_of(good, data, 100'000'001)) ==
        "states a header of 100000001 bytes, at most 100000000 are allowed");
  CHECK(refused(file_of(good, data, ~u64{0})) ==
        "states a header of 18446744073709551615 bytes, at most 100000000 are allowed");
  CHECK(refused(file_of("{}", "", 3)) == "states a header of 3 bytes, 2 follow");
  CHECK(refused(file_of("", "")) == "header, byte 0: expected '{'");
  // 4 to 6: the header's form, of which header_reader.cpp has the rest
  CHECK(refused(file_of("{\"\xff\"", "")) == "header, byte 2: not valid UTF-8");
  CHECK(contains(refused(file_of(good + "\t", data)), "expected nothing but spaces"));
  CHECK(contains(refused(file_of(one(entry("a", "F31", "2,3", 0, 24)), data)),
                 "unknown dtype \"F31\""));
  // 7: neither holes nor overlap
  const auto two = [&](i64 begin, i64 end) {
    return one(entry("a", "U8", "12", 0, 12) + "," +
               entry("b", "U8", std::to_string(end - begin), begin, end));
  };
  CHECK(refused(file_of(two(12, 24), data)) == "no error");
  CHECK(refused(file_of(two(13, 24), data)) == "\"b\" at bytes 13 to 24 leaves a hole before it");
  CHECK(refused(file_of(two(11, 24), data)) ==
        "\"b\" at bytes 11 to 24 overlaps the tensor before it");
  CHECK(refused(file_of(two(0, 12), data)) ==
        "\"b\" at bytes 0 to 12 overlaps the tensor before it");
  // Tensors without elements stand between others, not in them.
  const auto empty = [&](i64 at) {
    return one(entry("a", "U8", "24", 0, 24) + "," + entry("b", "F32", "3,0", at, at));
  };
  CHECK(refused(file_of(empty(0), data)) == "no error");
  CHECK(refused(file_of(empty(24), data)) == "no error");
  CHECK(refused(file_of(empty(12), data)) ==
        "\"b\" at bytes 12 to 12 overlaps the tensor before it");
  CHECK(refused(file_of(empty(25), data)) == "\"b\" at bytes 25 to 25 leaves a hole before it");
  CHECK(refused(file_of(one(entry("a", "U8", "23", 1, 24)), data)) ==
        "\"a\" at bytes 1 to 24 leaves a hole before it");
  CHECK(refused(file_of(one(entry("a", "U8", "1", 24, 0)), data)) ==
        "\"a\" at bytes 24 to 0 ends before it begins");
  // 8: sizes
  CHECK(refused(file_of(one(entry("a", "F32", "2,4", 0, 24)), data)) ==
        "\"a\" at bytes 0 to 24: F32 elements of shape 2x4 fill 32 bytes, not 24");
  CHECK(refused(file_of(one(entry("a", "F64", "2,3", 0, 24)), data)) ==
        "\"a\" at bytes 0 to 24: F64 elements of shape 2x3 fill 48 bytes, not 24");
  CHECK(refused(file_of(one(entry("a", "F32", "", 0, 24)), data)) ==
        "\"a\" at bytes 0 to 24: F32 elements of shape scalar fill 4 bytes, not 24");
  CHECK(refused(file_of(one(entry("a", "F32", "4294967296,4294967296", 0, 24)), data)) ==
        "\"a\" at bytes 0 to 24: the size of F32 elements of shape 4294967296x4294967296 is above "
        "2^63 - 1 bytes");
  CHECK(contains(refused(file_of(one(entry("a", "F32", "4611686018427387904", 0, 0)), "")),
                 "is above 2^63 - 1 bytes"));
  // 9: exactly the file
  CHECK(refused(file_of(good, data.substr(1))) ==
        "\"a\" at bytes 0 to 24 reaches past the end of the data, 23 bytes");
  CHECK(refused(file_of(good, data + "y")) == "the tensors fill 24 bytes, the file holds 25");
  CHECK(refused(file_of("{}", "y")) == "the tensors fill 0 bytes, the file holds 1");
  CHECK(contains(
      refused(file_of(
          one(entry("a", "U8", "9223372036854775807", 0, std::numeric_limits<i64>::max())), data)),
      "reaches past the end of the data"));
  // a name cannot break the line
  CHECK(refused(file_of(one(entry("a\\nb", "F32", "2,4", 0, 24)), data)).starts_with("\"a?b\" at"));
}

TEST_CASE("The checksum is tested where there is one", "[io]") {
  const folder here;
  const weights w;
  const auto tensors = w.tensors();
  write_safetensors(here / "m", std::span<const named_tensor>(tensors));
  const std::string good = get(here / "m");
  REQUIRE(refused(good) == "no error");
  std::string bad = good;
  bad.back() = static_cast<char>(bad.back() ^ 1);
  CHECK(contains(refused(bad), "the checksum does not agree: the file states \""));
  // Not eight plain digits: refused, as it cannot be the one that was written.
  for (const char* text : {"", "12", "0000000000000000", "zzzzzzzz"}) {
    const std::string header =
        std::string(R"({"__metadata__":{"tessera.crc32c":")") + text + "\"}}";
    CHECK(contains(refused(file_of(header, "")), "the checksum does not agree"));
  }
}

TEST_CASE("A file cut off anywhere is an error", "[io]") {
  const folder here;
  const weights w;
  const auto tensors = w.tensors();
  write_safetensors(here / "m", std::span<const named_tensor>(tensors), notes);
  const std::string whole = get(here / "m");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    REQUIRE(refused(whole.substr(0, size)) != "no error");
  }
  for (const std::size_t size : {0u, 7u, 8u, 100u}) {
    put(here / "cut", whole.substr(0, size));
    CHECK(contains(words_of([&] { safetensors_file::read(here / "cut"); }), "cut: "));
  }
  CHECK(refused(whole + '\0') != "no error");
}

TEST_CASE("With any byte changed, a file gives an error or the same tensors", "[io]") {
  const folder here;
  const weights w;
  const auto tensors = w.tensors();
  write_safetensors(here / "m", std::span<const named_tensor>(tensors), notes);
  const std::string whole = get(here / "m");
  const auto good = parse(whole);
  int silent = 0;
  std::string changed = whole;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int flip = 1; flip < 256;
         flip = at < 600 ? flip + 1 : flip * 2) {  // all values in the header
      changed[at] = static_cast<char>(whole[at] ^ flip);
      try {
        const auto file = parse(changed);
        ++silent;
        REQUIRE(same_tensors(file, good));
      } catch (const error&) {
      }
    }
    changed[at] = whole[at];
  }
  // Only a change of the checksum's name can go unseen: it has 14 letters.
  CHECK(silent > 0);
  CHECK(silent <= 14 * 255);
}

TEST_CASE("Whatever call fails while saving, a whole file is there to load", "[io]") {
  const weights w;
  auto tensors = w.tensors();
  std::vector<float> bias = w.bias;
  int errors = 0;
  for (int k = 0;; ++k) {
    const folder here;
    bias[0] = 1.0f;
    tensors[1].bytes = bytes_in(bias);
    write_safetensors(here / "m", std::span<const named_tensor>(tensors));
    bias[0] = 2.0f;
    const std::string words = words_of([&] {
      write_safetensors(here / "m", std::span<const named_tensor>(tensors), {}, faulty::calls(k));
    });
    if (k >= faulty::count) break;
    errors += words != "no error";
    const bool renamed = std::count(faulty::log.begin(), faulty::log.begin() + k, "rename") == 1;
    const auto file = safetensors_file::read(here / "m");
    REQUIRE(file.find("conv1.bias")->as<float>()[0] == (renamed ? 2.0f : 1.0f));
    REQUIRE(here.entries() == 1);
    REQUIRE((renamed || words == (here / "m") + ": cannot write: No space left on device"));
  }
  CHECK(errors == 2 + 8 + 4);  // opens; length, header and six tensors; sync, close, rename, sync
}

TEST_CASE("What could not be read back is not written", "[io]") {
  const folder here;
  const std::vector<float> values(6);
  const auto words = [&](const std::vector<stored_tensor>& tensors,
                         const std::map<std::string, std::string>& metadata = {}) {
    return words_of([&] { write_safetensors(here / "m", tensors, metadata); });
  };
  const stored_tensor good("a", dtype::f32, shape(2, 3), bytes_in(values));
  const auto named = [&](const std::string& name) {
    return stored_tensor(name, dtype::f32, shape(2, 3), bytes_in(values));
  };
  CHECK(words({good, good}) == "safetensors: cannot write \"a\": the name is given twice");
  CHECK(words({{"a", dtype::f32, shape(2, 2), bytes_in(values)}}) ==
        "safetensors: cannot write \"a\": F32 elements of shape 2x2 do not fill 24 bytes");
  CHECK(contains(words({named("__metadata__")}), "the name means the metadata"));
  CHECK(contains(words({named(std::string(1025, 'n'))}), "the name is longer than 1024 bytes"));
  CHECK(contains(words({named("\xff")}), "the name is not valid UTF-8"));
  CHECK(contains(words({good}, {{"k", "\xff"}}), "cannot write the metadata \"k\""));
  CHECK(contains(words({good}, {{"tessera.crc32c", "x"}}), "cannot write the metadata"));
  CHECK(here.entries() == 0);
  CHECK(words({named(std::string(1024, 'n')), named(""), good}) == "no error");
  CHECK(safetensors_file::read(here / "m").tensors().size() == 3);
}

TEST_CASE("Tensors are looked at as what they hold, or not at all", "[io]") {
  const std::string header =
      "{" + entry("f", "F32", "1", 0, 4) + "," + entry("i", "I32", "1", 4, 8) + "," +
      entry("u", "U32", "1", 8, 12) + "," + entry("h", "F16", "1", 12, 14) + "," +
      entry("s", "U16", "1", 14, 16) + "," + entry("b", "BOOL", "1", 16, 17) + "," +
      entry("deep", "U8", "1,1,1,1,1,1,1,1", 17, 18) + "," +
      entry("long", "U8", "2147483648,0", 18, 18) + "}";
  const auto file = parse(file_of(header, std::string(18, '\1')));
  struct two_bytes {
    std::uint16_t bits;
  };
  CHECK(file.find("f")->as<float>().size() == 1);
  CHECK(file.find("i")->as<std::int32_t>()[0] == 0x01010101);
  CHECK(file.find("u")->as<std::uint32_t>()[0] == 0x01010101);
  CHECK(file.find("h")->as<two_bytes>()[0].bits == 0x0101);
  CHECK(file.find("s")->as<std::uint16_t>()[0] == 0x0101);
  CHECK(file.find("b")->as<std::uint8_t>()[0] == 1);
  CHECK(words_of([&] { file.find("f")->as<std::int32_t>(); }) ==
        "safetensors: \"f\" holds F32 elements, they were asked for as another type of 4 bytes");
  CHECK(words_of([&] { file.find("f")->as<double>(); }) != "no error");
  CHECK(words_of([&] { file.find("i")->as<float>(); }) != "no error");
  CHECK(words_of([&] { file.find("i")->as<std::uint32_t>(); }) != "no error");
  CHECK(words_of([&] { file.find("u")->as<std::int32_t>(); }) != "no error");
  CHECK(words_of([&] { file.find("h")->as<std::uint16_t>(); }) != "no error");
  CHECK(words_of([&] { file.find("s")->as<two_bytes>(); }) != "no error");
  CHECK(
      words_of([&] { file.find("deep")->dimensions(); }) ==
      "safetensors: \"deep\" has shape 1x1x1x1x1x1x1x1, which has more than 7 extents or one above "
      "2147483647");
  CHECK(words_of([&] { file.find("long")->dimensions(); }) != "no error");
  CHECK(file.find("f")->dimensions() == shape(1));
}

TEST_CASE("A file moved elsewhere keeps its tensors", "[io]") {
  auto file = parse(file_of("{" + entry("a", "U8", "3", 0, 3) + "}", "xyz"));
  const std::byte* before = file.find("a")->bytes.data();
  const safetensors_file other = std::move(file);
  CHECK(other.find("a")->bytes.data() == before);
  CHECK(other.find("a")->bytes[2] == std::byte{'z'});
}
