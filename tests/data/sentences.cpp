#include <tessera/data/sentences.hpp>

#include <support/catch.hpp>
#include <support/data_sets.hpp>  // digest
#include <support/idx_files.hpp>  // error_of

#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

// Bits per character of a model that counts what follows each `order` characters, on the last
// tenth; each count begins at 0.01.
double bits_of_counts(const std::string& text, std::size_t order) {
  const std::size_t cut = text.size() / 10 * 9;
  const std::set<char> letters(text.begin(), text.end());
  std::map<std::string, std::map<char, double>> count;
  for (std::size_t i = order; i < cut; ++i) ++count[text.substr(i - order, order)][text[i]];
  double bits = 0;
  for (std::size_t i = cut; i < text.size(); ++i) {
    auto& next = count[text.substr(i - order, order)];
    double all = 0.01 * static_cast<double>(letters.size());
    for (const auto& [letter, times] : next) all += times;
    bits -= std::log2((next[text[i]] + 0.01) / all);
  }
  return bits / static_cast<double>(text.size() - cut);
}

}  // namespace

TEST_CASE("a longer made text begins with the shorter", "[data]") {
  const std::string text = data::made_text(5000, 3);
  CHECK(text.size() == 5000);
  CHECK(data::made_text(77, 3) == text.substr(0, 77));
  CHECK(data::made_text(1, 3) == text.substr(0, 1));
  CHECK(data::made_text(5000, 4) != text);
  CHECK(error_of([] { data::made_text(0, 1); }) ==
        "made_text: expected 1 to 1073741824 characters, got 0");
}

TEST_CASE("a seed means the same text with every compiler", "[data]") {
  // Got with g++ 12 -O2; clang++ 16 -O0 agreed.
  CHECK(digest().add(data::made_text(20'000, 1)).value() == 0xafd4ab183580fd6u);
}

TEST_CASE("a made play is set in lines, turns and sentences", "[data]") {
  const std::string text = data::made_text(100'000, 1);
  std::istringstream lines(text.substr(0, text.rfind("\n\n") + 1));
  std::string last_speaker, speech, line;
  i32 turns = 0;
  for (bool head = true; std::getline(lines, line);) {
    CHECK(line.size() <= 48);
    if (head) {
      CHECK(line.back() == ':');
      CHECK(line != last_speaker);
      last_speaker = line;
      speech.clear();
      head = false;
      ++turns;
    } else if (line.empty()) {
      head = true;
      CHECK((speech[0] >= 'A' && speech[0] <= 'Z'));
      CHECK(std::string(".?!").find(speech[speech.size() - 1]) != std::string::npos);
      for (std::size_t i = 0; i + 2 < speech.size(); ++i) {
        const bool ends = std::string(".?!").find(speech[i]) != std::string::npos;
        if (ends) CHECK((speech[i + 1] == ' ' && speech[i + 2] >= 'A' && speech[i + 2] <= 'Z'));
      }
    } else {
      speech += (speech.empty() ? "" : " ") + line;
    }
  }
  CHECK(turns > 500);
}

TEST_CASE("questions begin with do or does, and a vowel is led by an", "[data]") {
  std::string text = data::made_text(100'000, 2);
  for (char& letter : text) letter = letter == '\n' ? ' ' : letter;
  std::size_t begin = 0;
  for (std::size_t end = text.find_first_of(".?!:"); end != std::string::npos;
       end = text.find_first_of(".?!:", end + 1)) {
    const std::string sentence = text.substr(begin, end - begin);
    const std::size_t first = sentence.find_first_not_of(' ');
    if (text[end] != ':' && first != std::string::npos) {
      const bool asks =
          sentence.compare(first, 3, "Do ") == 0 || sentence.compare(first, 5, "Does ") == 0;
      CHECK(asks == (text[end] == '?'));
    }
    begin = end + 1;
  }
  CHECK(text.find(" a apple") == std::string::npos);
  CHECK(text.find(" an king") == std::string::npos);
  CHECK(text.find(" an hour ") != std::string::npos);
  CHECK(text.find(" the kings sees ") == std::string::npos);
  CHECK(text.find(" the king see ") == std::string::npos);
}

TEST_CASE("more of the past says more of what follows in a made text", "[data]") {
  const std::string text = data::made_text(500'000, 1);
  const std::set<char> letters(text.begin(), text.end());
  CHECK(letters.size() > 40);
  CHECK(letters.size() < 64);
  const double one = bits_of_counts(text, 1);
  const double three = bits_of_counts(text, 3);
  const double five = bits_of_counts(text, 5);
  CAPTURE(one, three, five);
  CHECK(one > three + 0.5);
  CHECK(three > five + 0.05);
  CHECK(five > 0.4);
}
