#include <tessera/data/parallel_text.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of
#include <tessera/data/made_translations.hpp>
#include <tessera/data/words.hpp>

#include <filesystem>
#include <fstream>
#include <set>

using namespace tessera;
using tessera::testing::error_of;

namespace {

struct two_files {
  std::filesystem::path folder = std::filesystem::temp_directory_path() / "tessera_parallel_text";
  std::filesystem::path source = folder / "a.en";
  std::filesystem::path target = folder / "a.de";

  two_files(const std::string& first, const std::string& second) {
    std::filesystem::create_directories(folder);
    std::ofstream(source, std::ios::binary) << first;
    std::ofstream(target, std::ios::binary) << second;
  }
  ~two_files() { std::filesystem::remove_all(folder); }

  std::string error() const {
    std::string text = error_of([&] { data::read_parallel_text(source, target); });
    for (std::size_t at; (at = text.find(folder.string() + "/")) != std::string::npos;) {
      text.erase(at, folder.string().size() + 1);
    }
    return text;
  }
};

}  // namespace

TEST_CASE("parallel text is read line by line", "[data]") {
  const two_files files(
      "\xef\xbb\xbf"
      "one\r\n\ntwo three",
      "eins\n\nzwei drei\n");
  const data::parallel_text text = data::read_parallel_text(files.source, files.target);
  CHECK(text.source == std::vector<std::string>{"one", "", "two three"});
  CHECK(text.target == std::vector<std::string>{"eins", "", "zwei drei"});
  CHECK(text.first(2).size() == 2);
  CHECK(text.first(9).size() == 3);
}

TEST_CASE("parallel text says what is wrong with it, and where", "[data]") {
  CHECK(two_files("a\nb\n", "a\n").error() == "a.de: expected as many lines as a.en has, 2, got 1");
  CHECK(two_files("a\nb\n", "a\n\n").error() ==
        "a.de: expected a sentence in line 2, as in the other language, got nothing");
  CHECK(two_files("a\n\n", "a\nb\n").error() ==
        "a.en: expected a sentence in line 2, as in the other language, got nothing");
  CHECK(two_files("a\nb\xe4\n", "a\nb\n").error() ==
        "a.en: expected UTF-8, got other bytes in line 2");
  CHECK(two_files("a\n", "").error() == "a.de: is empty, expected a text");
  CHECK(error_of([] { data::read_parallel_text("no.en", "no.de"); }) == "no.en: no such file");
}

TEST_CASE("made languages are a function of seed and number", "[data]") {
  const data::parallel_text all = data::made_translations(0, 400, 3);
  const data::parallel_text some = data::made_translations(100, 50, 3);
  REQUIRE(all.size() == 400);
  for (i64 i = 0; i < 50; ++i) {
    CHECK(all.source[static_cast<std::size_t>(100 + i)] ==
          some.source[static_cast<std::size_t>(i)]);
    CHECK(all.target[static_cast<std::size_t>(100 + i)] ==
          some.target[static_cast<std::size_t>(i)]);
  }
  CHECK(data::made_translations(0, 9, 4).source != all.first(9).source);
  // Like sentences have like translations, and words do not all keep their order.
  std::set<std::string> words;
  for (i64 i = 0; i < 400; ++i) {
    const auto k = static_cast<std::size_t>(i);
    CHECK(all.source[k].ends_with(" ."));
    CHECK(all.target[k].ends_with(" ."));
    for (const std::string& word : data::split_words(all.target[k])) words.insert(word);
    for (std::size_t m = 0; m < k; ++m) {
      if (all.source[m] == all.source[k]) CHECK(all.target[m] == all.target[k]);
    }
  }
  CHECK(words.size() > 80);
}
