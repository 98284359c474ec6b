#pragma once

// A step of a network of the zoo, as examples about prices ask for it, and machines by name.

#include <tessera/backends/accelerator/machine_file.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/report/price_list.hpp>
#include <string>
#include <vector>

#include "command_words.hpp"
#include "zoo.hpp"

namespace examples {

/// What is priced.
struct step_question {
  std::string model = "resnet50";
  std::string mode = "training";       // training, inference
  std::string precision = "fp16";      // fp32, fp16 and bf16 (mixed), half, int8 (inference)
  std::string optimizer = "momentum";  // sgd, momentum, adam
  tessera::i32 batch = 0;              // 0: the network's own

  tessera::i32 batch_size() const { return batch > 0 ? batch : network_called(model).batch; }
};

/// Takes the option at hand where it is one of a question's: --mode, --batch, --precision,
/// --optimizer.
inline bool take_step_option(command_words& words, step_question& q) {
  if (words.name() == "--mode") {
    words.choice(q.mode, {"training", "inference"});
  } else if (words.name() == "--batch") {
    words.number(q.batch, 1);
  } else if (words.name() == "--precision") {
    words.choice(q.precision, {"fp32", "fp16", "bf16", "half", "int8"});
  } else if (words.name() == "--optimizer") {
    words.choice(q.optimizer, {"sgd", "momentum", "adam"});
  } else {
    return false;
  }
  return true;
}

/// The graph of a step and the memory that it needs.
struct made_step {
  tessera::graph step;
  tessera::memory_summary memory;
};

/// Every number of an inference step in 8 bits: what it would cost if it were quantized throughout.
/// Statistics of normalizations stay in f32.
inline void store_in_bytes(tessera::graph& g) {
  for (tessera::tensor& t : g.tensors) {
    if (t.type == tessera::element::f32 && t.what != tessera::role::statistic) {
      t.type = tessera::element::int8;
    }
  }
}

inline void check_precision(const step_question& q) {
  if (q.precision == "int8" && q.mode == "training") {
    throw tessera::error("--precision: int8 is for --mode inference");
  }
}

inline tessera::graph make_graph(const step_question& q) {
  namespace ts = tessera;
  check_precision(q);
  const zoo_network& network = network_called(q.model);
  const bool trains = q.mode == "training";
  ts::graph step = trains ? network.forward(q.batch_size(), ts::purpose::training)
                          : network.predict(q.batch_size(), ts::purpose::inference);
  if (step.wrong.wrong()) throw ts::error(std::string(spell(step.wrong).view()));
  const ts::precision_policy precision = precision_called(q.precision);
  if (trains) {
    ts::complete_training_graph(step, precision, rule_called(q.optimizer));
  } else {
    ts::complete_inference_graph(step, precision);
    if (q.precision == "int8") store_in_bytes(step);
  }
  return step;
}

inline made_step make_step(const step_question& q) {
  made_step made{make_graph(q), {}};
  made.memory = tessera::passes::plan_step(made.step).memory;
  return made;
}

/// A preset by its name, or the machine in a file NAME.json.
inline tessera::machine machine_called(const std::string& name) {
  if (name.ends_with(".json")) return tessera::accelerator::read_machine(name);
  if (const tessera::machine* m = tessera::accelerator::find_machine(name)) return *m;
  std::string known;
  for (const tessera::machine* m : tessera::accelerator::machines) {
    known += (known.empty() ? "" : ", ") + std::string(m->name);
  }
  throw tessera::error("--machine: expected a file NAME.json or one of " + known + ", got \"" +
                       name + "\"");
}

/// The parts of a list with commas between.
inline std::vector<std::string> split_list(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// Numbers with commas between.
template <class Number>
std::vector<Number> parse_list(const std::string& option, const std::string& list, Number least) {
  std::vector<Number> numbers;
  for (const std::string& part : split_list(list)) {
    numbers.push_back(parse_number<Number>(option, part, least));
  }
  return numbers;
}

}  // namespace examples
