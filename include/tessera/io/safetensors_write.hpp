#pragma once

// Writing safetensors: large elements first, sorted by name, so equal tensors give equal files; the
// header padded so that the data begins at a multiple of 8; and the old file replaced in one
// instant. What could not be read back is refused.

#include <tessera/io/file.hpp>
#include <tessera/io/header_reader.hpp>
#include <tessera/io/safetensors_format.hpp>

#include <cstddef>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::io {

namespace detail {

/// A text as JSON writes it. UTF-8 stays as it is.
[[gnu::cold]] inline void append_json(std::string& json, std::string_view text) {
  json += '"';
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (code < 0x20) {
      json += "\\u00";
      json += static_cast<char>('0' + (code >> 4));
      json += "0123456789abcdef"[code & 15];
    } else {
      if (letter == '"' || letter == '\\') json += '\\';
      json += letter;
    }
  }
  json += '"';
}

[[noreturn, gnu::cold]] inline void refuse_tensor(const std::string& name,
                                                  std::initializer_list<word> what) {
  refuse({"safetensors: cannot write ", in_quotes(name), ": ", message(what)});
}

/// In the order in which they will lie in the file, when all of them can be read back.
[[gnu::cold]] inline std::vector<const stored_tensor*> checked_to_write(
    std::span<const stored_tensor> tensors) {
  if (static_cast<i64>(tensors.size()) > max_tensors) {
    refuse({"safetensors: cannot write more than ", max_tensors, " tensors"});
  }
  for (const stored_tensor& tensor : tensors) {
    if (tensor.name == metadata_key) refuse_tensor(tensor.name, {"the name means the metadata"});
    if (static_cast<i64>(tensor.name.size()) > max_name_bytes) {
      refuse_tensor(tensor.name, {"the name is longer than 1024 bytes"});
    }
    if (first_bad_utf8(tensor.name) != std::string_view::npos) {
      refuse_tensor(tensor.name, {"the name is not valid UTF-8"});
    }
    const std::optional<i64> bytes = checked_bytes(tensor.type, tensor.dims);
    if (!bytes || static_cast<u64>(*bytes) != tensor.bytes.size()) {
      refuse_tensor(tensor.name, {name_of(tensor.type), " elements of shape ", spell(tensor.dims),
                                  " do not fill ", tensor.bytes.size(), " bytes"});
    }
  }
  const std::vector<std::size_t> by_name =
      sorted(tensors.size(), tensors.data(), [](const void* of, std::size_t a, std::size_t b) {
        const auto* all = static_cast<const stored_tensor*>(of);
        return all[a].name < all[b].name;
      });
  for (std::size_t i = 1; i < by_name.size(); ++i) {
    const std::string& name = tensors[by_name[i]].name;
    if (name == tensors[by_name[i - 1]].name) refuse_tensor(name, {"the name is given twice"});
  }
  std::vector<const stored_tensor*> order;
  for (const i32 element_bytes : {8, 4, 2, 1}) {
    for (const std::size_t index : by_name) {
      if (bytes_of(tensors[index].type) == element_bytes) order.push_back(&tensors[index]);
    }
  }
  return order;
}

[[gnu::cold]] inline std::string write_header(std::span<const stored_tensor* const> order,
                                              const std::map<std::string, std::string>& metadata,
                                              std::size_t& checksum_at) {
  std::string json = message({"{\"__metadata__\":{\"", checksum_key, "\":\""});
  checksum_at = json.size();
  json += "00000000\"";
  for (const auto& [key, value] : metadata) {
    if (first_bad_utf8(key) != std::string_view::npos ||
        first_bad_utf8(value) != std::string_view::npos || key == checksum_key) {
      refuse({"safetensors: cannot write the metadata ", in_quotes(key),
              ": not valid UTF-8, or the checksum's own name"});
    }
    json += ',';
    append_json(json, key);
    json += ':';
    append_json(json, value);
  }
  json += '}';
  u64 offset = 0;
  for (const stored_tensor* tensor : order) {
    json += ',';
    append_json(json, tensor->name);
    std::string dims;
    for (i32 axis = 0; axis < tensor->dims.rank; ++axis) {
      dims += message({axis > 0 ? "," : "", tensor->dims[axis]});
    }
    const u64 end = offset + tensor->bytes.size();
    json += message({":{\"dtype\":\"", name_of(tensor->type), "\",\"shape\":[", dims,
                     "],\"data_offsets\":[", offset, ",", end, "]}"});
    offset = end;
  }
  json += '}';
  json.resize(static_cast<std::size_t>(round_up_to_8(static_cast<i64>(json.size()))), ' ');
  if (static_cast<i64>(json.size()) > max_header_bytes ||
      static_cast<i64>(metadata.size()) >= max_tensors) {
    refuse({"safetensors: cannot write a header this large"});
  }
  return json;
}

}  // namespace detail

/// Writes the tensors in the place of `path`: whole, or not at all.
///
/// Equal tensors and metadata give equal files, in whatever order they come.
/// Errors   "safetensors: cannot write "x": ..." for what could not be read back (a name given
///          twice, bytes that do not fill the shape, ...); those of write_file
[[gnu::cold]] inline void write_safetensors(const std::string& path,
                                            std::span<const stored_tensor> tensors,
                                            const std::map<std::string, std::string>& metadata = {},
                                            const file_calls& calls = {}) {
  const std::vector<const stored_tensor*> order = detail::checked_to_write(tensors);
  std::size_t checksum_at = 0;
  std::string header = detail::write_header(order, metadata, checksum_at);

  u32 checksum = detail::header_checksum(header, checksum_at);
  for (const stored_tensor* tensor : order) checksum = crc32c(tensor->bytes, checksum);
  header.replace(checksum_at, 8, detail::hexadecimal(checksum));

  const u64 header_bytes = header.size();
  std::vector<std::span<const std::byte>> pieces = {std::as_bytes(std::span(&header_bytes, 1)),
                                                    std::as_bytes(std::span(header))};
  for (const stored_tensor* tensor : order) pieces.push_back(tensor->bytes);
  write_file(path, pieces, calls);
}

[[gnu::cold]] inline void write_safetensors(const std::string& path,
                                            std::span<const named_tensor> tensors,
                                            const std::map<std::string, std::string>& metadata = {},
                                            const file_calls& calls = {}) {
  const std::vector<stored_tensor> stored(tensors.begin(), tensors.end());
  write_safetensors(path, std::span<const stored_tensor>(stored), metadata, calls);
}

}  // namespace tessera::io
