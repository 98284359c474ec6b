// Places buffers in one arena: tables of lives and sizes in, arenas and offsets out.
//
// You see a line of JSON for each table: its lower bound, the most bytes alive at once, the arena
// that was found, and the processor time that took. Nothing is trained; this is the planner that
// gives every training step its memory, for buffers of your own.
//
//   plan_csv step.csv ...                      as low as 5 seconds or so each reach
//   plan_csv --capacity 1048576 hard.csv       stops as soon as 1 MiB is enough
//   plan_csv --solution placed.csv step.csv    the table with a column offset
//
// A table has the columns id, lower, upper and size, in any order: a buffer is alive at lower,
// lower + 1, ..., upper - 1 (the format of MiniMalloc).

#include <tessera/io/file.hpp>
#include <tessera/passes/buffer_table.hpp>
#include <tessera/passes/search_placement.hpp>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "support/command_words.hpp"

namespace ts = tessera;

struct plan_options {
  std::vector<std::string> tables;
  ts::i64 capacity = 0;  // 0: the lower bound
  std::string solution;
};

constexpr const char* help =
    "  --capacity N       stop as soon as an arena of N bytes is enough\n"
    "  --solution FILE    where to put the table with a column offset; for one table\n";

plan_options parse(int argc, char** argv) {
  plan_options o;
  for (examples::command_words words(argc, argv, help, "TABLE.csv..."); words.next();) {
    if (words.name() == "--capacity") {
      words.number(o.capacity, 1);
    } else if (words.name() == "--solution") {
      words.file(o.solution);
    } else if (words.is_option()) {
      words.refuse();
    } else {
      o.tables.push_back(words.name());
    }
  }
  if (o.tables.empty()) throw ts::error("expected tables to plan; --help says more");
  if (o.solution.empty()) return o;
  if (o.tables.size() > 1) {
    throw ts::error("--solution: expected one table, got " + std::to_string(o.tables.size()));
  }
  std::error_code none;  // one of the two may not be there
  if (std::filesystem::equivalent(o.solution, o.tables[0], none)) {
    throw ts::error("--solution: \"" + o.solution + "\" is the table itself");
  }
  return o;
}

/// A text as JSON.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      result += code;
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + "\"";
}

/// A cell as text: in quotes where it would not be one cell without.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

void write_solution(const std::string& path, const ts::passes::buffer_table& table) {
  std::string text = "id,lower,upper,size,offset\n";
  for (std::size_t i = 0; i < table.buffers.size(); ++i) {
    const ts::buffer& b = table.buffers[i];
    text += cell(table.ids[i]);
    for (const ts::i64 number : {table.lower[i], table.upper[i], b.bytes, b.offset}) {
      text += "," + std::to_string(number);
    }
    text += "\n";
  }
  ts::io::write_file(path, text);
}

int main(int argc, char** argv) {
  return examples::run("plan_csv", [&] {
    const plan_options o = parse(argc, argv);
    std::vector<ts::passes::buffer_table>
        tables;  // all are read first: what is wrong is said early
    for (const std::string& path : o.tables) {
      tables.push_back(ts::passes::read_buffer_table(std::filesystem::path(path)));
    }
    for (std::size_t i = 0; i < tables.size(); ++i) {
      std::vector<ts::buffer>& buffers = tables[i].buffers;
      const std::clock_t start = std::clock();
      const ts::passes::searched_placement placed =
          ts::passes::search_placement(buffers, {.capacity = o.capacity});
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      const auto count = static_cast<ts::i32>(buffers.size());
      std::printf(
          "{\"instance\": %s, \"buffers\": %d, \"lower_bound\": %lld, \"arena\": %lld, "
          "\"seconds\": %.3f}\n",
          quoted(std::filesystem::path(o.tables[i]).stem().string()).c_str(), count,
          static_cast<long long>(ts::passes::lower_bound(buffers.data(), count)),
          static_cast<long long>(placed.arena_bytes), seconds);
      std::fflush(stdout);
      if (!o.solution.empty()) write_solution(o.solution, tables[i]);
    }
  });
}
