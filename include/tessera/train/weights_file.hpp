#pragma once

// Weights in and out of files: safetensors under the names and in the layouts of the network, which
// are PyTorch's; and C++ headers (train/weights_header.hpp).

#include <tessera/io/file.hpp>
#include <tessera/io/safetensors.hpp>
#include <tessera/train/match_weights.hpp>
#include <bit>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// Writes all weights; a file that is there is replaced only by a complete one.
///
/// Errors   a file that cannot be written; two weights of one name
inline void save(const std::string& path, const weight_list& weights) {
  std::vector<io::named_tensor> tensors;
  for (const weight& w : weights) tensors.push_back({w.name, w.about.type, w.about.dims, w.bytes});
  io::write_safetensors(path, tensors);
}

/// Overwrites all weights with those of a file; nothing changes unless all of them fit.
///
///   load("resnet20.safetensors", t.weights(), {.rename = {{"module.", ""}}, .ignore = {"fc."},
///                                              .partial = true})
///
/// Errors   a file that is no safetensors file; every missing, superfluous, misshapen or wrongly
///          typed tensor, all in one message, and a hint where the names differ by a prefix
inline load_result load(const std::string& path, const weight_list& weights,
                        const load_options& options = {}) {
  const auto file = io::safetensors_file::read(path);
  return detail::load_stored(file.tensors(), "safetensors", file.name(), weights, options);
}

namespace detail {

/// Letters, digits and underscores, no digit first.
inline bool is_identifier(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) return false;
  }
  return true;
}

/// `text` as a literal. Bytes that are no plain letters become three octal digits, which end by
/// themselves whatever follows.
[[gnu::cold]] inline std::string literal(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x20 && code < 0x7f && c != '"' && c != '\\' && c != '?') {
      quoted += c;
      continue;
    }
    quoted += '\\';
    for (const i32 shift : {6, 3, 0}) quoted += static_cast<char>('0' + (code >> shift & 7));
  }
  return quoted + '"';
}

constexpr const char* enumerator_of(element type) {
  switch (type) {
    case element::f32: return "f32";
    case element::f64: return "f64";
    case element::f16: return "f16";
    case element::bf16: return "bf16";
    case element::uint8: return "uint8";
    case element::int32: return "int32";
    case element::int64: return "int64";
    case element::int8: return "int8";
    case element::uint16: return "uint16";
  }
  return "?";
}

/// The elements as bit patterns, "0x3f800000,0x0,...", eight in a line.
[[gnu::cold]] inline void append_patterns(std::string& text, const weight& w) {
  const auto size = static_cast<std::size_t>(bytes_of(w.about.type));
  for (std::size_t at = 0; at < w.bytes.size(); at += size) {
    u64 bits = 0;  // little-endian, as safetensors demands of the machine that writes
    std::memcpy(&bits, w.bytes.data() + at, size);
    const std::size_t element = at / size;
    text += element == 0 ? "" : element % 8 == 0 ? ",\n    " : ",";
    text += "0x";
    const int digits = std::max(1, (static_cast<int>(std::bit_width(bits)) + 3) / 4);
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
      text += "0123456789abcdef"[bits >> shift & 15];
    }
  }
}

}  // namespace detail

/// Writes all weights as a C++ header that defines `name`, a constant to pass to `load`. Values
/// come back bit for bit, on machines of either byte order. A file that is there is replaced only
/// by a complete one.
///
/// Cost     12 bytes of text a value; 10^6 values compile in 2.4 s and 240 MB (g++ 12 -O2, Zen 3)
/// Errors   a name that is no identifier; a file that cannot be written
[[gnu::cold]] inline void save_header(const std::string& path, const weight_list& weights,
                                      const std::string& name, const io::file_calls& calls = {}) {
  if (!detail::is_identifier(name)) {
    io::refuse({"weights: expected a C++ identifier, got ", io::in_quotes(name)});
  }
  i64 values = 0;
  for (const weight& w : weights) values += w.about.dims.count();
  std::string text = io::message(
      {"// ", weights.size(), " tensors, ", values,
       " values, as bit patterns; written by Tessera.\n",
       "#pragma once\n\n#include <cstdint>\n#include <tessera/io/weights_header.hpp>\n\n",
       "namespace ", name, "_data {\n\n"});
  std::string table;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const weight& w = weights[i];
    const bool empty = w.bytes.empty();
    if (!empty) {
      text += io::message({"inline constexpr std::uint", 8 * bytes_of(w.about.type), "_t tensor_",
                           i, "[] = {\n    "});
      detail::append_patterns(text, w);
      text += "};\n";
    }
    std::string dims;
    for (i32 axis = 0; axis < w.about.dims.rank; ++axis) {
      dims += io::message({axis > 0 ? ", " : "", w.about.dims[axis]});
    }
    table += io::message({"    {", detail::literal(w.name), ", tessera::element::",
                          detail::enumerator_of(w.about.type), ", tessera::shape(", dims, "), ",
                          empty ? "nullptr" : io::message({"tensor_", i}), "},\n"});
  }
  if (weights.empty()) {
    text += "inline constexpr const tessera::io::header_tensor* tensors = nullptr;\n";
  } else {
    text +=
        io::message({"inline constexpr tessera::io::header_tensor tensors[] = {\n", table, "};\n"});
  }
  text += io::message({"\n}  // namespace ", name, "_data\n\n",
                       "inline constexpr tessera::io::weights_header ", name, "{", name,
                       "_data::tensors, ", weights.size(), ", ", detail::literal(name), "};\n"});
  io::write_file(path, text, calls);
}

}  // namespace tessera
