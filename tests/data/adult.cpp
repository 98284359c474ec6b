#include <tessera/data/adult.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of
#include <support/paths.hpp>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

TEST_CASE("a made census is the same for a seed and has Adult's columns", "[data]") {
  CHECK(data::made_census(50, 3) == data::made_census(50, 3));
  CHECK(data::made_census(50, 3) != data::made_census(50, 4));
  CHECK(data::made_census(50, 3).starts_with(data::made_census(20, 3)));
  const data::table_split census = data::made_adult(3000, 500, 1);
  CHECK(census.train.size() == 3000);
  CHECK(census.test.size() == 500);
  CHECK(census.encoding.labels() == std::vector<std::string>{"<=50K", ">50K"});
  CHECK(census.encoding.code_columns() == 8);
  CHECK(census.encoding.number_columns() == 5);
  i64 rich = 0;
  for (i64 i = 0; i < census.train.size(); ++i) rich += census.train.label(i);
  CHECK(rich > 300);
  CHECK(rich < 1200);
  CHECK(error_of([] { data::made_census(0, 1); }) ==
        "made_census: expected 1 to 1000000 rows, got 0");
}

TEST_CASE("a folder without Adult is refused with the file's name", "[data]") {
  const scratch_folder folder;
  CHECK(error_of([&] { data::adult(folder.file("")); }) ==
        folder.file("adult-train.csv") + ": no such file");
}

TEST_CASE("Adult itself is read", "[data]") {
  const char* const root = std::getenv("TESSERA_DATA");
  if (!root || !std::filesystem::is_directory(std::filesystem::path(root) / "tabular")) {
    WARN("skipped: set TESSERA_DATA to a folder that holds tabular/ to read Adult itself");
    return;
  }
  const data::table_split adult = data::adult(std::filesystem::path(root) / "tabular");
  CHECK(adult.train.size() == 32561);
  CHECK(adult.test.size() == 16281);
  CHECK(adult.encoding.labels() == std::vector<std::string>{"<=50K", ">50K"});
  std::vector<std::size_t> counts;
  for (i32 c = 0; c < adult.encoding.code_columns(); ++c) {
    counts.push_back(adult.encoding.categories(c).size());
  }
  CHECK(counts == std::vector<std::size_t>{9, 16, 7, 15, 6, 5, 2, 42});
  i64 rich = 0;
  for (i64 i = 0; i < adult.train.size(); ++i) rich += adult.train.label(i);
  CHECK(static_cast<double>(rich) / 32561 ==
        Approx(0.2408).margin(0.0001));  // adult.names: 23.93 % of both
  CHECK(adult.encoding.scale(0).mean == Approx(38.58).margin(0.005));
  i64 unknown = 0;
  for (i64 i = 0; i < adult.test.size(); ++i) {
    for (const i32 code : adult.test.codes(i)) unknown += code < 0 ? 1 : 0;
  }
  CHECK(unknown == 0);
}
