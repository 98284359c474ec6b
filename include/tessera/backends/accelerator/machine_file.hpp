#pragma once

// Machine files: a machine as JSON, for programs that learn of it when they run.
//
//   {"base": "ipu_mk1",                      the fields of a preset, where those below say nothing
//    "name": "half", "tiles": 608,
//    "matrix": {"round": "stochastic"}}
//
// Fields are those of the structs in machine/, by the same names; enumerations by their values'
// names, element types as f32, f16, bf16, i8, i32. Without a base every field has to be there. The
// machine that is read is the same value as a constant with those fields, so all results are the
// same. write_machine writes every field.
//
// Costs 2 s to include (JSON), so it is included by name.

#include <tessera/io/json.hpp>
#include <tessera/machine/fields.hpp>
#include <tessera/machine/presets.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::accelerator {

namespace detail {

/// A value as messages show it: short, on one line.
inline std::string shown(const io::json& value) {
  std::string text = value.dump(-1, ' ', true, io::json::error_handler_t::replace);
  if (text.size() > 40) text = text.substr(0, 37) + "...";
  return text;
}

/// Reads the fields of one object into a unit. `path` is where it stands: "matrix.dots.".
class field_reader {
 public:
  field_reader(const io::json& object, const std::string& file, std::string path, bool has_base)
      : object_(object), file_(file), path_(std::move(path)), has_base_(has_base) {}

  void operator()(const char* name, std::integral auto& to, i64 least, i64 most) const {
    const io::json* const value = find(name);
    if (value == nullptr) return;
    const std::string expected =
        "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    if (!value->is_number_integer()) fail(name, expected, *value);
    // An unsigned number beyond 63 bits would turn negative.
    const bool fits = !value->is_number_unsigned() || value->get<u64>() <= static_cast<u64>(most);
    const i64 number = fits ? value->get<i64>() : -1;
    if (!fits || number < least || number > most) fail(name, expected, *value);
    to = static_cast<std::remove_reference_t<decltype(to)>>(number);
  }

  void operator()(const char* name, bool& to) const {
    const io::json* const value = find(name);
    if (value == nullptr) return;
    if (!value->is_boolean()) fail(name, "true or false", *value);
    to = value->get<bool>();
  }

  template <class Choice>
  requires std::is_enum_v<Choice>
  void operator()(const char* name, Choice& to, machine_fields::choices names) const {
    const io::json* const value = find(name);
    if (value == nullptr) return;
    const std::string* const text = value->get_ptr<const std::string*>();
    for (std::size_t i = 0; text != nullptr && i < names.size(); ++i) {
      if (*text != names[i]) continue;
      to = static_cast<Choice>(i);
      return;
    }
    std::string expected = "one of ";
    for (std::size_t i = 0; i < names.size(); ++i) {
      expected += (i == 0 ? "" : ", ") + std::string(names[i]);
    }
    fail(name, expected, *value);
  }

  template <class Unit>
  requires std::is_class_v<Unit>
  void operator()(const char* name, Unit& to) const {
    const io::json* const value = find(name);
    if (value == nullptr) return;
    if (!value->is_object()) fail(name, "an object", *value);
    field_reader inner(*value, file_, path_ + name + '.', has_base_);
    visit_fields(to, inner);
    inner.refuse_unknown();
  }

  /// What the object has beside its fields is a mistake.
  void refuse_unknown(std::initializer_list<std::string_view> besides = {}) const {
    for (const auto& item : object_.items()) {
      const std::string& key = item.key();
      const auto is = [&](std::string_view name) { return name == key; };
      if (std::any_of(known_.begin(), known_.end(), is)) continue;
      if (std::any_of(besides.begin(), besides.end(), is)) continue;
      throw error("machine: " + file_ + ": " + shown(path_ + key) + " is not a field of a machine");
    }
  }

  [[noreturn]] void fail(const std::string& name, const std::string& expected,
                         const io::json& got) const {
    throw error("machine: " + file_ + ": \"" + path_ + name + "\": expected " + expected +
                ", got " + shown(got));
  }

  const io::json* find(const char* name) const {
    known_.push_back(name);
    const auto at = object_.find(name);
    if (at != object_.end()) return &*at;
    if (!has_base_) {
      throw error("machine: " + file_ + ": no field \"" + path_ + name +
                  "\"; give it, or name a \"base\" that has it");
    }
    return nullptr;
  }

 private:
  const io::json& object_;
  const std::string& file_;
  std::string path_;
  bool has_base_;
  mutable std::vector<std::string_view> known_;
};

struct field_writer {
  io::json& object;

  void operator()(const char* name, const std::integral auto& from, i64, i64) const {
    object[name] = from;
  }
  void operator()(const char* name, const bool& from) const { object[name] = from; }
  template <class Choice>
  requires std::is_enum_v<Choice>
  void operator()(const char* name, const Choice& from, machine_fields::choices names) const {
    object[name] = names[static_cast<std::size_t>(from)];
  }
  template <class Unit>
  requires std::is_class_v<Unit>
  void operator()(const char* name, const Unit& from) const {
    object[name] = io::json::object();
    visit_fields(from, field_writer{object[name]});
  }
};

inline std::string preset_names() {
  std::string names;
  for (const machine* m : machines) names += (names.empty() ? "" : ", ") + std::string(m->name);
  return names;
}

/// What no field alone can be wrong in.
inline void check_whole(const machine& m, const std::string& file) {
  const auto need = [&](bool met, const char* field, const char* expected, i64 got) {
    if (met) return;
    throw error("machine: " + file + ": \"" + field + "\": expected " + expected + ", got " +
                std::to_string(got));
  };
  const bool is_array = m.matrix.form == matrix_form::systolic;
  constexpr const char* of_array = "at least 1 where the form is systolic";
  need(!is_array || m.matrix.rows >= 1, "matrix.rows", of_array, m.matrix.rows);
  need(!is_array || m.matrix.cols >= 1, "matrix.cols", of_array, m.matrix.cols);
  need(m.matrix.order != accumulation::folds || m.matrix.rows >= 1, "matrix.rows",
       "at least 1 where the order is folds", m.matrix.rows);
  if (!m.matrix.keeps_order()) {
    throw error("machine: " + file +
                ": \"matrix.order\": expected chain where outputs stay in place, got folds");
  }
  const element sum = m.matrix.numbers.sum;
  if (sum != element::f32 && sum != element::int32) {
    throw error("machine: " + file + ": \"matrix.numbers.sum\": expected f32 or i32, got " +
                name_of(sum));
  }
}

}  // namespace detail

/// The machine that `object` describes; `file` stands for it in messages.
/// Errors   "machine: FILE: no field "tiles"; ..." where one is missing and no base is named,
///          "machine: FILE: "vector.threads": expected a whole number from 1 to 4096, got 0",
///          "machine: FILE: "matrix.row" is not a field of a machine",
///          "machine: FILE: "base": expected one of ipu_mk1, ..., got ..."
inline machine machine_from_json(const io::json& object, const std::string& file) {
  if (!object.is_object()) {
    throw error("machine: " + file + ": expected an object, got " + detail::shown(object));
  }
  machine m;
  const auto base = object.find("base");
  const bool has_base = base != object.end();
  const detail::field_reader read(object, file, "", has_base);
  if (has_base) {
    const std::string* const name = base->get_ptr<const std::string*>();
    const machine* const preset = name != nullptr ? find_machine(*name) : nullptr;
    if (preset == nullptr) read.fail("base", "one of " + detail::preset_names(), *base);
    m = *preset;
  }
  if (const io::json* const value = read.find("name")) {
    constexpr std::size_t most = sizeof m.name - 1;
    const std::string* const name = value->get_ptr<const std::string*>();
    const auto printed = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
    if (name == nullptr || name->empty() || name->size() > most ||
        !std::all_of(name->begin(), name->end(), printed)) {
      read.fail("name", "a name of 1 to " + std::to_string(most) + " bytes", *value);
    }
    std::fill(std::begin(m.name), std::end(m.name), '\0');
    std::copy(name->begin(), name->end(), m.name);
  }
  visit_fields(m, read);
  read.refuse_unknown({"base"});
  detail::check_whole(m, file);
  return m;
}

/// A machine with all its fields.
inline io::json machine_to_json(const machine& m) {
  io::json object{{"name", std::string(m.name)}};
  visit_fields(m, detail::field_writer{object});
  return object;
}

/// The machine in a file.
/// Errors   those of io::read_json and machine_from_json
inline machine read_machine(const std::string& path) {
  return machine_from_json(io::read_json(path), path);
}

/// Writes every field of `m` in the place of `path`, whole or not at all.
/// Errors   those of io::write_file
inline void write_machine(const std::string& path, const machine& m) {
  io::write_json(path, machine_to_json(m));
}

}  // namespace tessera::accelerator
