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
//     |        |___________        blocks^3 / 6 sums of staircases of 24 to 96 steps; where a
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
  i64 backward_bytes = 0;  // the most at once while its backward pass uses them up
  i64 macs = 0;            // of running it once

  /// A second way to keep it, where lean_saved_bytes >= 0: loops keep what goes from trip to trip
  /// only, and their reverses compute the rest again.
  i64 lean_saved_bytes = -1;
  i64 lean_keeping_bytes = 0;
  i64 lean_backward_bytes = 0;
  i64 lean_macs = 0;  // on top
};

/// A step of a staircase: with so many bytes, so many multiply-adds, first runs included.
struct chain_point {
  i64 bytes = 0;
  i64 macs = 0;
};

/// What to do first with blocks s to t: keep (split == s), or pass to block `split`.
struct chain_choice {
  i32 split = -1;  // -1: there is no way in so few bytes
  bool lean = false;
};

class chain_planner {
 public:
  static constexpr i32 most_points = 96;
  static constexpr i32 most_steps = 96 * 78;  // of all routes: each piece of 12 blocks once

  /// With at most 12 blocks staircases are as good as whole; with more they stay short.
  constexpr chain_planner(const chain_block* blocks, i32 count)
      : count_(count), room_(count <= 12 ? most_points : 24), blocks_(count), used_(count * count) {
    for (i32 i = 0; i < count; ++i) blocks_[i] = blocks[i];
    points_.resize(count * count * room_);
    other_.resize(2 * room_);
    best_.resize(2 * room_ * (count + 1));
    merged_.resize(2 * room_ * (count + 1));
    for (i32 t = 0; t < count; ++t) {
      for (i32 s = t; s >= 0; --s) find(s, t);
    }
  }

  constexpr i32 size() const { return count_; }
  constexpr const chain_block& block(i32 i) const { return blocks_[i]; }
  constexpr i64 saved(i32 i, bool lean) const {
    return lean ? blocks_[i].lean_saved_bytes : blocks_[i].saved_bytes;
  }

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
    for (const bool lean : {false, true}) {
      const i64 kept = cost_of_keeping(s, t, bytes, lean);
      if (kept < 0 || (least >= 0 && kept >= least)) continue;
      best.split = s;
      best.lean = lean;
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
        best.lean = false;
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

  /// Block s as it is kept in one of two ways; whether there is this one.
  constexpr chain_block kept_block(i32 s, bool lean) const {
    chain_block b = blocks_[s];
    if (lean) {
      b.saved_bytes = b.lean_saved_bytes;
      b.keeping_bytes = b.lean_keeping_bytes;
      b.backward_bytes = b.lean_backward_bytes;
      b.macs += b.lean_macs;
    }
    return b;
  }

  /// The fewest bytes with which a block is kept, whatever follows.
  static constexpr i64 least_of(const chain_block& b) {
    return larger(b.keeping_bytes, b.backward_bytes);
  }

  constexpr i64 cost_of_keeping(i32 s, i32 t, i64 bytes, bool lean) const {
    const chain_block b = kept_block(s, lean);
    if (b.saved_bytes < 0 || bytes < least_of(b)) return -1;
    if (s == t) return b.macs;
    const i64 after = cost(s + 1, t, bytes - b.saved_bytes);
    return after < 0 ? -1 : after + b.macs;
  }

  // Staircases under construction lie in arrays of the planner and are built through plain
  // pointers: this is the part that a compiler runs a million times.

  /// Appends a step to the `n` at `p`, whose bytes do not fall; nothing where it saves no work.
  static constexpr void add(chain_point* p, i32& n, i64 bytes, i64 macs) {
    if (n > 0 && p[n - 1].macs <= macs) return;
    if (n > 0 && p[n - 1].bytes == bytes) --n;
    p[n].bytes = bytes;
    p[n].macs = macs;
    ++n;
  }

  /// Makes best_ the lower of itself and the first `m` steps of other_, everywhere.
  constexpr void take_lower(i32 m) {
    const chain_point* const a = best_.data();
    const chain_point* const b = other_.data();
    chain_point* const c = merged_.data();
    i32 n = 0;
    i32 i = 0;
    i32 k = 0;
    while (i < best_count_ || k < m) {
      const bool first = k == m || (i < best_count_ && a[i].bytes <= b[k].bytes);
      const chain_point* const next = first ? a + i++ : b + k++;
      if (n > 0) {
        if (c[n - 1].macs <= next->macs) continue;
        if (c[n - 1].bytes == next->bytes) --n;
      }
      c[n].bytes = next->bytes;
      c[n++].macs = next->macs;
    }
    best_count_ = n;
    grow<chain_point> freed = static_cast<grow<chain_point>&&>(best_);
    best_ = static_cast<grow<chain_point>&&>(merged_);
    merged_ = static_cast<grow<chain_point>&&>(freed);
  }

  constexpr void find(i32 s, i32 t) {
    best_count_ = 0;
    for (const bool lean : {false, true}) {
      const chain_block b = kept_block(s, lean);
      if (b.saved_bytes < 0) continue;
      const i64 room = least_of(b);
      chain_point* const kept = other_.data();
      i32 n = 0;
      if (s == t) {
        add(kept, n, room, b.macs);
      } else {
        const chain_point* const p = stairs(s + 1, t);
        for (i32 i = 0; i < used_[at(s + 1, t)]; ++i) {
          add(kept, n, larger(p[i].bytes + b.saved_bytes, room), p[i].macs + b.macs);
        }
      }
      take_lower(n);
    }
    i64 run = 0;
    i64 room = 0;
    for (i32 k = s + 1; k <= t; ++k) {
      run += blocks_[k - 1].macs;
      room = larger(room, passing(s, k - 1));
      const i32 n = sum(s, k, t, run, room);
      if (n > 0) take_lower(n);
    }
    store(s, t);
  }

  /// Pass to block k: writes the costs of both parts together to other_. Returns the number of
  /// steps, 0 where best_ is nowhere above them.
  constexpr i32 sum(i32 s, i32 k, i32 t, i64 run, i64 room) {
    const chain_point* const after = stairs(k, t);
    const chain_point* const before = stairs(s, k - 1);
    const i32 afters = used_[at(k, t)];
    const i32 befores = used_[at(s, k - 1)];
    const i64 input = blocks_[k].input_bytes;
    const i64 fewest = larger(room, larger(after[0].bytes + input, before[0].bytes));
    const i64 least = run + after[afters - 1].macs + before[befores - 1].macs;
    for (i32 i = best_count_ - 1; i >= 0; --i) {
      if (best_[i].bytes > fewest) continue;
      if (best_[i].macs <= least) return 0;
      break;
    }
    chain_point* const c = other_.data();
    i32 n = 0;
    i32 i = 1;
    i32 j = 1;
    for (;;) {
      const i64 of_after = after[i - 1].bytes + input;
      const i64 of_before = before[j - 1].bytes;
      const i64 bytes = larger(room, of_after > of_before ? of_after : of_before);
      add(c, n, bytes, run + after[i - 1].macs + before[j - 1].macs);
      // On to the next of the two that steps down.
      if (i < afters && (j == befores || after[i].bytes + input <= before[j].bytes)) {
        ++i;
      } else if (j < befores) {
        ++j;
      } else {
        return n;
      }
    }
  }

  /// Takes over a staircase; the least useful of too many steps go, never the first or the last.
  constexpr void store(i32 s, i32 t) {
    chain_point* const p = best_.data();
    i32 n = best_count_;
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
  grow<chain_point> best_;  // of the piece at hand
  i32 best_count_ = 0;
  grow<chain_point> other_;
  grow<chain_point> merged_;
};

/// A way to go over a chain: the first step, then those of what comes after it, then those of what
/// is gone over again.
struct chain_route {
  i64 bytes = 0;
  i64 macs = 0;   // first runs included
  i32 first = 0;  // of its steps
};

/// All ways that are worth having, fewest bytes first.
struct chain_routes {
  grow<chain_route> routes;
  grow<i32> steps;  // each 2 split + lean, see chain_choice

  static constexpr i32 split_of(i32 step) { return step >> 1; }
  static constexpr bool is_lean(i32 step) { return (step & 1) != 0; }
};

namespace detail {

constexpr void append_steps(const chain_planner& plan, i32 s, i32 t, i64 bytes, grow<i32>& steps) {
  const chain_choice c = plan.choose(s, t, bytes);
  steps.push(2 * c.split + (c.lean ? 1 : 0));
  if (c.split == s) {
    if (s < t) append_steps(plan, s + 1, t, bytes - plan.saved(s, c.lean), steps);
    return;
  }
  append_steps(plan, c.split, t, bytes - plan.block(c.split).input_bytes, steps);
  append_steps(plan, s, c.split - 1, bytes, steps);
}

}  // namespace detail

constexpr chain_routes find_routes(const grow<chain_block>& chain) {
  const chain_planner plan(chain.data(), chain.size());
  chain_routes all;
  for (i32 i = 0; i < plan.points(); ++i) {
    all.routes.push({plan.point(i).bytes, plan.point(i).macs, all.steps.size()});
    detail::append_steps(plan, 0, chain.size() - 1, plan.point(i).bytes, all.steps);
  }
  return all;
}

/// Which blocks a route keeps lean; `at` moves on behind its steps for blocks s to t.
constexpr void mark_lean(const i32*& at, i32 s, i32 t, grow<bool>& lean) {
  const i32 step = *at++;
  const i32 split = chain_routes::split_of(step);
  if (split == s) {
    lean[s] = chain_routes::is_lean(step);
    if (s < t) mark_lean(at, s + 1, t, lean);
    return;
  }
  mark_lean(at, split, t, lean);
  mark_lean(at, s, split - 1, lean);
}

}  // namespace tessera::passes
