#pragma once

// Reading safetensors: a file in memory, every rule of the format checked before anything is handed
// out.
//
// Besides the header's own form (header_reader.hpp): the tensors cover the data without hole or
// overlap, every size is what shape and type say, the checksum agrees where one is given. Tensors
// are put at multiples of 8 bytes in memory whatever their offsets in the file, so that they can be
// looked at as numbers in place.

#include <tessera/io/file.hpp>
#include <tessera/io/header_reader.hpp>
#include <tessera/io/safetensors_format.hpp>

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::io {

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

}  // namespace tessera::io
