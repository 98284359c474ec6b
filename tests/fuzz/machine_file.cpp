// Any bytes at all as a machine file: an error, or a machine that is the same when written and
// read.

#include <tessera/backends/accelerator/machine_file.hpp>
#include <tessera/machine/matrix_cost.hpp>

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const machine m = accelerator::machine_from_json(io::parse_json(text, "fuzz"), "fuzz");
    const io::json written = accelerator::machine_to_json(m);
    if (accelerator::machine_from_json(written, "fuzz") != m) std::abort();
    if (matrix_cost::product(m, 100, 100, 100, element::f16) <= 0) std::abort();
  } catch (const error&) {
  }
  return 0;
}
