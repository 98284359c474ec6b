#include <tessera/io/header_reader.hpp>

#include <support/catch.hpp>

#include "folder.hpp"

#include <tessera/io/json.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace io_test;
using namespace tessera;
using namespace tessera::io;

namespace {

safetensors_header read(const std::string& text) { return header_reader(text, "f").read(); }

/// The words behind "safetensors: f: header, ", or "no error".
std::string refused(const std::string& text) {
  const std::string words = words_of([&] { read(text); });
  const std::string prefix = "safetensors: f: header, ";
  return words.starts_with(prefix) ? words.substr(prefix.size()) : words;
}

bool same(const safetensors_header& a, const safetensors_header& b) {
  if (a.metadata != b.metadata || a.tensors.size() != b.tensors.size()) return false;
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const header_entry &x = a.tensors[i], &y = b.tensors[i];
    if (x.name != y.name || x.type != y.type || x.dims != y.dims || x.begin != y.begin ||
        x.end != y.end) {
      return false;
    }
  }
  return true;
}

// The same rules by way of a general JSON library: parse everything, then look at the values.
std::optional<safetensors_header> by_json_library(const std::string& text) {
  json whole;
  try {
    whole = parse_json(text, "f");
  } catch (const error&) {
    return {};
  }
  const std::size_t last = text.find_last_not_of(' ');
  if (text.empty() || text[0] != '{' || text[last] != '}') return {};
  const auto integer = [](const json& value) -> std::optional<i64> {
    if (!value.is_number_unsigned()) return {};
    const u64 number = value.get<u64>();
    if (number > static_cast<u64>(std::numeric_limits<i64>::max())) return {};
    return static_cast<i64>(number);
  };
  safetensors_header header;
  for (const auto& [name, value] : whole.items()) {
    if (!value.is_object()) return {};
    if (name == "__metadata__") {
      for (const auto& [key, words] : value.items()) {
        if (!words.is_string()) return {};
        header.metadata[key] = words.get<std::string>();
      }
      continue;
    }
    if (name.size() > 1024 || value.size() != 3) return {};
    if (!value.contains("dtype") || !value["dtype"].is_string()) return {};
    if (!value.contains("shape") || !value["shape"].is_array()) return {};
    if (!value.contains("data_offsets") || !value["data_offsets"].is_array()) return {};
    header_entry entry;
    const auto type = dtype_named(value["dtype"].get<std::string>());
    if (!type) return {};
    entry.type = *type;
    if (value["shape"].size() > 8) return {};
    for (const json& extent : value["shape"]) {
      if (!integer(extent)) return {};
      entry.dims.extent[entry.dims.rank++] = *integer(extent);
    }
    if (value["data_offsets"].size() != 2) return {};
    if (!integer(value["data_offsets"][0]) || !integer(value["data_offsets"][1])) return {};
    entry.begin = *integer(value["data_offsets"][0]);
    entry.end = *integer(value["data_offsets"][1]);
    entry.name = name;
    header.tensors.push_back(entry);
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const header_entry& a, const header_entry& b) { return a.name < b.name; });
  return header;
}

const std::string entry_text = R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})";

}  // namespace

TEST_CASE("A header is read with its tensors and texts", "[io]") {
  const auto header =
      read(R"({"__metadata__":{"format":"pt","note":"a \"b\" \u00e9\ud83d\ude00\n"},)"
           R"( "w" : { "shape" : [ 2 , 3 ] , "data_offsets":[8,32],"dtype":"F32"},)"
           "\t\"\xc3\xa9\":\r\n{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}   ");
  REQUIRE(header.tensors.size() == 2);
  const header_entry& w = header.tensors[0];
  CHECK(w.name == "w");
  CHECK(w.type == dtype::f32);
  CHECK(w.dims == stored_shape(shape(2, 3)));
  CHECK(w.begin == 8);
  CHECK(w.end == 32);
  const header_entry& e = header.tensors[1];
  CHECK(e.name == "\xc3\xa9");
  CHECK(e.type == dtype::int64);
  CHECK(e.dims.rank == 0);
  CHECK(header.metadata.at("format") == "pt");
  CHECK(header.metadata.at("note") == "a \"b\" \xc3\xa9\xf0\x9f\x98\x80\n");
  CHECK(header.checksum_at == std::string::npos);
}

TEST_CASE("A header may be empty, and hold all types and eight extents", "[io]") {
  CHECK(read("{}").tensors.empty());
  CHECK(read("{ \n}  ").tensors.empty());
  CHECK(read(R"({"__metadata__":{}})").metadata.empty());
  for (const char* type : {"BOOL", "U8", "I8", "U16", "I16", "F16", "BF16", "U32", "I32", "F32",
                           "U64", "I64", "F64"}) {
    const auto header =
        read(std::string(R"({"a":{"dtype":")") + type +
             R"(","shape":[1,2,3,4,5,6,7,9223372036854775807],"data_offsets":[0,0]}})");
    CHECK(name_of(header.tensors[0].type) == std::string(type));
    CHECK(header.tensors[0].dims.rank == 8);
    CHECK(header.tensors[0].dims[7] == std::numeric_limits<i64>::max());
  }
}

TEST_CASE("The place of the checksum's digits is found", "[io]") {
  const std::string text = R"({"__metadata__":{"a":"b","tessera.crc32c":"0123abcd"}})";
  CHECK(text.substr(read(text).checksum_at, 8) == "0123abcd");
}

TEST_CASE("A header that breaks a rule is refused, with place and reason", "[io]") {
  const auto with = [](const std::string& part, const std::string& other) {
    std::string text = entry_text;
    text.replace(text.find(part), part.size(), other);
    return R"({"a":)" + text + "}";
  };
  // the form of JSON
  CHECK(refused("") == "byte 0: expected '{'");
  CHECK(refused(" {}") == "byte 0: expected '{'");
  CHECK(refused("[]") == "byte 0: expected '{'");
  CHECK(refused("{") == "byte 1: expected '\"'");
  CHECK(refused("{\"a\"") == "byte 4: ends too early, expected ':'");
  CHECK(refused("{\"a") == "byte 3: ends too early");
  CHECK(refused("{\"a\":") == "byte 5: ends too early, expected '{'");
  CHECK(refused(R"({"a":)" + entry_text + ",}") == "byte 57: expected '\"'");
  CHECK(refused(R"({"a":)" + entry_text) == "byte 56: expected ',' or '}'");
  CHECK(refused(R"({"a":)" + entry_text + R"( "b":1})") == "byte 57: expected ',' or '}'");
  CHECK(refused("{}x") == "byte 2: expected nothing but spaces after the last '}'");
  CHECK(refused("{}\n") == "byte 2: expected nothing but spaces after the last '}'");
  CHECK(refused(std::string("{} \0", 4)) ==
        "byte 3: expected nothing but spaces after the last '}'");
  CHECK(refused("{\"a\": [[[[[[[[[[") == "byte 6: expected '{'");
  CHECK(refused(R"({"a":{"dtype":{"dtype":{"dtype")") == "byte 14: expected '\"'");
  // texts
  CHECK(refused("{\"a\x01\":1}") == "byte 4: a control character in a text");
  CHECK(refused(R"({"\x":1})") == "byte 4: an unknown escape in a text");
  CHECK(refused(R"({"\u12g4":1})") == "byte 7: expected four hexadecimal digits after \\u");
  CHECK(contains(refused(R"({"\ud800":1})"), "half of a surrogate pair"));
  CHECK(contains(refused(R"({"\udc00":1})"), "half of a surrogate pair"));
  CHECK(contains(refused(R"({"\ud800\u0041":1})"), "half of a surrogate pair"));
  CHECK(refused("{\"\xff\":1}") == "byte 2: not valid UTF-8");
  // names
  CHECK(refused(R"({"a":)" + entry_text + R"(,"a":)" + entry_text + "}") ==
        "byte 113: \"a\" is given twice");
  CHECK(contains(refused(R"({"a":)" + entry_text + R"(,"\u0061":)" + entry_text + "}"),
                 "\"a\" is given twice"));
  CHECK(refused("{\"" + std::string(1024, 'n') + "\":" + entry_text + "}") == "no error");
  CHECK(contains(refused("{\"" + std::string(1025, 'n') + "\":" + entry_text + "}"),
                 "a name of 1025 bytes; at most 1024 are read"));
  // metadata
  CHECK(contains(refused(R"({"__metadata__":{"a":1}})"), "\"__metadata__\" holds texts only"));
  CHECK(contains(refused(R"({"__metadata__":{"a":{}}})"), "\"__metadata__\" holds texts only"));
  CHECK(contains(refused(R"({"__metadata__":null})"), "expected '{'"));
  CHECK(contains(refused(R"({"__metadata__":{"a":"1","a":"1"}})"),
                 "\"a\" is given twice in \"__metadata__\""));
  CHECK(contains(refused(R"({"__metadata__":{},"__metadata__":{}})"),
                 "\"__metadata__\" is given twice"));
  // entries
  CHECK(contains(refused(with("F32", "F4")), "\"a\" has the unknown dtype \"F4\""));
  CHECK(contains(refused(with("F32", "f32")), "\"a\" has the unknown dtype \"f32\""));
  CHECK(contains(refused(with("\"F32\"", "3")), "expected '\"'"));
  CHECK(contains(refused(with("[2,3]", "[2,-3]")), "expected a whole number, not negative"));
  CHECK(contains(refused(with("[2,3]", "[2,\"3\"]")), "expected a whole number, not negative"));
  CHECK(contains(refused(with("[2,3]", "[2,3.0]")), "a number with a fraction"));
  CHECK(contains(refused(with("[2,3]", "[2,3e0]")), "a number with a fraction"));
  CHECK(contains(refused(with("[2,3]", "[2,03]")), "a number with a zero in front"));
  CHECK(contains(refused(with("[2,3]", "[2,00]")), "a number with a zero in front"));
  CHECK(contains(refused(with("[2,3]", "[9223372036854775808]")), "a number above 2^63 - 1"));
  CHECK(contains(refused(with("[2,3]", "[99999999999999999999999]")), "a number above 2^63 - 1"));
  CHECK(contains(refused(with("[2,3]", "[1,1,1,1,1,1,1,1,1]")), "\"a\" has more than 8 extents"));
  CHECK(contains(refused(with("[2,3]", "[2,[3]]")), "expected a whole number"));
  CHECK(contains(refused(with("[2,3]", "[2,]")), "expected a whole number"));
  CHECK(contains(refused(with("[2,3]", "6")), "expected '['"));
  CHECK(contains(refused(with("[0,24]", "[0]")), "expected ','"));
  CHECK(contains(refused(with("[0,24]", "[0,24,48]")), "expected ']' after two data_offsets"));
  CHECK(contains(refused(with("[0,24]", "[-1,24]")), "expected a whole number, not negative"));
  CHECK(contains(refused(with("\"dtype\":\"F32\",", "")), "\"a\" has no dtype"));
  CHECK(contains(refused(with("\"shape\":[2,3],", "")), "\"a\" has no shape"));
  CHECK(contains(refused(with(",\"data_offsets\":[0,24]", "")), "\"a\" has no data_offsets"));
  CHECK(contains(refused(with("\"dtype\":\"F32\",", "\"dtype\":\"F32\",\"dtype\":\"F32\",")),
                 "\"a\" gives \"dtype\" twice"));
  CHECK(contains(refused(with("[0,24]", "[0,24],\"strides\":[3,1]")),
                 "\"a\" has the unknown field \"strides\""));
}

TEST_CASE("A header of too many tensors or texts is refused", "[io]") {
  std::string text = "{", texts = "{\"__metadata__\":{";
  for (int i = 0; i < 65'536; ++i) {
    text +=
        "\"" + std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},";
    texts += "\"" + std::to_string(i) + "\":\"\",";
  }
  std::string exact = text;
  exact.back() = '}';
  CHECK(read(exact).tensors.size() == 65'536);
  text += "\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}";
  CHECK(contains(refused(text), "more than 65536 tensors"));
  texts += "\"x\":\"\"}}";
  CHECK(contains(refused(texts), "more than 65536 entries in \"__metadata__\""));
}

TEST_CASE("Sorting gives every permutation of few, and many, in order and keeps equals apart",
          "[io]") {
  std::mt19937 random(3);
  for (std::size_t count = 0; count < 70; ++count) {
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<int> values(count);
      for (int& value : values) value = static_cast<int>(random() % 12);
      std::vector<std::size_t> expected(count);
      for (std::size_t i = 0; i < count; ++i) expected[i] = i;
      std::stable_sort(expected.begin(), expected.end(),
                       [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
      REQUIRE(sorted(count, values.data(), [](const void* of, std::size_t a, std::size_t b) {
                return static_cast<const int*>(of)[a] < static_cast<const int*>(of)[b];
              }) == expected);
    }
  }
}

TEST_CASE("UTF-8 is told from what is not, at every border of its ranges", "[io]") {
  const auto good = [](const std::string& text) {
    return first_bad_utf8(text) == std::string_view::npos;
  };
  for (const char* text :
       {"", "plain", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK(good(text));
  }
  for (const char* text :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff"}) {
    CHECK_FALSE(good(text));
    CHECK(first_bad_utf8(std::string("ok") + text) == 2);
  }
}

TEST_CASE("What the reader accepts, a JSON library reads alike, and the other way round", "[io]") {
  const std::string seeds[] = {
      R"({})",
      R"({"__metadata__":{"format":"pt","k\u00e9\n":"\ud83d\ude00"},"w.x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}  )",
      R"({"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"b":{"data_offsets":[8,10],"shape":[ 1, 0 ],"dtype":"BF16"}})",
      "{\n\t\"\xc3\xa9\xf0\x9f\x98\x80\": {\"dtype\": \"U8\", \"shape\": [10], \"data_offsets\": "
      "[0, 10]}}"};
  const std::string pieces[] = {"\"",
                                "{",
                                "}",
                                "[",
                                "]",
                                ",",
                                ":",
                                " ",
                                "0",
                                "1",
                                "-1",
                                "1.5",
                                "1e3",
                                "null",
                                "true",
                                "\\",
                                "\\u0061",
                                "\\ud83d",
                                "\\n",
                                "\n",
                                "\t",
                                std::string(1, '\0'),
                                "\xc3",
                                "\xa9",
                                "\xef\xbb\xbf",
                                "\"dtype\"",
                                "\"shape\"",
                                "\"F16\"",
                                "\"__metadata__\":{},",
                                "[]",
                                "{}",
                                "//",
                                "9223372036854775807",
                                "9223372036854775808",
                                "18446744073709551616"};
  std::mt19937 random(20);  // its sequence is fixed by the standard
  const auto below = [&](std::size_t n) { return random() % (n == 0 ? 1 : n); };
  int accepted = 0, refused_count = 0;
  for (int trial = 0; trial < 60'000; ++trial) {
    std::string text = seeds[below(std::size(seeds))];
    const std::size_t changes = below(4);
    for (std::size_t change = 0; change < changes; ++change) {
      const std::size_t at = below(text.size() + 1);
      const std::size_t length = std::min<std::size_t>(below(4), text.size() - at);
      switch (below(5)) {
        case 0: text.erase(at, length); break;
        case 1: text.insert(at, pieces[below(std::size(pieces))]); break;
        case 2: text.replace(at, length, pieces[below(std::size(pieces))]); break;
        case 3: text.insert(at, text.substr(below(text.size() + 1), below(60))); break;
        case 4:
          if (at < text.size()) text[at] = static_cast<char>(random());
          break;
      }
    }
    std::optional<safetensors_header> ours;
    try {
      ours = read(text);
    } catch (const error&) {
    }
    const auto theirs = by_json_library(text);
    INFO(text);
    REQUIRE(ours.has_value() == theirs.has_value());
    if (ours) REQUIRE(same(*ours, *theirs));
    ++(ours ? accepted : refused_count);
  }
  CHECK(accepted > 10'000);
  CHECK(refused_count > 10'000);
}
