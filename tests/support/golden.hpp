#pragma once

// Golden cases: reads cases.json and its safetensors files, hands out tensors as doubles, and
// compares by the rule a case states.
//
//   tol {rtol, atol[, min_equal_fraction]}   |got - want| <= atol + rtol |want|, NaN = NaN,
//                                            inf = inf; that share of the elements must be equal
//   tol {exact[, nan]}                       equal; NaN equals any NaN
//
// An attribute that nobody asked for is an error: a case then means something that was not run.

#include <tessera/core/error.hpp>
#include <tessera/io/json.hpp>
#include <tessera/io/safetensors.hpp>
#include <tessera/runtime/element_access.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tessera::testing {

/// Numbers of a golden tensor with their extents.
struct golden_tensor {
  std::vector<i64> dims;
  std::vector<double> values;
  bool boolean = false;  // stored as such: a mask

  i64 count() const { return static_cast<i64>(values.size()); }

  /// Its extents as a shape of `rank`: too few are led by, too many joined into the first.
  shape dims_as(i32 rank) const {
    shape s;
    s.rank = rank;
    for (i32 axis = 0; axis < rank; ++axis) s[axis] = 1;
    i32 axis = rank - 1;
    for (std::size_t i = dims.size(); i-- > 0;) {
      s[axis] *= static_cast<i32>(dims[i]);
      if (axis > 0) --axis;
    }
    return s;
  }
  shape dims_as_they_are() const { return dims_as(static_cast<i32>(dims.size())); }
};

inline golden_tensor read_golden(const io::stored_tensor& t) {
  golden_tensor g;
  g.boolean = t.type == io::dtype::boolean;
  for (i32 axis = 0; axis < t.dims.rank; ++axis) g.dims.push_back(t.dims[axis]);
  const auto fill = [&](auto span, auto convert) {
    for (const auto v : span) g.values.push_back(static_cast<double>(convert(v)));
  };
  const auto same = [](auto v) { return v; };
  switch (t.type) {
    case io::dtype::boolean:
    case io::dtype::uint8: fill(t.as<u8>(), same); break;
    case io::dtype::int8: fill(t.as<i8>(), same); break;
    case io::dtype::uint16: fill(t.as<u16>(), same); break;
    case io::dtype::int16: fill(t.as<i16>(), same); break;
    case io::dtype::f16: fill(t.as<half>(), [](half h) { return to_float(h); }); break;
    case io::dtype::bf16: fill(t.as<bfloat16>(), [](bfloat16 h) { return to_float(h); }); break;
    case io::dtype::uint32: fill(t.as<u32>(), same); break;
    case io::dtype::int32: fill(t.as<i32>(), same); break;
    case io::dtype::f32: fill(t.as<float>(), same); break;
    case io::dtype::uint64: fill(t.as<u64>(), same); break;
    case io::dtype::int64: fill(t.as<i64>(), same); break;
    case io::dtype::f64: fill(t.as<double>(), same); break;
  }
  return g;
}

/// Compares by the rule `tol`; empty where everything agrees, else one line with the worst element.
inline std::string disagreement(const io::json& tol, const std::vector<double>& want,
                                const std::vector<double>& got) {
  if (want.size() != got.size()) {
    return "expected " + std::to_string(want.size()) + " elements, got " +
           std::to_string(got.size());
  }
  const bool exact = tol.contains("exact");
  const double rtol = exact ? 0 : tol.at("rtol").get<double>();
  const double atol = exact ? 0 : tol.at("atol").get<double>();
  double worst = 0;
  std::size_t worst_at = 0, wrong = 0, equal = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double w = want[i], g = got[i];
    if (w == g || (std::isnan(w) && std::isnan(g))) {
      ++equal;
      continue;
    }
    const double off = std::abs(g - w);
    if (off <= atol + rtol * std::abs(w) && std::isfinite(w)) continue;  // NaN fails: no order
    ++wrong;
    const double by = std::isnan(off) ? INFINITY : off;
    if (wrong == 1 || by > worst) worst = by, worst_at = i;
  }
  const auto number = [](double v) {
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", v);
    return std::string(text);
  };
  if (wrong > 0) {
    return std::to_string(wrong) + " of " + std::to_string(want.size()) + " wrong, worst [" +
           std::to_string(worst_at) + "]: expected " + number(want[worst_at]) + ", got " +
           number(got[worst_at]) + ", off by " + number(worst);
  }
  if (!exact && tol.contains("min_equal_fraction")) {
    const double share = static_cast<double>(equal) / static_cast<double>(want.size());
    const double least = tol.at("min_equal_fraction").get<double>();
    if (share < least) {
      return "only " + number(share) + " of the elements are equal, expected " + number(least);
    }
  }
  return {};
}

/// What a case's operation is told; every attribute must be asked for.
class attribute_reader {
 public:
  explicit attribute_reader(const io::json& attrs) : attrs_(attrs) {}

  bool has(const std::string& name) const { return attrs_.contains(name); }

  template <class T>
  T get(const std::string& name) {
    asked_.insert(name);
    if (!has(name)) throw error("attribute \"" + name + "\" is missing");
    return attrs_.at(name).get<T>();
  }
  template <class T>
  T get(const std::string& name, const T& otherwise) {
    return has(name) ? get<T>(name) : otherwise;
  }
  /// Says something about the case that a test has no use for.
  void ignore(const std::string& name) { asked_.insert(name); }

  /// Height and width: [2, 3], or 2 for both.
  void pair(const std::string& name, i32 (&to)[2]) {
    const io::json v = get<io::json>(name);
    for (std::size_t axis = 0; axis < 2; ++axis) {
      to[axis] = v.is_array() ? v.at(axis).get<i32>() : v.get<i32>();
    }
  }
  /// One of the words of a table.
  template <class T>
  T choice(const std::string& name, const std::map<std::string, T>& words) {
    const std::string word = get<std::string>(name);
    const auto found = words.find(word);
    if (found == words.end()) throw error("attribute \"" + name + "\" is \"" + word + "\"");
    return found->second;
  }
  /// A group of attributes of its own.
  attribute_reader group(const std::string& name) {
    asked_.insert(name);
    return attribute_reader(attrs_.at(name));
  }
  void all_must_be_asked() const {
    for (const auto& [name, v] : attrs_.items()) {
      if (asked_.count(name) == 0) throw error("unknown attribute \"" + name + "\": " + v.dump());
    }
  }

 private:
  const io::json& attrs_;
  std::set<std::string> asked_;
};

/// One case with its file.
class golden_case {
 public:
  golden_case(const io::json& entry, std::shared_ptr<const io::safetensors_file> file)
      : entry_(entry), file_(std::move(file)) {}

  std::string id() const { return entry_.at("id").get<std::string>(); }
  std::string op() const { return entry_.at("op").get<std::string>(); }
  attribute_reader attributes() const { return attribute_reader(entry_.at("attrs")); }
  const io::json& attribute_values() const { return entry_.at("attrs"); }

  bool has(const std::string& section, const std::string& name) const {
    return entry_.contains(section) && entry_.at(section).contains(name);
  }
  std::vector<std::string> names(const std::string& section) const {
    std::vector<std::string> all;
    if (!entry_.contains(section)) return all;
    for (const auto& [name, key] : entry_.at(section).items()) all.push_back(name);
    return all;
  }
  golden_tensor tensor(const std::string& section, const std::string& name) const {
    const std::string key = entry_.at(section).at(name).get<std::string>();
    const io::stored_tensor* t = file_ == nullptr ? nullptr : file_->find(key);
    if (t == nullptr) throw error("tensor \"" + key + "\" is missing");
    return read_golden(*t);
  }
  /// The rule for "y", "grad_inputs/x", ...
  const io::json& tolerance(const std::string& name) const { return entry_.at("tol").at(name); }

 private:
  const io::json& entry_;
  std::shared_ptr<const io::safetensors_file> file_;
};

/// All cases of a folder, in the file's order. The cases point into it.
class golden_folder {
 public:
  explicit golden_folder(const std::string& folder)
      : listing_(io::read_json(folder + "/cases.json")) {
    for (const io::json& entry : listing_.at("cases")) {
      std::shared_ptr<const io::safetensors_file> file;
      if (entry.contains("file")) {
        const std::string name = entry.at("file").get<std::string>();
        auto& known = files_[name];
        if (known == nullptr) {
          known = std::make_shared<const io::safetensors_file>(
              io::safetensors_file::read(folder + "/" + name));
        }
        file = known;
      }
      cases_.emplace_back(entry, std::move(file));
    }
  }
  golden_folder(const golden_folder&) = delete;
  golden_folder& operator=(const golden_folder&) = delete;

  const std::vector<golden_case>& cases() const { return cases_; }

 private:
  io::json listing_;
  std::map<std::string, std::shared_ptr<const io::safetensors_file>> files_;
  std::vector<golden_case> cases_;
};

}  // namespace tessera::testing
