#pragma once

// What a compiler takes for a source: user time, memory, and the longest symbol of a kernel.
//
// Each source is compiled to an object file several times, by the compiler named or else by g++ and
// clang++-16 where they are. The table has medians of user time and of the largest resident set, as
// the kernel counts both for a compiler and the processes that it starts. Default limits for
// constant evaluation, no cache.
//
//   bench_NAME [--repeat N] [--case NAME] [--compiler NAME] [--json FILE]

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

namespace tessera::benchmark {

namespace fs = std::filesystem;

struct source {
  std::string name;
  std::string text;
};

struct cost {
  std::string source;
  std::string compiler;
  bool compiles = false;
  double seconds = 0;      // user time
  double megabytes = 0;    // largest resident set, 10^6 bytes
  int longest_symbol = 0;  // of a kernel, characters
};

struct cost_options {
  int repeat = 3;
  std::string only;
  std::string compiler;
  std::string json;
};

inline std::string replaced(std::string text, const std::string& word, const std::string& by) {
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + by.size())) {
    text.replace(at, word.size(), by);
  }
  return text;
}

struct usage {
  bool success = false;
  double seconds = 0;
  double megabytes = 0;
};

/// Runs a command to its end; its messages go to the file `log`.
inline usage run(const std::vector<std::string>& command, const fs::path& log) {
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

/// Characters of the longest name of a kernel in an object file: symbols of the backends'
/// namespaces.
inline int longest_kernel_symbol(const fs::path& object, const fs::path& work) {
  const fs::path list = work / "symbols.txt";
  if (!run({"nm", "-P", object.string()}, list).success) return 0;
  std::ifstream file(list);
  int longest = 0;
  for (std::string line; std::getline(file, line);) {
    const std::string name = line.substr(0, line.find(' '));
    const bool kernel = name.rfind("_ZN7tessera4host", 0) == 0 ||
                        name.rfind("_ZN7tessera11accelerator", 0) == 0 ||
                        name.rfind("_ZN7tessera9reference", 0) == 0;
    if (kernel) longest = std::max(longest, static_cast<int>(name.size()));
  }
  return longest;
}

inline double median(std::vector<double> values) {
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

inline cost measure(const source& what, const std::string& compiler, const cost_options& o,
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
  return {what.name,       compiler,          true,
          median(seconds), median(megabytes), longest_kernel_symbol(work / "source.o", work)};
}

inline std::string version_of(const std::string& compiler, const fs::path& work) {
  run({compiler, "--version"}, work / "version.txt");
  std::string line;
  std::ifstream file(work / "version.txt");
  std::getline(file, line);
  return line;
}

inline void write_json(const std::string& path, const std::vector<std::string>& versions,
                       int repeat, const std::vector<cost>& costs) {
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
        << ", \"user_seconds\": " << c.seconds << ", \"peak_megabytes\": " << c.megabytes
        << ", \"longest_kernel_symbol\": " << c.longest_symbol << '}';
    comma = ",";
  }
  out << "\n  ]\n}\n";
  if (!out) throw std::runtime_error("cannot write " + path);
}

inline cost_options read_options(int argc, char** argv) {
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

/// Measures `sources` and prints the table. False where something does not compile.
inline bool run_all(const std::vector<source>& sources, const cost_options& o) {
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
  std::printf("\n%-40s %-12s %8s %8s %8s\n", "source", "compiler", "user s", "peak MB", "symbol");
  std::vector<cost> costs;
  for (const source& s : sources) {
    if (s.name.find(o.only) == std::string::npos) continue;
    for (const std::string& compiler : compilers) {
      const cost c = measure(s, compiler, o, work.path());
      costs.push_back(c);
      const std::string short_name = fs::path(compiler).filename().string();
      if (c.compiles) {
        std::printf("%-40s %-12s %8.2f %8.0f %8d\n", c.source.c_str(), short_name.c_str(),
                    c.seconds, c.megabytes, c.longest_symbol);
      } else {
        std::printf("%-40s %-12s %17s\n", c.source.c_str(), short_name.c_str(), "does not compile");
      }
      std::fflush(stdout);
    }
  }
  if (!o.json.empty()) write_json(o.json, versions, o.repeat, costs);
  return std::all_of(costs.begin(), costs.end(), [](const cost& c) { return c.compiles; });
}

/// The main function of a benchmark of sources.
inline int run_benchmark(const char* name, const std::vector<source>& sources, int argc,
                         char** argv) {
  try {
    return run_all(sources, read_options(argc, argv)) ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << name << ": " << e.what() << '\n';
    return 2;
  }
}

}  // namespace tessera::benchmark
