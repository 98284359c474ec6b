#include <tessera/passes/buffer_table.hpp>

#include <support/catch.hpp>

#include <string>

namespace {

using namespace tessera;
using namespace tessera::passes;

buffer_table read(const std::string& text) {
  return read_buffer_table(data::parse_csv(text, "t.csv", {.header = true}));
}

std::string fault(const std::string& text) {
  try {
    read(text);
  } catch (const error& wrong) {
    return wrong.what();
  }
  return "none";
}

TEST_CASE("Buffers are read by the names of their columns", "[passes]") {
  const buffer_table table = read("size,upper,note,id,lower\n128,1000000007,x,a,5\n64,5,,b,-3\n");
  REQUIRE(table.buffers.size() == 2);
  CHECK(table.ids[0] == "a");
  CHECK(table.lower[1] == -3);
  CHECK(table.upper[0] == 1000000007);
  CHECK(table.buffers[0].bytes == 128);
  // Moments -3, 5 and 1000000007 are 0, 1 and 2; b has died when a is born.
  CHECK(table.buffers[0].born == 1);
  CHECK(table.buffers[0].dies == 1);
  CHECK(table.buffers[1].born == 0);
  CHECK(table.buffers[1].dies == 0);
}

TEST_CASE("What is wrong with a table of buffers is said", "[passes]") {
  CHECK(fault("id,lower,upper\na,0,1\n") ==
        "t.csv: line 1: no column \"size\"; expected id, lower, upper and size");
  CHECK(fault("id,lower,lower,upper,size\na,0,0,1,64\n") == "t.csv: line 1: two columns \"lower\"");
  CHECK(fault("id,lower,upper,size,gaps\na,0,1,64,\n") ==
        "t.csv: line 1: column \"gaps\" asks for what is not planned; expected id, lower, upper "
        "and size");
  CHECK(fault("id,lower,upper,size\na,0,1,64\nb,0,x,64\n") ==
        "t.csv: line 3, column 3: expected a whole number, got \"x\"");
  CHECK(fault("id,lower,upper,size\na,0,1,6.5\n") ==
        "t.csv: line 2, column 4: expected a whole number, got \"6.5\"");
  CHECK(fault("id,lower,upper,size\na,0,1,\n") ==
        "t.csv: line 2, column 4: expected a whole number, got \"\"");
  CHECK(fault("id,lower,upper,size\na,0,1,99999999999999999999\n") ==
        "t.csv: line 2, column 4: expected a whole number, got \"99999999999999999999\"");
  CHECK(fault("id,lower,upper,size\na,0,1,-64\n") ==
        "t.csv: line 2, column 4: expected a size of 0 or more, got -64");
  CHECK(fault("id,lower,upper,size\na,0,1,1152921504606846976\nb,2,3,1\n") ==
        "t.csv: line 3, column 4: the sizes add up to more than 2^60");
  CHECK(fault("id,lower,upper,size\na,4,4,64\n") ==
        "t.csv: line 2, column 3: expected an upper after lower 4, got 4");
  CHECK(fault("id,lower,upper,size\na,4,5\n") ==
        "t.csv: line 2: expected 4 cells as in line 1, got 3");
  CHECK(fault("id,lower,upper,size\n") == "t.csv: holds no rows, expected a table");
}

}  // namespace
