#pragma once

// The options that every example understands, and how a program ends when one is wrong.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace examples {

struct options {
  std::string data;  // folder of the data set; empty: the example makes its own
  tessera::i32 epochs = 1;
  tessera::u64 seed = 1;
  std::string precision;  // empty: what the backend does best
  std::string backend = "host";
  std::string machine = "ipu_mk1";
  tessera::i32 threads = 1;
  std::string load;
  std::string save;
  std::string report;
  bool quiet = false;
};

/// An option of one example only.
struct own_option {
  const char* name;
  const char* value;  // what --help calls it
  const char* help;
  std::function<void(const std::string&)> take;
};

inline constexpr const char* usage =
    "  --data DIR         folder of the data set (default: $TESSERA_DATA/NAME, else made data)\n"
    "  --epochs N         how often to go through the training data; 0 only evaluates\n"
    "  --seed N           of weights, order and dropout; the same seed gives the same bits\n"
    "  --precision P      fp32; mixed fp16, bf16; half (no 32-bit weights)\n"
    "  --backend B        host, model (the accelerator model)\n"
    "  --machine NAME     of the accelerator model\n"
    "  --threads N        no result depends on it\n"
    "  --load FILE        weights to start from (safetensors)\n"
    "  --save FILE        where to put the trained weights (safetensors)\n"
    "  --report FILE      where to put the figures (JSON)\n"
    "  --quiet            no progress\n";

template <class Number>
Number parse_number(std::string_view option, std::string_view text, Number least) {
  Number number{};
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc{} || end != text.data() + text.size() || !(number >= least)) {
    constexpr bool whole = std::is_integral_v<Number>;
    std::ostringstream least_text;
    least_text << least;
    throw tessera::error(std::string(option) + ": expected a " + (whole ? "whole " : "") +
                         "number of at least " + least_text.str() + ", got \"" + std::string(text) +
                         "\"");
  }
  return number;
}

inline void check_choice(std::string_view option, std::string_view given,
                         std::initializer_list<std::string_view> choices) {
  std::string known;
  for (const std::string_view choice : choices) {
    if (choice == given) return;
    known += (known.empty() ? "" : ", ") + std::string(choice);
  }
  throw tessera::error(std::string(option) + ": expected one of " + known + ", got \"" +
                       std::string(given) + "\"");
}

/// Finds out before hours of training that a file cannot be written where it is wanted.
inline void check_folder(std::string_view option, const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder)) {
    throw tessera::error(std::string(option) + ": there is no folder \"" + folder.string() + "\"");
  }
}

/// Reads the command line over the defaults in `o`. `set` is the name of the example's data set,
/// `own` are the options that only this example has.
inline options parse(int argc, char** argv, options o, const char* set,
                     const std::vector<own_option>& own = {}) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "--help") {
      std::printf("%s\n%s", argv[0], usage);
      for (const own_option& option : own) {
        const std::string both = std::string(option.name) + ' ' + option.value;
        std::printf("  %-18s %s\n", both.c_str(), option.help);
      }
      std::exit(0);
    }
    if (name == "--quiet") {
      o.quiet = true;
      continue;
    }
    const auto value = [&]() -> const std::string& {
      if (i + 1 >= arguments.size()) throw tessera::error(name + ": expected a value after it");
      return arguments[++i];
    };
    const auto mine = std::find_if(own.begin(), own.end(),
                                   [&](const own_option& option) { return name == option.name; });
    if (mine != own.end()) {
      mine->take(value());
    } else if (name == "--data") {
      o.data = value();
      if (!std::filesystem::is_directory(o.data)) {
        throw tessera::error("--data: there is no folder \"" + o.data + "\"");
      }
    } else if (name == "--epochs") {
      o.epochs = parse_number<tessera::i32>(name, value(), 0);
    } else if (name == "--seed") {
      o.seed = parse_number<tessera::u64>(name, value(), 0);
    } else if (name == "--threads") {
      o.threads = parse_number<tessera::i32>(name, value(), 1);
    } else if (name == "--precision") {
      o.precision = value();
      check_choice(name, o.precision, {"fp32", "fp16", "bf16", "half"});
    } else if (name == "--backend") {
      o.backend = value();
      check_choice(name, o.backend, {"host", "model"});
    } else if (name == "--machine") {
      o.machine = value();
    } else if (name == "--load") {
      o.load = value();
    } else if (name == "--save") {
      o.save = value();
      check_folder(name, o.save);
    } else if (name == "--report") {
      o.report = value();
      check_folder(name, o.report);
    } else {
      throw tessera::error("unknown option \"" + name + "\"; --help lists those there are");
    }
  }
  const char* const sets = std::getenv("TESSERA_DATA");
  if (o.data.empty() && sets != nullptr && *sets != 0) {
    const std::filesystem::path folder = std::filesystem::path(sets) / set;
    if (std::filesystem::is_directory(folder)) o.data = folder.string();
  }
  return o;
}

/// An option that examples with numbered samples have, for a quick look.
inline own_option samples_option(tessera::i64& samples) {
  return {"--samples", "N", "at most N samples to train on and N to test by",
          [&samples](const std::string& value) {
            samples = parse_number<tessera::i64>("--samples", value, 1);
          }};
}
constexpr tessera::i64 all_samples = tessera::i64{1} << 31;

/// Refuses what an example is not built for, in the same words everywhere. Without a precision it
/// takes fp32 on the host and fp16 on the model.
inline void check_job(options& o, std::initializer_list<std::string_view> on_host,
                      std::initializer_list<std::string_view> on_model) {
  const bool model = o.backend == "model";
  const std::initializer_list<std::string_view> known = model ? on_model : on_host;
  if (known.size() == 0) {
    throw tessera::error("--backend: this example is built for the " +
                         std::string(model ? "host" : "model") + " only, got \"" + o.backend +
                         "\"");
  }
  check_choice("--machine", o.machine, {"ipu_mk1"});
  if (o.precision.empty()) o.precision = *known.begin();
  if (std::find(known.begin(), known.end(), o.precision) != known.end()) return;
  std::string list;
  for (const std::string_view each : known)
    list += (list.empty() ? "" : " and ") + std::string(each);
  throw tessera::error("--precision: this example is built for " + list + " on the " + o.backend +
                       ", got \"" + o.precision + "\"");
}

/// Runs an example; anything wrong with its input is one line on stderr and exit code 2.
template <class Body>
int run(const char* name, Body body) {
  try {
    body();
    return 0;
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "%s: %s\n", name, wrong.what());
    return 2;
  }
}

}  // namespace examples
