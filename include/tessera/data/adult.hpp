#pragma once

// Adult: rows of a census of 1994, told apart by an income of more than 50,000 dollars a year; and
// rows of a made census in the same columns.
//
//   39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male,
//   2174, 0, 40, United-States, <=50K
//
// Eight columns of categories (9, 16, 7, 15, 6, 5, 2 and 42 of them, "?" counted), five of numbers;
// the weight of a row in the census is left out. Test rows have their labels with a dot behind.
// Source: Kohavi 1996, Scaling Up the Accuracy of Naive-Bayes Classifiers; UCI repository.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/data/csv.hpp>
#include <tessera/data/table.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace tessera::data {

inline std::vector<column> adult_columns() {
  using enum column_kind;
  return {{"age", number},          {"workclass", category},    {"weight", ignored},
          {"education", category},  {"years", number},          {"marital status", category},
          {"occupation", category}, {"relationship", category}, {"race", category},
          {"sex", category},        {"gain", long_tailed},      {"loss", long_tailed},
          {"hours", number},        {"country", category},      {"income", label}};
}

/// Rows to train on and to test by, and what the former teach.
struct table_split {
  table_encoding encoding;
  table_samples train;
  table_samples test;
};

namespace detail {

inline table_split adult_split(const csv_table& train, const csv_table& test) {
  table_encoding encoding(train, adult_columns(), {.label_ending = "."});
  table_samples rows = encoding.encode(train);
  table_samples tested = encoding.encode(test);
  return {std::move(encoding), std::move(rows), std::move(tested)};
}

}  // namespace detail

/// Adult from the folder that holds adult-train.csv and adult-test.csv, plain or gzip.
///
/// Errors   those of read_csv and table_encoding
inline table_split adult(const std::filesystem::path& folder) {
  const csv_table train = read_csv(folder / "adult-train.csv");
  return detail::adult_split(train, read_csv(folder / "adult-test.csv"));
}

namespace detail {

/// A text of a made column and what it adds to an income.
struct census_word {
  const char* text;
  i32 worth;
};

constexpr census_word census_work[] = {
    {"Private", 0},   {"Self-emp-not-inc", -3}, {"Self-emp-inc", 6}, {"Federal-gov", 5},
    {"Local-gov", 1}, {"State-gov", 0},         {"Without-pay", -30}};
constexpr census_word census_education[] = {
    {"1st-4th", -14},  {"5th-6th", -12}, {"7th-8th", -11}, {"9th", -10},        {"10th", -9},
    {"11th", -8},      {"12th", -6},     {"HS-grad", -2},  {"Some-college", 1}, {"Assoc-voc", 2},
    {"Assoc-acdm", 3}, {"Bachelors", 8}, {"Masters", 12},  {"Prof-school", 17}, {"Doctorate", 18}};
constexpr census_word census_marriage[] = {{"Married-civ-spouse", 12},
                                           {"Never-married", -8},
                                           {"Divorced", -5},
                                           {"Separated", -7},
                                           {"Widowed", -5}};
constexpr census_word census_trade[] = {{"Exec-managerial", 9},   {"Prof-specialty", 7},
                                        {"Tech-support", 4},      {"Sales", 2},
                                        {"Craft-repair", 0},      {"Adm-clerical", 0},
                                        {"Protective-serv", 3},   {"Machine-op-inspct", -4},
                                        {"Transport-moving", -2}, {"Handlers-cleaners", -8},
                                        {"Farming-fishing", -11}, {"Other-service", -9},
                                        {"Priv-house-serv", -20}};
constexpr census_word census_race[] = {
    {"White", 0}, {"Black", 0}, {"Asian-Pac-Islander", 0}, {"Amer-Indian-Eskimo", 0}, {"Other", 0}};
constexpr census_word census_sex[] = {{"Female", 0}, {"Male", 0}};
constexpr census_word census_country[] = {{"United-States", 0}, {"Mexico", -5}, {"Philippines", 1},
                                          {"Germany", 2},       {"Canada", 2},  {"India", 3}};

/// Writes rows: a function of whole numbers, the same on every machine.
class census_writer {
 public:
  explicit census_writer(u64 seed) : random_(seed, u64{0x63656e73} << 32) {}

  void write_row(std::string& text) {
    const i32 age = 17 + below(40) + below(34);
    const i32 degree = std::min(below(10) + below(6), 14);  // the middle ones more often
    const census_word& education = census_education[degree];
    const census_word& work = below(3) > 0 ? census_work[0] : pick(census_work);
    const census_word& marriage =
        age > 27 && below(2) > 0 ? census_marriage[0] : pick(census_marriage);
    const census_word& trade = pick(census_trade);
    const census_word& sex = pick(census_sex);
    const census_word& country = below(8) > 0 ? census_country[0] : pick(census_country);
    const bool married = &marriage == census_marriage;
    const i32 hours = std::clamp(40 + below(21) - 10, 1, 99) + (below(9) == 0 ? 20 : 0);
    const i32 gain = below(12) == 0 ? 500 + below(12000) : 0;
    const i32 loss = gain == 0 && below(20) == 0 ? 1000 + below(1500) : 0;
    // Most at 50; degrees count more within a marriage; a gain is seldom one of the poor.
    i32 worth = education.worth + work.worth + marriage.worth + trade.worth + country.worth;
    worth += married ? education.worth / 2 : 0;
    worth -= (age - 50) * (age - 50) / 40;
    worth += std::clamp(hours - 40, -15, 15) / 2 + (gain > 5000 ? 30 : 0) + (loss > 1700 ? 8 : 0);
    worth += below(13) + below(13) - 12;
    const char* const relation = married    ? (sex.text[0] == 'M' ? "Husband" : "Wife")
                                 : age < 25 ? "Own-child"
                                            : "Not-in-family";
    text += std::to_string(age) + ", " + or_missing(work) + ", " +
            std::to_string(20000 + below(400000)) + ", " + education.text + ", " +
            std::to_string(degree + 2) + ", " + marriage.text + ", " + or_missing(trade) + ", " +
            relation + ", " + pick(census_race).text + ", " + sex.text + ", " +
            std::to_string(gain) + ", " + std::to_string(loss) + ", " + std::to_string(hours) +
            ", " + or_missing(country) + ", " + (worth > 14 ? ">50K" : "<=50K") + "\n";
  }

 private:
  i32 below(u32 n) { return static_cast<i32>(random_.next_below(n)); }

  const census_word& pick(std::span<const census_word> words) {
    return words[random_.next_below(static_cast<u32>(words.size()))];
  }

  std::string or_missing(const census_word& word) { return below(25) == 0 ? "?" : word.text; }

  random_stream random_;
};

}  // namespace detail

/// `count` rows of the census that `seed` makes, as a text in Adult's columns.
///
/// Errors   fewer than 1 or more than 1,000,000 rows
inline std::string made_census(i64 count, u64 seed) {
  if (count < 1 || count > 1'000'000) {
    throw error("made_census: expected 1 to 1000000 rows, got " + std::to_string(count));
  }
  std::string text;
  detail::census_writer writer(seed);
  for (i64 i = 0; i < count; ++i) writer.write_row(text);
  return text;
}

/// A made census in the place of Adult.
///
/// Errors   as above; so few rows that a label does not occur among those to train on
inline table_split made_adult(i64 train, i64 test, u64 seed) {
  return detail::adult_split(parse_csv(made_census(train, seed), "made census"),
                             parse_csv(made_census(test, seed + 1), "made census"));
}

}  // namespace tessera::data
