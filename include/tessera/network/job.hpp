#pragma once

// Jobs: a step of a network, planned. All that is known about it is a constant here.
//
//   using job = training<lenet, softmax_cross_entropy, adam, batch<64>, mixed<fp16>>;
//   static_assert(job::memory.total_bytes < 3_MiB);
//
// The stages, each a constant of its own: graph -> lives -> places -> locations -> signatures.
// A network that does not fit together is one error of the compiler, with the builder's words.

#include <tessera/network/frozen.hpp>
#include <tessera/network/make.hpp>
#include <tessera/network/recomputed.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/passes/locate.hpp>

namespace tessera {

/// One row of a plan: a tensor, its type, and where and when its bytes are.
struct placed_tensor {
  tensor_name name;
  shape dims;
  element type = element::f32;
  role what = role::activation;
  location at;
  i64 bytes = 0;
  i32 born = 0;  // first and last operation that needs it; arena tensors only
  i32 dies = 0;
  bool own_bytes = true;  // false: a view, or in place of another tensor
};

namespace detail {

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

template <i32 Operations>
constexpr signature_list<Operations> list_signatures(const graph& g) {
  signature_list<Operations> list;
  grow<u64> digests(Operations);  // of the kernels
  i32 fixed = 0;
  for (i32 op = 0; op < Operations; ++op) {
    const kind what = g.operations[op].what;
    list.kernel_of[op] = -1;
    if (what == kind::loop || what == kind::end_loop) continue;
    const signature s = ops::sign(g, g.operations[op]);
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

constexpr placed_tensor describe(const tensor& t, const location& at, const buffer* b, bool own) {
  placed_tensor p{t.name, t.dims, t.type, t.what, at, t.bytes(), 0, 0, own};
  if (b != nullptr) {
    p.born = b->born;
    p.dies = b->dies;
  }
  return p;
}

/// The stages from a graph to a plan. `Make` is a function object that makes the graph.
template <class Make>
struct planned {
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
  static constexpr const auto& buffers = best_attempt<1, 0>().buffers;

  struct layout {
    frozen_array<location, size.tensors> locations;
    memory_summary memory;
  };
  static constexpr layout where = [] {
    const passes::step_plan p = passes::locate(borrow(step_graph), buffers.data(), buffer_count,
                                               live.buffer_of.data(), live.no_reuse_bytes);
    return layout{freeze<size.tensors>(p.locations), p.memory};
  }();

  static constexpr signature_list<size.operations> signatures =
      list_signatures<size.operations>(borrow(step_graph));
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

}  // namespace detail

/// A planned step, whatever its graph.
template <class Make>
struct job_base {
  using plan = detail::planned<Make>;

  /// Bytes of the whole step.
  static constexpr memory_summary memory = plan::where.memory;

  /// Row `id` of the plan: a tensor of the step's graph.
  static constexpr placed_tensor placement(i32 id) {
    const tensor& t = plan::step_graph.tensors[id];
    const i32 b = plan::live.buffer_of[id];
    const bool own = t.of < 0 && (b < 0 || plan::buffers[b].tensor == id);
    return detail::describe(t, plan::where.locations[id], b < 0 ? nullptr : &plan::buffers[b], own);
  }
  static constexpr i32 tensor_count = plan::size.tensors;
  static constexpr i32 operation_count = plan::size.operations;

  /// Number of trainable values.
  static constexpr i64 parameter_count = [] {
    i64 n = 0;
    for (const tensor& t : plan::step_graph.tensors) {
      if (t.what == role::parameter && t.of < 0 && t.differentiable) n += t.dims.count();
    }
    return n;
  }();
};

namespace detail {

/// What is wrong with a network and its loss, empty where they fit together.
template <class Network, class Loss>
inline constexpr text<360> mistake = spell(make_forward<Network, Loss>(1, purpose::training).wrong);

template <class Network, class Loss>
using mistake_of = network_error<cut<mistake<Network, Loss>.size>(mistake<Network, Loss>)>;

// Each compiler prints the whole message in a form of its own: g++ beside a failed static_assert,
// where clang cuts texts at 36 characters; clang beside a constraint that is not met, which takes
// g++ twice the lines.
#if defined(__clang__)
template <class Mistake>
requires(Mistake::ok) struct network_fits {
  using type = Mistake;
};
#else
template <class Mistake>
struct network_fits {
  static_assert(Mistake::ok, "this network does not fit together; the note says where");
  using type = Mistake;
};
#endif

/// The same for a budget that cannot be kept.
#if defined(__clang__)
template <class Mistake>
requires(Mistake::ok) struct budget_holds {
  using type = Mistake;
};
#else
template <class Mistake>
struct budget_holds {
  static_assert(Mistake::ok, "this budget cannot be kept; the note says what can");
  using type = Mistake;
};
#endif

/// What is planned: the network and loss asked for, or, after a mistake has been reported, a pair
/// that fits, so that one mistake stays one error.
template <class Network, class Loss, bool Fits = mistake<Network, Loss>.empty()>
struct planned_pair {
  using network = Network;
  using loss = Loss;
};
template <class Network, class Loss>
struct planned_pair<Network, Loss, false> {
  using network = tessera::network<input<1>, dense<1>>;
  using loss = std::conditional_t<std::same_as<Loss, void>, void, mse>;
};

/// A training step before recomputation and slots.
template <class Pair, class Optimizer, class... Options>
struct unfinished_maker {
  constexpr graph operator()(bool recomputes) const {
    return make_unfinished_training<typename Pair::network, typename Pair::loss>(
        read_job_options<Options...>(), rule_of<Optimizer>(), recomputes);
  }
};

template <class Pair, class Optimizer, class... Options>
struct training_maker {
  static constexpr recompute_policy policy = read_job_options<Options...>().recompute;
  using with_recomputation = recomputed<unfinished_maker<Pair, Optimizer, Options...>, policy>;

  constexpr graph operator()() const {
    if constexpr (policy.used()) {
      return with_recomputation::make();
    } else {
      return make_training<typename Pair::network, typename Pair::loss>(
          read_job_options<Options...>(), rule_of<Optimizer>());
    }
  }
};

template <class Pair, class... Options>
struct inference_maker {
  constexpr graph operator()() const {
    return make_inference<typename Pair::network, typename Pair::loss>(
        read_job_options<Options...>());
  }
};

}  // namespace detail

/// Forward pass of a network with its output kept: inference<lenet, batch<1>>.
template <network_type Network, job_option... Options>
struct inference
    : job_base<detail::inference_maker<detail::planned_pair<Network, void>, Options...>> {
  using checked = typename detail::network_fits<detail::mistake_of<Network, void>>::type;
  using network = typename detail::planned_pair<Network, void>::network;
  static constexpr job_options options = read_job_options<Options...>();
};

/// Forward pass and loss, nothing else: what a trainer evaluates with.
template <network_type Network, loss_function Loss, job_option... Options>
struct evaluation
    : job_base<detail::inference_maker<detail::planned_pair<Network, Loss>, Options...>> {
  using checked = typename detail::network_fits<detail::mistake_of<Network, Loss>>::type;
  using network = typename detail::planned_pair<Network, Loss>::network;
  static constexpr job_options options = read_job_options<Options...>();
};

/// A whole training step: forward, loss, backward, loss scaling, update.
template <network_type Network, loss_function Loss, optimizer Optimizer, job_option... Options>
struct training
    : job_base<detail::training_maker<detail::planned_pair<Network, Loss>, Optimizer, Options...>> {
  using maker = detail::training_maker<detail::planned_pair<Network, Loss>, Optimizer, Options...>;
  using checked = typename detail::network_fits<detail::mistake_of<Network, Loss>>::type;
  using network = typename detail::planned_pair<Network, Loss>::network;
  using loss = typename detail::planned_pair<Network, Loss>::loss;
  using evaluation_job = evaluation<network, loss, Options...>;
  static constexpr job_options options = read_job_options<Options...>();
  static constexpr update_rule update = rule_of<Optimizer>();

  /// What recomputation costs: multiply-adds done again, their share of a forward pass, operations.
  static constexpr recompute_summary recompute = [] {
    if constexpr (maker::policy.used()) return maker::with_recomputation::summary;
    return recompute_summary{};
  }();

 private:
  static constexpr text<360> over_budget = [] {
    if constexpr (maker::policy.goal == recompute_goal::budget) {
      return detail::spell_budget(maker::policy, training::memory.arena_bytes);
    }
    return text<360>{};
  }();

 public:
  using kept_budget =
      typename detail::budget_holds<network_error<cut<over_budget.size>(over_budget)>>::type;
};

}  // namespace tessera
