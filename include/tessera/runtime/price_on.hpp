#pragma once

// The price of data parallel training on several chips, as a constant.
//
//   constexpr auto pod = ts::cost_on<job, ts::devices<64, ts::accelerator::ipu_mk2>>;
//   static_assert(pod.reduction.cycles() < pod.step.cycles() / 4);
//
// The job's batch is that of one device: 64 devices take 64 batches a step.

#include <tessera/backends/accelerator/devices.hpp>
#include <tessera/runtime/price.hpp>

namespace tessera {

/// `Count` chips of machine `M`, joined by its links.
template <i32 Count, machine M>
struct devices {
  static_assert(Count >= 1, "devices: expected 1 device at least");
  static_assert(Count == 1 || M.links.exists(), "devices: this machine has no links to others");
  static constexpr i32 count = Count;
  static constexpr machine on = M;
};

namespace detail {

template <class Job>
inline constexpr accelerator::gradient_volume gradients_of =
    accelerator::gradients_of(borrow(Job::plan::step_graph));

template <class Job, class Devices>
struct cost_on_devices;
template <class Job, i32 Count, machine M>
struct cost_on_devices<Job, devices<Count, M>> {
  static constexpr accelerator::parallel_price value =
      accelerator::price_on(M, Count, cost<Job, M>, gradients_of<Job>);
};

}  // namespace detail

/// What a step of `Job` costs on each of several devices, and their all-reduce.
template <class Job, class Devices>
inline constexpr accelerator::parallel_price cost_on = detail::cost_on_devices<Job, Devices>::value;

}  // namespace tessera
