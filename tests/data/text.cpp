#include <tessera/data/text.hpp>

#include <support/catch.hpp>
#include <support/data_sets.hpp>
#include <support/idx_files.hpp>  // write_bytes, gzip_stored, error_of
#include <support/paths.hpp>

#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

template <class Source>
std::string input(const Source& source, i64 index) {
  std::vector<i32> codes(static_cast<std::size_t>(source.sample_shape().count()));
  source.read(index, codes.data());
  std::vector<float> floats(codes.size());
  source.read(index, floats.data());
  CHECK(std::vector<i32>(floats.begin(), floats.end()) == codes);
  return source.text().letters().decode(codes);
}

template <class Source>
std::string next(const Source& source, i64 index) {
  std::vector<i32> codes(static_cast<std::size_t>(source.sample_shape().count()));
  source.targets(index, codes.data());
  CHECK(source.label(index) == codes.back());
  return source.text().letters().decode(codes);
}

const std::string ten = "abcdefghij";

}  // namespace

TEST_CASE("an alphabet is what occurs, in the order of bytes", "[data]") {
  const data::alphabet letters("to be or\xff");
  CHECK(letters.letters() == " beort\xff");
  CHECK(letters.size() == 7);
  CHECK(letters.encode("to be or") == std::vector<i32>{5, 3, 0, 1, 2, 0, 3, 4});
  CHECK(letters.decode(letters.encode("robot")) == "robot");
  CHECK(letters.code('\xff') == 6);
  CHECK(letters.code('x') == -1);
  CHECK(error_of([&] { letters.encode("box"); }) ==
        "alphabet: character 120 at 2 does not occur in the text it was made of");
  CHECK(data::alphabet().size() == 0);
}

TEST_CASE("a text is cut in parts that share its alphabet", "[data]") {
  const data::text_corpus all(ten);
  CHECK(all.size() == 10);
  const data::text_split cut = data::split_text(all);
  CHECK(cut.train.size() == 9);
  CHECK(cut.test.size() == 1);
  CHECK(cut.test.code(0) == 9);
  CHECK(cut.test.letters().size() == 10);
  CHECK(all.part(2, 8).part(1, 3).code(1) == 4);
  CHECK(error_of([&] { all.part(3, 11); }) ==
        "text_corpus: expected a range within 0 to 10, got 3 to 11");
  CHECK(data::text_corpus("cab", all.letters()).code(0) == 2);
  CHECK(error_of([&] { data::text_corpus("x", all.letters()); }) ==
        "alphabet: character 120 at 0 does not occur in the text it was made of");
}

TEST_CASE("windows are samples and what follows each character", "[data]") {
  const data::text_windows source(data::text_corpus(ten), {.length = 3});
  REQUIRE(source.size() == 3);
  CHECK(source.sample_shape() == shape(3));
  CHECK(input(source, 0) == "abc");
  CHECK(next(source, 0) == "bcd");
  CHECK(input(source, 2) == "ghi");
  CHECK(next(source, 2) == "hij");
  // One character less, and the last sample has nothing to predict.
  CHECK(data::text_windows(data::text_corpus("abcdefghi"), {.length = 3}).size() == 2);
}

TEST_CASE("windows may overlap or leave gaps", "[data]") {
  const data::text_windows close(data::text_corpus(ten), {.length = 3, .stride = 1});
  CHECK(close.size() == 7);
  CHECK(input(close, 6) == "ghi");
  const data::text_windows wide(data::text_corpus(ten), {.length = 3, .stride = 6});
  CHECK(wide.size() == 2);
  CHECK(input(wide, 1) == "ghi");
}

TEST_CASE("moving windows lie elsewhere in every epoch and stay within the text", "[data]") {
  const data::window_options options{.length = 3, .stride = 3, .moving = true, .seed = 4};
  const data::text_windows source(data::text_corpus(ten), options);
  REQUIRE(source.size() == 2);  // room to move by 2
  const data::text_windows again(data::text_corpus(ten), options);
  i32 met[3] = {};
  std::vector<i64> start;
  for (i64 epoch = 0; epoch < 300; ++epoch) {
    source.start_epoch(epoch);
    start.push_back(source.start(0));
    REQUIRE((source.start(0) >= 0 && source.start(0) < 3));
    ++met[source.start(0)];
    CHECK(source.start(1) == source.start(0) + 3);
    CHECK(next(source, 1) == ten.substr(static_cast<std::size_t>(source.start(1) + 1), 3));
  }
  // 100 of each expected, standard deviation 8; five of them allowed.
  for (const i32 count : met) CHECK((count > 60 && count < 140));
  for (const i64 epoch : {200, 3, 77}) {
    again.start_epoch(epoch);
    CHECK(again.start(0) == start[static_cast<std::size_t>(epoch)]);
  }
}

TEST_CASE("a stream goes on in the next batch where it was", "[data]") {
  const data::text_corpus text("0123456789abcdefghijklm");  // 23
  const data::text_streams source(text, 3, 2);
  CHECK(source.in_order);
  REQUIRE(source.steps() == 3);  // 22 characters have a next one: 7 for a stream, 3 steps of 2
  REQUIRE(source.size() == 9);
  const std::string expected[3][3]{{"01", "67", "cd"}, {"23", "89", "ef"}, {"45", "ab", "gh"}};
  for (i64 step = 0; step < 3; ++step) {
    for (i64 stream = 0; stream < 3; ++stream) {
      CHECK(input(source, step * 3 + stream) == expected[step][stream]);
    }
  }
  CHECK(next(source, 8) == "hi");
  for (i64 i = 0; i + 3 < 9; ++i) {
    // The target's last character is the first of the same stream's next step.
    CHECK(next(source, i).back() == input(source, i + 3).front());
  }
  CHECK(data::text_streams(text, 1, 22).size() == 1);
  CHECK(data::text_streams(text, 22, 1).steps() == 1);
}

TEST_CASE("texts too short for a sample are refused", "[data]") {
  const data::text_corpus text(ten);
  CHECK(data::text_windows(text, {.length = 9}).size() == 1);
  CHECK(error_of([&] { data::text_windows(text, {.length = 10}); }) ==
        "text_windows: expected a text of at least 11 characters, got 10");
  CHECK(error_of([&] { data::text_windows(text, {.length = 6, .stride = 5, .moving = true}); }) ==
        "text_windows: expected a text of at least 11 characters, got 10");
  CHECK(error_of([&] { data::text_windows(text, {.length = 0}); }) ==
        "text_windows: expected a length and a stride of at least 1, got 0 and 0");
  CHECK(error_of([&] { data::text_streams(text, 2, 5); }) ==
        "text_streams: expected a text of at least 11 characters, got 10");
  CHECK(error_of([&] { data::text_streams(text, 0, 5); }) ==
        "text_streams: expected at least 1 stream and a length of at least 1, got 0 and 5");
  CHECK(error_of([&] { data::text_streams(data::text_corpus(), 1, 1); }) ==
        "text_streams: expected a text of at least 2 characters, got 0");
}

TEST_CASE("a text is read from a file, plain or packed", "[data]") {
  const scratch_folder folder;
  const std::string long_text(2'500'000, 'x');
  write_bytes(folder.file("plain"), byte_string(long_text.begin(), long_text.end()));
  CHECK(data::read_text(folder.file("plain")) == long_text);
  write_bytes(folder.file("packed"), gzip_stored({'a', '\n', 'b'}));
  CHECK(data::read_text(folder.file("packed")) == "a\nb");
  write_bytes(folder.file("empty"), {});
  CHECK(error_of([&] { data::read_text(folder.file("empty")); }) ==
        folder.file("empty") + ": is empty, expected a text");
  CHECK(error_of([&] { data::read_text(folder.file("none")); }) ==
        folder.file("none") + ": no such file");
  CHECK(error_of([&] { data::read_text(folder.file("plain"), 1000); }) ==
        folder.file("plain") + ": holds more than the limit of 1000 bytes");
}

TEST_CASE("Tiny Shakespeare itself is read", "[data]") {
  const auto folder = data_set("tinyshakespeare");
  if (folder.empty()) return;
  const data::text_corpus text(data::read_text(folder / "input.txt"));
  CHECK(text.size() == 1'115'394);
  CHECK(text.letters().size() == 65);
  CHECK(text.letters().letters().substr(0, 13) == "\n !$&',-.3:;?");
  const data::text_split cut = data::split_text(text);
  CHECK(cut.train.size() == 1'003'854);
  CHECK(cut.test.size() == 111'540);
  const data::text_windows source(cut.train, {.length = 13});
  CHECK(input(source, 0) == "First Citizen");
  CHECK(next(source, 0) == "irst Citizen:");
}
