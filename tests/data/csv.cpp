#include <tessera/data/csv.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>
#include <support/paths.hpp>

#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

using rows = std::vector<std::vector<std::string>>;

rows cells(const data::csv_table& table) {
  rows all;
  for (i64 r = 0; r < table.rows(); ++r) {
    all.emplace_back();
    for (i32 c = 0; c < table.columns(); ++c) all.back().emplace_back(table.cell(r, c));
  }
  return all;
}

rows parse(const std::string& text, const data::csv_options& options = {}) {
  return cells(data::parse_csv(text, "t.csv", options));
}

std::string refusal(const std::string& text, const data::csv_options& options = {}) {
  return error_of([&] { data::parse_csv(text, "t.csv", options); });
}

/// The same reading, letter by letter, of cells without quotes and blanks.
rows split_plain(const std::string& text) {
  rows all(1, {""});
  for (const char c : text) {
    if (c == '\n') {
      all.push_back({""});
    } else if (c == ',') {
      all.back().push_back("");
    } else {
      all.back().back() += c;
    }
  }
  all.pop_back();
  return all;
}

}  // namespace

TEST_CASE("cells lie between commas and line ends", "[data]") {
  CHECK(parse("a,b\nc,d\n") == rows{{"a", "b"}, {"c", "d"}});
  CHECK(parse("a,b\r\nc,d\r\n") == rows{{"a", "b"}, {"c", "d"}});
  CHECK(parse("a,b\nc,d") == rows{{"a", "b"}, {"c", "d"}});  // no end of the last line
  CHECK(parse("a,\n,d\n") == rows{{"a", ""}, {"", "d"}});
  CHECK(parse("a\rb,c\n") == rows{{"a\rb", "c"}});  // a return alone is a letter
  CHECK(parse("one\n") == rows{{"one"}});
  CHECK(parse("a;b\n", {.separator = ';'}) == rows{{"a", "b"}});
  CHECK(parse("\xef\xbb\xbf"
              "a,b\n") == rows{{"a", "b"}});
}

TEST_CASE("blanks around cells and empty lines do not count", "[data]") {
  CHECK(parse("\n  39,  State-gov\t, 1 2 \n \t \n\n 4,5,6\n\n") ==
        rows{{"39", "State-gov", "1 2"}, {"4", "5", "6"}});
  CHECK(parse(" a , b\n", {.trim = false}) == rows{{" a ", " b"}});
}

TEST_CASE("within quotes separators, line ends and doubled quotes are letters", "[data]") {
  CHECK(parse("\"a,b\",\"c\nd\",\"say \"\"so\"\"\"\n1,2,3\n") ==
        rows{{"a,b", "c\nd", "say \"so\""}, {"1", "2", "3"}});
  CHECK(parse(" \" a \" , \"\"\n") == rows{{" a ", ""}});
  CHECK(parse("\"\"\"\"") == rows{{"\""}});
}

TEST_CASE("rows know the lines they begin on", "[data]") {
  const data::csv_table table =
      data::parse_csv("x,y\n\n1,\"a\nb\"\n3,4\n", "t.csv", {.header = true});
  CHECK(table.header() == std::vector<std::string>{"x", "y"});
  CHECK(table.rows() == 2);
  CHECK(table.line(0) == 3);
  CHECK(table.line(1) == 5);
  CHECK(table.where(1, 0) == "t.csv: line 5, column 1");
}

TEST_CASE("a table outlives its copies and its moves", "[data]") {
  data::csv_table kept;
  {
    data::csv_table first = data::parse_csv("a,b\n", "t.csv");  // a text without a heap block
    kept = first;
    const data::csv_table moved = std::move(first);
    CHECK(moved.cell(0, 1) == "b");
  }
  CHECK(kept.cell(0, 0) == "a");
}

TEST_CASE("what is wrong with a table is said with line and column", "[data]") {
  CHECK(refusal("") == "t.csv: holds no rows, expected a table");
  CHECK(refusal("\n \n") == "t.csv: holds no rows, expected a table");
  CHECK(refusal("a,b\n", {.header = true}) == "t.csv: holds no rows, expected a table");
  CHECK(refusal("\n1,2\n3,4,5\n") == "t.csv: line 3: expected 2 cells as in line 2, got 3");
  CHECK(refusal("1,2\n\"a\nb\",2\n3\n") == "t.csv: line 4: expected 2 cells as in line 1, got 1");
  CHECK(refusal("1,a\"b\"\n") ==
        "t.csv: line 1, column 2: holds a quote, expected the whole cell in quotes");
  CHECK(refusal("1,2\n3,\"ab\nc") == "t.csv: line 2, column 2: a quote is opened and never closed");
  CHECK(refusal("1,\"a\" b\n") == "t.csv: line 1, column 2: goes on after its closing quote");
  CHECK(refusal(std::string("1,a\0b\n", 6)) ==
        "t.csv: line 1, column 2: holds a zero byte, expected text");
}

TEST_CASE("every beginning of a text is a table or refused with its place", "[data]") {
  const std::string text = "x, \"a \"\"q\"\"\", 3\n\n1,2,\"l\n\"\r\n";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    CAPTURE(length);
    const std::string said = refusal(text.substr(0, length));
    CHECK((said == "(no error)" || said.starts_with("t.csv: ")));
  }
}

TEST_CASE("made tables are read as letter by letter", "[data]") {
  random_stream random(7);
  for (int k = 0; k < 200; ++k) {
    const u32 columns = 1 + random.next_below(5);
    std::string text;
    for (u32 r = 1 + random.next_below(6); r > 0; --r) {
      for (u32 c = 0; c < columns; ++c) {
        if (c > 0) text += ',';
        text += 'a';  // so that no line is empty
        for (u32 n = random.next_below(4); n > 0; --n) {
          text += static_cast<char>('a' + random.next_below(26));
        }
      }
      text += '\n';
    }
    CHECK(parse(text) == split_plain(text));
  }
}

TEST_CASE("tables are read from files, packed or not", "[data]") {
  const scratch_folder folder;
  const std::string text = "1,2\n3,4\n";
  write_bytes(folder.file("a.csv"), byte_string(text.begin(), text.end()));
  write_bytes(folder.file("b.csv"), gzip_stored(byte_string(text.begin(), text.end())));
  CHECK(cells(data::read_csv(folder.file("a.csv"))) == rows{{"1", "2"}, {"3", "4"}});
  CHECK(cells(data::read_csv(folder.file("b.csv"))) == rows{{"1", "2"}, {"3", "4"}});
  CHECK(error_of([&] { data::read_csv(folder.file("c.csv")); }) ==
        folder.file("c.csv") + ": no such file");
}
