#pragma once

// The header of a safetensors file: JSON of one fixed form, read strictly.
//
//   {"__metadata__": {"epoch": "5"},                                      texts by name, optional
//    "conv1.weight": {"dtype": "F32", "shape": [6, 1, 5, 5], "data_offsets": [0, 600]}, ...}
//
// A general JSON library accepts what must be refused here (a name given twice, numbers with a
// fraction, negative sizes turned into huge ones, nesting without end) and costs a second to
// include. The form above has no recursion, so neither does this reader: it walks over the text
// once, in O(header), and what it returns takes O(header) memory.
// What this accepts is valid JSON with the same content; the tests hold it against a JSON library.
// Whether offsets and sizes agree with the file is asked in safetensors.hpp.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/io/dtype.hpp>
#include <tessera/io/message.hpp>

#include <cstddef>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::io {

/// Limits of what is read and written.
inline constexpr i64 max_header_bytes = 100'000'000;  // the format's own
inline constexpr i64 max_tensors = 65'536;            // also of entries in the metadata
inline constexpr i64 max_name_bytes = 1'024;

inline constexpr std::string_view metadata_key = "__metadata__";
inline constexpr std::string_view checksum_key = "tessera.crc32c";

/// One tensor as the header states it: its bytes are [begin, end) of the data.
struct header_entry {
  std::string name;
  dtype type = dtype::uint8;
  stored_shape dims;
  i64 begin = 0;
  i64 end = 0;
};

/// What a header says.
struct safetensors_header {
  std::vector<header_entry> tensors;  // in the order of their names
  std::map<std::string, std::string> metadata;
  std::size_t checksum_at = std::string_view::npos;  // of the checksum's first digit in the text
};

/// The first byte that is not part of valid UTF-8, or npos. Refused as the standard demands:
/// surrogates, longer forms than needed, and what lies above U+10FFFF.
constexpr std::size_t first_bad_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) -> u32 {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;  // 0 continues nothing
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const u32 lead = byte(at);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    if (length == 0) return at;
    for (std::size_t i = 1; i < length; ++i) {
      if ((byte(at + i) & 0xc0) != 0x80) return at;
    }
    const u32 second = byte(at + 1);
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ||
        (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90)) {
      return at;
    }
    at += length;
  }
  return std::string_view::npos;
}

/// A name as messages show it: in quotes, on one line, cut after 80 bytes.
[[gnu::cold]] inline std::string in_quotes(std::string_view name) {
  std::string text = "\"";
  for (const char letter : name.substr(0, 80)) {
    const auto code = static_cast<unsigned char>(letter);
    text += code < 0x20 || code == 0x7f ? '?' : letter;
  }
  return text + (name.size() > 80 ? "...\"" : "\"");
}

/// The numbers below `count` in ascending order of what they stand for, as `before(context, a, b)`
/// tells it; equals keep their order. A merge sort that is compiled once, where maps by name and by
/// offset would be three more tree types in every program that loads weights.
[[gnu::cold]] inline std::vector<std::size_t> sorted(std::size_t count, const void* context,
                                                     bool (*before)(const void* context,
                                                                    std::size_t a, std::size_t b)) {
  std::vector<std::size_t> order(count), merged(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  for (std::size_t run = 1; run < count; run *= 2) {
    std::size_t left = 0;
    for (std::size_t i = 0; i < count; ++i) {
      // Two runs begin at every multiple of 2 x run: [first, middle) and [middle, past).
      const std::size_t first = i / (2 * run) * (2 * run);
      const std::size_t middle = first + run < count ? first + run : count;
      const std::size_t past = middle + run < count ? middle + run : count;
      if (i == first) left = first;
      const std::size_t right = middle + (i - first) - (left - first);
      const bool take_right =
          left == middle || (right < past && before(context, order[right], order[left]));
      merged[i] = order[take_right ? right : left++];
    }
    order.swap(merged);
  }
  return order;
}

/// Reads one header. `file` is named in messages.
class header_reader {
 public:
  header_reader(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  /// Errors   "safetensors: FILE: header, byte 17: expected ':'", and the like
  [[gnu::cold]] safetensors_header read() {
    if (const std::size_t bad = first_bad_utf8(text_); bad != std::string_view::npos) {
      at_ = bad;
      fail({"not valid UTF-8"});
    }
    if (peek() != '{') fail({"expected '{'"});  // no space before it, so that no other format fits
    safetensors_header header;
    bool has_metadata = false;
    for_each_member([&](std::string name) {
      if (name == metadata_key) {
        if (has_metadata) fail({"\"__metadata__\" is given twice"});
        has_metadata = true;
        read_metadata(header);
        return;
      }
      if (static_cast<i64>(name.size()) > max_name_bytes) {
        fail({"a name of ", name.size(), " bytes; at most 1024 are read"});
      }
      if (static_cast<i64>(header.tensors.size()) == max_tensors) {
        fail({"more than 65536 tensors"});
      }
      header.tensors.push_back(read_entry(std::move(name)));
    });
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] != ' ') fail({"expected nothing but spaces after the last '}'"});
    }
    sort_by_name(header.tensors);
    return header;
  }

 private:
  [[gnu::cold]] void sort_by_name(std::vector<header_entry>& tensors) const {
    const std::vector<std::size_t> order =
        sorted(tensors.size(), tensors.data(), [](const void* of, std::size_t a, std::size_t b) {
          const auto* entries = static_cast<const header_entry*>(of);
          return entries[a].name < entries[b].name;
        });
    std::vector<header_entry> result(tensors.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      result[i] = std::move(tensors[order[i]]);
      if (i > 0 && result[i].name == result[i - 1].name) {
        fail({in_quotes(result[i].name), " is given twice"});
      }
    }
    tensors.swap(result);
  }

  [[noreturn, gnu::cold]] void fail(std::initializer_list<word> what) const {
    refuse({"safetensors: ", file_, ": header, byte ", at_, ": ", message(what)});
  }

  // 0 at the end, which no rule accepts.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  char next() {
    if (at_ == text_.size()) fail({"ends too early"});
    return text_[at_++];
  }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  /// Space, `letter`, space.
  [[gnu::cold]] void expect(char letter) {
    skip_space();
    if (at_ == text_.size())
      fail({"ends too early, expected '", std::string_view(&letter, 1), "'"});
    if (peek() != letter) fail({"expected '", std::string_view(&letter, 1), "'"});
    ++at_;
    skip_space();
  }

  /// The items of a list between two brackets: `item` reads one.
  template <class Item>
  void for_each_item(char open, char close, Item item) {
    expect(open);
    if (peek() != close) {
      item();
      for (skip_space(); peek() == ','; skip_space()) {
        expect(',');
        item();
      }
    }
    skip_space();
    if (peek() != close) fail({"expected ',' or '", std::string_view(&close, 1), "'"});
    ++at_;
  }

  /// The members of an object: `member` gets the name and reads the value.
  template <class Member>
  void for_each_member(Member member) {
    for_each_item('{', '}', [&] {
      std::string name = read_string();
      expect(':');
      member(std::move(name));
    });
  }

  [[gnu::cold]] void read_metadata(safetensors_header& header) {
    for_each_member([&](std::string name) {
      if (static_cast<i64>(header.metadata.size()) == max_tensors) {
        fail({"more than 65536 entries in \"__metadata__\""});
      }
      const std::size_t value_at = at_ + 1;
      if (peek() != '"') fail({"\"__metadata__\" holds texts only"});
      std::string value = read_string();
      if (name == checksum_key) header.checksum_at = value_at;
      if (!header.metadata.emplace(name, std::move(value)).second) {
        fail({in_quotes(name), " is given twice in \"__metadata__\""});
      }
    });
  }

  [[gnu::cold]] header_entry read_entry(std::string name) {
    header_entry entry;
    entry.name = std::move(name);
    const std::string& tensor = entry.name;
    bool has_type = false, has_shape = false, has_offsets = false;
    const auto once = [&](bool& seen, const std::string& field) {
      if (seen) fail({in_quotes(tensor), " gives \"", field, "\" twice"});
      seen = true;
    };
    for_each_member([&](const std::string& field) {
      if (field == "dtype") {
        once(has_type, field);
        const std::string spelling = read_string();
        const std::optional<dtype> type = dtype_named(spelling);
        if (!type) fail({in_quotes(tensor), " has the unknown dtype ", in_quotes(spelling)});
        entry.type = *type;
      } else if (field == "shape") {
        once(has_shape, field);
        for_each_item('[', ']', [&] {
          if (entry.dims.rank == stored_shape::max_rank) {
            fail({in_quotes(tensor), " has more than 8 extents"});
          }
          entry.dims.extent[entry.dims.rank++] = read_integer();
        });
      } else if (field == "data_offsets") {
        once(has_offsets, field);
        expect('[');
        entry.begin = read_integer();
        expect(',');
        entry.end = read_integer();
        skip_space();
        if (peek() != ']') fail({"expected ']' after two data_offsets"});
        ++at_;
      } else {
        fail({in_quotes(tensor), " has the unknown field ", in_quotes(field)});
      }
    });
    if (!has_type) fail({in_quotes(tensor), " has no dtype"});
    if (!has_shape) fail({in_quotes(tensor), " has no shape"});
    if (!has_offsets) fail({in_quotes(tensor), " has no data_offsets"});
    return entry;
  }

  /// Digits and nothing else: 0, or no zero in front; at most 2^63 - 1.
  [[gnu::cold]] i64 read_integer() {
    const auto is_digit = [](char letter) { return letter >= '0' && letter <= '9'; };
    if (!is_digit(peek())) fail({"expected a whole number, not negative"});
    const std::size_t first = at_;
    i64 number = 0;
    for (; is_digit(peek()); ++at_) {
      const i64 digit = peek() - '0';
      if (number > (std::numeric_limits<i64>::max() - digit) / 10)
        fail({"a number above 2^63 - 1"});
      number = number * 10 + digit;
    }
    if (text_[first] == '0' && at_ - first > 1) fail({"a number with a zero in front"});
    if (peek() == '.' || peek() == 'e' || peek() == 'E') fail({"a number with a fraction"});
    return number;
  }

  [[gnu::cold]] std::string read_string() {
    if (peek() != '"') fail({"expected '\"'"});
    ++at_;
    std::string result;
    for (;;) {
      const char letter = next();
      if (letter == '"') return result;
      if (static_cast<unsigned char>(letter) < 0x20) fail({"a control character in a text"});
      if (letter != '\\') {
        result += letter;
        continue;
      }
      switch (const char escaped = next()) {
        case '"':
        case '\\':
        case '/': result += escaped; break;
        case 'b': result += '\b'; break;
        case 'f': result += '\f'; break;
        case 'n': result += '\n'; break;
        case 'r': result += '\r'; break;
        case 't': result += '\t'; break;
        case 'u': append_utf8(result, read_code_point()); break;
        default: fail({"an unknown escape in a text"});
      }
    }
  }

  [[gnu::cold]] u32 read_four_digits() {
    u32 code = 0;
    for (i32 i = 0; i < 4; ++i) {
      const char digit = next();
      const i32 value = digit >= '0' && digit <= '9'   ? digit - '0'
                        : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                        : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                                       : -1;
      if (value < 0) fail({"expected four hexadecimal digits after \\u"});
      code = code << 4 | static_cast<u32>(value);
    }
    return code;
  }

  /// After "\u": four digits, or two times four where the first are a high surrogate.
  [[gnu::cold]] u32 read_code_point() {
    const u32 code = read_four_digits();
    if (code < 0xd800 || code > 0xdfff) return code;
    if (code > 0xdbff || next() != '\\' || next() != 'u') fail({"half of a surrogate pair"});
    const u32 low = read_four_digits();
    if (low < 0xdc00 || low > 0xdfff) fail({"half of a surrogate pair"});
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }

  [[gnu::cold]] static void append_utf8(std::string& text, u32 code) {
    const auto put = [&](u32 byte) { text += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xc0 | code >> 6);
    } else if (code < 0x10000) {
      put(0xe0 | code >> 12);
      put(0x80 | (code >> 6 & 63));
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 63));
      put(0x80 | (code >> 6 & 63));
    }
    put(0x80 | (code & 63));
  }

  std::string_view text_;
  std::string_view file_;
  std::size_t at_ = 0;
};

}  // namespace tessera::io
