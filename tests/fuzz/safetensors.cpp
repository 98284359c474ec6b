// Any bytes at all as a safetensors file: an error, or tensors that lie within the bytes and that
// write and read back as they are.

#include <tessera/io/safetensors.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

using namespace tessera;

// Touches every byte that a file hands out, for the sanitizers to see.
u64 walk(const io::safetensors_file& file) {
  u64 sum = 0;
  for (const io::stored_tensor& tensor : file.tensors()) {
    if (file.find(tensor.name) != &tensor) std::abort();
    if (io::checked_bytes(tensor.type, tensor.dims) != static_cast<i64>(tensor.bytes.size())) {
      std::abort();
    }
    for (const std::byte value : tensor.bytes) sum += static_cast<u64>(value);
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const auto file = io::safetensors_file::parse(bytes, "fuzz");
    volatile u64 seen = walk(file);
    (void)seen;

    // The header that the writer makes of it is read as the same tensors.
    std::size_t checksum_at = 0;
    const auto order = io::detail::checked_to_write(file.tensors());
    const std::string header = io::detail::write_header(order, file.metadata(), checksum_at);
    const auto again = io::header_reader(header, "again").read();
    if (again.tensors.size() != file.tensors().size()) std::abort();
    if (again.checksum_at != checksum_at) std::abort();
    for (std::size_t i = 0; i < again.tensors.size(); ++i) {  // both in the order of their names
      const io::stored_tensor& tensor = file.tensors()[i];
      const io::header_entry& found = again.tensors[i];
      if (found.name != tensor.name || found.type != tensor.type || found.dims != tensor.dims ||
          found.end - found.begin != static_cast<i64>(tensor.bytes.size())) {
        std::abort();
      }
    }
  } catch (const error&) {
  }
  return 0;
}
