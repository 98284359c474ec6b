// How fast does each optimizer update a parameter on this machine, and how near to what memory
// allows?
//
// Nanoseconds per value, one thread, f32 gradients that lie in memory: the least of the rounds of
// half a second of processor time, since neighbours only ever slow them. The floor is a plain pass
// over the same arrays: the gradient is read, parameter and states are read, added to and written.
// lamb and lars read some arrays twice; their floors count that.
//
//   bench_host_updates

#include <cstdio>
#include <vector>

#include <support/rounds.hpp>
#include <tessera/backends/host/update_rules.hpp>

namespace {

using namespace tessera;
using host::simd::vec;

double least(const auto& run) {
  const auto now = [] { return bench::now(bench::clock_kind::cpu); };
  double best = 1e9;
  const double start = now();
  for (i32 n = 0; n < 3 || now() - start < 0.5; ++n) {
    const double before = now();
    run();
    const double time = now() - before;
    if (time < best) best = time;
  }
  return best * 1e9;
}

struct arrays {
  std::vector<float> gradient, weight, state[3];

  explicit arrays(i64 n)
      : gradient(static_cast<std::size_t>(n), 0.01f),
        weight(gradient.size(), 0.5f),
        state{gradient, gradient, gradient} {}

  i64 size() const { return static_cast<i64>(gradient.size()); }
  float* changed(i32 k) { return k == 0 ? weight.data() : state[k - 1].data(); }

  /// `twice`: so many arrays are read once more.
  double floor(i32 changes, i32 twice) {
    return least([&] {
      using namespace host::simd;
      for (i32 k = 0; k < twice; ++k) {
        vec sum = zero();
        for (i64 i = 0; i + lanes <= size(); i += lanes) sum = sum + load(changed(k) + i);
        asm volatile("" : : "r"(&sum) : "memory");
      }
      for (i64 i = 0; i + lanes <= size(); i += lanes) {
        const vec g = load(gradient.data() + i);
        for (i32 k = 0; k < changes; ++k) store(changed(k) + i, load(changed(k) + i) + g);
      }
    });
  }

  double update(const update_rule& rule, kernel run) {
    signature s;
    s.what = ops::update_kind(rule.what);
    norm_update_sizes{1, static_cast<i32>(size())}.write(s);
    attributes attr;
    attr.update = rule;
    step_values step;
    step.learning_rate = 1e-6f;
    i32 applied = 10;
    float carried = 0.5f;
    const auto bytes = [](auto* p) { return reinterpret_cast<std::byte*>(p); };
    std::byte* const in[8] = {bytes(gradient.data())};
    std::byte* out[8] = {bytes(weight.data())};
    for (i32 i = 0; i < rule.states(); ++i) out[1 + i] = bytes(state[i].data());
    out[4] = bytes(&applied);
    if (ops::carries_number(rule.what)) out[5] = bytes(&carried);
    const call c{in, out, &s, &attr, &step};
    return least([&] { run(c); });
  }
};

}  // namespace

int main() {
  using enum optimizer_kind;
  using host::norm_update;
  using host::rule_update;
  struct contestant {
    const char* name;
    update_rule rule;
    kernel run;
    i32 twice = 0;
  };
  const contestant all[] = {
      {"sgd", {.what = sgd}, &host::update<float>},
      {"sgd, momentum", {.what = sgd, .momentum = 0.9f}, &host::update<float>},
      {"adam", {.what = adam}, &host::update<float>},
      {"adamw", {.what = adam, .weight_decay = 0.1f, .decoupled = true}, &host::update<float>},
      {"rmsprop", {.what = rmsprop}, &rule_update<float, kind::rmsprop_update>},
      {"rmsprop, centered, momentum",
       {.what = rmsprop, .momentum = 0.9f, .centered = true},
       &rule_update<float, kind::rmsprop_update>},
      {"adagrad", {.what = adagrad}, &rule_update<float, kind::adagrad_update>},
      {"adadelta", {.what = adadelta}, &rule_update<float, kind::adadelta_update>},
      {"adamax", {.what = adamax}, &rule_update<float, kind::adamax_update>},
      {"nadam", {.what = nadam}, &rule_update<float, kind::nadam_update>},
      {"radam", {.what = radam}, &rule_update<float, kind::radam_update>},
      {"rprop", {.what = rprop}, &rule_update<float, kind::rprop_update>},
      {"lion", {.what = lion}, &rule_update<float, kind::lion_update>},
      {"lamb", {.what = lamb}, &norm_update<float, kind::lamb_update>, 3},
      {"lars", {.what = lars, .momentum = 0.9f}, &norm_update<float, kind::lars_update>, 2},
  };
  for (const i64 n : {i64{20'000}, i64{1} << 18, i64{1} << 23}) {
    std::printf("%lld values %31s %8s %6s\n", static_cast<long long>(n), "ns", "floor", "ratio");
    arrays a(n);
    for (const contestant& c : all) {
      const double floor = a.floor(1 + c.rule.states(), c.twice) / static_cast<double>(n);
      const double time = a.update(c.rule, c.run) / static_cast<double>(n);
      std::printf("  %-32s %9.3f %8.3f %6.2f\n", c.name, time, floor, time / floor);
    }
  }
}
