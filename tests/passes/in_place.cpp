// What is put in place, against all ways to do it: small random steps, every choice of outputs that
// take over an input's bytes, each placed in every order.

#include <tessera/passes/locate.hpp>

#include <support/catch.hpp>
#include <support/plan_validator.hpp>
#include <support/random_graph.hpp>

#include <algorithm>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::testing;

/// Tries every choice. Lives are counted here anew, legality is the validator's.
class all_choices {
 public:
  explicit all_choices(const graph& g) : g_(g), root_(index(g.tensors.size())) {
    first_.assign(root_.size(), -1);
    last_.assign(root_.size(), -1);
    bytes_in_.resize(root_.size());
    for (i32 id = 0; id < g.tensors.size(); ++id) {
      root_[index(id)] = storage_of(g, id);
      bytes_in_[index(id)] = id;
    }
    for (i32 i = 0; i < g.operations.size(); ++i) {
      for (const i32 id : g.operations[i].in) use(id, i);
      for (const i32 id : g.operations[i].out) use(id, i);
    }
    for (i32 id = 0; id < g.tensors.size(); ++id) {
      if (g.tensors[id].what == role::result) last_[index(root(id))] = g.operations.size();
    }
    end_ = last_;
    choose(0, 0);
  }

  i64 least_bound() const { return least_; }
  i64 choices() const { return choices_; }

 private:
  static std::size_t index(i32 i) { return static_cast<std::size_t>(i); }
  i32 root(i32 id) const { return root_[index(id)]; }

  void use(i32 id, i32 i) {
    if (id < 0) return;
    i32& first = first_[index(root(id))];
    if (first < 0) first = i;
    last_[index(root(id))] = i;
  }

  bool free_to_take(const operation& op, i32 i, i32 o, i32 k) const {
    const i32 out = op.out[o];
    const i32 in = op.in[k];
    if (out < 0 || in < 0 || root(out) != out || first_[index(out)] != i) return false;
    if (!in_arena(g_.tensors[out].what) || !in_arena(g_.tensors[root(in)].what)) return false;
    if (bytes_in_[index(out)] != out || !may_overwrite(op.what, o, k)) return false;
    const i32 bytes = bytes_in_[index(root(in))];
    if (end_[index(bytes)] != i) return false;
    if (g_.tensors[root(in)].bytes() != g_.tensors[out].bytes()) return false;
    for (i32 other = 0; other < operation::max_inputs; ++other) {
      if (other != k && op.in[other] >= 0 && bytes_in_[index(root(op.in[other]))] == bytes) {
        return false;
      }
    }
    for (i32 other = 0; other < operation::max_outputs; ++other) {
      if (other != o && op.out[other] >= 0 && bytes_in_[index(root(op.out[other]))] == bytes) {
        return false;
      }
    }
    return true;
  }

  /// All choices from output `o` of operation `i` on.
  void choose(i32 i, i32 o) {
    if (choices_ > 20000) return;
    if (o == operation::max_outputs) return choose(i + 1, 0);
    if (i == g_.operations.size()) {
      ++choices_;
      const i64 bound = most_alive();
      least_ = least_ < 0 || bound < least_ ? bound : least_;
      return;
    }
    const operation& op = g_.operations[i];
    for (i32 k = 0; k < operation::max_inputs; ++k) {
      if (!free_to_take(op, i, o, k)) continue;
      const i32 out = op.out[o];
      const i32 bytes = bytes_in_[index(root(op.in[k]))];
      const i32 ended = end_[index(bytes)];
      bytes_in_[index(out)] = bytes;
      end_[index(bytes)] = last_[index(out)];
      choose(i, o + 1);
      bytes_in_[index(out)] = out;
      end_[index(bytes)] = ended;
    }
    choose(i, o + 1);
  }

  i64 most_alive() const {
    std::vector<i64> alive(index(g_.operations.size() + 1));
    for (i32 id = 0; id < g_.tensors.size(); ++id) {
      const bool owns = root(id) == id && first_[index(id)] >= 0 && bytes_in_[index(id)] == id;
      if (!owns || !in_arena(g_.tensors[id].what)) continue;
      for (i32 i = first_[index(id)]; i <= end_[index(id)]; ++i) {
        alive[index(i)] += aligned(g_.tensors[id].bytes());
      }
    }
    return *std::max_element(alive.begin(), alive.end());
  }

  const graph& g_;
  std::vector<i32> root_, first_, last_, bytes_in_, end_;
  i64 least_ = -1;
  i64 choices_ = 0;
};

}  // namespace

TEST_CASE("what is put in place needs as few bytes as the best of all choices", "[passes]") {
  i32 steps = 0;
  i32 best = 0;
  i64 choices = 0;
  double worst = 1;
  for (u64 seed = 0; seed < 600; ++seed) {
    const graph g = random_graph(seed, {.most_layers = 6}).make();
    const all_choices all(g);
    if (all.choices() > 20000) continue;  // too many to try
    const passes::step_plan plan = passes::plan_step(g);
    REQUIRE(plan.memory.lower_bound_bytes >= all.least_bound());
    ++steps;
    choices += all.choices();
    best += plan.memory.arena_bytes == all.least_bound() ? 1 : 0;
    worst = std::max(worst, static_cast<double>(plan.memory.arena_bytes) /
                                static_cast<double>(all.least_bound()));
  }
  INFO(best << " of " << steps << " at the least of " << choices << " choices, worst " << worst);
  CHECK(steps > 500);
  CHECK(best >= steps * 99 / 100);  // all of them when this was written
  CHECK(worst < 1.05);
}
