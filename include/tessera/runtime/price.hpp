#pragma once

// The price of a job on a machine, as constants.

#include <tessera/backends/accelerator/fits.hpp>
#include <tessera/machine/presets.hpp>
#include <tessera/network/job.hpp>
#include <utility>

namespace tessera {

namespace detail {

/// One constant per distinct signature: each gets a fresh allowance of evaluation steps. `How` has
/// the definition of a user's operation.
template <machine M, signature S, accelerator::circumstances How = accelerator::circumstances{}>
inline constexpr accelerator::operation_price price_of = S.what == kind::none
                                                             ? accelerator::operation_price{}
                                                             : accelerator::price(M, S, How);

/// Does the step of `Job` lie in memory off the chip of `M`?
template <class Job, machine M>
constexpr bool off_chip() {
  if constexpr (Job::plan::at_start) {
    return false;
  } else {
    return accelerator::lies_off_chip(M, Job::memory.total_bytes);
  }
}

/// The price of operation `Index` in its first run, and in a run that finds its weights kept.
template <class Job, machine M, std::size_t Index, bool Kept>
constexpr accelerator::operation_price price_at() {
  constexpr accelerator::circumstances how{
      .kept_weights = Kept,
      .off_chip = off_chip<Job, M>(),
      .user = Job::plan::step_graph.operations[Index].attr.user};
  return price_of<M, Job::plan::signatures.of_operation.items[Index], how>;
}

/// The price of all runs of operation `Index` in a step.
template <class Job, machine M, std::size_t Index>
constexpr accelerator::operation_price price_of_all() {
  constexpr i64 runs = Job::plan::runs[static_cast<i32>(Index)];
  constexpr i64 kept = Job::plan::kept_runs[static_cast<i32>(Index)];
  accelerator::operation_price p = price_at<Job, M, Index, false>().times(runs - kept);
  if constexpr (kept > 0) p += price_at<Job, M, Index, true>().times(kept);
  return p;
}

template <class Job, machine M, std::size_t... Index>
constexpr accelerator::step_price add_prices(std::index_sequence<Index...>) {
  const accelerator::step_price all[] = {price_of_all<Job, M, Index>()...};
  accelerator::step_price total;  // no fold: clang refuses those of more than 256 operands
  for (const accelerator::step_price& p : all) total += p;
  return total;
}

}  // namespace detail

/// What one step of `Job` costs on machine `M`: cycles, bytes, energy. The counters of a run read
/// the same.
template <class Job, machine M>
inline constexpr accelerator::step_price cost = detail::add_prices<Job, M>(
    std::make_index_sequence<static_cast<std::size_t>(Job::operation_count)>{});

namespace detail {

template <class Job, machine M>
struct needs {
  static constexpr accelerator::tile_need most =
      []<std::size_t... Index>(std::index_sequence<Index...>) {
    const accelerator::operation_price prices[] = {price_at<Job, M, Index, false>()...};
    return accelerator::find_need(Job::memory, Job::plan::buffers.items, Job::plan::buffer_count,
                                  prices, Job::operation_count, M);
  }
  (std::make_index_sequence<static_cast<std::size_t>(Job::operation_count)>{});
};

template <class Job, machine M>
inline constexpr text<360> misfit = [] {
  if constexpr (Job::plan::at_start) {
    return text<360>(
        "memory: planned at start-up, not known while compiling; leave out plan_at_start");
  } else {
    constexpr accelerator::tile_need need = needs<Job, M>::most;
    const operation& op = Job::plan::step_graph.operations.items[need.operation];
    return accelerator::misfit(need, M, text<64>(ops::name_of(op.what)), spell(op.layer));
  }
}();

template <class Job, machine M>
using misfit_of = network_error<cut<misfit<Job, M>.size>(misfit<Job, M>)>;

// A concept of its own: both compilers print the argument of the innermost one that is not met.
template <class Misfit>
concept no_misfit = Misfit::ok;

}  // namespace detail

/// Met where every tile of `M` holds its share of what is alive and the vertex of the operation
/// that runs, at any time of the step. Where it is not, a static_assert prints which tiles need how
/// much, for which operation, how much they have, and what helps.
template <class Job, machine M>
concept fits = detail::no_misfit<detail::misfit_of<Job, M>>;

}  // namespace tessera
