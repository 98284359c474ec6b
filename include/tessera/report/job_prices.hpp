#pragma once

// The prices of a job's step, operation by operation, from the constants that cost<job, machine>
// adds up.
//
//   report_prices<job, accelerator::ipu_mk1>(std::cout);               the table
//   const price_list list = list_prices<job, accelerator::ipu_mk1>();  for all else in this folder

#include <tessera/report/price_table.hpp>
#include <tessera/runtime/price.hpp>
#include <utility>

namespace tessera {

namespace detail {

template <class Job, machine M, std::size_t Index>
accelerator::operation_price kept_price_at() {
  if constexpr (Job::plan::kept_runs[static_cast<i32>(Index)] > 0) {
    return price_at<Job, M, Index, true>();
  } else {
    return {};
  }
}

/// Of every operation, then of its runs that find their weights kept.
template <class Job, machine M, std::size_t... Index>
std::vector<accelerator::operation_price> constant_prices(std::index_sequence<Index...>) {
  return {price_at<Job, M, Index, false>()..., kept_price_at<Job, M, Index>()...};
}

}  // namespace detail

/// The prices of a job's step.
template <class Job, machine M>
price_list list_prices() {
  const std::vector<accelerator::operation_price> prices = detail::constant_prices<Job, M>(
      std::make_index_sequence<static_cast<std::size_t>(Job::operation_count)>{});
  return detail::list_prices(graph_of<Job>(), M, memory_of<Job>(), [&](i32 i, bool kept) {
    return prices[static_cast<std::size_t>(i + (kept ? Job::operation_count : 0))];
  });
}

/// The table of a job's step on `M`, operation by operation, and its totals.
template <class Job, machine M>
void report_prices(std::ostream& out) {
  const price_list list = list_prices<Job, M>();
  report_operations(out, list);
  out << "\n";
  report_total(out, list);
}

}  // namespace tessera
