#include <support/options.hpp>

#include <tessera/core/error.hpp>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace bench {

namespace {

template <class Number>
Number number_of(const std::string& option, const std::string& text, Number least) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, wrong] = std::from_chars(text.data(), end, number);
  if (wrong != std::errc{} || stop != end || !(number >= least) || !(number <= Number{1'000'000})) {
    throw tessera::error(option + ": expected a number of at least " + std::to_string(least) +
                         ", got \"" + text + "\"");
  }
  return number;
}

/// Found out before minutes of measuring.
void check_folder(const std::string& option, const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder)) {
    throw tessera::error(option + ": there is no folder \"" + folder.string() + "\"");
  }
}

clock_kind clock_of(const std::string& text) {
  if (text == "wall") return clock_kind::wall;
  if (text == "cpu") return clock_kind::cpu;
  throw tessera::error("--clock: expected wall or cpu, got \"" + text + "\"");
}

}  // namespace

options read_options(int argc, char** argv) {
  options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw tessera::error(name + ": expected a value after it");
      return argv[++i];
    };
    if (name == "--help") {
      std::printf("%s [options]\n%s", argv[0], options_help);
      std::exit(0);
    } else if (name == "--list") {
      o.list = true;
    } else if (name == "--case") {
      o.only = value();
    } else if (name == "--rounds") {
      o.rounds.rounds = number_of(name, value(), 1);
    } else if (name == "--slot") {
      o.rounds.slot_seconds = number_of(name, value(), 0.01) / 1000;
    } else if (name == "--clock") {
      o.rounds.clock = clock_of(value());
    } else if (name == "--core") {
      o.core = number_of(name, value(), 0);
    } else if (name == "--threads") {
      o.threads = number_of(name, value(), 1);
    } else if (name == "--json") {
      o.json = value();
      check_folder(name, o.json);
    } else {
      throw tessera::error("unknown option \"" + name + "\"; --help lists those there are");
    }
  }
  if (o.threads > 1 && o.rounds.clock == clock_kind::cpu) {
    throw tessera::error("--clock: expected wall for several threads, whose times cpu adds up");
  }
  return o;
}

}  // namespace bench
