#include <tessera/data/words.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

using namespace tessera;
using tessera::testing::error_of;
using words = std::vector<std::string>;

TEST_CASE("a sentence is split into lower case words and marks", "[data]") {
  CHECK(data::split_words("Two men's T-shirts, 3.5 m.") ==
        words{"two", "men's", "t-shirts", ",", "3.5", "m", "."});
  CHECK(data::split_words("") == words{});
  CHECK(data::split_words(" \t\r\n") == words{});
  CHECK(data::split_words("a--b -c- 'd' e'") ==
        words{"a", "-", "-", "b", "-", "c", "-", "'", "d", "'", "e", "'"});
  CHECK(data::split_words("1,000.5.x?!") == words{"1,000.5", ".", "x", "?", "!"});
  CHECK(data::split_words("(a)b") == words{"(", "a", ")", "b"});
}

TEST_CASE("words may be of other letters than English ones", "[data]") {
  CHECK(data::split_words("Ein MÄDCHEN läuft über die Straße.") ==
        words{"ein", "mädchen", "läuft", "über", "die", "straße", "."});
  CHECK(data::split_words("„ÉTÉ“ – Ž ÿ Ω Я Ё …") ==
        words{"„", "été", "“", "–", "ž", "ÿ", "ω", "я", "ё", "…"});
  CHECK(data::split_words("l’été «x»") == words{"l’été", "«", "x", "»"});
  CHECK(data::split_words("a\xc2\xa0z") == words{"a", "z"});  // a space that does not break
  CHECK(data::split_words("a\xff z\xc3") == words{"a\xef\xbf\xbd", "z\xef\xbf\xbd"});
}

TEST_CASE("code points are read in the shortest form only", "[data]") {
  const auto read = [](std::string_view text) {
    std::size_t at = 0;
    const i32 code = data::next_code_point(text, at);
    CHECK(at == (code < 0 ? 0 : text.size()));
    return code;
  };
  CHECK(read("A") == 'A');
  CHECK(read("\xc3\xa4") == 0xe4);
  CHECK(read("\xe2\x82\xac") == 0x20ac);
  CHECK(read("\xf0\x9f\x98\x80") == 0x1f600);
  CHECK(read("\xf4\x8f\xbf\xbf") == 0x10ffff);
  for (const std::string_view wrong :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xe2\x82", "\xed\xa0\x80",
        "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3(", "\xff"}) {
    CHECK(read(wrong) == -1);
  }
  for (const i32 code : {0x41, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff}) {
    std::string text;
    data::append_code_point(text, code);
    CHECK(read(text) == code);
  }
}

TEST_CASE("a vocabulary numbers words by falling frequency", "[data]") {
  const std::vector<words> sentences{{"b", "a", "c", "a"}, {"c", "a", "d"}};
  const data::vocabulary all(sentences, 100);
  CHECK(all.size() == 8);
  CHECK(all.encode(words{"a", "c", "b", "d", "e"}) == std::vector<i32>{4, 5, 6, 7, 1});
  CHECK(all.word(4) == "a");
  CHECK(all.word(data::vocabulary::unknown) == "<unk>");
  CHECK(all.word(data::vocabulary::end) == "</s>");
  // The reserved words cannot be written in a text.
  CHECK(all.number("<unk>") == data::vocabulary::unknown);
  CHECK(all.number("</s>") == data::vocabulary::unknown);

  CHECK(data::vocabulary(sentences, 6).size() == 6);  // the most frequent
  CHECK(data::vocabulary(sentences, 6).number("b") == data::vocabulary::unknown);
  CHECK(data::vocabulary(sentences, 100, 2).size() == 6);  // twice at least
  CHECK(data::vocabulary(sentences, 4).size() == 4);
  CHECK(data::vocabulary().size() == 4);
  CHECK(error_of([&] { data::vocabulary(sentences, 3); }) ==
        "vocabulary: expected room for the 4 reserved words at least, got 3");
}
