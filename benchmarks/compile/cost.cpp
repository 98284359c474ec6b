// What does the library cost to compile? Seconds and memory of including each umbrella header, and
// of programs with one LeNet-5 trainer.
//
// Each source is compiled to an object file several times, by the compiler named or else by g++ and
// clang++-16 where they are. The table has medians of user time and of the largest resident set, as
// the kernel counts both for a compiler and the processes that it starts. Default limits for
// constant evaluation, no cache.
//
//   bench_compile_cost [--repeat N] [--case NAME] [--compiler NAME] [--json FILE]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct source {
  std::string name;
  std::string text;
};

struct cost {
  std::string source;
  std::string compiler;
  bool compiles = false;
  double seconds = 0;    // user time
  double megabytes = 0;  // largest resident set, 10^6 bytes
};

struct cost_options {
  int repeat = 3;
  std::string only;
  std::string compiler;
  std::string json;
};

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

std::string replaced(std::string text, const std::string& word, const std::string& by) {
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + by.size())) {
    text.replace(at, word.size(), by);
  }
  return text;
}

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

struct usage {
  bool success = false;
  double seconds = 0;
  double megabytes = 0;
};

/// Runs a command to its end; its messages go to the file `log`.
usage run(const std::vector<std::string>& command, const fs::path& log) {
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot start a process");
  if (child == 0) {
    const int file = open(log.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    execvp(words[0], words.data());
    _exit(127);
  }
  int status = 0;
  rusage r{};
  if (wait4(child, &status, 0, &r) != child) throw std::runtime_error("lost a process");
  return {WIFEXITED(status) && WEXITSTATUS(status) == 0,
          static_cast<double>(r.ru_utime.tv_sec) + 1e-6 * static_cast<double>(r.ru_utime.tv_usec),
          static_cast<double>(r.ru_maxrss) * 1024 / 1e6};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// A folder that is gone when the program ends.
class folder {
 public:
  folder() {
    std::string name = (fs::temp_directory_path() / "tessera_cost_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder");
    path_ = name;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

cost measure(const source& what, const std::string& compiler, const cost_options& o,
             const fs::path& work) {
  const fs::path file = work / "source.cpp";
  const fs::path log = work / "log.txt";
  std::ofstream(file) << what.text;
  const std::vector<std::string> command{compiler,   "-std=c++20",
                                         "-O2",      "-march=native",
                                         "-fopenmp", "-I" TESSERA_SOURCE_DIR "/include",
                                         "-isystem", "/usr/include/eigen3",
                                         "-c",       file.string(),
                                         "-o",       (work / "source.o").string()};
  std::vector<double> seconds, megabytes;
  for (int i = 0; i < o.repeat; ++i) {
    const usage u = run(command, log);
    if (!u.success) {
      std::cerr << what.name << " with " << compiler << " does not compile:\n"
                << std::ifstream(log).rdbuf() << '\n';
      return {what.name, compiler};
    }
    seconds.push_back(u.seconds);
    megabytes.push_back(u.megabytes);
  }
  return {what.name, compiler, true, median(seconds), median(megabytes)};
}

std::string version_of(const std::string& compiler, const fs::path& work) {
  run({compiler, "--version"}, work / "version.txt");
  std::string line;
  std::ifstream file(work / "version.txt");
  std::getline(file, line);
  return line;
}

void write_json(const std::string& path, const std::vector<std::string>& versions, int repeat,
                const std::vector<cost>& costs) {
  std::ofstream out(path);
  out << "{\n  \"flags\": \"-std=c++20 -O2 -march=native -fopenmp\",\n  \"repeat\": " << repeat
      << ",\n  \"compilers\": [";
  const char* comma = "";
  for (const std::string& v : versions) {
    out << comma << "\"" << v << "\"";
    comma = ", ";
  }
  out << "],\n  \"sources\": [";
  comma = "";
  for (const cost& c : costs) {
    out << comma << "\n    {\"source\": \"" << c.source << "\", \"compiler\": \"" << c.compiler
        << "\", \"compiles\": " << (c.compiles ? "true" : "false")
        << ", \"user_seconds\": " << c.seconds << ", \"peak_megabytes\": " << c.megabytes << '}';
    comma = ",";
  }
  out << "\n  ]\n}\n";
  if (!out) throw std::runtime_error("cannot write " + path);
}

cost_options read_options(int argc, char** argv) {
  cost_options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw std::runtime_error(name + ": unknown option, or its value is missing");
    const std::string value = argv[++i];
    if (name == "--repeat") {
      o.repeat = std::max(1, std::stoi(value));
    } else if (name == "--case") {
      o.only = value;
    } else if (name == "--compiler") {
      o.compiler = value;
    } else if (name == "--json") {
      o.json = value;
    } else {
      throw std::runtime_error(name + ": unknown option");
    }
  }
  return o;
}

/// False where something does not compile.
bool run_all(const cost_options& o) {
  const folder work;
  std::vector<std::string> compilers;
  if (!o.compiler.empty()) {
    compilers.push_back(o.compiler);
  } else {
    for (const std::string candidate : {"g++", "clang++-16"}) {
      const fs::path log = work.path() / "version.txt";
      if (run({candidate, "--version"}, log).success) compilers.push_back(candidate);
    }
    if (compilers.empty()) compilers.push_back(TESSERA_CXX);
  }

  std::vector<std::string> versions;
  for (const std::string& c : compilers) {
    versions.push_back(version_of(c, work.path()));
    std::cout << c << ": " << versions.back() << '\n';
  }
  std::printf("\n%-34s %-14s %10s %10s\n", "source", "compiler", "user s", "peak MB");
  std::vector<cost> costs;
  for (const source& s : all_sources()) {
    if (s.name.find(o.only) == std::string::npos) continue;
    for (const std::string& compiler : compilers) {
      const cost c = measure(s, compiler, o, work.path());
      costs.push_back(c);
      const std::string short_name = fs::path(compiler).filename().string();
      if (c.compiles) {
        std::printf("%-34s %-14s %10.2f %10.0f\n", c.source.c_str(), short_name.c_str(), c.seconds,
                    c.megabytes);
      } else {
        std::printf("%-34s %-14s %21s\n", c.source.c_str(), short_name.c_str(), "does not compile");
      }
      std::fflush(stdout);
    }
  }
  if (!o.json.empty()) write_json(o.json, versions, o.repeat, costs);
  return std::all_of(costs.begin(), costs.end(), [](const cost& c) { return c.compiles; });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_all(read_options(argc, argv)) ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << "bench_compile_cost: " << e.what() << '\n';
    return 2;
  }
}
