#include <tessera/backends/accelerator/machine_file.hpp>

#include <support/catch.hpp>
#include <support/paths.hpp>

#include <tessera/backends/accelerator/price.hpp>
#include <fstream>
#include <random>

using namespace tessera;
using namespace tessera::accelerator;

namespace {

std::string refusal_of(const io::json& object) {
  try {
    machine_from_json(object, "m.json");
  } catch (const error& e) {
    return e.what();
  }
  return "accepted";
}

std::string refusal(const std::string& text) {
  try {
    machine_from_json(io::parse_json(text, "m.json"), "m.json");
  } catch (const error& e) {
    return e.what();
  }
  return "accepted";
}

/// Every field of an object, and of objects in it, as a path; and the objects themselves.
void paths_of(const io::json& object, const std::string& path, std::vector<std::string>& paths) {
  for (const auto& item : object.items()) {
    const std::string inner = path + "/" + item.key();
    paths.push_back(inner);
    if (item.value().is_object()) paths_of(item.value(), inner, paths);
  }
}

/// "/matrix/dots/taps" as messages name it: "matrix.dots.taps"
std::string named(const std::string& path) {
  std::string name = path.substr(1);
  std::replace(name.begin(), name.end(), '/', '.');
  return '"' + name + '"';
}

bool is_one_line(const std::string& text) { return text.find('\n') == std::string::npos; }

/// A dense layer in halves: 64 x 784 by 784 x 120.
constexpr signature dense_layer() {
  signature s;
  s.what = kind::dense;
  s.n[0] = 64;
  s.n[1] = 784;
  s.n[2] = 120;
  for (const i32 slot : {0, 1, 2, 8}) s.set_type(slot, element::f16);
  return s;
}

}  // namespace

TEST_CASE("every preset is the same machine after it was written and read", "[machine_file]") {
  const testing::scratch_folder folder;
  for (const machine* preset : machines) {
    INFO(preset->name);
    write_machine(folder.file("m.json"), *preset);
    const machine read = read_machine(folder.file("m.json"));
    CHECK(read == *preset);
    CHECK(machine_to_json(read) == machine_to_json(*preset));
  }
}

TEST_CASE("a machine from a file prices as the constant does", "[machine_file]") {
  constexpr signature s = dense_layer();
  constexpr operation_price constant = price(ipu_mk1, s);
  const machine read = machine_from_json(machine_to_json(ipu_mk1), "m.json");
  CHECK(price(read, s) == constant);

  constexpr machine half = [] {
    machine m = ipu_mk1;
    m.tiles = 608;
    m.exchange.bytes_16ths = 128;
    m.matrix.round = rounding::toward_zero;
    return m;
  }();
  const machine described = machine_from_json(
      io::parse_json(R"({"base": "ipu_mk1", "tiles": 608, "exchange": {"bytes_16ths": 128},
                         "matrix": {"round": "toward_zero"}})",
                     "m.json"),
      "m.json");
  CHECK(described == half);
  constexpr operation_price of_half = price(half, s);
  CHECK(price(described, s) == of_half);
}

TEST_CASE("the examples' machine is the preset that it names, with its own fields",
          "[machine_file]") {
  const machine m = read_machine(testing::data_file("../../examples/machines/edge_npu.json"));
  CHECK(std::string(m.name) == "edge_npu");
  CHECK(m.matrix.rows == 32);
  CHECK(m.vector.divide == small_array.vector.divide);
  CHECK(price(m, dense_layer()).cycles() < price(small_array, dense_layer()).cycles());
}

TEST_CASE("a wrong machine file is told in one line with file and field", "[machine_file]") {
  CHECK(refusal("[]") == "machine: m.json: expected an object, got []");
  CHECK(refusal("{}") ==
        "machine: m.json: no field \"name\"; give it, or name a \"base\" that has it");
  CHECK(refusal(R"({"base": "ipu_mk1", "tiles": 0})") ==
        "machine: m.json: \"tiles\": expected a whole number from 1 to 1000000, got 0");
  CHECK(refusal(R"({"base": "ipu_mk1", "tiles": 4.5})") ==
        "machine: m.json: \"tiles\": expected a whole number from 1 to 1000000, got 4.5");
  CHECK(refusal(R"({"base": "ipu_mk1", "tiles": 18446744073709551615})") ==
        "machine: m.json: \"tiles\": expected a whole number from 1 to 1000000, got "
        "18446744073709551615");
  CHECK(refusal(R"({"base": "ipu_mk1", "matrix": {"row": 4}})") ==
        "machine: m.json: \"matrix.row\" is not a field of a machine");
  CHECK(refusal(R"({"base": "ipu_mk1", "matrix": {"drain": "never"}})") ==
        "machine: m.json: \"matrix.drain\": expected one of overlap, serial, got \"never\"");
  CHECK(refusal(R"({"base": "ipu_mk1", "dma": {"overlap": 1}})") ==
        "machine: m.json: \"dma.overlap\": expected true or false, got 1");
  CHECK(refusal(R"({"base": "ipu_mk1", "sram": []})") ==
        "machine: m.json: \"sram\": expected an object, got []");
  CHECK(refusal(R"({"base": "ipu_mk1", "name": "longer than twenty-three"})") ==
        "machine: m.json: \"name\": expected a name of 1 to 23 bytes, got "
        "\"longer than twenty-three\"");
  CHECK(refusal(R"({"base": "ipu_mk1", "matrix": {"form": "systolic"}})") ==
        "machine: m.json: \"matrix.rows\": expected at least 1 where the form is systolic, got 0");
  CHECK(refusal(R"({"base": "ipu_mk1", "matrix": {"order": "folds"}})") ==
        "machine: m.json: \"matrix.rows\": expected at least 1 where the order is folds, got 0");
  CHECK(refusal(R"({"base": "tpu_v1", "matrix": {"flow": "output_stationary"}})") ==
        "machine: m.json: \"matrix.order\": expected chain where outputs stay in place, got folds");
  CHECK(refusal(R"({"base": "ipu_mk1", "matrix": {"numbers": {"sum": "f16"}}})") ==
        "machine: m.json: \"matrix.numbers.sum\": expected f32 or i32, got f16");
  CHECK(refusal(R"({"base": "ipu_mk1", "tiles": 4, "tiles": 5})") ==
        "json: m.json: \"tiles\" is given twice");
  CHECK(refusal(R"({"base": "ipu_mk9"})").find("\"base\": expected one of ipu_mk1, ipu_mk2, ") !=
        std::string::npos);
  CHECK_THROWS_AS(read_machine("/no/such/file.json"), error);
}

TEST_CASE("no field can be missing, of another type, or out of bounds", "[machine_file]") {
  const io::json whole = machine_to_json(tpu_v1);
  std::vector<std::string> paths;
  paths_of(whole, "", paths);
  CHECK(paths.size() > 100);
  for (const std::string& path : paths) {
    INFO(path);
    const io::json::json_pointer at(path);
    io::json broken = whole;
    broken.at(at.parent_pointer()).erase(at.back());
    CHECK(refusal_of(broken) ==
          "machine: m.json: no field " + named(path) + "; give it, or name a \"base\" that has it");
    for (const io::json& wrong :
         {io::json(nullptr), io::json(-1), io::json(1.5), io::json("maybe"), io::json(u64{1} << 63),
          io::json::array({1}), io::json{{"and", "so on"}}}) {
      if (path == "/name" && wrong.is_string()) continue;
      broken = whole;
      broken[at] = wrong;
      const std::string said = refusal_of(broken);
      const bool inside = wrong.is_object() && whole.at(at).is_object();
      if (!inside) CHECK(said.starts_with("machine: m.json: " + named(path) + ": expected "));
      CHECK(said.starts_with("machine: m.json: "));
      CHECK(is_one_line(said));
    }
    if (!whole.at(at).is_object()) continue;
    broken = whole;
    broken[at]["novel"] = 1;
    CHECK(refusal_of(broken) ==
          "machine: m.json: " + named(path + "/novel") + " is not a field of a machine");
  }
}

TEST_CASE("texts that were cut or changed are a machine or refused in one line", "[machine_file]") {
  const std::string whole = machine_to_json(nvdla_full).dump(1);
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    const std::string said = refusal(whole.substr(0, size));
    CHECK(said.find("m.json") != std::string::npos);
    CHECK(is_one_line(said));
  }
  std::mt19937 random(7);  // its values are the same everywhere
  i32 accepted = 0;
  for (i32 i = 0; i < 3000; ++i) {
    std::string text = whole;
    const std::size_t changes = 1 + random() % 3;
    for (std::size_t j = 0; j < changes; ++j) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = static_cast<char>(random() % 256); break;
        case 1: text.erase(at, 1 + random() % 4); break;
        default: text.insert(at, 1, "0123456789-,:{}\"eE."[random() % 19]);
      }
    }
    try {
      const machine m = machine_from_json(io::parse_json(text, "m.json"), "m.json");
      CHECK(machine_from_json(machine_to_json(m), "m.json") == m);
      CHECK(price(m, dense_layer()).cycles() > 0);  // whatever it is, it prices
      ++accepted;
    } catch (const error& e) {
      const std::string said = e.what();
      if (said.find("m.json") == std::string::npos || !is_one_line(said)) {
        INFO(text);
        FAIL_CHECK(said);
      }
    }
  }
  CHECK(accepted > 10);
}
