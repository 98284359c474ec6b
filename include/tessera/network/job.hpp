#pragma once

// Jobs: a step of a network, planned. All that is known about it is a constant here.
//
//   using job = training<lenet, softmax_cross_entropy, adam, batch<64>, mixed<fp16>>;
//   static_assert(job::memory.total_bytes < 3_MiB);
//
// The stages, each a constant of its own: graph -> lives -> places -> locations -> signatures
// (network/planned.hpp). With the option plan_at_start the memory is planned when the program
// starts, and job::memory() is a function. A network that does not fit together is one error of the
// compiler, with the builder's words.

#include <tessera/network/make.hpp>
#include <tessera/network/planned.hpp>
#include <tessera/network/recomputed.hpp>
#include <tessera/network/staged.hpp>
#include <tessera/optim/optimizer.hpp>

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

constexpr placed_tensor describe(const tensor& t, const location& at, const buffer* b, bool own) {
  placed_tensor p{t.name, t.dims, t.type, t.what, at, t.bytes(), 0, 0, own};
  if (b != nullptr) {
    p.born = b->born;
    p.dies = b->dies;
  }
  return p;
}

}  // namespace detail

/// What a planned step has, whenever it was planned.
template <class Plan>
struct job_facts {
  using plan = Plan;

  /// Row `id` of the plan: a tensor of the step's graph.
  static constexpr placed_tensor placement(i32 id) {
    const tensor& t = plan::step_graph.tensors[id];
    const buffer* const b = plan::arena().of(id);
    return detail::describe(t, plan::locations()[id], b,
                            t.of < 0 && (b == nullptr || b->tensor == id));
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

/// A step planned while compiling.
template <class Make, bool AtStart = false>
struct job_base : job_facts<detail::planned<Make>> {
  /// Bytes of the whole step.
  static constexpr memory_summary memory = detail::planned<Make>::where.memory;
};

/// A step planned when the program starts.
template <class Make>
struct job_base<Make, true> : job_facts<detail::planned_at_start<Make>> {
  /// Bytes of the whole step. The first call plans it.
  static const memory_summary& memory() { return detail::planned_at_start<Make>::memory(); }
};

/// Bytes of the whole step of a job, whenever it is planned.
template <class Job>
constexpr const memory_summary& memory_of() {
  return Job::plan::memory();
}

namespace detail {

/// What a forward graph says before any step is made of it.
struct forward_facts {
  text<360> wrong;  // with the network and its loss, empty where they fit together
  i32 operations = 0;
};
template <class Network, class Loss>
inline constexpr forward_facts forward_of = [] {
  const graph g = make_forward<Network, Loss>(1, purpose::training);
  return forward_facts{spell(g.wrong), g.operations.size()};
}();
template <class Network, class Loss>
inline constexpr text<360> mistake = forward_of<Network, Loss>.wrong;

template <class Network, class Loss>
using mistake_of = network_error<cut<mistake<Network, Loss>.size>(mistake<Network, Loss>)>;

/// Forward passes of more operations (those of a repeated block count once) are planned at start-up
/// only: with more, the step's lives are more than clang allows one constant by default.
inline constexpr i32 most_planned_operations = 400;
/// Of more, the graph of the step is made in stages.
inline constexpr i32 most_operations_at_once = 128;

template <class Network, class Loss, class... Options>
inline constexpr bool too_large = forward_of<Network, Loss>.operations > most_planned_operations &&
                                  !read_job_options<Options...>().at_start;

template <class Network, class Loss, class... Options>
inline constexpr text<360> excess = [] {
  text<360> words;
  if constexpr (too_large<Network, Loss, Options...>) {
    const i32 operations = forward_of<Network, Loss>.operations;
    words = spell(diagnostic{"job",
                             spell_all("at most ", most_planned_operations,
                                       " operations in a forward pass planned while compiling"),
                             spell_all<64>(operations), "give the job the option plan_at_start"});
  }
  return words;
}();
template <class Network, class Loss, class... Options>
using excess_of =
    network_error<cut<excess<Network, Loss, Options...>.size>(excess<Network, Loss, Options...>)>;

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

/// The same for a network that is too large.
#if defined(__clang__)
template <class Mistake>
requires(Mistake::ok) struct plan_is_feasible {
  using type = Mistake;
};
#else
template <class Mistake>
struct plan_is_feasible {
  static_assert(Mistake::ok, "this network is too large to be planned while compiling");
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
template <class Network, class Loss, bool Fits>
struct checked_pair {
  using network = Network;
  using loss = Loss;
};
template <class Network, class Loss>
struct checked_pair<Network, Loss, false> {
  using network = tessera::network<input<1>, dense<1>>;
  using loss = std::conditional_t<std::same_as<Loss, void>, void, mse>;
};
template <class Network, class Loss, class... Options>
using planned_pair =
    checked_pair<Network, Loss,
                 mistake<Network, Loss>.empty() && !too_large<Network, Loss, Options...>>;

/// A training step before recomputation and slots.
template <class Pair, class Optimizer, class... Options>
struct unfinished_maker {
  static constexpr bool staged =
      forward_of<typename Pair::network, typename Pair::loss>.operations > most_operations_at_once;

  constexpr graph operator()(bool recomputes) const {
    if constexpr (staged) {
      return recomputes ? staged_training<true, Pair, Optimizer, Options...>::make_unfinished()
                        : staged_training<false, Pair, Optimizer, Options...>::make_unfinished();
    } else {
      return make_unfinished_training<typename Pair::network, typename Pair::loss>(
          read_job_options<Options...>(), rule_of<Optimizer>(), recomputes);
    }
  }
};

template <class Pair, class Optimizer, class... Options>
struct training_maker {
  static constexpr i64 scratchpad_bytes = read_job_options<Options...>().scratchpad_bytes;
  static constexpr recompute_policy policy = read_job_options<Options...>().recompute;
  using unfinished = unfinished_maker<Pair, Optimizer, Options...>;
  using with_recomputation = recomputed<unfinished, policy>;

  constexpr graph operator()() const {
    if constexpr (policy.used()) {
      return with_recomputation::make();
    } else if constexpr (unfinished::staged) {
      return staged_training<false, Pair, Optimizer, Options...>::make();
    } else {
      return make_training<typename Pair::network, typename Pair::loss>(
          read_job_options<Options...>(), rule_of<Optimizer>());
    }
  }
};

template <class Pair, class... Options>
struct inference_maker {
  static constexpr i64 scratchpad_bytes = read_job_options<Options...>().scratchpad_bytes;

  constexpr graph operator()() const {
    return make_inference<typename Pair::network, typename Pair::loss>(
        read_job_options<Options...>());
  }
};

}  // namespace detail

/// Forward pass of a network with its output kept: inference<lenet, batch<1>>.
template <network_type Network, job_option... Options>
struct inference
    : job_base<detail::inference_maker<detail::planned_pair<Network, void, Options...>, Options...>,
               read_job_options<Options...>().at_start> {
  using checked = typename detail::network_fits<detail::mistake_of<Network, void>>::type;
  using feasible =
      typename detail::plan_is_feasible<detail::excess_of<Network, void, Options...>>::type;
  using network = typename detail::planned_pair<Network, void, Options...>::network;
  static constexpr job_options options = read_job_options<Options...>();
};

/// Forward pass and loss, nothing else: what a trainer evaluates with.
template <network_type Network, loss_function Loss, job_option... Options>
struct evaluation
    : job_base<detail::inference_maker<detail::planned_pair<Network, Loss, Options...>, Options...>,
               read_job_options<Options...>().at_start> {
  using checked = typename detail::network_fits<detail::mistake_of<Network, Loss>>::type;
  using feasible =
      typename detail::plan_is_feasible<detail::excess_of<Network, Loss, Options...>>::type;
  using network = typename detail::planned_pair<Network, Loss, Options...>::network;
  static constexpr job_options options = read_job_options<Options...>();
};

/// A whole training step: forward, loss, backward, loss scaling, update.
template <network_type Network, loss_function Loss, optimizer Optimizer, job_option... Options>
struct training : job_base<detail::training_maker<detail::planned_pair<Network, Loss, Options...>,
                                                  Optimizer, Options...>,
                           read_job_options<Options...>().at_start> {
  using pair = detail::planned_pair<Network, Loss, Options...>;
  using maker = detail::training_maker<pair, Optimizer, Options...>;
  using checked = typename detail::network_fits<detail::mistake_of<Network, Loss>>::type;
  using feasible =
      typename detail::plan_is_feasible<detail::excess_of<Network, Loss, Options...>>::type;
  using network = typename pair::network;
  using loss = typename pair::loss;
  using evaluation_job = evaluation<network, loss, Options...>;
  static constexpr job_options options = read_job_options<Options...>();
  static constexpr update_rule update = rule_of<Optimizer>();

  /// What recomputation costs: multiply-adds done again, their share of a forward pass, operations.
  static constexpr recompute_summary recompute = [] {
    if constexpr (maker::policy.used()) return maker::with_recomputation::summary;
    return recompute_summary{};
  }();

  /// What is wrong with the budget; empty where the arena keeps it.
  static constexpr text<360> budget_fault() {
    if constexpr (maker::policy.goal == recompute_goal::budget) {
      return detail::spell_budget(maker::policy, memory_of<training>().arena_bytes);
    }
    return {};
  }

 private:
  /// Of a step planned at start-up the trainer asks.
  static constexpr text<360> over_budget = [] {
    if constexpr (!options.at_start) return budget_fault();
    return text<360>{};
  }();

 public:
  using kept_budget =
      typename detail::budget_holds<network_error<cut<over_budget.size>(over_budget)>>::type;
};

}  // namespace tessera
