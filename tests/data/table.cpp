#include <tessera/data/table.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

using enum data::column_kind;

const std::vector<data::column> columns{
    {"age", number}, {"work", category}, {"gain", long_tailed}, {"note", ignored}, {"pay", label}};

data::csv_table table(const std::string& text) { return data::parse_csv(text, "t.csv"); }

data::table_encoding taught(const std::string& text) {
  return data::table_encoding(table(text), columns);
}

std::string refusal(const std::string& train, const std::string& test) {
  return error_of([&] { taught(train).encode(table(test)); });
}

const std::string few =
    "1, state, 0, x, low\n"
    "3, ?, 7, y, high\n"
    "?, farm, ?, z, low\n"
    "5, state, -1, x, low\n";

}  // namespace

TEST_CASE("categories and labels are numbered in the order of their bytes", "[data]") {
  const data::table_encoding known = taught(few);
  CHECK(known.categories(0) == std::vector<std::string>{"?", "farm", "state"});
  CHECK(known.labels() == std::vector<std::string>{"high", "low"});
  CHECK(known.code_columns() == 1);
  CHECK(known.number_columns() == 2);
  const data::table_samples rows = known.encode(table(few));
  REQUIRE(rows.size() == 4);
  std::vector<i32> codes, labels;
  for (i64 i = 0; i < 4; ++i) {
    codes.push_back(rows.codes(i)[0]);
    labels.push_back(rows.label(i));
  }
  CHECK(codes == std::vector<i32>{2, 0, 1, 2});
  CHECK(labels == std::vector<i32>{1, 0, 1, 1});
}

TEST_CASE("numbers get the training rows' mean 0 and deviation 1", "[data]") {
  const data::table_encoding known = taught(few);
  CHECK(known.scale(0).mean == Approx(3));
  CHECK(known.scale(0).deviation == Approx(std::sqrt(8.0 / 3)));
  // Of log 1, log 8 and -log 2.
  const double l2 = std::log(2.0);
  CHECK(known.scale(1).mean == Approx(2 * l2 / 3));
  const data::table_samples rows = known.encode(table(few));
  CHECK(rows.numbers(0)[0] == Approx(-2 / std::sqrt(8.0 / 3)));
  CHECK(rows.numbers(1)[0] == Approx(0).margin(1e-7));
  CHECK(rows.numbers(2)[0] == 0.0f);  // missing: the mean
  CHECK(rows.numbers(2)[1] == 0.0f);
  CHECK(rows.numbers(3)[1] == Approx((-l2 - known.scale(1).mean) / known.scale(1).deviation));
}

TEST_CASE("other rows are scaled as the training rows, unknown categories have code -1", "[data]") {
  const data::table_encoding known = taught(few);
  const data::table_samples rows = known.encode(table("3, mine, 0, -, high\n5, farm, 0, -, low\n"));
  CHECK(rows.codes(0)[0] == -1);
  CHECK(rows.codes(1)[0] == 1);
  CHECK(rows.numbers(0)[0] == Approx(0).margin(1e-7));
  CHECK(rows.numbers(1)[0] == Approx(2 / std::sqrt(8.0 / 3)));
}

TEST_CASE("a column of equal or missing numbers stays finite", "[data]") {
  const data::table_samples rows =
      taught("4, a, ?, -, low\n4, a, ?, -, low\n").encode(table("5, a, 3, -, low\n"));
  CHECK(rows.numbers(0)[0] == 1.0f);                   // deviation 1
  CHECK(rows.numbers(0)[1] == Approx(std::log(4.0)));  // nothing known: mean 0
  const data::table_samples far =
      taught("1e-30, a, 0, -, low\n2e-30, a, 0, -, low\n").encode(table("1e30, a, 0, -, low\n"));
  CHECK(std::isfinite(far.numbers(0)[0]));
}

TEST_CASE("label endings are taken off", "[data]") {
  const data::table_encoding known(table(few), columns, {.label_ending = "."});
  CHECK(known.encode(table("1, state, 0, x, high.\n")).label(0) == 0);
}

TEST_CASE("a subset shares the rows", "[data]") {
  const data::table_samples rows = taught(few).encode(table(few)).subset(1, 3);
  CHECK(rows.size() == 2);
  CHECK(rows.label(0) == 0);
  i32 code = -2;
  rows.read(1, 0, &code);
  CHECK(code == 1);
  float numbers[2] = {1, 1};
  rows.read(1, 1, numbers);
  CHECK(numbers[0] == 0.0f);
  CHECK(rows.sample_shape(0) == shape(1));
  CHECK(rows.sample_shape(1) == shape(2));
  CHECK(error_of([&] { static_cast<void>(rows.subset(1, 5)); }) ==
        "table_samples: expected a range within 0 to 2, got 1 to 5");
}

TEST_CASE("what is wrong with a value is said with its place", "[data]") {
  CHECK(refusal("1, a, 0, -\n", "") == "t.csv: expected 5 columns, got 4");
  CHECK(refusal(few, "1, a, 0, -\n") == "t.csv: expected 5 columns, got 4");
  CHECK(refusal("1, a, 0, -, l\nten, a, 0, -, l\n", "") ==
        "t.csv: line 2, column 1 (age): expected a number of at most 1e30, got \"ten\"");
  CHECK(refusal(few, "1 2, a, 0, -, low\n") ==
        "t.csv: line 1, column 1 (age): expected a number of at most 1e30, got \"1 2\"");
  for (const std::string bad : {"nan", "inf", "1e31", "1e999", "0x10", "+1"}) {
    CHECK(refusal(few, bad + ", a, 0, -, low\n") ==
          "t.csv: line 1, column 1 (age): expected a number of at most 1e30, got \"" + bad + "\"");
  }
  CHECK(refusal(few, "\n1, a, 0, -, middle\n") ==
        "t.csv: line 2, column 5 (pay): expected one of high, low, got \"middle\"");
  CHECK(refusal("1, a, 0, -, ?\n", "") ==
        "t.csv: line 1, column 5 (pay): expected a label, got none");
  CHECK(error_of([&] {
          data::table_encoding(table("1,2\n"), {{"a", number}, {"b", category}});
        }) ==
        "table_encoding: expected one column of labels and at least one of numbers or "
        "categories, got 0 and 2");
}
