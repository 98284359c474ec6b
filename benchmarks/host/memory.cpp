// How much memory does training need, all of it, beside libtorch's heap?
//
// A figure is what a trainer allocates, once: parameters (with 16-bit copies), optimizer state, the
// arena of activations and gradients, one batch with its labels. Nothing is run or measured: these
// are the numbers of job::memory, planned here when the program runs, by the functions that make
// the constant. SGD with momentum 0.9.
//
//   f32, f16            nothing is computed twice; f16 is mixed precision that skips tensors: no
//                       weight gradient ever exists as a buffer
//   within the goal     the arena has a budget, which leaves all of training within the goal; what
//                       must be computed again for that is chosen for the least extra work
//   least memory        everything that saves memory is computed again
//
// "again" is the share of a forward pass's multiply-adds that are computed a second time, in
// percent. "goal" is what was set as one before anything was written. "libtorch heap" is quoted,
// measured once: the most live bytes of the heap in steps 2 and 3 of PyTorch 1.13 (the same
// version's Python front end), less what was live before the model was made, batch included;
// "checkpointed" is its own recomputation in 5 segments.

#include <support/results.hpp>
#include <tessera/models/char_lstm.hpp>
#include <tessera/models/resnet.hpp>
#include <tessera/network/make.hpp>
#include <tessera/network/options.hpp>
#include <tessera/network/precision.hpp>
#include <tessera/nn/loss.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/passes/locate.hpp>

namespace {

namespace ts = tessera;

constexpr double mib = 1024.0 * 1024.0;

/// What a network's training is compared with, in MiB; 0 where there is no figure.
struct training_case {
  const char* name;
  ts::i32 batch;
  ts::graph (*forward)(ts::i32 batch, ts::purpose why);
  double goals[3];  // by way of training
  double torch_heap, torch_checkpointed;
};

template <class Input, class Layers>
constexpr auto forward_of =
    &ts::make_forward<ts::network<Input, Layers>, ts::softmax_cross_entropy>;

const training_case cases[] = {
    {"resnet20.b32",
     32,
     forward_of<ts::image<3, 32, 32>, ts::models::cifar_resnet<20>>,
     {29, 18, 12},
     52.7,
     40.9},
    {"resnet50.b4",
     4,
     forward_of<ts::image<3, 224, 224>, ts::models::resnet50<>>,
     {380, 350, 300},
     587.2,
     499.9},
    {"charlstm128.s512.b32",
     32,
     forward_of<ts::tokens<512>, ts::models::char_lstm<65>>,
     {64, 34, 6},
     112.1,
     0},
};

enum class limit { none, goal, least };

struct way {
  const char* name;
  std::size_t goal;  // number in `goals`
  bool mixed;
  limit what;
};
constexpr way ways[] = {{"f32", 0, false, limit::none},
                        {"f32, within the goal", 0, false, limit::goal},
                        {"f16", 1, true, limit::none},
                        {"f16, within the goal", 1, true, limit::goal},
                        {"f16, least memory", 2, true, limit::least}};

struct planned {
  ts::memory_summary memory;
  double again = 0;  // recomputed, of a forward pass
};

planned plan(const training_case& c, bool mixed, const ts::recompute_policy& recompute) {
  ts::graph step = c.forward(c.batch, ts::purpose::training);
  const ts::precision_policy precision =
      mixed ? ts::mixed<ts::fp16, ts::skip_tensor>::policy : ts::fp32::policy;
  // Where weight gradients of a loop would be stacked, they are added up in the momentum instead.
  const ts::update_rule rule =
      recompute.used() ? ts::rule_of<ts::summing_sgd>() : ts::rule_of<ts::momentum_sgd>();
  const ts::recompute_summary made =
      ts::complete_training_graph(step, precision, rule, {}, recompute);
  return {ts::passes::plan_step(step, true).memory, made.share()};
}

planned plan(const training_case& c, const way& w) {
  if (w.what == limit::least) return plan(c, w.mixed, ts::least_memory::recomputation);
  const planned free = plan(c, w.mixed, {});
  if (w.what == limit::none) return free;
  const ts::i64 outside = free.memory.total_bytes - free.memory.arena_bytes;
  const auto goal = static_cast<ts::i64>(c.goals[w.goal] * mib);
  return plan(c, w.mixed, {ts::recompute_goal::budget, goal - outside});
}

void run(bench::results& all) {
  for (const training_case& c : cases) {
    if (!all.wants(c.name)) continue;
    for (const way& w : ways) {
      const auto [m, again] = plan(c, w);
      const bool first = &w == ways;
      const auto in_mib = [](ts::i64 bytes) { return static_cast<double>(bytes) / mib; };
      all.add_figures(c.name, w.name,
                      {{"total MiB", in_mib(m.total_bytes)},
                       {"goal", c.goals[w.goal]},
                       {"arena", in_mib(m.arena_bytes)},
                       {"bound", in_mib(m.lower_bound_bytes)},
                       {"parameters", in_mib(m.parameter_bytes + m.working_bytes)},
                       {"state", in_mib(m.state_bytes)},
                       {"batch", in_mib(m.input_bytes + m.target_bytes)},
                       {"again %", 100 * again},
                       {"libtorch heap", first ? c.torch_heap : 0},
                       {"checkpointed", first ? c.torch_checkpointed : 0}});
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program("bench_host_memory", argc, argv, &run);
}
