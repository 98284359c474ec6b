#include <tessera/passes/chain_plan.hpp>

#include <support/catch.hpp>

#include <tessera/core/random.hpp>

#include <limits>
#include <map>
#include <queue>
#include <tuple>
#include <vector>

// The chain planner beside an exact search over everything that can be done.

namespace {

using namespace tessera;
using namespace tessera::passes;

/// A shortest path over states of the machine: which inputs and which saved values are held, and
/// how much of the backward pass is done. Knows nothing of pieces: any held input may be run on
/// from, and what nothing held needs may be dropped at any time. For short chains.
class exhaustive {
 public:
  explicit exhaustive(const std::vector<chain_block>& blocks) : b_(blocks) {}

  /// The fewest multiply-adds in so many bytes, -1 where none suffice.
  i64 macs(i64 bytes) {
    const auto n = static_cast<unsigned>(b_.size());
    using item = std::pair<i64, std::tuple<unsigned, unsigned, unsigned>>;
    std::priority_queue<item, std::vector<item>, std::greater<>> queue;
    std::map<std::tuple<unsigned, unsigned, unsigned>, i64> known;
    const auto reach = [&](i64 cost, unsigned inputs, unsigned saved, unsigned left) {
      const std::tuple state(inputs, saved, left);
      const auto found = known.find(state);
      if (found != known.end() && found->second <= cost) return;
      known[state] = cost;
      queue.push({cost, state});
    };
    reach(0, 1, 0, n);
    while (!queue.empty()) {
      const auto [cost, state] = queue.top();
      queue.pop();
      if (known[state] < cost) continue;
      const auto [inputs, saved, left] = state;
      if (left == 0) return cost;
      const i64 held = held_bytes(inputs, saved);
      for (unsigned i = 1; i < n; ++i) {  // drop
        // What a block has saved is of no use without its input: both are held together.
        const bool used = ((saved >> i) & 1u) && !((saved >> (i - 1)) & 1u);
        if (((inputs >> i) & 1u) && !used) reach(cost, inputs & ~(1u << i), saved, left);
      }
      for (unsigned i = 0; i < n; ++i) {
        const bool used = ((saved >> (i + 1)) & 1u) && !((inputs >> (i + 1)) & 1u);
        if (((saved >> i) & 1u) && !used) reach(cost, inputs, saved & ~(1u << i), left);
      }
      for (unsigned i = 0; i < left; ++i) {  // run block i, from a held input or what is saved
        const bool there = ((inputs >> i) & 1u) || (i > 0 && ((saved >> (i - 1)) & 1u));
        if (!there) continue;
        const chain_block& b = b_[i];
        if (!((saved >> i) & 1u) && held + b.keeping_bytes <= bytes &&
            held + b.saved_bytes <= bytes) {
          reach(cost + b.macs, inputs, saved | (1u << i), left);
        }
        if (i + 1 < left && !((inputs >> (i + 1)) & 1u) && held + b.passing_bytes <= bytes &&
            held + b_[i + 1].input_bytes <= bytes) {
          reach(cost + b.macs, inputs | (1u << (i + 1)), saved, left);
        }
      }
      const unsigned last = left - 1;
      const bool read = last == 0 || ((inputs >> last) & 1u) || ((saved >> (last - 1)) & 1u);
      if (read && ((saved >> last) & 1u)) {
        if (held - b_[last].saved_bytes + b_[last].backward_bytes <= bytes) {
          reach(cost, inputs & ~(1u << left), saved & ~(1u << last), last);
        }
      }
    }
    return -1;
  }

 private:
  i64 held_bytes(unsigned inputs, unsigned saved) const {
    i64 sum = 0;
    for (unsigned i = 0; i < b_.size(); ++i) {
      if (i > 0 && ((inputs >> i) & 1u)) sum += b_[i].input_bytes;
      if ((saved >> i) & 1u) sum += b_[i].saved_bytes;
    }
    return sum;
  }
  std::vector<chain_block> b_;
};

std::vector<chain_block> random_chain(random_stream& random, i32 blocks) {
  const auto draw = [&](u32 n) { return static_cast<i64>(random.next_below(n)); };
  std::vector<chain_block> chain;
  for (i32 i = 0; i < blocks; ++i) {
    chain_block b;
    b.input_bytes = i == 0 ? 0 : 1 + draw(100);
    b.macs = 1 + draw(1000);
    b.backward_bytes = draw(120);
    chain.push_back(b);
  }
  for (i32 i = 0; i < blocks; ++i) {
    // What crosses into the next block is one of the values that are saved.
    const i64 output = i + 1 < blocks ? chain[static_cast<std::size_t>(i + 1)].input_bytes : 1;
    chain_block& b = chain[static_cast<std::size_t>(i)];
    b.saved_bytes = output + draw(300);
    b.passing_bytes = output + draw(50);
    b.backward_bytes += b.saved_bytes;
    b.keeping_bytes = b.saved_bytes > b.passing_bytes ? b.saved_bytes : b.passing_bytes;
  }
  return chain;
}

/// The recursion of the header, for one budget, without staircases.
class recursion {
 public:
  explicit recursion(const std::vector<chain_block>& blocks) : b_(blocks) {}

  i64 macs(i32 s, i32 t, i64 bytes) {
    const auto found = known_.find({s, t, bytes});
    if (found != known_.end()) return found->second;
    i64 best = none;
    const chain_block& b = block(s);
    if (bytes >= b.keeping_bytes && bytes >= b.backward_bytes) {
      const i64 after = s == t ? 0 : macs(s + 1, t, bytes - b.saved_bytes);
      if (after < none) best = b.macs + after;
    }
    i64 run = 0;
    for (i32 k = s + 1; k <= t; ++k) {
      const chain_block& passed = block(k - 1);
      run += passed.macs;
      if (bytes < passed.passing_bytes + (k - 1 > s ? passed.input_bytes : 0)) break;
      const i64 after = macs(k, t, bytes - block(k).input_bytes);
      const i64 before = macs(s, k - 1, bytes);
      if (after < none && before < none && run + after + before < best) best = run + after + before;
    }
    known_[{s, t, bytes}] = best;
    return best;
  }

  static constexpr i64 none = std::numeric_limits<i64>::max() / 4;

 private:
  const chain_block& block(i32 i) const { return b_[static_cast<std::size_t>(i)]; }
  std::vector<chain_block> b_;
  std::map<std::tuple<i32, i32, i64>, i64> known_;
};

}  // namespace

TEST_CASE("random chains cost what the exact recursion says, in any budget", "[passes]") {
  random_stream random(11);
  i32 compared = 0;
  double worst = 1;
  for (i32 round = 0; round < 300; ++round) {
    const i32 blocks = 1 + static_cast<i32>(random.next_below(12));
    const std::vector<chain_block> chain = random_chain(random, blocks);
    const chain_planner plan(chain.data(), blocks);
    recursion exact(chain);
    const i64 least = plan.point(0).bytes;
    const i64 most = plan.point(plan.points() - 1).bytes;
    CHECK(plan.point(plan.points() - 1).macs == plan.least_macs());
    CHECK(exact.macs(0, blocks - 1, least) < recursion::none);
    CHECK(exact.macs(0, blocks - 1, least - 1) == recursion::none);
    for (i32 i = 0; i <= 10; ++i) {
      const i64 bytes = least + (most - least) * i / 10;
      const i64 found = plan.cost(0, blocks - 1, bytes) - plan.least_macs();
      const i64 wanted = exact.macs(0, blocks - 1, bytes) - plan.least_macs();
      REQUIRE(found >= wanted);
      if (wanted == 0) CHECK(found == 0);
      if (wanted > 0)
        worst = std::max(worst, static_cast<double>(found) / static_cast<double>(wanted));
      ++compared;
    }
  }
  CHECK(compared == 3300);
  CHECK(worst < 1.05);
}

TEST_CASE("no search over all that a machine can do is 5 % better on short chains", "[passes]") {
  random_stream random(12);
  i64 found = 0;
  i64 wanted = 0;
  i32 apart = 0;
  i32 compared = 0;
  for (i32 round = 0; round < 60; ++round) {
    const i32 blocks = 2 + static_cast<i32>(random.next_below(5));
    const std::vector<chain_block> chain = random_chain(random, blocks);
    const chain_planner plan(chain.data(), blocks);
    exhaustive search(chain);
    const i64 least = plan.point(0).bytes;
    const i64 most = plan.point(plan.points() - 1).bytes;
    for (i32 i = 0; i <= 4; ++i) {
      const i64 bytes = least + (most - least) * i / 4;
      const i64 mine = plan.cost(0, blocks - 1, bytes) - plan.least_macs();
      const i64 best = search.macs(bytes) - plan.least_macs();
      found += mine;
      wanted += best;
      apart += mine > best ? 1 : 0;
      ++compared;
    }
  }
  INFO(found << " " << wanted << ", apart " << apart << " of " << compared);
  CHECK(static_cast<double>(found) <= 1.05 * static_cast<double>(wanted));
}

TEST_CASE("the choices of a plan add up to its cost", "[passes]") {
  random_stream random(13);
  for (i32 round = 0; round < 100; ++round) {
    const i32 blocks = 1 + static_cast<i32>(random.next_below(12));
    const std::vector<chain_block> chain = random_chain(random, blocks);
    const chain_planner plan(chain.data(), blocks);
    for (i32 i = 0; i < plan.points(); ++i) {
      const auto replay = [&](const auto& self, i32 s, i32 t, i64 bytes) -> i64 {
        const chain_choice c = plan.choose(s, t, bytes);
        REQUIRE(c.split >= 0);
        const chain_block& b = plan.block(s);
        if (c.split == s) {
          return b.macs + (s == t ? 0 : self(self, s + 1, t, bytes - b.saved_bytes));
        }
        i64 macs = 0;
        for (i32 k = s; k < c.split; ++k) macs += plan.block(k).macs;
        return macs + self(self, c.split, t, bytes - plan.block(c.split).input_bytes) +
               self(self, s, c.split - 1, bytes);
      };
      CHECK(replay(replay, 0, blocks - 1, plan.point(i).bytes) <= plan.point(i).macs);
    }
  }
}

TEST_CASE("a chain is planned while compiling", "[passes]") {
  constexpr chain_point least = [] {
    chain_block chain[8];
    for (chain_block& b : chain) b = {10, 40, 40, 10, 45, 100};
    return chain_planner(chain, 8).point(0);
  }();
  STATIC_REQUIRE(least.bytes == 55);  // one input beside what one block takes
  STATIC_REQUIRE(least.macs == 800 + 700 + 600 + 500 + 400 + 300 + 200 + 100);
}
