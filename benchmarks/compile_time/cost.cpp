// What does the library cost to compile? Seconds and memory of including each umbrella header, and
// of programs with one LeNet-5 trainer.
//
//   bench_compile_time_cost [--repeat N] [--case NAME] [--compiler NAME] [--json FILE]

#include <compile_time/measure.hpp>

namespace {

using namespace tessera::benchmark;

const char* const lenet_program = R"(#include <tessera/tessera.hpp>

#include <cstdio>

namespace ts = tessera;

using lenet = ts::network<ts::image<1, 28, 28>,
                          ts::conv<6, 5, ts::pad<2>>, ts::tanh, ts::max_pool<2>,
                          ts::conv<16, 5>, ts::tanh, ts::max_pool<2>,
                          ts::flatten, ts::dense<120>, ts::tanh, ts::dense<84>, ts::tanh,
                          ts::dense<10>>;
using job = ts::training<lenet, ts::softmax_cross_entropy, ts::momentum_sgd, ts::batch<32>,
                         PRECISION>;

struct one_image {
  ts::i64 size() const { return 32; }
  ts::shape sample_shape() const { return lenet::input; }
  void read(ts::i64 index, float* out) const {
    for (int i = 0; i < 784; ++i) out[i] = static_cast<float>(index * i % 7);
  }
  ts::i32 label(ts::i64 index) const { return static_cast<ts::i32>(index % 10); }
};

int main() {
  ts::trainer<jobBACKEND> trainer{ts::seed{1}};
  trainer.fit(one_image{}, {.epochs = 1, .learning_rate = 0.01});
  std::printf("%f\n", trainer.evaluate(one_image{}).accuracy);
}
)";

std::string lenet(const std::string& precision, const std::string& backend) {
  return replaced(replaced(lenet_program, "PRECISION", precision), "BACKEND", backend);
}

std::vector<source> all_sources() {
  std::vector<source> all{{"nothing", ""}};
  const fs::path headers = fs::path(TESSERA_SOURCE_DIR) / "include" / "tessera";
  for (const auto& entry : fs::directory_iterator(headers)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = "tessera/" + entry.path().filename().string();
    all.push_back({name, "#include <" + name + ">\n"});
  }
  std::sort(all.begin() + 1, all.end(),
            [](const source& a, const source& b) { return a.name < b.name; });
  all.push_back({"LeNet-5 trainer, fp32, host", lenet("ts::fp32", "")});
  all.push_back({"LeNet-5 trainer, mixed, host", lenet("ts::mixed<ts::fp16>", "")});
  all.push_back({"LeNet-5 trainer, mixed, ipu_mk1",
                 lenet("ts::mixed<ts::fp16>", ", ts::on<ts::accelerator::ipu_mk1>")});
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  return run_benchmark("bench_compile_time_cost", all_sources(), argc, argv);
}
