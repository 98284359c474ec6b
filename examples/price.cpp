// What a step of a well-known network costs on a machine: cycles, traffic, energy, operation by
// operation.
//
//   price --model lenet5 --machine ipu_mk1 --batch 64                    a table, then the totals
//   price --model resnet50 --table layers --report price.json            the same as data
//   price --model alexnet --mode inference --machines all                machines side by side
//   price --model resnet50 --table none --batches 1,4,16,64              batch sizes side by side
//   price --model lenet5 --trace trace.json --roofline roofline.svg      timeline and roofline
//   price --model resnet50 --table none --heat tiles.html                tile by tile
//   price --model alexnet --table none --graph alexnet.svg               vertices and slices
//   price --model resnet50 --table none --machine ipu_mk2 --devices 1,2,4,8,16,32,64 --batch 16
//
// The graph is made and priced when the program runs, by the very functions that cost<job, machine>
// is a constant of: nothing here is compiled for one network or machine in particular. Cycles are
// those of well-tuned codelets: a bound that compiled C++ on the real machine seldom reaches.

#include <tessera/report.hpp>

#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "support/command_words.hpp"
#include "support/priced_step.hpp"

namespace ts = tessera;

namespace {

constexpr const char* help =
    "  --model NAME       a network of the zoo (default: lenet5)\n"
    "  --machine NAME     a machine by its name, or in a file NAME.json (default: ipu_mk1)\n"
    "  --save-machine F   all fields of that machine (F.json), to change and to read again\n"
    "  --mode M           training (the whole step, the default), inference\n"
    "  --batch N          samples of a step (default: the network's own)\n"
    "  --precision P      fp32, fp16 (mixed, the default), bf16 (mixed), half (16-bit weights, no\n"
    "                     masters), int8 (inference: all numbers in 8 bits, as if quantized)\n"
    "  --optimizer O      sgd, momentum, adam\n"
    "  --table T          operations (the default), layers, none\n"
    "  --machines NAMES   the step on several machines side by side: all, or names with commas\n"
    "  --batches N,N,...  the step at several batch sizes side by side\n"
    "  --devices N,N,...  data parallel training on so many chips: all-reduce, weak and strong\n"
    "                     scaling of the batch, and of each of --batches\n"
    "  --scaling FILE     their curves (SVG)\n"
    "  --report FILE      all figures (JSON)\n"
    "  --trace FILE       the step's timeline, for ui.perfetto.dev (JSON)\n"
    "  --published        vertices and edges of some networks beside published ones, and no more\n"
    "  --graph FILE       its vertices and the slices between them (SVG)\n"
    "  --heat FILE        how busy and how full every tile is (HTML, or SVG by its name)\n"
    "  --roofline FILE    its products below the machine's rates (SVG)\n";

struct command_line {
  examples::step_question asked{.model = "lenet5"};
  std::string machine = "ipu_mk1";
  std::string table = "operations";
  std::vector<std::string> machines;
  std::vector<ts::i32> batches;
  bool published = false;
  std::vector<ts::i32> devices;
  std::string save_machine;
  std::string report, trace, roofline, heat, graph, scaling;
};

command_line parse(int argc, char** argv) {
  command_line c;
  for (examples::command_words words(argc, argv, help); words.next();) {
    const std::string& name = words.name();
    if (examples::take_step_option(words, c.asked)) continue;
    if (name == "--model") {
      c.asked.model = examples::network_called(words.value()).name;
    } else if (name == "--machine") {
      c.machine = words.value();
    } else if (name == "--save-machine") {
      words.file(c.save_machine);
    } else if (name == "--table") {
      words.choice(c.table, {"operations", "layers", "none"});
    } else if (name == "--machines") {
      c.machines = examples::split_list(words.value());
    } else if (name == "--batches") {
      c.batches = examples::parse_list<ts::i32>(name, words.value(), 1);
    } else if (name == "--devices") {
      c.devices = examples::parse_list<ts::i32>(name, words.value(), 1);
    } else if (name == "--scaling") {
      words.file(c.scaling);
    } else if (name == "--report") {
      words.file(c.report);
    } else if (name == "--trace") {
      words.file(c.trace);
    } else if (name == "--published") {
      c.published = true;
    } else if (name == "--graph") {
      words.file(c.graph);
    } else if (name == "--heat") {
      words.file(c.heat);
    } else if (name == "--roofline") {
      words.file(c.roofline);
    } else {
      words.refuse();
    }
  }
  return c;
}

std::vector<ts::machine> machines_of(const command_line& c) {
  std::vector<ts::machine> all;
  if (c.machines == std::vector<std::string>{"all"}) {
    for (const ts::machine* m : ts::accelerator::machines) all.push_back(*m);
  } else {
    for (const std::string& name : c.machines) all.push_back(examples::machine_called(name));
  }
  return all;
}

void check_devices(const command_line& c, const ts::machine& m) {
  if (c.devices.empty()) {
    if (!c.scaling.empty()) throw ts::error("--scaling: expected --devices with it");
    return;
  }
  if (c.asked.mode != "training") {
    throw ts::error("--devices: expected --mode training: it is gradients that are summed");
  }
  if (!m.links.exists()) {
    throw ts::error("--devices: " + std::string(m.name) + " has no links to others of its kind");
  }
}

/// Weak and strong scaling of the batch, and of the other batches asked for.
std::vector<ts::scaling_curve> scaling_of(const command_line& c, const ts::machine& m) {
  std::map<ts::i32, ts::accelerator::step_price> known;
  ts::accelerator::gradient_volume gradients;
  const auto price = [&](ts::i32 batch) {
    if (const auto found = known.find(batch); found != known.end()) return found->second;
    examples::step_question q = c.asked;
    q.batch = batch;
    const examples::made_step made = examples::make_step(q);
    gradients = ts::accelerator::gradients_of(made.step);
    return known[batch] = ts::accelerator::price(m, ts::accelerator::sign_step(made.step),
                                                 made.memory.total_bytes);
  };
  std::vector<ts::i32> batches = c.batches;
  if (batches.empty()) batches.push_back(c.asked.batch_size());
  price(batches[0]);
  std::vector<ts::scaling_curve> curves;
  for (const ts::i32 batch : batches) {
    curves.push_back(ts::scale_weakly(m, c.devices, batch, price, gradients));
    curves.push_back(ts::scale_strongly(m, c.devices, batch, price, gradients));
  }
  return curves;
}

/// Counts that Graphcore has published with its pictures of Poplar's graphs.
struct published_counts {
  const char* model;
  const char* mode;
  const char* vertices;  // "": a picture without numbers
  const char* edges;
};

void print_published(const command_line& c, const ts::machine& m) {
  static constexpr published_counts known[] = {
      {"mlp", "training", "", ""},
      {"alexnet", "training", "18.7 M", "115.8 M"},
      {"resnet50", "inference", "3.22 M", "6.21 M"},
  };
  std::vector<std::vector<std::string>> rows{{"network", "step", "batch", "vertices", "edges",
                                              "edges/vertex", "published vertices",
                                              "published edges"}};
  for (const published_counts& p : known) {
    examples::step_question q = c.asked;
    q.model = p.model;
    q.mode = p.mode;
    const ts::accelerator::vertex_counts n =
        ts::accelerator::count_vertices(m, ts::accelerator::sign_step(examples::make_graph(q)));
    rows.push_back(
        {p.model, p.mode, std::to_string(q.batch_size()), ts::detail::with_commas(n.all()),
         ts::detail::with_commas(n.edges),
         ts::detail::spell_fixed(static_cast<double>(n.edges) / static_cast<double>(n.all()), 1),
         p.vertices, p.edges});
  }
  ts::detail::write_columns(std::cout, rows, 2);
  std::cout
      << "\nPoplar has a vertex for each of a tile's six workers, often for each row or group of\n"
         "channels, besides those that fill, cast, copy and rearrange, and an edge for each\n"
         "stretch of memory; here one vertex does a tile's whole share of an operation, updates\n"
         "are fused with the products before them, and an operand is one edge.\n";
}

/// A file whole or not at all; none where no path is given.
template <class Content>
void write(const std::string& path, const Content& content) {
  if (path.empty()) return;
  std::ostringstream text;
  content(text);
  ts::io::write_file(path, text.str());
}

}  // namespace

int main(int argc, char** argv) {
  return examples::run("price", [&] {
    const command_line c = parse(argc, argv);
    const ts::machine machine = examples::machine_called(c.machine);
    if (!c.save_machine.empty()) ts::accelerator::write_machine(c.save_machine, machine);
    const std::vector<ts::machine> others = machines_of(c);
    examples::check_precision(c.asked);
    check_devices(c, machine);
    if (c.published) return print_published(c, machine);
    const examples::made_step made = examples::make_step(c.asked);
    const ts::price_list list = ts::list_prices(made.step, machine, made.memory);
    const std::string title = c.asked.model + ", " + c.asked.mode + " in " + c.asked.precision +
                              ", batch " + std::to_string(list.batch);
    std::cout << title << " on " << machine.name << "\n\n";
    if (c.table != "none") ts::report_operations(std::cout, list, c.table == "operations");
    if (c.table != "none") std::cout << "\n";
    ts::report_total(std::cout, list);
    const ts::accelerator::vertex_counts counts =
        ts::accelerator::count_vertices(machine, ts::accelerator::sign_step(made.step));
    std::cout << "program          " << ts::detail::with_commas(counts.all()) << " vertices, "
              << ts::detail::with_commas(counts.reducers) << " of them for partial sums, "
              << ts::detail::with_commas(counts.edges) << " edges (bodies of loops once)\n";
    ts::io::json report{{"example", "price"},
                        {"model", c.asked.model},
                        {"mode", c.asked.mode},
                        {"precision", c.asked.precision},
                        {"optimizer", c.asked.mode == "training" ? c.asked.optimizer : ""}};
    report.update(ts::to_json(list));
    report["program"] = {
        {"vertices", counts.all()}, {"reducers", counts.reducers}, {"edges", counts.edges}};

    if (!others.empty()) {
      std::vector<ts::step_row> rows;
      for (const ts::machine& m : others) {
        rows.push_back(ts::row_of(ts::list_prices(made.step, m, made.memory)));
      }
      std::cout << "\n";
      ts::report_comparison(std::cout, rows);
      report["machines"] = ts::to_json(rows);
    }
    if (!c.batches.empty()) {
      std::vector<ts::step_row> rows;
      for (const ts::i32 batch : c.batches) {
        examples::step_question q = c.asked;
        q.batch = batch;
        const examples::made_step other = examples::make_step(q);
        rows.push_back(ts::row_of(ts::list_prices(other.step, machine, other.memory)));
      }
      std::cout << "\n";
      ts::report_comparison(std::cout, rows);
      report["batches"] = ts::to_json(rows);
    }
    if (!c.devices.empty()) {
      const std::vector<ts::scaling_curve> curves = scaling_of(c, machine);
      for (const ts::scaling_curve& curve : curves) {
        std::cout << "\n";
        ts::report_scaling(std::cout, curve);
        report["devices"].push_back(ts::to_json(curve));
      }
      write(c.scaling, [&](std::ostream& out) {
        ts::write_scaling_svg(out, curves, title + " on " + machine.name);
      });
    }
    write(c.trace, [&](std::ostream& out) { ts::write_trace(out, list, title); });
    write(c.roofline, [&](std::ostream& out) { ts::write_roofline_svg(out, list, title); });
    write(c.graph, [&](std::ostream& out) {
      ts::write_vertex_graph_svg(out, ts::find_vertex_graph(made.step, machine),
                                 title + " on " + machine.name);
    });
    write(c.heat, [&](std::ostream& out) {
      const ts::tile_heat heat = ts::find_tile_heat(list);
      if (c.heat.ends_with(".svg")) return ts::write_tile_heat_svg(out, heat, list, title);
      ts::write_tile_heat_html(out, heat, list, title);
    });
    if (!c.report.empty()) ts::io::write_json(c.report, report);
  });
}
