#pragma once

// From the graph of a step to its plan, in stages, each a constant of its own: graph -> signatures,
// and graph -> lives -> tries of placement -> locations. What is planned at start-up has the first
// half as constants and the second from a function that runs once.

#include <tessera/network/frozen.hpp>
#include <tessera/ops/ops.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/passes/spread.hpp>
#include <utility>

namespace tessera::detail {

/// Signatures of the operations, with all sizes, and which of the kernels each needs. Kernel k is
/// that of operation `first_of[k]`, the first that needs it, with or without fixed sizes.
template <i32 Operations>
struct signature_list {
  frozen_array<signature, Operations> of_operation;
  frozen_array<i32, Operations> kernel_of;  // -1 for the ends of loops
  frozen_array<i32, Operations> first_of;
  frozen_array<bool, Operations> fixed;  // by kernel
  i32 kernels = 0;
};

/// At most this many kernels of a program have constant sizes; what comes later runs on the
/// run-time forms, so that compile time stays in bounds.
inline constexpr i32 constant_kernels = 64;

constexpr signature specialize(const signature& s, bool may_fix) {
  signature k = s;
  k.fixed = may_fix && ops::sizes_pay(s.what);
  if (!k.fixed) {
    for (i32& n : k.n) n = 0;
  }
  return k;
}

/// Tells most different signatures apart by one number.
constexpr u64 digest(const signature& s) {
  u64 sum = s.types * 0x9E3779B97F4A7C15u + static_cast<u64>(s.what) * 2 + (s.batch_last ? 1 : 0);
  for (const i32 n : s.n) sum = (sum ^ static_cast<u64>(n)) * 0x100000001B3u;
  return sum;
}

/// This many operations are signed in one constant, so that the allowance for one suffices.
inline constexpr i32 signed_at_once = 512;

/// `parts[k]` are the signatures of the operations from k x signed_at_once on.
template <i32 Operations>
constexpr signature_list<Operations> list_signatures(const graph& g,
                                                     const signature* const* parts) {
  signature_list<Operations> list;
  grow<u64> digests(Operations);  // of the kernels
  i32 fixed = 0;
  for (i32 op = 0; op < Operations; ++op) {
    const kind what = g.operations[op].what;
    list.kernel_of[op] = -1;
    if (what == kind::loop || what == kind::end_loop) continue;
    const signature& s = parts[op / signed_at_once][op % signed_at_once];
    list.of_operation[op] = s;
    i32 found = -1;
    for (const bool may_fix : {true, false}) {
      const signature k = specialize(s, may_fix);
      const u64 wanted = digest(k);
      const u64* const known = digests.data();
      for (i32 i = 0; i < list.kernels && found < 0; ++i) {
        if (known[i] != wanted) continue;
        if (specialize(list.of_operation[list.first_of[i]], list.fixed[i]) == k) found = i;
      }
      if (found >= 0 || !k.fixed) break;
    }
    if (found < 0) {
      const signature k = specialize(s, fixed < constant_kernels);
      found = list.kernels++;
      list.first_of[found] = op;
      list.fixed[found] = k.fixed;
      fixed += k.fixed ? 1 : 0;
      digests[found] = digest(k);
    }
    list.kernel_of[op] = found;
  }
  return list;
}

/// The buffers of a plan, with their offsets.
struct arena_buffers {
  const buffer* items = nullptr;
  i32 count = 0;
  const i32* of_tensor = nullptr;  // -1 outside the arena

  constexpr const buffer* of(i32 tensor) const {
    return of_tensor[tensor] < 0 ? nullptr : items + of_tensor[tensor];
  }
};

/// What is known about a step without its memory. `Make` is a function object that makes the graph.
template <class Make>
struct described {
  static constexpr graph_size size = size_of(Make{}());
  static constexpr auto step_graph = freeze<size>(Make{}());

  /// How often each operation runs in a step.
  static constexpr auto runs = [] {
    const graph g = borrow(step_graph);
    const grow<i32> bodies = bodies_of_operations(g);
    frozen_array<i64, size.operations> counts;
    for (i32 i = 0; i < size.operations; ++i) counts[i] = runs_of(g, bodies[i]);
    return counts;
  }();

  /// Those of the runs in which the weights are the same as in the run before.
  static constexpr auto kept_runs = [] {
    const graph g = borrow(step_graph);
    const grow<i32> bodies = bodies_of_operations(g);
    frozen_array<i64, size.operations> counts;
    for (i32 i = 0; i < size.operations; ++i) {
      counts[i] = runs_with_kept_weights(g, g.operations[i], bodies[i]);
    }
    return counts;
  }();

  template <i32 From>
  struct signed_from {
    static constexpr i32 count =
        size.operations - From < signed_at_once ? size.operations - From : signed_at_once;
    static constexpr frozen_array<signature, count> part = [] {
      const graph g = borrow(step_graph);
      frozen_array<signature, count> signatures;
      for (i32 i = 0; i < count; ++i) {
        const operation& op = g.operations[From + i];
        if (op.what != kind::loop && op.what != kind::end_loop) signatures[i] = ops::sign(g, op);
      }
      return signatures;
    }();
  };
  static constexpr signature_list<size.operations> signatures =
      []<i32... Part>(std::integer_sequence<i32, Part...>) {
    const signature* const parts[] = {signed_from<Part * signed_at_once>::part.items...};
    return list_signatures<size.operations>(borrow(step_graph), parts);
  }
  (std::make_integer_sequence<i32, size.operations / signed_at_once + 1>{});
  static constexpr i32 kernel_count = signatures.kernels;

  /// What kernels are chosen by, as template arguments: sizes where they pay, else zeros.
  static constexpr auto kernels = [] {
    frozen_array<signature, kernel_count> all;
    for (i32 k = 0; k < kernel_count; ++k) {
      all[k] = specialize(signatures.of_operation[signatures.first_of[k]], signatures.fixed[k]);
    }
    return all;
  }();
};

/// Room in a fast memory beside the arena.
template <class Make>
inline constexpr i64 scratchpad_of = [] {
  if constexpr (requires { Make::scratchpad_bytes; }) return Make::scratchpad_bytes;
  return i64{0};
}();

/// Shares buffers out between the arena and a scratchpad, whose cost does not matter: it is less.
constexpr passes::pool_traffic share_out(const graph& g, buffer* buffers, i32 count,
                                         const i32* buffer_of, i64 scratchpad_bytes) {
  const grow<i64> traffic = passes::traffic_of_buffers(g, buffer_of, count);
  const passes::memory_pool pools[] = {{0, 2}, {scratchpad_bytes, 1}};
  return passes::spread(buffers, count, traffic.data(), pools, 2);
}

/// A step whose memory is a constant.
template <class Make>
struct planned : described<Make> {
  using described<Make>::size;
  using described<Make>::step_graph;
  static constexpr bool at_start = false;

  template <i32 Buffers>
  struct lives {
    frozen_array<buffer, Buffers> buffers;
    frozen_array<i32, size.tensors> buffer_of;
    i64 no_reuse_bytes = 0;
    i32 buffer_count = 0;
  };
  /// With room for more buffers than there can be: it costs less than to look twice.
  static constexpr lives<size.tensors> found = [] {
    const passes::liveness l = passes::find_liveness(borrow(step_graph));
    lives<size.tensors> all;
    all.buffer_count = l.buffers.size();
    for (i32 i = 0; i < all.buffer_count; ++i) all.buffers[i] = l.buffers[i];
    all.buffer_of = freeze<size.tensors>(l.buffer_of);
    all.no_reuse_bytes = l.no_reuse_bytes;
    return all;
  }();
  static constexpr i32 buffer_count = found.buffer_count;
  static constexpr lives<buffer_count> live = [] {
    lives<buffer_count> l{{}, found.buffer_of, found.no_reuse_bytes, buffer_count};
    for (i32 i = 0; i < buffer_count; ++i) l.buffers[i] = found.buffers[i];
    return l;
  }();

  static constexpr i64 bound = passes::lower_bound(live.buffers.items, buffer_count);

  /// Buffers of the arena with their offsets, placed by one of the tries; -1 bytes: no try.
  struct attempt {
    frozen_array<buffer, buffer_count> buffers;
    passes::placement_tries tries;
    i64 arena_bytes = -1;
  };
  template <i32 Number>
  struct placed_by {
    static constexpr attempt made = [] {
      attempt a{live.buffers, {}, -1};
      if constexpr (Number > 0) a.tries = placed_by<Number - 1>::made.tries;
      a.arena_bytes = passes::try_placement(a.tries, a.buffers.items, buffer_count);
      return a;
    }();
  };

  /// The best of the tries: the next is only made where none has reached the bound.
  template <i32 Next, i32 Best>
  static constexpr const attempt& best_attempt() {
    constexpr i64 least = placed_by<Best>::made.arena_bytes;
    if constexpr (Next == passes::placement_tries::most || least == bound) {
      return placed_by<Best>::made;
    } else {
      constexpr i64 arena = placed_by<Next>::made.arena_bytes;
      return best_attempt < Next + 1, (arena >= 0 && arena < least) ? Next : Best > ();
    }
  }

  static constexpr i64 scratchpad_bytes = scratchpad_of<Make>;
  struct shares {
    frozen_array<buffer, buffer_count> buffers;
    i64 traffic[2] = {};
  };
  static constexpr shares shared_out = [] {
    shares s{live.buffers};
    if constexpr (scratchpad_bytes > 0) {
      const passes::pool_traffic t = share_out(borrow(step_graph), s.buffers.items, buffer_count,
                                               live.buffer_of.data(), scratchpad_bytes);
      for (const i32 pool : {0, 1}) s.traffic[pool] = t.bytes[pool];
    }
    return s;
  }();

  static constexpr const auto& placed_buffers() {
    if constexpr (scratchpad_bytes > 0) {
      return shared_out.buffers;
    } else {
      return best_attempt<1, 0>().buffers;
    }
  }
  static constexpr const auto& buffers = placed_buffers();

  struct layout {
    frozen_array<location, size.tensors> locations;
    memory_summary memory;
  };
  static constexpr layout where = [] {
    const passes::step_plan p = passes::locate(borrow(step_graph), buffers.data(), buffer_count,
                                               live.buffer_of.data(), live.no_reuse_bytes);
    layout l{freeze<size.tensors>(p.locations), p.memory};
    l.memory.arena_traffic = shared_out.traffic[0];
    l.memory.scratchpad_traffic = shared_out.traffic[1];
    return l;
  }();

  static constexpr const memory_summary& memory() { return where.memory; }
  static constexpr const location* locations() { return where.locations.items; }
  static constexpr arena_buffers arena() {
    return {buffers.data(), buffer_count, live.buffer_of.data()};
  }
};

/// A step whose memory is planned by the first who asks, once.
template <class Make>
struct planned_at_start : described<Make> {
  using described<Make>::step_graph;
  static constexpr bool at_start = true;

  static const memory_summary& memory() { return made().where.memory; }
  static const location* locations() { return made().where.locations.data(); }
  static arena_buffers arena() {
    const passes::liveness& live = made().live;
    return {live.buffers.data(), live.buffers.size(), live.buffer_of.data()};
  }

 private:
  struct layout {
    passes::liveness live;
    passes::step_plan where;
  };
  static const layout& made() {
    static const layout once = [] {
      const graph g = borrow(step_graph);
      layout l{passes::find_liveness(g), {}};
      buffer* const buffers = l.live.buffers.data();
      const i32 count = l.live.buffers.size();
      i64 traffic[2] = {};
      if constexpr (scratchpad_of < Make >> 0) {
        const passes::pool_traffic t =
            share_out(g, buffers, count, l.live.buffer_of.data(), scratchpad_of<Make>);
        for (const i32 pool : {0, 1}) traffic[pool] = t.bytes[pool];
      } else {
        passes::place(buffers, count);
      }
      l.where = passes::locate(g, buffers, count, l.live.buffer_of.data(), l.live.no_reuse_bytes);
      l.where.memory.arena_traffic = traffic[0];
      l.where.memory.scratchpad_traffic = traffic[1];
      return l;
    }();
    return once;
  }
};

}  // namespace tessera::detail
