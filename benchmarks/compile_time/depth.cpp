// What does depth cost to compile? Seconds and memory of trainers of deeper and deeper networks:
// recurrences over more steps, repeated blocks, residual networks, layers of all sizes.
//
//   bench_compile_time_depth [--repeat N] [--case NAME] [--compiler NAME] [--json FILE]

#include <compile_time/measure.hpp>

namespace {

using namespace tessera::benchmark;

/// A program that trains `layers` on samples of `input` for one step.
source trainer(const std::string& name, const std::string& input, const std::string& layers,
               int batch) {
  return {name,
          std::string("#include <tessera/tessera.hpp>\n") +
              (layers.find("models::") == std::string::npos ? ""
                                                            : "#include <tessera/models.hpp>\n") +
              "#include <cstdio>\n"
          "namespace ts = tessera;\n"
          "using net = ts::network<" +
              input + ", " + layers +
              ">;\n"
              "using job = ts::training<net, ts::softmax_cross_entropy, ts::momentum_sgd, "
              "ts::batch<" +
              std::to_string(batch) +
              ">>;\n"
              "int main() {\n"
              "  ts::trainer<job> t{ts::seed{1}};\n"
              "  t.step(0.01f);\n"
              "  std::printf(\"%f\\n\", t.loss());\n"
              "}\n"};
}

source dense_chain(int count, bool distinct) {
  std::string layers;
  for (int i = 0; i < count; ++i) {
    layers += "ts::dense<" + std::to_string(distinct ? 200 - i : 100) + ">, ts::relu, ";
  }
  return trainer(
      "dense x " + std::to_string(count) + (distinct ? ", distinct sizes" : ", one size"),
      "ts::input<64>", layers + "ts::dense<10>", 32);
}

source recurrence(int steps) {
  return trainer("lstm<128> over " + std::to_string(steps) + " steps",
                 "ts::sequence<" + std::to_string(steps) + ", 26>",
                 "ts::lstm<128, ts::last_output>, ts::dense<10>", 32);
}

const std::string block =
    "ts::residual<ts::conv<32, 3, ts::pad<1>, ts::no_bias>, ts::batch_norm, ts::relu, "
    "ts::conv<32, 3, ts::pad<1>, ts::no_bias>, ts::batch_norm>, ts::relu";

source blocks(int count, bool repeated) {
  std::string layers = "ts::conv<32, 3, ts::pad<1>>, ";
  if (repeated) {
    layers += "ts::repeat<" + std::to_string(count) + ", " + block + ">, ";
  } else {
    for (int i = 0; i < count; ++i) layers += block + ", ";
  }
  return trainer(
      std::to_string(count) + " residual blocks" + (repeated ? ", repeat" : ", written out"),
      "ts::image<3, 32, 32>", layers + "ts::flatten, ts::dense<10>", 32);
}

/// A bottleneck of ResNet-50; the first of a stage has a projection around it.
std::string bottleneck(int channels, int stride, bool first) {
  const std::string c = std::to_string(channels);
  const std::string wide = std::to_string(4 * channels);
  const std::string by = ", ts::stride<" + std::to_string(stride) + ">";
  std::string text = "ts::residual<ts::conv<" + c +
                     ", 1, ts::no_bias>, ts::batch_norm, ts::relu, "
                     "ts::conv<" +
                     c + ", 3, ts::pad<1>, ts::no_bias" + by +
                     ">, ts::batch_norm, ts::relu, "
                     "ts::conv<" +
                     wide + ", 1, ts::no_bias>, ts::batch_norm";
  if (first) {
    text += ", ts::project<ts::conv<" + wide + ", 1, ts::no_bias" + by + ">, ts::batch_norm>";
  }
  return text + ">, ts::relu, ";
}

source resnet50_written_out() {
  std::string layers =
      "ts::conv<64, 7, ts::pad<3>, ts::stride<2>, ts::no_bias>, ts::batch_norm, "
      "ts::relu, ts::max_pool<3, ts::stride<2>, ts::pad<1>>, ";
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    for (int i = 0; i < blocks[stage]; ++i) {
      layers += bottleneck(64 << stage, i == 0 && stage > 0 ? 2 : 1, i == 0);
    }
  }
  return trainer("ResNet-50, written out", "ts::image<3, 224, 224>",
                 layers + "ts::avg_pool<7>, ts::flatten, ts::dense<1000>", 1);
}

std::vector<source> all_sources() {
  std::vector<source> all;
  for (const int steps : {8, 64, 512}) all.push_back(recurrence(steps));
  for (const bool repeated : {true, false}) {
    for (const int count : {2, 10, 50}) all.push_back(blocks(count, repeated));
  }
  for (const bool distinct : {false, true}) {
    for (const int count : {10, 30, 100}) all.push_back(dense_chain(count, distinct));
  }
  for (const int depth : {18, 34, 50}) {
    const std::string name = "ResNet-" + std::to_string(depth);
    all.push_back(trainer(name + ", repeat", "ts::image<3, 224, 224>",
                          "ts::models::resnet" + std::to_string(depth) + "<>", 1));
  }
  all.push_back(resnet50_written_out());
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  return run_benchmark("bench_compile_time_depth", all_sources(), argc, argv);
}
