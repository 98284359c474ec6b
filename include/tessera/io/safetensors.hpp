#pragma once

// safetensors: named tensors as raw bytes behind a JSON header. Data only: nothing in a file says
// what to compute, so nothing in a file can.
//
//   0        8                    8 + N                                       size
//   | N: u64 | header, N bytes    | data                                      |
//   |        | {"a": ...}, spaces | a: offsets 0..600   | b: 600..624 | ...   |
//
// Reading checks everything before it hands out anything: the header's form (header_reader.hpp),
// that the tensors cover the data without hole or overlap, that every size is what shape and type
// say, and the checksum where one is given. Tensors are put at multiples of 8 bytes in memory
// whatever their offsets in the file, so that they can be looked at as numbers in place.
//
// Writing puts large elements first and sorts by name, so equal tensors give equal files; pads the
// header so that the data begins at a multiple of 8; and replaces the old file in one instant.
// The checksum is the CRC32C of the whole file with the checksum's own eight digits read as '0'; it
// stands in the metadata as "tessera.crc32c". Other readers pass over it.
//
// Source: the format's description and reference reader, github.com/huggingface/safetensors.
// Stricter than those: names of at most 1024 bytes, 65536 tensors, 8 extents, no unknown fields.

#include <tessera/core/element.hpp>
#include <tessera/core/error.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/io/crc32c.hpp>
#include <tessera/io/dtype.hpp>
#include <tessera/io/file.hpp>
#include <tessera/io/header_reader.hpp>
#include <tessera/io/message.hpp>

#include <bit>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tessera::io {

static_assert(std::endian::native == std::endian::little,
              "safetensors holds little-endian numbers");

/// A tensor to be written: a name, and the bytes of its elements in row-major order.
struct named_tensor {
  std::string name;
  element type = element::f32;
  shape dims;
  std::span<const std::byte> bytes;
};

/// A tensor as a file holds it, of any type and rank the format has. Can be written as well.
struct stored_tensor {
  std::string name;
  dtype type = dtype::f32;
  stored_shape dims;
  std::span<const std::byte> bytes;

  stored_tensor() = default;
  stored_tensor(std::string name_of, dtype type_of, const stored_shape& dims_of,
                std::span<const std::byte> bytes_of)
      : name(std::move(name_of)), type(type_of), dims(dims_of), bytes(bytes_of) {}
  stored_tensor(const named_tensor& tensor)  // NOLINT: every named tensor can be stored
      : name(tensor.name), type(dtype_of(tensor.type)), dims(tensor.dims), bytes(tensor.bytes) {}

  /// Its shape, as the library computes with it.
  /// Errors   "safetensors: "x" has shape ..., which has more than 6 extents or one above 2^31 - 1"
  [[gnu::cold]] shape dimensions() const {
    const std::optional<shape> result = shape_of(dims);
    if (result) return *result;
    refuse({"safetensors: ", in_quotes(name), " has shape ", spell(dims),
            ", which has more than 6 extents or one above 2147483647"});
  }

  /// Its elements in place. `T` has the element's size, and its kind if it is one of C++'s own
  /// numbers: float for F32, std::int8_t for I8, std::uint8_t for U8 and BOOL; any two-byte type
  /// that is no integer for F16 and BF16.
  /// Errors   "safetensors: "x" holds F16 elements, they were asked for as 4-byte numbers"
  template <class T>
  std::span<const T> as() const {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);
    if (!holds<T>()) {
      refuse({"safetensors: ", in_quotes(name), " holds ", name_of(type),
              " elements, they were asked for as another type of ", sizeof(T), " bytes"});
    }
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }

 private:
  template <class T>
  bool holds() const {
    if (static_cast<i32>(sizeof(T)) != io::bytes_of(type)) return false;
    const bool is_float = type == dtype::f32 || type == dtype::f64;
    const bool is_short_float = type == dtype::f16 || type == dtype::bf16;
    const bool is_signed =
        type == dtype::int8 || type == dtype::int16 || type == dtype::int32 || type == dtype::int64;
    if constexpr (std::is_floating_point_v<T>) return is_float;
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) return is_signed;
    if constexpr (std::is_integral_v<T>) return !is_float && !is_short_float && !is_signed;
    return is_short_float || sizeof(T) != 2;
  }
};

/// A tensor that a network wants to find.
struct expected_tensor {
  std::string name;
  element type = element::f32;
  shape dims;
};

/// A file in memory, checked in full. Moving it keeps the tensors' bytes where they are.
class safetensors_file {
 public:
  /// Reads a file.
  /// Errors   "PATH: cannot open: ..." as of input_file; "safetensors: PATH: ..." where a rule of
  ///          the format is broken
  [[gnu::cold]] static safetensors_file read(const std::string& path) {
    input_file file(path);
    return load(file.size(), path, [&](std::span<std::byte> to) { file.read(to); });
  }

  /// Reads a file that is in memory already; `name` stands for it in messages. Copies the bytes.
  [[gnu::cold]] static safetensors_file parse(std::span<const std::byte> bytes,
                                              const std::string& name) {
    std::size_t at = 0;
    return load(bytes.size(), name, [&](std::span<std::byte> to) {
      if (!to.empty()) std::memcpy(to.data(), bytes.data() + at, to.size());
      at += to.size();
    });
  }

  safetensors_file(safetensors_file&&) = default;
  safetensors_file& operator=(safetensors_file&&) = default;
  safetensors_file(const safetensors_file&) = delete;  // the tensors point into the bytes
  safetensors_file& operator=(const safetensors_file&) = delete;

  /// What the file is called in messages.
  const std::string& name() const { return name_; }

  /// All tensors, in the order of their names.
  std::span<const stored_tensor> tensors() const { return tensors_; }

  /// Their names, sorted.
  [[gnu::cold]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const stored_tensor& tensor : tensors_) result.push_back(tensor.name);
    return result;
  }

  /// The tensor of that name, or null.
  const stored_tensor* find(std::string_view name) const {
    std::size_t first = 0, past = tensors_.size();
    while (first < past) {
      const std::size_t middle = (first + past) / 2;
      const int order = name.compare(tensors_[middle].name);
      if (order == 0) return &tensors_[middle];
      (order < 0 ? past : first) = order < 0 ? middle : middle + 1;
    }
    return nullptr;
  }

  /// The texts the file carries, without the checksum.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  safetensors_file() = default;

  /// `pull` fills a span with the next bytes of the file.
  template <class Pull>
  static safetensors_file load(u64 size, const std::string& name, Pull pull);

  std::string name_;
  std::vector<std::byte> bytes_;  // from operator new, so aligned to 16
  std::vector<stored_tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

namespace detail {

[[noreturn, gnu::cold]] inline void refuse_file(const std::string& name,
                                                std::initializer_list<word> what) {
  refuse({"safetensors: ", name, ": ", message(what)});
}

/// The header's length, at most what the format and the file allow.
[[gnu::cold]] inline u64 checked_header_bytes(u64 stated, u64 file_bytes, const std::string& name) {
  if (stated > static_cast<u64>(max_header_bytes)) {
    refuse_file(name, {"states a header of ", stated, " bytes, at most ", max_header_bytes,
                       " are allowed"});
  }
  if (stated > file_bytes - 8) {  // the caller knows that there are 8
    refuse_file(name, {"states a header of ", stated, " bytes, ", file_bytes - 8, " follow"});
  }
  return stated;
}

/// The tensors in the order of their bytes, when they fill the data exactly, each as its type and
/// shape say.
[[gnu::cold]] inline std::vector<std::size_t> checked_order(const safetensors_header& header,
                                                            i64 data_bytes,
                                                            const std::string& name) {
  std::vector<std::size_t> order =
      sorted(header.tensors.size(), header.tensors.data(),
             [](const void* of, std::size_t a, std::size_t b) {
               const auto *x = static_cast<const header_entry*>(of) + a,
                          *y = static_cast<const header_entry*>(of) + b;
               return x->begin != y->begin ? x->begin < y->begin : x->end < y->end;
             });
  i64 covered = 0;
  for (const std::size_t index : order) {
    const header_entry& entry = header.tensors[index];
    const i64 begin = entry.begin, end = entry.end;
    const auto fail = [&](std::initializer_list<word> what) {
      refuse_file(name, {in_quotes(entry.name), " at bytes ", begin, " to ", end, message(what)});
    };
    if (end < begin) fail({" ends before it begins"});
    if (begin < covered) fail({" overlaps the tensor before it"});
    if (begin > covered) fail({" leaves a hole before it"});
    if (end > data_bytes) {
      fail({" reaches past the end of the data, ", data_bytes, " bytes"});
    }
    const std::optional<i64> bytes = checked_bytes(entry.type, entry.dims);
    if (!bytes) {
      fail({": the size of ", name_of(entry.type), " elements of shape ", spell(entry.dims),
            " is above 2^63 - 1 bytes"});
    }
    if (*bytes != end - begin) {
      fail({": ", name_of(entry.type), " elements of shape ", spell(entry.dims), " fill ", *bytes,
            " bytes, not ", end - begin});
    }
    covered = end;
  }
  if (covered != data_bytes) {
    refuse_file(name, {"the tensors fill ", covered, " bytes, the file holds ", data_bytes});
  }
  return order;
}

[[gnu::cold]] inline std::string hexadecimal(u32 number) {
  std::string text;
  for (i32 shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[number >> shift & 15];
  return text;
}

/// The checksum of a file up to its data: `header` with the checksum's digits, if any, as zeros.
[[gnu::cold]] inline u32 header_checksum(std::string header, std::size_t digits_at) {
  if (digits_at != std::string::npos) header.replace(digits_at, 8, "00000000");
  const u64 length = header.size();
  return crc32c(std::as_bytes(std::span(header)), crc32c(std::as_bytes(std::span(&length, 1))));
}

inline i64 round_up_to_8(i64 bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace detail

template <class Pull>
[[gnu::cold]] safetensors_file safetensors_file::load(u64 size, const std::string& name,
                                                      Pull pull) {
  if (size < 8) {
    detail::refuse_file(name, {"too short for a safetensors file: ", size,
                               " bytes, the length of the header takes 8"});
  }
  u64 header_bytes = 0;
  pull(std::as_writable_bytes(std::span(&header_bytes, 1)));
  header_bytes = detail::checked_header_bytes(header_bytes, size, name);
  std::string text(header_bytes, '\0');
  pull(std::as_writable_bytes(std::span(text)));
  safetensors_header header = header_reader(text, name).read();

  safetensors_file file;
  file.name_ = name;
  const std::vector<std::size_t> order =
      detail::checked_order(header, static_cast<i64>(size - 8 - header_bytes), name);
  i64 total = 0;
  file.tensors_.resize(header.tensors.size());
  for (const std::size_t index : order) {
    header_entry& entry = header.tensors[index];
    stored_tensor& tensor = file.tensors_[index];
    tensor.name = std::move(entry.name);
    tensor.type = entry.type;
    tensor.dims = entry.dims;
    total += detail::round_up_to_8(entry.end - entry.begin);  // at most the data + 8 x 65536
  }

  file.bytes_ = detail::allocate(static_cast<u64>(total), name);
  u32 checksum = detail::header_checksum(text, header.checksum_at);
  std::span<std::byte> free = file.bytes_;
  for (const std::size_t index : order) {
    const i64 count = header.tensors[index].end - header.tensors[index].begin;
    const auto bytes = free.first(static_cast<std::size_t>(count));
    pull(bytes);
    checksum = crc32c(bytes, checksum);
    file.tensors_[index].bytes = bytes;
    free = free.subspan(static_cast<std::size_t>(detail::round_up_to_8(count)));
  }

  if (header.checksum_at != std::string::npos) {
    const auto entry = header.metadata.find(std::string(checksum_key));
    const std::string computed = detail::hexadecimal(checksum);
    // The second comparison asks that the digits were written plainly, not as escapes.
    if (entry->second != computed || text.compare(header.checksum_at, 8, computed) != 0) {
      detail::refuse_file(name, {"the checksum does not agree: the file states ",
                                 in_quotes(entry->second), ", its bytes give \"", computed, "\""});
    }
    header.metadata.erase(entry);
  }
  file.metadata_ = std::move(header.metadata);
  return file;
}

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

/// Compares a file with what a network wants: every tensor there, of its type and shape, and no
/// others. All that is wrong is listed in one error.
/// Errors   "safetensors: "conv1.weight" has shape 16x1x3x3 in model.safetensors, 16x1x5x5 in the
///          network; "conv2.bias" is missing in model.safetensors; ..."
[[gnu::cold]] inline void check_against(const safetensors_file& file,
                                        std::span<const expected_tensor> expected) {
  std::string wrong;
  const auto complain = [&](const std::string& tensor, std::initializer_list<word> what) {
    wrong += message({wrong.empty() ? "" : "; ", in_quotes(tensor), message(what)});
  };
  std::vector<bool> wanted(file.tensors().size());
  for (const expected_tensor& tensor : expected) {
    const stored_tensor* const found = file.find(tensor.name);
    if (found == nullptr) {
      complain(tensor.name, {" is missing in ", file.name()});
      continue;
    }
    wanted[static_cast<std::size_t>(found - file.tensors().data())] = true;
    if (found->dims != stored_shape(tensor.dims)) {
      complain(tensor.name, {" has shape ", spell(found->dims), " in ", file.name(), ", ",
                             spell(tensor.dims), " in the network"});
    }
    if (found->type != dtype_of(tensor.type)) {
      complain(tensor.name, {" holds ", name_of(found->type), " in ", file.name(), ", ",
                             name_of(dtype_of(tensor.type)), " in the network"});
    }
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i]) continue;
    complain(file.tensors()[i].name, {" is in ", file.name(), ", but not in the network"});
  }
  if (!wrong.empty()) refuse({"safetensors: ", wrong});
}

}  // namespace tessera::io
