#pragma once

// Which stored tensor belongs to which weight of a network, and the copy.
//
//   stored names     passed over      renamed        matched by name
//   module.fc.bias -> ignore list -> "module." off -> fc.bias            -> shape, type, values
//
// Everything is compared before anything is copied; all that is wrong is told in one error. Floats
// of another size are converted: exactly where the weight's type is the larger one, else rounded to
// nearest even. O(tensors log tensors) comparisons of names.

#include <tessera/io/safetensors_format.hpp>
#include <tessera/runtime/weights.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// Stored names that start with `from` start with `to` in the network.
struct renaming {
  std::string from;
  std::string to;
};

/// How stored names and values become the network's.
struct load_options {
  /// The first that fits a name is applied to it.
  std::vector<renaming> rename = {};
  /// Asked before those for each stored name; an empty answer passes the tensor over.
  std::function<std::string(const std::string&)> rename_by = {};
  /// Stored tensors to pass over: a name, its last part ("num_batches_tracked", which is always
  /// passed over unless the network has one), or with a dot at its end, its first part ("fc.").
  std::vector<std::string> ignore = {};
  /// Load what is there; what the other side does not have is listed, not refused.
  bool partial = false;
  /// Refuse values that are not finite.
  bool finite = false;
};

/// What a load has done.
struct load_result {
  i64 loaded = 0;                   // tensors
  std::vector<std::string> kept;    // weights of the network that stay as they were
  std::vector<std::string> unused;  // stored tensors that the network has no place for

  /// "95 tensors loaded; kept as they were: "fc.weight", "fc.bias"; not used: ..."
  [[gnu::cold]] std::string message() const {
    std::string text = io::message({loaded, loaded == 1 ? " tensor loaded" : " tensors loaded"});
    const auto list = [&](const char* what, const std::vector<std::string>& names) {
      for (std::size_t i = 0; i < names.size(); ++i) {
        text += io::message({i == 0 ? what : ", ", io::in_quotes(names[i])});
      }
    };
    list("; kept as they were: ", kept);
    list("; not used: ", unused);
    return text;
  }
};

namespace detail {

/// A stored tensor under the name it has in the network.
struct named_source {
  std::string name;
  const io::stored_tensor* tensor = nullptr;
  bool used = false;
};

[[gnu::cold]] inline std::string renamed(const std::string& name, const load_options& options) {
  const std::string asked = options.rename_by ? options.rename_by(name) : name;
  for (const renaming& rule : options.rename) {
    if (asked.starts_with(rule.from)) return rule.to + asked.substr(rule.from.size());
  }
  return asked;
}

inline bool last_part_is(std::string_view name, std::string_view part) {
  return name == part ||
         (name.ends_with(part) && name.substr(0, name.size() - part.size()).ends_with('.'));
}

inline bool ignored(std::string_view name, const load_options& options) {
  for (const std::string& entry : options.ignore) {
    if (last_part_is(name, entry)) return true;
    if (entry.ends_with('.') && name.starts_with(entry)) return true;
  }
  return false;
}

inline bool is_float(io::dtype type) {
  return type == io::dtype::f16 || type == io::dtype::bf16 || type == io::dtype::f32 ||
         type == io::dtype::f64;
}

[[gnu::cold]] inline bool all_finite(const io::stored_tensor& tensor) {
  const auto type = io::element_of(tensor.type);
  if (!type || !is_float(tensor.type)) return true;
  const auto count = static_cast<i64>(tensor.bytes.size()) / tessera::bytes_of(*type);
  for (i64 i = 0; i < count; ++i) {
    if (!std::isfinite(read_element(tensor.bytes.data(), *type, i))) return false;
  }
  return true;
}

/// The values of `from` in the type of `to`.
inline void copy_values(const io::stored_tensor& from, const weight& to) {
  if (from.type == io::dtype_of(to.about.type)) {
    if (!from.bytes.empty()) std::memcpy(to.bytes.data(), from.bytes.data(), from.bytes.size());
    return;
  }
  const element type = *io::element_of(from.type);  // a float: `match` has asked
  for (i64 i = 0; i < to.about.dims.count(); ++i) {
    write_element(to.bytes.data(), to.about.type, i, read_element(from.bytes.data(), type, i));
  }
}

/// How many of `names` are found among the sorted `others` with `prefix` before them.
inline i64 agreeing(const std::vector<std::string>& names, const std::string& prefix,
                    const std::vector<std::string>& others) {
  i64 n = 0;
  for (const std::string& name : names) {
    n += std::binary_search(others.begin(), others.end(), prefix + name) ? 1 : 0;
  }
  return n;
}

/// The prefix that, put before `shorter`, gives most names of `longer`; empty where it gives fewer
/// than half of either. Looks for it with the first few names only.
[[gnu::cold]] inline std::string common_prefix(const std::vector<std::string>& shorter,
                                               const std::vector<std::string>& longer) {
  std::string best;
  i64 most = 0;
  for (std::size_t i = 0; i < shorter.size() && i < 8; ++i) {
    for (const std::string& name : longer) {
      if (name.size() <= shorter[i].size() || !name.ends_with(shorter[i])) continue;
      const std::string prefix = name.substr(0, name.size() - shorter[i].size());
      if (prefix.back() != '.' && prefix.back() != '/') continue;
      const i64 found = agreeing(shorter, prefix, longer);
      if (found > most) {
        most = found;
        best = prefix;
      }
    }
  }
  const auto enough = static_cast<i64>(std::min(shorter.size(), longer.size()));
  return 2 * most >= enough ? best : std::string();
}

/// What may have been meant where names differ by a prefix only; else nothing.
[[gnu::cold]] inline std::string suggest_prefix(std::vector<std::string> missing,
                                                std::vector<std::string> unused) {
  if (missing.empty() || unused.empty()) return {};
  std::sort(missing.begin(), missing.end());
  std::sort(unused.begin(), unused.end());
  if (const std::string off = common_prefix(missing, unused); !off.empty()) {
    return io::message({"; ", agreeing(missing, off, unused), " names agree without ",
                        io::in_quotes(off), ": load with .rename = {{", io::in_quotes(off),
                        ", \"\"}}"});
  }
  if (const std::string on = common_prefix(unused, missing); !on.empty()) {
    return io::message({"; ", agreeing(unused, on, missing), " names agree with ",
                        io::in_quotes(on), " before them: load with .rename = {{\"\", ",
                        io::in_quotes(on), "}}"});
  }
  return {};
}

/// The stored tensors under their names in the network, sorted by them.
[[gnu::cold]] inline std::vector<named_source> rename_all(std::span<const io::stored_tensor> stored,
                                                          const weight_list& weights,
                                                          const load_options& options) {
  std::vector<named_source> sources;
  for (const io::stored_tensor& tensor : stored) {
    if (ignored(tensor.name, options)) continue;
    std::string name = renamed(tensor.name, options);
    if (name.empty()) continue;
    if (last_part_is(name, "num_batches_tracked")) {
      bool wanted = false;
      for (const weight& w : weights) wanted = wanted || w.name == name;
      if (!wanted) continue;
    }
    sources.push_back({std::move(name), &tensor});
  }
  std::stable_sort(sources.begin(), sources.end(),
                   [](const named_source& a, const named_source& b) { return a.name < b.name; });
  return sources;
}

/// Copies the stored tensors to the weights of their names, all or none. `format` and `file` say in
/// messages where they come from.
[[gnu::cold]] inline load_result load_stored(std::span<const io::stored_tensor> stored,
                                             const std::string& format, const std::string& file,
                                             const weight_list& weights,
                                             const load_options& options) {
  std::vector<named_source> sources = rename_all(stored, weights, options);
  std::string wrong;
  const auto complain = [&](const std::string& name, std::initializer_list<io::word> what) {
    wrong += io::message({wrong.empty() ? "" : "; ", io::in_quotes(name), io::message(what)});
  };
  for (std::size_t i = 1; i < sources.size(); ++i) {
    if (sources[i].name != sources[i - 1].name) continue;
    complain(sources[i].name, {" is what ", io::in_quotes(sources[i - 1].tensor->name), " and ",
                               io::in_quotes(sources[i].tensor->name), " are both called"});
  }
  load_result result;
  std::vector<const io::stored_tensor*> found(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const weight& w = weights[i];
    const auto at = std::lower_bound(
        sources.begin(), sources.end(), w.name,
        [](const named_source& source, const std::string& name) { return source.name < name; });
    if (at == sources.end() || at->name != w.name) {
      if (!options.partial) complain(w.name, {" is missing in ", file});
      result.kept.push_back(w.name);
      continue;
    }
    const io::stored_tensor& tensor = *at->tensor;
    if (at->used) complain(w.name, {" is the name of two weights of the network"});
    at->used = true;
    found[i] = &tensor;
    ++result.loaded;
    const std::string as =
        tensor.name == w.name ? "" : io::message({" (as ", io::in_quotes(tensor.name), ")"});
    if (tensor.dims != io::stored_shape(w.about.dims)) {
      complain(w.name, {" has shape ", io::spell(tensor.dims), " in ", file, as, ", ",
                        io::spell(io::stored_shape(w.about.dims)), " in the network"});
    }
    const io::dtype type = io::dtype_of(w.about.type);
    if (tensor.type != type && !(is_float(tensor.type) && is_float(type))) {
      complain(w.name, {" holds ", io::name_of(tensor.type), " in ", file, as, ", ",
                        io::name_of(type), " in the network"});
    }
    if (options.finite && !all_finite(tensor)) {
      complain(w.name, {" holds values in ", file, as, " that are not finite"});
    }
  }
  for (const named_source& source : sources) {
    if (source.used) continue;
    result.unused.push_back(source.tensor->name);
    if (options.partial) continue;
    complain(source.tensor->name, {" is in ", file, ", but not in the network"});
  }
  if (!options.partial && !wrong.empty()) wrong += suggest_prefix(result.kept, result.unused);
  if (options.partial && result.loaded == 0 && !weights.empty()) {
    wrong += io::message({wrong.empty() ? "" : "; ", "no tensor of ", file, " is in the network",
                          suggest_prefix(result.kept, result.unused)});
  }
  if (!wrong.empty()) io::refuse({format, ": ", wrong});
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (found[i] != nullptr) copy_values(*found[i], weights[i]);
  }
  return result;
}

}  // namespace detail
}  // namespace tessera
