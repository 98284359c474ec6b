// Any bytes at all as a table: an error, or cells that lie within the text.

#include <tessera/data/csv.hpp>
#include <tessera/data/table.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const data::csv_table table =
        data::parse_csv(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    std::size_t letters = 0;
    for (i64 r = 0; r < table.rows(); ++r) {
      for (i32 c = 0; c < table.columns(); ++c) letters += table.cell(r, c).size();
    }
    if (letters > size) std::abort();
    if (table.columns() != 3) return 0;
    using enum data::column_kind;
    const data::table_encoding known(table, {{"a", long_tailed}, {"b", category}, {"c", label}});
    const data::table_samples rows = known.encode(table);
    for (i64 r = 0; r < rows.size(); ++r) {
      if (!(rows.numbers(r)[0] >= -1e30f && rows.numbers(r)[0] <= 1e30f)) std::abort();
      if (rows.codes(r)[0] < 0 || rows.label(r) < 0) std::abort();
    }
  } catch (const error&) {
  }
  return 0;
}
