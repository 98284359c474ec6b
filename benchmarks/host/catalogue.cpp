// How long does each operation take, forward and backward, and how far is that from the machine?
//
//   bench_host_catalogue [--case TEXT] [--batch N] [--last] [--goldens DIR] [--json FILE]
//
// Every row of the catalogue (tests/catalogue), which the tests compare with golden values, with
// differences and between backends, is timed here at --batch samples (32), f32, one thread: those
// whose name contains --case. --last: samples innermost in memory. --goldens: also the cases of a
// folder of golden cases, with their own batches. Time is the lower quartile of 20 rounds of about
// a millisecond, the interpreter's table of calls included (some ns a call). GFLOP/s count 2
// operations a multiply-add (ops/work.hpp), % is of the peak, which is measured first; GB/s are of
// the operands, each read or written once.

#include <support/peak.hpp>

#include <tessera/io/file.hpp>
#include <tessera/ops/work.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/runtime/draw_values.hpp>
#include <catalogue/goldens/checks.hpp>

#include <cstdio>
#include <iostream>

namespace {

using namespace tessera;
using namespace tessera::testing;

struct options {
  std::string name;
  i32 batch = 32;
  bool last = false;
  std::string goldens;
  std::string json;
};

/// One direction of a case.
struct figures {
  double seconds = 0;
  double flops = 0;
  double bytes = 0;
};

class timed_case {
 public:
  explicit timed_case(const catalogue_case& c, bool last)
      : name_(c.name), batch_(c.batch), net_(complete(c, last), backend().find) {
    random_stream random(1);
    for (i32 id = 0; id < net_.network().tensors.size(); ++id) {
      if (filled_by_caller(net_.network().tensors[id])) {
        net_.write(id, draw_values(net_.network(), id, random));
      }
    }
    for (const auto& [id, values] : given_) net_.write(id, values);
  }

  const std::string& name() const { return name_; }
  figures forward() { return measure(0, forward_operations_); }
  figures backward() { return measure(forward_operations_, net_.network().operations.size()); }

 private:
  static const graph_backend& backend() {
    for (const graph_backend& b : backends()) {
      if (std::string(b.name) == "host") return b;
    }
    throw error("the host is missing");
  }

  graph complete(const catalogue_case& c, bool last) {
    example e = c.build(last);
    forward_operations_ = e.g.operations.size();
    given_ = e.given;
    differentiate_from(e.g, e.seeded());
    for (const i32 id : e.of) keep(e.g, id);
    passes::assign_precision(e.g, {});
    return e.g;
  }

  figures measure(i32 begin, i32 end) {
    figures f;
    const graph& g = net_.network();
    const grow<i32> bodies = bodies_of_operations(g);
    for (i32 i = begin; i < end; ++i) {
      const operation& op = g.operations[i];
      if (op.what == kind::loop || op.what == kind::end_loop) continue;
      const auto runs = static_cast<double>(runs_of(g, bodies[i]));
      f.flops += 2 * runs * static_cast<double>(ops::macs_of(g, op));
      f.bytes += runs * static_cast<double>(ops::traffic_of(g, op));
    }
    const step_values step{.seed = 1, .valid = batch_};
    net_.run(step);  // what the backward pass reads
    if (begin < end) f.seconds = bench::time_of([&] { net_.run(begin, end, step); });
    return f;
  }

  std::string name_;
  i32 batch_;
  i32 forward_operations_ = 0;
  std::vector<std::pair<i32, std::vector<double>>> given_;
  interpreter net_;
};

io::json to_json(const figures& f, double peak) {
  if (f.seconds == 0) return nullptr;
  return {{"microseconds", f.seconds * 1e6},
          {"gflops", f.flops / f.seconds * 1e-9},
          {"share_of_peak", f.flops / f.seconds / peak},
          {"gigabytes_per_second", f.bytes / f.seconds * 1e-9}};
}

void print(const figures& f, double peak) {
  if (f.seconds == 0) {
    std::printf(" %10s %8s %4s %7s", "-", "-", "-", "-");
    return;
  }
  std::printf(" %10.2f %8.2f %4.0f %7.2f", f.seconds * 1e6, f.flops / f.seconds * 1e-9,
              100 * f.flops / f.seconds / peak, f.bytes / f.seconds * 1e-9);
}

void run(const options& o) {
  const double peak = bench::peak_flops();
  std::printf("peak %.1f GFLOP/s\n%-64s %42s %32s\n%-64s", peak * 1e-9, "", "forward", "backward",
              "case");
  for (i32 k = 0; k < 2; ++k) std::printf(" %10s %8s %4s %7s", "us", "GFLOP/s", "%", "GB/s");
  std::printf("\n");
  io::json all = io::json::array();
  const auto time = [&](const catalogue_case& c) {
    if (c.name.find(o.name) == std::string::npos) return;
    timed_case t(c, o.last && ops::batch_goes_last(c.batch));
    const figures forth = t.forward();
    const figures back = t.backward();
    std::printf("%-64s", t.name().c_str());
    print(forth, peak);
    print(back, peak);
    std::printf("\n");
    std::fflush(stdout);
    all.push_back({{"case", t.name()},
                   {"batch", c.batch},
                   {"forward", to_json(forth, peak)},
                   {"backward", to_json(back, peak)}});
  };
  for (const row& r : all_rows()) time(case_of(r, o.batch));
  if (!o.goldens.empty()) each_operation_case(golden_folder(o.goldens), time);
  if (all.empty()) throw error("--case: no case has \"" + o.name + "\" in its name");
  if (!o.json.empty()) io::write_json(o.json, {{"peak_gflops", peak * 1e-9}, {"cases", all}});
}

options parse(int argc, char** argv) {
  options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--last") {
      o.last = true;
      continue;
    }
    if (i + 1 == argc) throw error(name + ": unknown, or a value is missing");
    const std::string value = argv[++i];
    if (name == "--case") {
      o.name = value;
    } else if (name == "--batch") {
      o.batch = std::atoi(value.c_str());
      if (o.batch < 1) throw error("--batch: expected at least 1, got " + value);
    } else if (name == "--goldens") {
      o.goldens = value;
    } else if (name == "--json") {
      o.json = value;
    } else {
      throw error("unknown option " + name);
    }
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
  } catch (const std::exception& e) {
    std::cerr << "bench_host_catalogue: " << e.what() << "\n";
    return 2;
  }
}
