#pragma once

// JSON: the one door to nlohmann_json. Reading is strict, since the library alone takes what
// should be refused: a name given twice (the last one wins), integers beyond 64 bits (they become
// rounded doubles) and nesting without end (37 bytes of memory per byte of text).
// Members keep the order in which they were written. Costs 2 s to include, so nothing that a
// training program needs includes it.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/io/file.hpp>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::io {

/// A JSON value whose objects keep their order.
using json = nlohmann::ordered_json;

inline constexpr std::size_t max_json_depth = 64;

namespace detail {

/// Builds a value from the library's parser events, and refuses what it would let pass.
class strict_json_builder : public nlohmann::json_sax<json> {
 public:
  explicit strict_json_builder(std::string file) : file_(std::move(file)) {}

  json result;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (text.find_first_of(".eE") == string_t::npos) fail("the integer " + text + " is too large");
    return put(value);
  }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(std::size_t) override { return open(json::object()); }
  bool key(string_t& name) override {
    if (!open_.back().names.insert(name).second) fail("\"" + name + "\" is given twice");
    name_ = std::move(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }

  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& found) override {
    // "[json.exception.parse_error.101] parse error at line 1, ..." without the part in brackets
    const std::string_view words = found.what();
    const std::size_t end = words.find("] ");
    fail(std::string(end == std::string_view::npos ? words : words.substr(end + 2)));
  }

 private:
  struct level {
    json* value;
    std::set<std::string> names;
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw error("json: " + file_ + ": " + what);
  }

  /// Puts a value where the reader stands. Pointers to open values stay good: a container gets no
  /// new member while one of its members is open.
  json* place(json value) {
    if (open_.empty()) {
      result = std::move(value);
      return &result;
    }
    json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // Straight into the vector below: a search for the name, known to be new, would make large
    // objects cost quadratic time.
    auto& members = parent.get_ref<json::object_t&>();
    static_cast<json::object_t::Container&>(members).emplace_back(std::move(name_),
                                                                  std::move(value));
    return &members.back().second;
  }
  bool put(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    if (open_.size() == max_json_depth) fail("nested deeper than 64 levels");
    open_.push_back({place(std::move(value)), {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string file_;
  std::string name_;
  std::vector<level> open_;
};

}  // namespace detail

/// The value that `text` spells; `name` stands for the text in messages.
/// Errors   "json: NAME: ..." where the text is not JSON, a name is given twice in one object, an
///          integer takes more than 64 bits, or more than 64 values are nested
inline json parse_json(std::string_view text, const std::string& name) {
  if (text.find('\0') != std::string_view::npos) {  // the library would take it for the end
    throw error("json: " + name + ": a zero byte in the text");
  }
  detail::strict_json_builder builder(name);
  json::sax_parse(text, &builder);
  return std::move(builder.result);
}

/// The value in a file.
/// Errors   those of input_file and parse_json
inline json read_json(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

/// Writes `value` in the place of `path`, indented by 2, whole or not at all. Numbers that are not
/// finite become null; bytes that are no UTF-8 become U+FFFD.
/// Errors   those of write_file
inline void write_json(const std::string& path, const json& value, const file_calls& calls = {}) {
  write_file(path, value.dump(2, ' ', false, json::error_handler_t::replace) + '\n', calls);
}

}  // namespace tessera::io
