// A fixed selection of golden networks through compiled programs: the same cases that the
// interpreter runs, trained by the trainer of a network type.
//
// A row of the table names a job and what a case must say to be run through it; a case may have
// fewer samples than the job's batch, the rest is padding.

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <tessera/tessera.hpp>
#include <catalogue/goldens/checks.hpp>

#include <cstdio>
#include <numeric>

namespace tessera::testing {

namespace {

template <class Activation, class Pool>
using lenet5 = network<image<1, 28, 28>,                      //
                       conv<6, 5, pad<2>>, Activation, Pool,  //
                       conv<16, 5>, Activation, Pool,         //
                       flatten, tessera::dense<120>, Activation, tessera::dense<84>, Activation,
                       tessera::dense<10>>;

using mlp = network<tessera::input<20>, tessera::dense<32>, relu, tessera::dense<16>, relu,
                    tessera::dense<5>>;

struct case_sgd : sgd {
  static constexpr float momentum = 0.9f;
  static constexpr float weight_decay = 1e-4f;
};
struct case_momentum : sgd {
  static constexpr float momentum = 0.9f;
};
struct case_adam : adam {
  static constexpr float epsilon = 1e-6f;
};

/// The batch of a case as a trainer reads it.
class case_samples {
 public:
  explicit case_samples(const golden_case& c)
      : x_(c.tensor("inputs", "x")), target_(c.tensor("inputs", "target")) {}

  i64 size() const { return x_.dims[0]; }
  shape sample_shape() const { return x_.dims_as_they_are().sample(); }
  void read(i64 index, float* out) const {
    const i64 features = sample_shape().count();
    for (i64 i = 0; i < features; ++i) {
      out[i] = static_cast<float>(x_.values[static_cast<std::size_t>(index * features + i)]);
    }
  }
  i32 label(i64 index) const {
    return static_cast<i32>(target_.values[static_cast<std::size_t>(index)]);
  }

 private:
  golden_tensor x_;
  golden_tensor target_;
};

/// What a case calls the weight that a program calls dense2.weight: fc2.weight.
std::string case_name(const std::string& name) {
  return name.rfind("dense", 0) == 0 ? "fc" + name.substr(5) : name;
}

/// Trains a case for `steps` and compares the losses (output `losses`) and the weights (`prefix`
/// of `section`).
template <class Job>
void run_program(const golden_case& c, findings& f, float rate, i32 steps,
                 const std::string& losses, const std::string& section, const std::string& prefix) {
  auto trained = std::make_unique<trainer<Job>>();
  std::size_t weights = 0;
  for (const weight& w : trained->weights()) {
    write_tensor(w.about, w.bytes.data(), c.tensor("weights", case_name(w.name)).values);
    ++weights;
  }
  if (weights != c.names("weights").size()) f.note("the program has other weights");
  const case_samples samples(c);
  std::vector<i32> indices(static_cast<std::size_t>(samples.size()));
  std::iota(indices.begin(), indices.end(), 0);
  std::vector<double> got;
  for (i32 step = 0; step < steps; ++step) {
    trained->load(samples, indices);
    trained->step(rate, static_cast<i32>(samples.size()));
    got.push_back(trained->loss());
  }
  f.compare("outputs", losses, got);
  for (const weight& w : trained->weights()) {
    f.compare(section, prefix + case_name(w.name), read_tensor(w.about, w.bytes.data()));
  }
}

template <class Net, class Optimizer>
void run_fp32(const golden_case& c, findings& f, const char* optimizer) {
  const io::json& attrs = c.attribute_values().at(optimizer);
  const i32 steps = attrs.at("steps").get<i32>();
  run_program<training<Net, softmax_cross_entropy, Optimizer, batch<8>>>(
      c, f, attrs.at("lr").get<float>(), steps, std::string(optimizer) + "_losses",
      optimizer + std::to_string(steps), "");
}

template <class Net, class Optimizer>
void run_sgd(const golden_case& c, findings& f) {
  run_fp32<Net, Optimizer>(c, f, "sgd");
}
template <class Net, class Optimizer>
void run_adam(const golden_case& c, findings& f) {
  run_fp32<Net, Optimizer>(c, f, "adam");
}

template <class Net>
void run_mixed(const golden_case& c, findings& f) {
  const io::json& attrs = c.attribute_values();
  using job = training<Net, softmax_cross_entropy, case_momentum, batch<8>,
                       mixed<fp16, skip_step, static_scale<1024>>>;
  run_program<job>(c, f, attrs.at("lr").get<float>(), attrs.at("steps").get<i32>(), "loss",
                   "outputs", "final/");
}

struct program_row {
  const char* op;
  io::json attrs;  // what a case must say, among others
  golden_check run;
};

const io::json sgd_of_cases{{"momentum", 0.9}, {"weight_decay", 1e-4}, {"nesterov", false}};
const io::json adam_of_cases{{"betas", {0.9, 0.999}}, {"eps", 1e-6}};

const program_row rows[] = {
    {"net_lenet5",
     {{"activation", "tanh"}, {"pool", "avg"}, {"sgd", sgd_of_cases}},
     run_sgd<lenet5<tessera::tanh, avg_pool<2>>, case_sgd>},
    {"net_lenet5",
     {{"activation", "relu"}, {"pool", "max"}, {"adam", adam_of_cases}},
     run_adam<lenet5<relu, max_pool<2>>, case_adam>},
    {"net_mlp",
     {{"activation", "relu"}, {"sizes", {20, 32, 16, 5}}, {"sgd", sgd_of_cases}},
     run_sgd<mlp, case_sgd>},
    {"mixed_lenet5",
     {{"optimizer", "sgd"},
      {"momentum", 0.9},
      {"pool", "avg"},
      {"dynamic", false},
      {"scale", 1024.0},
      {"loss_weight", 1.0}},
     run_mixed<lenet5<relu, avg_pool<2>>>},
};

/// True where `found` says all that `wanted` says.
bool fits(const io::json& wanted, const io::json& found) {
  if (!wanted.is_object()) return wanted == found;
  for (const auto& [name, value] : wanted.items()) {
    if (!found.contains(name) || !fits(value, found.at(name))) return false;
  }
  return true;
}

TEST_CASE("compiled programs agree with the golden networks they fit", "[goldens]") {
  const golden_folder folder(goldens_folder());
  for (const program_row& row : rows) {
    i32 run = 0;
    for (const golden_case& c : folder.cases()) {
      if (c.op() != row.op || !fits(row.attrs, c.attribute_values())) continue;
      if (c.tensor("inputs", "x").dims[0] > 8) continue;
      findings f(c);
      f.set_where("compiled: ");
      row.run(c, f);
      for (const std::string& wrong : f.wrong()) FAIL_CHECK(wrong);
      ++run;
    }
    std::printf("compiled %-14s %d golden case%s\n", row.op, run, run == 1 ? "" : "s");
    // A folder of other cases need not have one of each.
    if (std::getenv("TESSERA_GOLDENS") == nullptr) CHECK(run > 0);
  }
}

}  // namespace

}  // namespace tessera::testing
