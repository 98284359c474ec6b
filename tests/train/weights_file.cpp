#include <tessera/train/weights_file.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>
#include <support/paths.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/network.hpp>
#include <tessera/runtime/interpreter.hpp>
#include <tessera/train/weights_header.hpp>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::testing;

/// Weights of no network: named tensors with bytes of their own.
class some_weights {
 public:
  some_weights& add(const std::string& name, const shape& dims, element type = element::f32,
                    role what = role::parameter) {
    tensor t;
    t.dims = dims;
    t.type = type;
    t.what = what;
    auto& bytes = bytes_.emplace_back(static_cast<std::size_t>(t.bytes()));
    for (i64 i = 0; i < dims.count(); ++i) {
      write_element(bytes.data(), type, i, 0.37 * static_cast<double>(i) - 1.1);
    }
    list.push_back({name, t, bytes});
    return *this;
  }
  some_weights& fill(double value) {
    for (const weight& w : list) {
      for (i64 i = 0; i < w.about.dims.count(); ++i) {
        write_element(w.bytes.data(), w.about.type, i, value);
      }
    }
    return *this;
  }
  double at(std::size_t which, i64 element) const {
    return read_element(list[which].bytes.data(), list[which].about.type, element);
  }

  weight_list list;

 private:
  std::deque<std::vector<std::byte>> bytes_;
};

/// What loading says, "" where it succeeds.
template <class Source>
std::string refusal(const Source& source, const weight_list& list, const load_options& o = {}) {
  try {
    load(source, list, o);
  } catch (const error& e) {
    return e.what();
  }
  return "";
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A small network as PyTorch would save it.
some_weights model() {
  some_weights w;
  w.add("conv1.weight", shape(2, 1, 3, 3)).add("bn1.weight", shape(2)).add("bn1.bias", shape(2));
  w.add("bn1.running_mean", shape(2), element::f32, role::statistic);
  w.add("fc.weight", shape(3, 8)).add("fc.bias", shape(3));
  return w;
}

TEST_CASE("Weights and statistics that were saved load bit for bit", "[train]") {
  const scratch_folder here;
  some_weights from = model();
  write_element(from.list[0].bytes.data(), element::f32, 3, -0.0);
  write_element(from.list[0].bytes.data(), element::f32, 4,
                std::numeric_limits<double>::quiet_NaN());
  save(here.file("m.safetensors"), from.list);
  some_weights to = model();
  to.fill(7);
  const load_result result = load(here.file("m.safetensors"), to.list);
  CHECK(result.loaded == 6);
  CHECK(result.message() == "6 tensors loaded");
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(
        std::equal(from.list[i].bytes.begin(), from.list[i].bytes.end(), to.list[i].bytes.begin()));
  }
}

TEST_CASE("Floats of another size become the weight's", "[train]") {
  const scratch_folder here;
  for (const element stored : {element::f16, element::bf16, element::f64}) {
    some_weights from;
    from.add("w", shape(5), stored);
    save(here.file("m"), from.list);
    for (const element wanted : {element::f32, element::f64, element::f16}) {
      some_weights to;
      to.add("w", shape(5), wanted).fill(9);
      load(here.file("m"), to.list);
      some_weights expected;
      expected.add("w", shape(5), wanted);
      for (i64 i = 0; i < 5; ++i) {
        write_element(expected.list[0].bytes.data(), wanted, i, from.at(0, i));
        CHECK(to.at(0, i) == expected.at(0, i));
      }
    }
  }
}

TEST_CASE("Everything that does not fit is told, and nothing is changed", "[train]") {
  const scratch_folder here;
  const std::string path = here.file("m");
  some_weights from;
  from.add("conv1.weight", shape(2, 1, 5, 5)).add("bn1.weight", shape(2), element::int32);
  from.add("bn1.bias", shape(2)).add("bn1.running_mean", shape(2)).add("fc.weight", shape(3, 8));
  from.add("extra", shape());
  save(path, from.list);
  some_weights to = model();
  to.fill(4);
  CHECK(refusal(path, to.list) == "safetensors: \"conv1.weight\" has shape 2x1x5x5 in " + path +
                                      ", 2x1x3x3 in the network; \"bn1.weight\" holds I32 in " +
                                      path + ", F32 in the network; \"fc.bias\" is missing in " +
                                      path + "; \"extra\" is in " + path +
                                      ", but not in the network");
  for (std::size_t i = 0; i < to.list.size(); ++i) CHECK(to.at(i, 1) == 4);
  CHECK(refusal(here.file("none"), to.list).find("No such file") != std::string::npos);
  // What fits is copied in partial mode, but a wrong shape is wrong there, too.
  CHECK(refusal(path, to.list, {.partial = true}) ==
        "safetensors: \"conv1.weight\" has shape 2x1x5x5 in " + path +
            ", 2x1x3x3 in the network; \"bn1.weight\" holds I32 in " + path +
            ", F32 in the network");
  for (std::size_t i = 0; i < to.list.size(); ++i) CHECK(to.at(i, 1) == 4);
}

TEST_CASE("Part of a network can be loaded, and the rest is listed", "[train]") {
  const scratch_folder here;
  some_weights from;
  from.add("conv1.weight", shape(2, 1, 3, 3)).add("bn1.weight", shape(2));
  from.add("fc.weight", shape(1000, 8)).add("fc.bias", shape(1000)).add("aux", shape(4));
  save(here.file("m"), from.list);
  some_weights to = model();
  to.fill(4);
  const load_result result = load(here.file("m"), to.list, {.ignore = {"fc."}, .partial = true});
  CHECK(result.loaded == 2);
  CHECK(result.message() ==
        "2 tensors loaded; kept as they were: \"bn1.bias\", \"bn1.running_mean\", \"fc.weight\", "
        "\"fc.bias\"; not used: \"aux\"");
  CHECK(to.at(0, 1) == from.at(0, 1));
  CHECK(to.at(1, 1) == from.at(1, 1));
  CHECK(to.at(2, 1) == 4);
  CHECK(to.at(4, 1) == 4);

  some_weights other;
  other.add("a", shape(2));
  CHECK(refusal(here.file("m"), other.list, {.partial = true}) ==
        "safetensors: no tensor of " + here.file("m") + " is in the network");
}

TEST_CASE("Names become the network's by rules, by a function, or both", "[train]") {
  const scratch_folder here;
  some_weights from;
  from.add("module.features.0.weight", shape(2)).add("module.classifier.bias", shape(3));
  from.add("optimizer.step", shape());
  save(here.file("m"), from.list);
  some_weights to;
  to.add("conv1.weight", shape(2)).add("dense1.bias", shape(3));
  const auto fits = [&](const load_options& o) {
    to.fill(5);
    const std::string said = refusal(here.file("m"), to.list, o);
    if (said.empty()) CHECK(to.at(1, 2) == from.at(1, 2));
    return said;
  };
  CHECK(fits({.rename = {{"module.features.0.", "conv1."}, {"module.classifier.", "dense1."}},
              .ignore = {"step"}}) == "");
  CHECK(fits({.rename = {{"features.0.", "conv1."}, {"classifier.", "dense1."}},
              .rename_by = [](const std::string& name) {
                return name.starts_with("module.") ? name.substr(7) : std::string();
              }}) == "");
  CHECK(fits({.rename = {{"module.features.0.", "conv1."}, {"module.", "other."}},
              .ignore = {"optimizer.step"}}) ==
        "safetensors: \"dense1.bias\" is missing in " + here.file("m") +
            "; \"module.classifier.bias\" is in " + here.file("m") + ", but not in the network");
  to.list[0].about.dims = shape(1, 2);
  CHECK(fits({.rename = {{"module.features.0.", "conv1."}, {"module.classifier.", "dense1."}},
              .ignore = {"optimizer."}}) ==
        "safetensors: \"conv1.weight\" has shape 2 in " + here.file("m") +
            " (as \"module.features.0.weight\"), 1x2 in the network");
}

TEST_CASE("Two tensors under one name are refused", "[train]") {
  const scratch_folder here;
  some_weights from;
  from.add("a.w", shape(2)).add("b.w", shape(2));
  save(here.file("m"), from.list);
  some_weights to;
  to.add("w", shape(2)).fill(3);
  CHECK(refusal(here.file("m"), to.list, {.rename = {{"a.", ""}, {"b.", ""}}, .partial = true}) ==
        "safetensors: \"w\" is what \"a.w\" and \"b.w\" are both called");
  some_weights twins;
  twins.add("a.w", shape(2)).add("a.w", shape(2)).add("b.w", shape(2)).fill(3);
  CHECK(refusal(here.file("m"), twins.list) ==
        "safetensors: \"a.w\" is the name of two weights of the network");
  CHECK_THROWS_AS(save(here.file("n"), twins.list), error);
}

TEST_CASE("PyTorch's counters of batches are passed over, unless they are wanted", "[train]") {
  const scratch_folder here;
  some_weights from = model();
  from.add("bn1.num_batches_tracked", shape(), element::int64);
  save(here.file("m"), from.list);
  some_weights to = model();
  CHECK(load(here.file("m"), to.list).message() == "6 tensors loaded");
  to.add("bn1.num_batches_tracked", shape(), element::int64);
  CHECK(load(here.file("m"), to.list).message() == "7 tensors loaded");
}

TEST_CASE("Where names differ by a prefix, the rule to write is named", "[train]") {
  const scratch_folder here;
  some_weights wrapped;
  some_weights plain = model();
  for (const weight& w : plain.list) wrapped.add("module." + w.name, w.about.dims);
  save(here.file("wrapped"), wrapped.list);
  save(here.file("plain"), plain.list);
  const auto ends_with = [](const std::string& text, const std::string& end) {
    INFO(text);
    CHECK(text.ends_with(end));
  };
  ends_with(refusal(here.file("wrapped"), plain.list),
            "; 6 names agree without \"module.\": load with .rename = {{\"module.\", \"\"}}");
  CHECK(refusal(here.file("wrapped"), plain.list, {.rename = {{"module.", ""}}}) == "");
  ends_with(refusal(here.file("plain"), wrapped.list),
            "; 6 names agree with \"module.\" before them: load with .rename = {{\"\", "
            "\"module.\"}}");
  CHECK(refusal(here.file("plain"), wrapped.list, {.rename = {{"", "module."}}}) == "");
  ends_with(refusal(here.file("wrapped"), plain.list, {.partial = true}),
            "load with .rename = {{\"module.\", \"\"}}");
  some_weights strange;
  strange.add("x.y", shape(2));
  CHECK(refusal(here.file("plain"), strange.list).find("agree") == std::string::npos);
}

TEST_CASE("Values that are not finite are refused on request", "[train]") {
  const scratch_folder here;
  some_weights from = model();
  write_element(from.list[4].bytes.data(), element::f32, 2,
                std::numeric_limits<double>::infinity());
  save(here.file("m"), from.list);
  some_weights to = model();
  CHECK(refusal(here.file("m"), to.list).empty());
  CHECK(refusal(here.file("m"), to.list, {.finite = true}) ==
        "safetensors: \"fc.weight\" holds values in " + here.file("m") + " that are not finite");
}

// --- names of a network's weights ---------------------------------------------------------------

/// The names of a network's weights, each followed by its shape.
template <class Network>
std::vector<std::string> listed() {
  interpreter run(make_forward<Network, void>(1, purpose::inference), reference::find_kernel);
  const graph& g = run.network();
  const auto count = static_cast<std::size_t>(g.tensors.size());
  // Where the parameters are does not matter here; views of a null region are not read.
  std::vector<std::string> names;
  for (const weight& w : list_weights(g, {run.plan().locations.data(), count}, region_bases{})) {
    names.push_back(w.name + " " + std::string(spell_all<40>(w.about.dims).view()));
  }
  return names;
}

TEST_CASE("Weights of repeated blocks are listed one by one, as if written out", "[train]") {
  using net = network<input<4>, scope<"layer1", named<"0", dense<3>>, repeat_from<1, 2, dense<3>>>,
                      repeat<2, dense<3, no_bias>, tessera::tanh>>;
  CHECK(listed<net>() ==
        std::vector<std::string>{"layer1.0.weight 3x4", "layer1.0.bias 3",
                                 "layer1.1.dense1.weight 3x3", "layer1.1.dense1.bias 3",
                                 "layer1.2.dense1.weight 3x3", "layer1.2.dense1.bias 3",
                                 "repeat1.0.dense1.weight 3x3", "repeat1.1.dense1.weight 3x3"});
}

TEST_CASE("Statistics are listed beside the parameters; blocks within blocks in turn", "[train]") {
  using block = repeat<2, scope<"a", repeat<2, conv<2, 1, no_bias>>>, batch_norm>;
  CHECK(listed<network<image<2, 3, 3>, block>>() ==
        std::vector<std::string>{
            "repeat1.0.a.repeat1.0.conv1.weight 2x2x1x1",
            "repeat1.0.a.repeat1.1.conv1.weight 2x2x1x1", "repeat1.0.bn1.weight 2",
            "repeat1.0.bn1.bias 2", "repeat1.0.bn1.running_mean 2", "repeat1.0.bn1.running_var 2",
            "repeat1.1.a.repeat1.0.conv1.weight 2x2x1x1",
            "repeat1.1.a.repeat1.1.conv1.weight 2x2x1x1", "repeat1.1.bn1.weight 2",
            "repeat1.1.bn1.bias 2", "repeat1.1.bn1.running_mean 2", "repeat1.1.bn1.running_var 2"});
}

TEST_CASE("Slices of a stack are loaded each from its own tensor", "[train]") {
  const scratch_folder here;
  using net = network<input<3>, repeat<3, dense<3>, tessera::tanh>>;
  using written_out = network<input<3>, named<"repeat1.0.dense1", dense<3>>, tessera::tanh,
                              named<"repeat1.1.dense1", dense<3>>, tessera::tanh,
                              named<"repeat1.2.dense1", dense<3>>, tessera::tanh>;
  const auto run = [&]<class Network>(Network, bool draws) {
    graph made = make_forward<Network, void>(2, purpose::inference);
    for (i32 id = 0; id < made.tensors.size(); ++id) {
      if (id == storage_of(made, made.outputs[0])) made.tensors[id].what = role::result;
    }
    const i32 x = made.inputs[0];
    const i32 y = made.outputs[0];
    interpreter net_run(made, reference::find_kernel);
    const graph& g = net_run.network();
    region_bases bases;
    i32 first = 0;
    while (g.tensors[first].what != role::parameter) ++first;
    bases[region::parameters] = net_run.data(first);
    const auto count = static_cast<std::size_t>(g.tensors.size());
    const weight_list list = list_weights(g, {net_run.plan().locations.data(), count}, bases);
    REQUIRE(list.size() == 6);
    if (draws) {
      initialize_weights(list, 3);
      save(here.file("m"), list);
    } else {
      load(here.file("m"), list);
    }
    net_run.write(x, std::vector<double>{0.5, -1, 0.25, 1, 2, 3});
    net_run.run({.valid = 2});
    return net_run.read(y);
  };
  const std::vector<double> repeated = run(net{}, true);
  CHECK(run(written_out{}, false) == repeated);
  CHECK(run(net{}, false) == repeated);
  CHECK(run(written_out{}, true) == repeated);  // the same seed draws the same numbers
}

// --- C++ headers --------------------------------------------------------------------------------

TEST_CASE("A header spells every bit of every value", "[train]") {
  const scratch_folder here;
  some_weights w;
  w.add("a.weight", shape(2, 2)).add("b\"?", shape(2), element::f16).add("c", shape(0));
  w.add("d", shape(), element::f64);
  const float values[] = {1.0f, -0.0f, std::bit_cast<float>(0x7fc00001u), 0x1p-149f};
  std::memcpy(w.list[0].bytes.data(), values, sizeof(values));
  write_element(w.list[1].bytes.data(), element::f16, 0, 1.0);
  write_element(w.list[1].bytes.data(), element::f16, 1, 0.0);
  write_element(w.list[3].bytes.data(), element::f64, 0, -2.0);
  save_header(here.file("w.hpp"), w.list, "small_net");
  CHECK(text_of(here.file("w.hpp")) ==
        "// 4 tensors, 7 values, as bit patterns; written by Tessera.\n"
        "#pragma once\n\n#include <cstdint>\n#include <tessera/io/weights_header.hpp>\n\n"
        "namespace small_net_data {\n\n"
        "inline constexpr std::uint32_t tensor_0[] = {\n"
        "    0x3f800000,0x80000000,0x7fc00001,0x1};\n"
        "inline constexpr std::uint16_t tensor_1[] = {\n    0x3c00,0x0};\n"
        "inline constexpr std::uint64_t tensor_3[] = {\n    0xc000000000000000};\n"
        "inline constexpr tessera::io::header_tensor tensors[] = {\n"
        "    {\"a.weight\", tessera::element::f32, tessera::shape(2, 2), tensor_0},\n"
        "    {\"b\\042\\077\", tessera::element::f16, tessera::shape(2), tensor_1},\n"
        "    {\"c\", tessera::element::f32, tessera::shape(0), nullptr},\n"
        "    {\"d\", tessera::element::f64, tessera::shape(), tensor_3},\n"
        "};\n\n}  // namespace small_net_data\n\n"
        "inline constexpr tessera::io::weights_header small_net{small_net_data::tensors, 4, "
        "\"small_net\"};\n");
}

TEST_CASE("Weights of a header load as those of a file do", "[train]") {
  const std::uint32_t bias[] = {0x3f800000, 0xc0000000};
  const std::uint16_t weight[] = {0x3c00, 0x4000};
  const io::header_tensor tensors[] = {{"fc.bias", element::f32, shape(2), bias},
                                       {"fc.weight", element::f16, shape(2, 1), weight}};
  const io::weights_header header{tensors, 2, "fc_weights"};
  some_weights to;
  to.add("fc.weight", shape(2, 1)).add("fc.bias", shape(2)).fill(9);
  CHECK(load(header, to.list).loaded == 2);
  CHECK(to.at(0, 1) == 2);
  CHECK(to.at(1, 0) == 1);
  CHECK(to.at(1, 1) == -2);
  to.add("more", shape(1));
  CHECK(refusal(header, to.list) == "weights: \"more\" is missing in fc_weights");
}

TEST_CASE("A header needs a name, and an old one stays where writing fails", "[train]") {
  const scratch_folder here;
  const some_weights w = model();
  CHECK_THROWS_WITH(save_header(here.file("w.hpp"), w.list, "2nd"),
                    "weights: expected a C++ identifier, got \"2nd\"");
  CHECK_THROWS_AS(save_header(here.file("w.hpp"), w.list, "a b"), error);
  CHECK_THROWS_AS(save_header(here.file("w.hpp"), w.list, ""), error);
  CHECK_FALSE(std::filesystem::exists(here.file("w.hpp")));
  std::ofstream(here.file("w.hpp")) << "old";
  io::file_calls full;
  full.write = [](int, const void*, std::size_t) {
    errno = ENOSPC;
    return -1L;
  };
  CHECK_THROWS_AS(save_header(here.file("w.hpp"), w.list, "net", full), error);
  CHECK(text_of(here.file("w.hpp")) == "old");
  save_header(here.file("w.hpp"), w.list, "net");
  CHECK(text_of(here.file("w.hpp")).starts_with("// 6 tensors, 51 values"));
}

// --- files of PyTorch's -------------------------------------------------------------------------

std::string pretrained(const std::string& name) {
  const char* const data = std::getenv("TESSERA_DATA");
  const std::string path = std::string(data != nullptr ? data : "") + "/weights/" + name;
  if (data != nullptr && std::filesystem::exists(path)) return path;
  WARN("skipped: TESSERA_DATA names no folder with weights/" << name << " in it");
  return "";
}

/// The names and shapes of a CIFAR ResNet with `blocks` blocks a stage, shortcuts without weights.
some_weights cifar_resnet(i32 blocks) {
  some_weights w;
  const auto norm = [&](const std::string& name, i32 channels) {
    w.add(name + ".weight", shape(channels)).add(name + ".bias", shape(channels));
    w.add(name + ".running_mean", shape(channels), element::f32, role::statistic);
    w.add(name + ".running_var", shape(channels), element::f32, role::statistic);
  };
  w.add("conv1.weight", shape(16, 3, 3, 3));
  norm("bn1", 16);
  i32 in = 16;
  for (i32 stage = 1; stage <= 3; ++stage) {
    const i32 out = 8 << stage;
    for (i32 block = 0; block < blocks; ++block) {
      const std::string name = "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
      w.add(name + "conv1.weight", shape(out, in, 3, 3));
      norm(name + "bn1", out);
      w.add(name + "conv2.weight", shape(out, out, 3, 3));
      norm(name + "bn2", out);
      in = out;
    }
  }
  w.add("linear.weight", shape(10, 64)).add("linear.bias", shape(10));
  return w;
}

TEST_CASE("PyTorch's pretrained CIFAR ResNets fit in names and shapes", "[train]") {
  const std::string files[] = {"cifar-resnet/resnet20-12fca82f.safetensors",
                               "cifar-resnet/resnet56-4bfd9763.safetensors"};
  for (const i32 blocks : {3, 9}) {
    const std::string path = pretrained(files[blocks / 9]);
    if (path.empty()) continue;
    some_weights w = cifar_resnet(blocks);
    const load_result result = load(path, w.list, {.finite = true});
    CHECK(result.loaded == (blocks == 3 ? 97 : 277));
    i64 values = 0;
    for (const weight& one : w.list) values += one.about.dims.count();
    if (blocks == 3) CHECK(values == 271'098);
    const auto file = io::safetensors_file::read(path);
    for (const weight& one : w.list) {
      const auto stored = file.find(one.name)->bytes;
      CHECK(std::equal(stored.begin(), stored.end(), one.bytes.begin(), one.bytes.end()));
    }
    const std::string wrong = refusal(path, cifar_resnet(blocks - 1).list);
    CHECK(wrong.find("\"layer3." + std::to_string(blocks - 1) + ".bn2.running_var\" is in ") !=
          std::string::npos);
  }
}

TEST_CASE("SqueezeNet's pretrained weights fit, renamed", "[train]") {
  const std::string path = pretrained("squeezenet-v1.0/squeezenet-v1.0.safetensors");
  if (path.empty()) return;
  some_weights w;
  const auto conv = [&](const std::string& name, i32 out, i32 in, i32 kernel) {
    w.add(name + ".weight", shape(out, in, kernel, kernel)).add(name + ".bias", shape(out));
  };
  load_options o;
  conv("conv1", 96, 3, 7);
  i32 in = 96;
  for (i32 fire = 2; fire <= 9; ++fire) {
    const i32 squeeze = fire / 2 * 16;
    const std::string name = "fire" + std::to_string(fire);
    conv(name + ".squeeze", squeeze, in, 1);
    conv(name + ".expand1x1", 4 * squeeze, squeeze, 1);
    conv(name + ".expand3x3", 4 * squeeze, squeeze, 3);
    o.rename.push_back({name + "/conv1x1_1.", name + ".squeeze."});
    o.rename.push_back({name + "/conv1x1_2.", name + ".expand1x1."});
    o.rename.push_back({name + "/conv3x3_2.", name + ".expand3x3."});
    in = 8 * squeeze;
  }
  conv("conv10", 1000, 512, 1);
  CHECK(load(path, w.list, o).loaded == 52);
  i64 values = 0;
  for (const weight& one : w.list) values += one.about.dims.count();
  CHECK(values == 1'248'424);
}

}  // namespace
