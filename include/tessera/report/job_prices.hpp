#pragma once

// The prices of a job's step, operation by operation, from the constants that cost<job, machine>
// adds up.

#include <tessera/report/price_list.hpp>
#include <tessera/runtime/price.hpp>
#include <utility>

namespace tessera {

namespace detail {

template <class Job, machine M, std::size_t... Index>
std::vector<accelerator::operation_price> constant_prices(std::index_sequence<Index...>) {
  return {price_of<M, Job::plan::signatures.of_operation.items[Index],
                   Job::plan::step_graph.operations[Index].attr.user>...};
}

}  // namespace detail

/// The prices of a job's step.
template <class Job, machine M>
price_list list_prices() {
  const std::vector<accelerator::operation_price> prices = detail::constant_prices<Job, M>(
      std::make_index_sequence<static_cast<std::size_t>(Job::operation_count)>{});
  return detail::list_prices(graph_of<Job>(), M, memory_of<Job>(),
                             [&](i32 i) { return prices[static_cast<std::size_t>(i)]; });
}

}  // namespace tessera
