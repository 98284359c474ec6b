// Trains networks far deeper than their memory: what a step drops it computes again.
//
//   100 layers      in the memory in which nine layers train as usual
//   1,000 steps     of four GRUs on top of each other, in a sixteenth of what their training takes
//
// Both budgets are types: had the compiler not found a way to keep them, this would not compile.
// You see two memory plans side by side for each (time across, bytes up, a letter for each large
// buffer), then both networks in training, each beside itself with everything kept: after every
// step the losses are the same bits, and at the end the weights are.
//
//   deep_by_recompute                      MNIST where there is some, else digits that it draws
//   deep_by_recompute --steps 200          trains longer
//   deep_by_recompute --report FILE.json   the figures
//
// MB are 10^6 bytes of the arena: activations, gradients and statistics. Weights and the states of
// their optimizer come on top, as everywhere.

#include <tessera/data.hpp>
#include <tessera/io/json.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "support/command_words.hpp"

namespace ts = tessera;

// ---- 100 layers, and nine ----------------------------------------------------------------------

/// `Depth` layers of 64 units, all alike: what goes in, and what a layer makes of it.
template <int Depth>
using perceptron =
    ts::network<ts::image<1, 28, 28>, ts::flatten, ts::dense<64>,
                ts::repeat<Depth, ts::residual<ts::layer_norm<>, ts::dense<64>, ts::gelu>>,
                ts::layer_norm<>, ts::dense<10>>;

template <int Depth, class... Options>
using perceptron_job = ts::training<perceptron<Depth>, ts::softmax_cross_entropy, ts::momentum_sgd,
                                    ts::batch<128>, Options...>;

using nine_layers = perceptron_job<9>;
using deep_plain = perceptron_job<100>;
using deep = perceptron_job<100, ts::budget<nine_layers::memory.arena_bytes>>;

static_assert(deep::memory.arena_bytes <= nine_layers::memory.arena_bytes);

// ---- 1,000 points in time ----------------------------------------------------------------------

using listener =
    ts::network<ts::sequence<1000, 1>, ts::gru<32, ts::layers<4>, ts::last_output>, ts::dense<4>>;

template <class... Options>
using listener_job =
    ts::training<listener, ts::softmax_cross_entropy, ts::adam, ts::batch<16>, Options...>;

using long_plain = listener_job<>;
using long_lean = listener_job<ts::budget<long_plain::memory.arena_bytes / 16>>;

static_assert(16 * long_lean::memory.arena_bytes <= long_plain::memory.arena_bytes);

namespace {

/// Tones of four pitches, each with a loudness, phase and noise of its own. Sample i follows from
/// (seed, i).
class tones {
 public:
  explicit tones(ts::u64 seed) : seed_(seed) {}

  ts::i64 size() const { return 1 << 20; }
  ts::shape sample_shape() const { return ts::shape(1000, 1); }
  ts::i32 label(ts::i64 index) const { return static_cast<ts::i32>(index % 4); }
  void read(ts::i64 index, float* out) const {
    ts::random_stream random(seed_, static_cast<ts::u64>(index));
    const float phase = 6.2831853f * random.next_uniform();
    const float loudness = 0.5f + random.next_uniform();
    const float period = 6.0f * std::pow(2.0f, static_cast<float>(label(index)));
    for (ts::i32 t = 0; t < 1000; ++t) {
      const float angle = 6.2831853f * static_cast<float>(t) / period + phase;
      out[t] = loudness * std::sin(angle) + 0.1f * random.next_normal();
    }
  }

 private:
  ts::u64 seed_;
};

// ---- what is said ------------------------------------------------------------------------------

double mb(ts::i64 bytes) { return static_cast<double>(bytes) / 1e6; }

/// The plans of two jobs, next to each other.
template <class Left, class Right>
void draw_side_by_side(const char* left, const char* right) {
  constexpr ts::i32 columns = 44;
  constexpr ts::i32 rows = 14;
  const auto lines_of = [](const ts::memory_map& map) {
    std::ostringstream text;
    ts::draw_memory(text, map, columns, rows);
    std::istringstream in(text.str());
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line) && lines.size() < rows;) lines.push_back(line);
    return lines;
  };
  const std::vector<std::string> a = lines_of(ts::map_memory<Left>());
  const std::vector<std::string> b = lines_of(ts::map_memory<Right>());
  const int width = columns + 12;
  std::printf("%-*s  %s\n", width, left, right);
  for (std::size_t i = 0; i < a.size() || i < b.size(); ++i) {
    std::printf("%-*s  %s\n", width, i < a.size() ? a[i].c_str() : "",
                i < b.size() ? b[i].c_str() : "");
  }
}

template <class Job>
void say_plan(const char* name) {
  constexpr ts::memory_summary m = Job::memory;
  std::printf("  %-34s %9.3f MB arena %9.3f MB with nothing reused %6.2f forward passes again\n",
              name, mb(m.arena_bytes), mb(m.no_reuse_bytes), Job::recompute.share());
}

template <class Job>
ts::io::json to_json() {
  constexpr ts::memory_summary m = Job::memory;
  return {{"arena_bytes", m.arena_bytes},       {"lower_bound_bytes", m.lower_bound_bytes},
          {"no_reuse_bytes", m.no_reuse_bytes}, {"parameter_bytes", m.parameter_bytes},
          {"state_bytes", m.state_bytes},       {"extra_flops_share", Job::recompute.share()}};
}

// ---- training ----------------------------------------------------------------------------------

struct settings {
  std::string data;
  std::string report;
  ts::i32 steps = 60;
  ts::u64 seed = 1;
  ts::i32 threads = 1;
};

/// What two trainings side by side were like.
struct comparison {
  double first_loss = 0;
  double last_loss = 0;  // means over a few steps
  double seconds = 0;    // of the steps that recompute
  double plain_seconds = 0;
  bool same_losses = true;
  bool same_weights = true;
};

bool same_weights(const ts::weight_list& a, const ts::weight_list& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].bytes.size() != b[i].bytes.size() ||
        std::memcmp(a[i].bytes.data(), b[i].bytes.data(), a[i].bytes.size()) != 0) {
      return false;
    }
  }
  return true;
}

/// Trains a network that recomputes and the same network that keeps everything, on the same
/// batches.
template <class Lean, class Plain, class Source>
comparison train_both(const Source& source, const settings& s, float rate) {
  using clock = std::chrono::steady_clock;
  const auto lean = std::make_unique<ts::trainer<Lean>>(ts::seed{s.seed}, ts::threads{s.threads});
  const auto plain = std::make_unique<ts::trainer<Plain>>(ts::seed{s.seed}, ts::threads{s.threads});
  comparison c;
  constexpr ts::i32 batch = Lean::options.batch;
  std::vector<ts::i32> indices(batch);
  const ts::i32 few = s.steps < 5 ? s.steps : 5;
  for (ts::i32 step = 0; step < s.steps; ++step) {
    for (ts::i32 n = 0; n < batch; ++n) {
      indices[static_cast<std::size_t>(n)] =
          static_cast<ts::i32>((ts::i64{step} * batch + n) % source.size());
    }
    const auto run = [&](auto& trainer, double& seconds) {
      trainer.load(source, indices);
      const auto begin = clock::now();
      trainer.step(rate);
      seconds += std::chrono::duration<double>(clock::now() - begin).count();
      return trainer.loss();
    };
    const double loss = run(*lean, c.seconds);
    const double kept = run(*plain, c.plain_seconds);
    c.same_losses = c.same_losses && std::memcmp(&loss, &kept, sizeof(loss)) == 0;
    if (step < few) c.first_loss += loss / few;
    if (step >= s.steps - few) c.last_loss += loss / few;
    const ts::i32 every = s.steps < 10 ? 1 : s.steps / 10;
    if (step % every == 0 || step + 1 == s.steps) {
      std::printf("  step %4d   loss %.7f   with everything kept %.7f\n", step + 1, loss, kept);
      std::fflush(stdout);
    }
  }
  c.same_weights = same_weights(lean->weights(), plain->weights());
  return c;
}

ts::io::json to_json(const comparison& c) {
  return {{"first_loss", c.first_loss},   {"last_loss", c.last_loss},
          {"seconds", c.seconds},         {"plain_seconds", c.plain_seconds},
          {"same_losses", c.same_losses}, {"same_weights", c.same_weights}};
}

void say(const comparison& c) {
  std::printf("  losses and weights %s; loss %.4f, then %.4f; %.2f times the time\n\n",
              c.same_losses && c.same_weights ? "the same bit for bit" : "DIFFER", c.first_loss,
              c.last_loss, c.plain_seconds > 0 ? c.seconds / c.plain_seconds : 0);
}

constexpr const char* help =
    "  --data DIR         folder of MNIST (default: $TESSERA_DATA/mnist, else drawn digits)\n"
    "  --steps N          of training, of both networks (default 60)\n"
    "  --seed N           of weights and made data\n"
    "  --threads N        no result depends on it\n"
    "  --report FILE      where to put the figures (JSON)\n";

settings parse(int argc, char** argv) {
  settings s;
  for (examples::command_words words(argc, argv, help); words.next();) {
    if (words.name() == "--data") {
      words.folder(s.data);
    } else if (words.name() == "--steps") {
      words.number(s.steps, 1);
    } else if (words.name() == "--seed") {
      words.number(s.seed, 0);
    } else if (words.name() == "--threads") {
      words.number(s.threads, 1);
    } else if (words.name() == "--report") {
      words.file(s.report);
    } else {
      words.refuse();
    }
  }
  if (s.data.empty()) s.data = examples::data_folder("mnist");
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  bool same = false;
  const int code = examples::run("deep_by_recompute", [&] {
    const settings s = parse(argc, argv);
    const ts::i64 samples = ts::i64{s.steps} * deep::options.batch;
    const ts::data::dataset digits =
        s.data.empty() ? ts::data::drawn_digits(samples < 12800 ? samples : 12800, 1, 1).train
                       : ts::data::mnist(s.data).train;

    std::printf("100 layers of 64 units, batch %d, %s\n", deep::options.batch,
                s.data.empty() ? "drawn digits" : "MNIST");
    say_plan<nine_layers>("9 layers, everything kept");
    say_plan<deep>("100 layers, in their budget");
    say_plan<deep_plain>("100 layers, everything kept");
    draw_side_by_side<nine_layers, deep>("9 layers, everything kept",
                                         "100 layers, in their budget");
    const comparison layers = train_both<deep, deep_plain>(digits, s, 0.01f);
    say(layers);

    std::printf("4 GRUs of 32 units over 1,000 points in time, batch %d, made tones\n",
                long_lean::options.batch);
    say_plan<long_plain>("everything kept");
    say_plan<long_lean>("a sixteenth");
    draw_side_by_side<long_plain, long_lean>("everything kept", "a sixteenth");
    const comparison steps = train_both<long_lean, long_plain>(tones(s.seed), s, 0.01f);
    say(steps);

    same = layers.same_losses && layers.same_weights && steps.same_losses && steps.same_weights;
    std::printf(
        "deep_by_recompute: 100 layers in %.3f MB (9 take %.3f), 1,000 steps in %.3f MB "
        "(of %.3f), %s\n",
        mb(deep::memory.arena_bytes), mb(nine_layers::memory.arena_bytes),
        mb(long_lean::memory.arena_bytes), mb(long_plain::memory.arena_bytes),
        same ? "bit for bit" : "NOT bit for bit");
    if (s.report.empty()) return;
    ts::io::write_json(s.report, {{"example", "deep_by_recompute"},
                                  {"seed", s.seed},
                                  {"steps", s.steps},
                                  {"layers",
                                   {{"nine_layers", to_json<nine_layers>()},
                                    {"recomputed", to_json<deep>()},
                                    {"plain", to_json<deep_plain>()},
                                    {"training", to_json(layers)}}},
                                  {"time",
                                   {{"recomputed", to_json<long_lean>()},
                                    {"plain", to_json<long_plain>()},
                                    {"training", to_json(steps)}}}});
  });
  return code != 0 ? code : same ? 0 : 1;
}
