#pragma once

// The chain planner: when to run which blocks of a chain again, so that its backward pass needs few
// bytes at little extra work.
//
//   block       0         1         2         3
//   forward   x0 -> | x1 -> | x2 -> | x3 -> loss        x: what crosses from block to block
//
// To go over blocks s to t, forward and back, from x_s:
//
//   keep    run block s and keep what its backward pass reads; blocks s + 1 to t; backward of s
//   pass    run blocks s to k - 1 and keep x_k alone; blocks k to t; then, from x_s again, blocks s
//           to k - 1
//
// For each s and t the planner holds all that is worth having as a staircase: so many bytes, so
// many multiply-adds. One staircase is found from those of shorter pieces; a budget is looked up.
// Keep is one shift of a staircase, pass the sum of two, what is left is the lower envelope.
//
//   multiply-adds
//     |__
//     |  |_____
//     |        |___________        blocks^3 / 6 sums of staircases of 32 to 96 steps; where a
//     +---------------------> bytes  staircase has more, the least useful go
//
// Source: Beaumont, Herrmann, Pallez, Shilova 2019, Optimal checkpointing for heterogeneous chains
// (the recursion); staircases instead of a grid of memory sizes are ours.

#include <tessera/core/grow.hpp>
#include <tessera/core/types.hpp>

namespace tessera::passes {

/// One block of a chain. Bytes beside those that came before: what crosses into it is counted by
/// whoever keeps it.
struct chain_block {
  i64 input_bytes = 0;     // what crosses into it: x
  i64 saved_bytes = 0;     // what its backward pass reads of its own values
  i64 keeping_bytes = 0;   // the most at once while it runs and keeps them
  i64 passing_bytes = 0;   // the most at once while it runs and keeps nothing
  i64 backward_bytes = 0;  // gradients and temporaries of its backward pass
  i64 macs = 0;            // of running it once
};

/// A step of a staircase: with so many bytes, so many multiply-adds, first runs included.
struct chain_point {
  i64 bytes = 0;
  i64 macs = 0;
};

/// What to do first with blocks s to t: keep (split == s), or pass to block `split`.
struct chain_choice {
  i32 split = -1;  // -1: there is no way in so few bytes
};

class chain_planner {
 public:
  /// With at most 12 blocks staircases are as good as whole; with more they stay short.
  constexpr chain_planner(const chain_block* blocks, i32 count)
      : count_(count), room_(count <= 12 ? 96 : 32), blocks_(count), used_(count * count) {
    for (i32 i = 0; i < count; ++i) blocks_[i] = blocks[i];
    points_.resize(count * count * room_);
    for (i32 t = 0; t < count; ++t) {
      for (i32 s = t; s >= 0; --s) find(s, t);
    }
  }

  constexpr i32 size() const { return count_; }
  constexpr const chain_block& block(i32 i) const { return blocks_[i]; }

  /// The staircase of the whole chain, fewest bytes first.
  constexpr i32 points() const { return used_[at(0, count_ - 1)]; }
  constexpr const chain_point& point(i32 i) const { return stairs(0, count_ - 1)[i]; }

  /// Multiply-adds of running every block once.
  constexpr i64 least_macs() const {
    i64 sum = 0;
    for (const chain_block& b : blocks_) sum += b.macs;
    return sum;
  }

  /// The fewest multiply-adds for blocks s to t in so many bytes, -1 where they do not suffice.
  constexpr i64 cost(i32 s, i32 t, i64 bytes) const {
    i64 macs = -1;
    const chain_point* const p = stairs(s, t);
    for (i32 i = 0; i < used_[at(s, t)] && p[i].bytes <= bytes; ++i) macs = p[i].macs;
    return macs;
  }

  /// The first step of the way that costs that.
  constexpr chain_choice choose(i32 s, i32 t, i64 bytes) const {
    chain_choice best;
    i64 least = -1;
    const i64 kept = cost_of_keeping(s, t, bytes);
    if (kept >= 0) {
      best.split = s;
      least = kept;
    }
    i64 run = 0;
    i64 room = 0;
    for (i32 k = s + 1; k <= t; ++k) {
      run += blocks_[k - 1].macs;
      room = larger(room, passing(s, k - 1));
      if (bytes < room) break;
      const i64 after = cost(k, t, bytes - blocks_[k].input_bytes);
      const i64 before = cost(s, k - 1, bytes);
      if (after < 0 || before < 0) continue;
      if (least < 0 || run + after + before < least) {
        least = run + after + before;
        best.split = k;
      }
    }
    return best;
  }

 private:
  static constexpr i64 larger(i64 a, i64 b) { return a > b ? a : b; }
  constexpr i32 at(i32 s, i32 t) const { return s * count_ + t; }
  constexpr const chain_point* stairs(i32 s, i32 t) const {
    return points_.data() + at(s, t) * room_;
  }

  /// Bytes at once while block j of a run from block s passes.
  constexpr i64 passing(i32 s, i32 j) const {
    return blocks_[j].passing_bytes + (j > s ? blocks_[j].input_bytes : 0);
  }

  /// The fewest bytes with which block s is kept, whatever follows.
  constexpr i64 keeping(i32 s) const {
    const chain_block& b = blocks_[s];
    return larger(b.keeping_bytes, b.saved_bytes + b.backward_bytes);
  }

  constexpr i64 cost_of_keeping(i32 s, i32 t, i64 bytes) const {
    if (bytes < keeping(s)) return -1;
    if (s == t) return blocks_[s].macs;
    const i64 after = cost(s + 1, t, bytes - blocks_[s].saved_bytes);
    return after < 0 ? -1 : after + blocks_[s].macs;
  }

  /// A staircase under construction, with room for the sum of two.
  struct staircase {
    grow<chain_point> p;

    /// Bytes must not fall from call to call.
    constexpr void add(i64 bytes, i64 macs) {
      if (!p.empty() && p.back().macs <= macs) return;
      if (!p.empty() && p.back().bytes == bytes) {
        p.back().macs = macs;
      } else {
        p.push({bytes, macs});
      }
    }
  };

  /// The lower of two staircases everywhere.
  static constexpr staircase lower(const staircase& a, const staircase& b) {
    staircase c;
    c.p.reserve(a.p.size() + b.p.size());
    i32 i = 0;
    i32 k = 0;
    while (i < a.p.size() || k < b.p.size()) {
      const bool first = k == b.p.size() || (i < a.p.size() && a.p[i].bytes <= b.p[k].bytes);
      const chain_point& next = first ? a.p[i++] : b.p[k++];
      c.add(next.bytes, next.macs);
    }
    return c;
  }

  constexpr void find(i32 s, i32 t) {
    staircase best;
    const chain_block& b = blocks_[s];
    if (s == t) {
      best.add(keeping(s), b.macs);
    } else {
      const chain_point* const p = stairs(s + 1, t);
      for (i32 i = 0; i < used_[at(s + 1, t)]; ++i) {
        best.add(larger(p[i].bytes + b.saved_bytes, keeping(s)), p[i].macs + b.macs);
      }
    }
    i64 run = 0;
    i64 room = 0;
    for (i32 k = s + 1; k <= t; ++k) {
      run += blocks_[k - 1].macs;
      room = larger(room, passing(s, k - 1));
      best = lower(best, sum(s, k, t, run, room));
    }
    store(best, s, t);
  }

  /// Pass to block k: the costs of both parts together, with the bytes of each.
  constexpr staircase sum(i32 s, i32 k, i32 t, i64 run, i64 room) const {
    const chain_point* const after = stairs(k, t);
    const chain_point* const before = stairs(s, k - 1);
    const i32 afters = used_[at(k, t)];
    const i32 befores = used_[at(s, k - 1)];
    const i64 input = blocks_[k].input_bytes;
    staircase c;
    i32 i = 0;
    i32 j = 0;
    while (i < afters || j < befores) {
      // The next of the two that steps down.
      if (j == befores || (i < afters && after[i].bytes + input <= before[j].bytes)) {
        ++i;
      } else {
        ++j;
      }
      if (i == 0 || j == 0) continue;
      const i64 bytes = larger(room, larger(after[i - 1].bytes + input, before[j - 1].bytes));
      c.add(bytes, run + after[i - 1].macs + before[j - 1].macs);
    }
    return c;
  }

  /// Takes over a staircase; the least useful of too many steps go, never the first or the last.
  constexpr void store(staircase& best, i32 s, i32 t) {
    chain_point* const p = best.p.data();
    i32 n = best.p.size();
    while (n > room_) {
      i32 least = 1;
      double smallest = -1;
      for (i32 i = 1; i + 1 < n; ++i) {
        const double loss = static_cast<double>(p[i - 1].macs - p[i].macs) *
                            static_cast<double>(p[i + 1].bytes - p[i].bytes);
        if (smallest >= 0 && loss >= smallest) continue;
        smallest = loss;
        least = i;
      }
      for (i32 i = least; i + 1 < n; ++i) p[i] = p[i + 1];
      --n;
    }
    used_[at(s, t)] = n;
    chain_point* const to = points_.data() + at(s, t) * room_;
    for (i32 i = 0; i < n; ++i) to[i] = p[i];
  }

  i32 count_;
  i32 room_;
  grow<chain_block> blocks_;
  grow<chain_point> points_;
  grow<i32> used_;
};

}  // namespace tessera::passes
