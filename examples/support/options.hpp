#pragma once

// The options that every example that trains understands.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "command_words.hpp"

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

/// Reads the command line over the defaults in `o`. `set` is the name of the example's data set,
/// `own` are the options that only this example has.
inline options parse(int argc, char** argv, options o, const char* set,
                     const std::vector<own_option>& own = {}) {
  std::string help = usage;
  for (const own_option& option : own) {
    std::string both = std::string(option.name) + ' ' + option.value;
    if (both.size() < 18) both.resize(18, ' ');
    help += "  " + both + " " + option.help + "\n";
  }
  for (command_words words(argc, argv, help.c_str()); words.next();) {
    const std::string& name = words.name();
    const auto mine = std::find_if(own.begin(), own.end(),
                                   [&](const own_option& option) { return name == option.name; });
    if (name == "--quiet") {
      o.quiet = true;
    } else if (mine != own.end()) {
      mine->take(words.value());
    } else if (name == "--data") {
      words.folder(o.data);
    } else if (name == "--epochs") {
      words.number(o.epochs, 0);
    } else if (name == "--seed") {
      words.number(o.seed, 0);
    } else if (name == "--threads") {
      words.number(o.threads, 1);
    } else if (name == "--precision") {
      words.choice(o.precision, {"fp32", "fp16", "bf16", "half"});
    } else if (name == "--backend") {
      words.choice(o.backend, {"host", "model"});
    } else if (name == "--machine") {
      o.machine = words.value();
    } else if (name == "--load") {
      o.load = words.value();
    } else if (name == "--save") {
      words.file(o.save);
    } else if (name == "--report") {
      words.file(o.report);
    } else {
      words.refuse();
    }
  }
  if (o.data.empty()) o.data = data_folder(set);
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

}  // namespace examples
