#pragma once

// A memory plan for a terminal: a table of tensors, and the arena drawn with letters.
//
//   85.5 MB |                  bbbbbbbbbb
//           |        aaaaaaaaaaaaaaaaaaaaaaaaaaaa          a letter for each of the largest
//           buffers, |  cccccccccccccccccccccccccccccccccccccc      # for the others, time across
//         0 |cccccccccccccccccccccccccccccccccccccccc

#include <tessera/report/memory_map.hpp>
#include <iomanip>
#include <ostream>

namespace tessera {

/// One row for each tensor: name, shape, type, bytes, first and last operation, place, and why
/// there. `views` off leaves out what is only another name for bytes.
inline void report_tensors(std::ostream& out, const memory_map& map, bool views = true) {
  std::vector<std::vector<std::string>> table{
      {"tensor", "shape", "type", "bytes", "born", "dies", "region", "offset", "why"}};
  for (const mapped_tensor& t : map.tensors) {
    if (!views && t.why == placed_as::view) continue;
    const bool arena = t.buffer >= 0;
    table.push_back({t.name, std::string(spell_all<48>(t.dims).view()), name_of(t.type),
                     std::to_string(t.bytes), arena ? std::to_string(t.born) : "",
                     arena ? std::to_string(t.dies) : "", name_of(t.where),
                     std::to_string(t.offset), spell_why(map, t)});
  }
  std::vector<std::size_t> widths(table[0].size(), 0);
  for (const auto& row : table) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (const auto& row : table) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string gap(widths[c] - row[c].size(), ' ');
      const bool number = c == 3 || c == 4 || c == 5 || c == 7;
      line += (c == 0 ? "" : "  ") + (number ? gap + row[c] : row[c] + gap);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

/// The arena in `columns` x `rows` letters, and what the letters mean. Each letter says what lies
/// at the middle of its piece of time and bytes.
inline void draw_memory(std::ostream& out, const memory_map& map, i32 columns = 96, i32 rows = 24) {
  const auto steps = static_cast<i64>(map.operations.size());
  const i64 arena = map.height();
  if (steps == 0 || arena == 0) {
    out << "nothing lies in the arena\n";
    return;
  }
  if (steps < columns) columns = static_cast<i32>(steps);
  std::vector<std::size_t> by_size(map.buffers.size());
  for (std::size_t i = 0; i < by_size.size(); ++i) by_size[i] = i;
  std::stable_sort(by_size.begin(), by_size.end(), [&](std::size_t a, std::size_t b) {
    return map.buffers[a].bytes > map.buffers[b].bytes;
  });
  constexpr std::size_t letters = 26;
  std::vector<char> letter(map.buffers.size(), '#');
  for (std::size_t i = 0; i < by_size.size() && i < letters; ++i) {
    letter[by_size[i]] = static_cast<char>('a' + static_cast<char>(i));
  }
  for (i32 row = rows - 1; row >= 0; --row) {
    std::string line(static_cast<std::size_t>(columns), ' ');
    const i64 byte = arena * (2 * row + 1) / (2 * rows);
    for (i32 column = 0; column < columns; ++column) {
      const auto step = static_cast<i32>(steps * (2 * column + 1) / (2 * columns));
      for (std::size_t b = 0; b < map.buffers.size(); ++b) {
        const mapped_buffer& m = map.buffers[b];
        const i64 low = map.lies_at(m);
        const bool here = m.born <= step && step <= m.dies && low <= byte && byte < low + m.bytes;
        if (here) line[static_cast<std::size_t>(column)] = letter[b];
      }
    }
    const std::string label = row == rows - 1 ? spell_bytes(arena) : row == 0 ? "0" : "";
    out << std::setw(9) << label << " |" << line << "|\n";
  }
  for (std::size_t i = 0; i < by_size.size() && i < letters; ++i) {
    const mapped_buffer& m = map.buffers[by_size[i]];
    out << "  " << letter[by_size[i]] << "  " << std::setw(9) << spell_bytes(m.bytes) << "  "
        << std::setw(4) << m.born << "-" << std::left << std::setw(4) << m.dies << std::right;
    for (std::size_t k = 0; k < m.tensors.size() && k < 4; ++k) {
      out << (k == 0 ? "  " : ", ") << map.tensors[static_cast<std::size_t>(m.tensors[k])].name;
    }
    out << (m.tensors.size() > 4 ? ", ..." : "") << "\n";
  }
}

}  // namespace tessera
