#include <tessera/io/json.hpp>

#include <support/catch.hpp>

#include "folder.hpp"

#include <limits>
#include <string>

using namespace io_test;
using namespace tessera;
using tessera::io::json;
using tessera::io::parse_json;
using tessera::io::read_json;
using tessera::io::write_json;

TEST_CASE("JSON keeps values and the order of members", "[io]") {
  const std::string text =
      R"({"z":[1,-2,2.5,true,false,null,"text"],"a":{"m":{},"b":[[],[{}]]},"k":18446744073709551615})";
  const json value = parse_json(text, "t");
  CHECK(value.dump() == text);
  CHECK(value["z"][1] == -2);
  CHECK(value["k"].get<u64>() == std::numeric_limits<u64>::max());
  CHECK(parse_json("7", "t") == 7);
  CHECK(parse_json(text, "t") == json::parse(text));
}

TEST_CASE("A JSON report written to a file reads back", "[io]") {
  const folder here;
  json report;
  report["example"] = "mnist";
  report["test_accuracy"] = 0.9911;
  report["per_class"] = {1, 2, 3};
  report["undefined"] = std::numeric_limits<double>::quiet_NaN();
  write_json(here / "report.json", report);
  report["undefined"] = nullptr;
  CHECK(read_json(here / "report.json") == report);
  CHECK(get(here / "report.json").starts_with("{\n  \"example\": \"mnist\",\n"));
  CHECK(get(here / "report.json").ends_with("}\n"));

  CHECK(contains(words_of([&] { write_json(here / "report.json", 1, faulty::calls(2)); }),
                 "cannot write: No space left on device"));
  CHECK(read_json(here / "report.json") == report);
}

TEST_CASE("JSON that is not strictly right is refused in one line", "[io]") {
  const auto refused = [](const std::string& text) {
    const std::string words = words_of([&] { parse_json(text, "t"); });
    CHECK_FALSE(contains(words, "\n"));
    return words;
  };
  CHECK(refused(R"({"a":1,"b":{"a":2},"a":3})") == "json: t: \"a\" is given twice");
  CHECK(refused(R"([18446744073709551616])") ==
        "json: t: the integer 18446744073709551616 is too large");
  CHECK(contains(refused("[1e999]"), "json: t: number overflow"));
  CHECK(contains(refused("{\"a\":\n[1,]}"), "json: t: parse error at line 2, column 4"));
  CHECK(contains(refused("{} x"), "json: t: parse error at line 1, column 4"));
  CHECK(contains(refused(""), "unexpected end of input"));
  CHECK(contains(refused("[1] // note"), "parse error"));
  CHECK(contains(refused("\"\xff\""), "ill-formed UTF-8"));
  CHECK(contains(refused("NaN"), "parse error"));
  CHECK(refused(std::string("1\0junk", 6)) == "json: t: a zero byte in the text");
  CHECK(refused(std::string(64, '[') + std::string(64, ']')) == "no error");
  CHECK(refused(std::string(65, '[') + std::string(65, ']')) ==
        "json: t: nested deeper than 64 levels");
  CHECK(refused(std::string(10'000'000, '[')) == "json: t: nested deeper than 64 levels");
}

TEST_CASE("A missing JSON file is named", "[io]") {
  const folder here;
  CHECK(words_of([&] { read_json(here / "none.json"); }) ==
        (here / "none.json") + ": cannot open: No such file or directory");
}
