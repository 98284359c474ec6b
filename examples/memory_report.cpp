// What the training steps of well-known networks need in memory, by precision and policy.
//
//   memory_report                                      the table of figures, each beside its goal
//   memory_report --model resnet50 --precision fp16    one network in one precision
//   memory_report --model all --batch 8                every network of the zoo
//   memory_report --model lenet5 --draw --table        one plan as letters, tensor by tensor
//   memory_report --model resnet50 --html plan.html    one plan as a page with names on hover
//
// Graphs are made and planned when the program runs, by the very functions that a job's constants
// come from: nothing here is compiled for one network in particular.
//
// A row is a whole training step: forward pass, loss, backward pass, update. The arena holds
// activations, gradients, indices and statistics; parameters with their 16-bit copies, optimizer
// state and the batch stand outside of it, in the total with it. MB are 10^6 bytes.

#include <tessera/io/json.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/report.hpp>

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/command_words.hpp"
#include "support/zoo.hpp"

namespace ts = tessera;

namespace {

// ---- what is planned ---------------------------------------------------------------------------

struct question {
  std::string model;
  ts::i32 batch = 0;                   // 0: the network's own
  std::string precision = "fp32";      // fp32, fp16 (mixed), half
  std::string optimizer = "momentum";  // sgd, momentum, summing, adam
  std::string skip = "tensor";         // what an overflow skips: step, tensor
  float clip = 0;                      // limit on the norm of all gradients; 0: none
  std::string policy = "no_recompute";
  ts::i64 budget = 0;     // bytes of the arena, for the policy of that name
  double goal = 0;        // MB; 0: none stated
  double best_known = 0;  // MB, by an independent planner
};

/// The figures that a planner of training steps is measured by.
const question figures[] = {
    {.model = "lenet5", .batch = 32, .best_known = 1.39},
    {.model = "lenet5", .best_known = 0.044},
    {.model = "lenet5", .precision = "half", .optimizer = "sgd", .best_known = 0.022},
    {.model = "vgg16", .goal = 63, .best_known = 62.2},
    {.model = "resnet18", .goal = 21, .best_known = 20.3},
    {.model = "resnet50", .goal = 86, .best_known = 84.5},
    {.model = "lstm100", .goal = 24, .best_known = 23.8},
    {.model = "transformer12", .best_known = 29.1},
    {.model = "vgg16", .precision = "fp16", .best_known = 31.9},
    {.model = "resnet18", .precision = "fp16", .best_known = 10.3},
    {.model = "resnet50", .precision = "fp16", .best_known = 42.5},
    {.model = "lstm100", .precision = "fp16", .best_known = 11.9},
    {.model = "transformer12", .precision = "fp16", .best_known = 14.6},
    {.model = "vgg16",
     .precision = "fp16",
     .policy = "least_memory",
     .goal = 20,
     .best_known = 19.3},
    {.model = "resnet18",
     .precision = "fp16",
     .policy = "least_memory",
     .goal = 4.5,
     .best_known = 4.2},
    {.model = "resnet50",
     .precision = "fp16",
     .policy = "least_memory",
     .goal = 12.5,
     .best_known = 12.1},
    {.model = "lstm100",
     .precision = "fp16",
     .optimizer = "summing",
     .policy = "least_memory",
     .goal = 1.3,
     .best_known = 1.25},
    {.model = "transformer12",
     .precision = "fp16",
     .policy = "least_memory",
     .goal = 2.1,
     .best_known = 1.97},
    {.model = "resnet50",
     .batch = 32,
     .precision = "fp16",
     .policy = "least_memory",
     .goal = 400,
     .best_known = 385},
};

ts::job_options options_of(const question& q, ts::i32 batch) {
  ts::job_options o;
  o.batch = batch;
  if (q.precision != "fp32") {
    o.precision = q.skip == "step" ? ts::mixed<ts::fp16, ts::skip_step>::policy
                                   : ts::mixed<ts::fp16, ts::skip_tensor>::policy;
    o.precision.masters = q.precision != "half";  // else pure<fp16>
  }
  if (q.policy == "least_memory") o.recompute = ts::least_memory::recomputation;
  if (q.policy == "budget") o.recompute = {ts::recompute_goal::budget, q.budget};
  o.limits.norm = q.clip;
  return o;
}

struct answer {
  ts::i32 batch = 0;
  ts::memory_summary memory;
  ts::i64 kept_gradient_bytes = 0;  // what it costs that gradients of weights are kept
  double extra_flops_share = 0;     // recomputed, of a forward pass
};

ts::i32 batch_of(const question& q) {
  return q.batch > 0 ? q.batch : examples::network_called(q.model, "figures, all").batch;
}

/// A whole step as a job has it, and what recomputation did to it.
struct planned_step {
  ts::graph step;
  ts::recompute_summary recomputed;
};

planned_step make_step(const question& q) {
  const ts::job_options o = options_of(q, batch_of(q));
  planned_step p{
      examples::network_called(q.model, "figures, all").forward(o.batch, ts::purpose::training),
      {}};
  if (p.step.wrong.wrong()) throw ts::error(std::string(spell(p.step.wrong).view()));
  p.recomputed = ts::complete_training_graph(
      p.step, o.precision, examples::rule_called(q.optimizer), o.limits, o.recompute);
  return p;
}

bool works_in_place(const question& q) { return q.policy != "no_in_place"; }

ts::memory_summary plan(const question& q) {
  return ts::passes::plan_step(make_step(q).step, works_in_place(q)).memory;
}

answer solve(const question& q) {
  answer a;
  a.batch = batch_of(q);
  const planned_step p = make_step(q);
  a.memory = ts::passes::plan_step(p.step, works_in_place(q)).memory;
  a.extra_flops_share = p.recomputed.share();
  if (q.policy == "budget" && a.memory.arena_bytes > q.budget) {
    throw ts::error("--budget: " + q.model + " keeps " + std::to_string(q.budget) +
                    " bytes by no recomputation that is known; the least is " +
                    std::to_string(a.memory.arena_bytes));
  }
  // Clipping by norm and skipping of whole steps keep all gradients until they are known.
  if (q.clip > 0 || (q.skip == "step" && q.precision != "fp32")) {
    question freed = q;
    freed.clip = 0;
    freed.skip = "tensor";
    a.kept_gradient_bytes = a.memory.arena_bytes - plan(freed).arena_bytes;
  }
  return a;
}

// ---- what is said ------------------------------------------------------------------------------

std::string spell_precision(const question& q) {
  if (q.precision == "fp32") return q.precision;
  return q.precision + " skip_" + q.skip;
}

void print_header() {
  std::printf("%-14s %5s %-16s %-9s %-13s %9s %9s %9s %9s %9s %9s %7s %7s %7s\n", "model", "batch",
              "precision", "optimizer", "policy", "arena MB", "bound", "no reuse", "weights",
              "state", "total", "flops +", "goal", "known");
}

void print(const question& q, const answer& a) {
  const auto mb = [](ts::i64 bytes) { return static_cast<double>(bytes) / 1e6; };
  const ts::memory_summary& m = a.memory;
  std::printf("%-14s %5lld %-16s %-9s %-13s %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f %6.1f%%",
              q.model.c_str(), static_cast<long long>(a.batch), spell_precision(q).c_str(),
              q.optimizer.c_str(), q.policy.c_str(), mb(m.arena_bytes), mb(m.lower_bound_bytes),
              mb(m.no_reuse_bytes), mb(m.parameter_bytes + m.working_bytes), mb(m.state_bytes),
              mb(m.total_bytes), 100 * a.extra_flops_share);
  q.goal > 0 ? std::printf(" %7g", q.goal) : std::printf(" %7s", "");
  q.best_known > 0 ? std::printf(" %7g\n", q.best_known) : std::printf("\n");
  if (a.kept_gradient_bytes > 0) {
    std::printf("%-14s       %.3f MB of the arena hold gradients of weights until %s is known\n",
                "", mb(a.kept_gradient_bytes), q.clip > 0 ? "their norm" : "the last one");
  }
}

ts::io::json to_json(const question& q, const answer& a) {
  const ts::memory_summary& m = a.memory;
  return {{"model", q.model},
          {"batch", a.batch},
          {"precision", q.precision},
          {"skip", q.precision == "fp32" ? "" : q.skip},
          {"optimizer", q.optimizer},
          {"policy", q.policy},
          {"arena_bytes", m.arena_bytes},
          {"lower_bound_bytes", m.lower_bound_bytes},
          {"no_reuse_bytes", m.no_reuse_bytes},
          {"parameter_bytes", m.parameter_bytes},
          {"working_bytes", m.working_bytes},
          {"state_bytes", m.state_bytes},
          {"total_bytes", m.total_bytes},
          {"kept_gradient_bytes", a.kept_gradient_bytes},
          {"extra_flops_share", a.extra_flops_share}};
}

constexpr const char* help =
    "  --model NAMES      figures (the table, the default), all, or names with commas between\n"
    "  --batch N          samples of a step (default: the network's own)\n"
    "  --precision P      fp32, fp16 (mixed), half (16-bit weights, no masters)\n"
    "  --optimizer O      sgd, momentum, summing (gradients of loops are added up in the "
    "momentum), "
    "adam\n"
    "  --skip S           what an overflow in fp16 skips: tensor, step\n"
    "  --clip-norm X      limit on the norm of all gradients\n"
    "  --policy P         no_recompute, least_memory, no_in_place (every tensor in bytes of its "
    "own)\n"
    "  --budget BYTES     recomputes what it must so that the arena takes no more\n"
    "  --draw             the arena in letters: time across, bytes up\n"
    "  --table            tensor by tensor: type, bytes, life, offset, and why there\n"
    "  --svg FILE         the plan as a drawing (of one model)\n"
    "  --html FILE        the plan as a page that names what one points at (of one model)\n"
    "  --json FILE        the plan as data (of one model)\n"
    "  --report FILE      where to put the figures (JSON)\n";

struct command_line {
  std::string models = "figures";
  question asked;
  bool all_figures = true;  // no option that changes them
  bool draw = false;
  bool table = false;
  std::string svg, html, json;  // files of one plan
  std::string report;

  bool shows_plans() const {
    return draw || table || !svg.empty() || !html.empty() || !json.empty();
  }
};

command_line parse(int argc, char** argv) {
  command_line c;
  for (examples::command_words words(argc, argv, help); words.next();) {
    const std::string& name = words.name();
    if (name == "--model") {
      c.models = words.value();
    } else if (name == "--batch") {
      words.number(c.asked.batch, 1);
      c.all_figures = false;
    } else if (name == "--precision") {
      words.choice(c.asked.precision, {"fp32", "fp16", "half"});
      c.all_figures = false;
    } else if (name == "--optimizer") {
      words.choice(c.asked.optimizer, {"sgd", "momentum", "summing", "adam"});
      c.all_figures = false;
    } else if (name == "--skip") {
      words.choice(c.asked.skip, {"tensor", "step"});
      c.all_figures = false;
    } else if (name == "--clip-norm") {
      words.number(c.asked.clip, 0);
      c.all_figures = false;
    } else if (name == "--policy") {
      words.choice(c.asked.policy, {"no_recompute", "least_memory", "no_in_place"});
      c.all_figures = false;
    } else if (name == "--budget") {
      words.number(c.asked.budget, 1);
      c.asked.policy = "budget";
      c.all_figures = false;
    } else if (name == "--draw") {
      c.draw = true;
    } else if (name == "--table") {
      c.table = true;
    } else if (name == "--svg" || name == "--html" || name == "--json" || name == "--report") {
      words.file(name == "--svg"    ? c.svg
                 : name == "--html" ? c.html
                 : name == "--json" ? c.json
                                    : c.report);
    } else {
      words.refuse();
    }
  }
  return c;
}

/// The questions that the command line asks.
std::vector<question> questions_of(const command_line& c) {
  std::vector<question> all;
  const auto ask = [&](const std::string& model) {
    question q = c.asked;
    q.model = examples::network_called(model, "figures, all").name;
    all.push_back(q);
  };
  if (c.models == "figures") {
    if (c.all_figures) return {std::begin(figures), std::end(figures)};
    for (const char* name :
         {"lenet5", "vgg16", "resnet18", "resnet50", "lstm100", "transformer12"}) {
      ask(name);
    }
  } else if (c.models == "all") {
    for (const examples::zoo_network& n : examples::zoo()) ask(n.name);
  } else {
    for (std::size_t begin = 0; begin <= c.models.size();) {
      const std::size_t end = std::min(c.models.find(',', begin), c.models.size());
      ask(c.models.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return all;
}

/// What one plan looks like, in the forms asked for.
void show_plan(const command_line& c, const question& q) {
  const ts::memory_map map = ts::map_memory(make_step(q).step, works_in_place(q));
  if (c.draw) ts::draw_memory(std::cout, map);
  if (c.table) ts::report_tensors(std::cout, map, false);
  const auto write = [](const std::string& path, const auto& content) {
    if (path.empty()) return;
    std::ostringstream text;
    content(text);
    ts::io::write_file(path, text.str());
  };
  write(c.svg, [&](std::ostream& out) { ts::write_memory_svg(out, map); });
  write(c.html, [&](std::ostream& out) {
    ts::write_memory_html(out, map, q.model + ", " + spell_precision(q) + ", " + q.policy);
  });
  if (!c.json.empty()) ts::io::write_json(c.json, to_json(map));
}

}  // namespace

int main(int argc, char** argv) {
  return examples::run("memory_report", [&] {
    const command_line c = parse(argc, argv);
    ts::io::json rows = ts::io::json::array();
    const std::vector<question> questions = questions_of(c);
    const bool files = !c.svg.empty() || !c.html.empty() || !c.json.empty();
    if (files && questions.size() != 1) {
      throw ts::error("--svg, --html, --json: expected one model, as --model resnet50, got " +
                      std::to_string(questions.size()));
    }
    print_header();
    for (const question& q : questions) {
      const answer a = solve(q);
      print(q, a);
      std::fflush(stdout);
      if (c.shows_plans()) show_plan(c, q);
      rows.push_back(to_json(q, a));
    }
    if (!c.report.empty()) ts::io::write_json(c.report, rows);
  });
}
