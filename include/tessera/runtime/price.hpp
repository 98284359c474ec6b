#pragma once

// The price of a job on a machine, as constants.

#include <tessera/backends/accelerator/fits.hpp>
#include <tessera/machine/presets.hpp>
#include <tessera/network/job.hpp>
#include <utility>

namespace tessera {

namespace detail {

/// One constant per distinct signature: each gets a fresh allowance of evaluation steps. `User`:
/// the definition of a user's operation.
template <machine M, signature S, const user_operation* User = nullptr>
inline constexpr accelerator::operation_price price_of = S.what == kind::none
                                                             ? accelerator::operation_price{}
                                                             : accelerator::price(M, S, User);

template <class Job, machine M, std::size_t... Index>
constexpr accelerator::step_price add_prices(std::index_sequence<Index...>) {
  accelerator::step_price total;
  const accelerator::operation_price all[] = {
      price_of<M, Job::plan::signatures.of_operation.items[Index],
               Job::plan::step_graph.operations[Index].attr.user>...};
  for (i32 i = 0; i < Job::operation_count; ++i) {
    if (Job::plan::signatures.kernel_of[i] >= 0) total += all[i].times(Job::plan::runs[i]);
  }
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
inline constexpr text<360> misfit = [] {
  if constexpr (Job::plan::at_start) {
    return text<360>(
        "memory: planned at start-up, not known while compiling; leave out plan_at_start");
  } else {
    return accelerator::misfit(Job::memory, cost<Job, M>.peak_tile_bytes, M);
  }
}();

template <class Job, machine M>
using misfit_of = network_error<cut<misfit<Job, M>.size>(misfit<Job, M>)>;

// A concept of its own: both compilers print the argument of the innermost one that is not met.
template <class Misfit>
concept no_misfit = Misfit::ok;

}  // namespace detail

/// Met where every tile of `M` holds its share of the step and its largest vertex. Where it is not,
/// a static_assert prints how much a tile needs, how much it has, and what helps.
template <class Job, machine M>
concept fits = detail::no_misfit<detail::misfit_of<Job, M>>;

}  // namespace tessera
