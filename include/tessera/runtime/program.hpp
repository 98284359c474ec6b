#pragma once

// The compiled program of a job on a backend: a table of kernels, one per distinct signature, and
// the sequence of calls over one block of memory.

#include <tessera/network/job.hpp>
#include <tessera/runtime/element_access.hpp>
#include <tessera/runtime/join.hpp>
#include <tessera/runtime/sequence.hpp>
#include <array>
#include <initializer_list>
#include <type_traits>
#include <utility>

namespace tessera {

/// A backend supplies a kernel for every signature: `Backend::kernel_of<S>`.
template <class B>
concept backend = requires {
  { B::template kernel_of<signature{}> } -> std::convertible_to<kernel>;
};

/// A backend that counts what its machine would have spent.
template <class B>
concept counting = requires {
  typename B::state;
};

namespace detail {

struct no_state {};

/// What a backend keeps beside the memory of a program: counters, where it counts.
template <class Backend, class Job>
auto backend_state_for() {
  if constexpr (counting<Backend>) {
    i64 bytes = 0;  // not known where the plan is made at start-up
    if constexpr (!Job::plan::at_start) bytes = Job::memory.total_bytes;
    return Backend::make_state(Job::plan::signatures.of_operation.data(), Job::operation_count,
                               bytes);
  } else {
    return no_state{};
  }
}

/// The kernel of number `K`; null where others do its work along with theirs.
template <class Job, class Backend, std::size_t K>
constexpr kernel kernel_number() {
  using plan = typename Job::plan;
  constexpr kind after = joined<plan, Backend>.after.items[K];
  if constexpr (!joined<plan, Backend>.used.items[K]) {
    return nullptr;
  } else if constexpr (after != kind::none) {
    return Backend::template joined_kernel_of<plan::kernels.items[K], after>;
  } else {
    return Backend::template kernel_of<plan::kernels.items[K]>;
  }
}

template <class Job, class Backend, std::size_t... Index>
constexpr auto make_kernel_table(std::index_sequence<Index...>) {
  return std::array<kernel, sizeof...(Index)>{kernel_number<Job, Backend, Index>()...};
}

/// Whether the kernel of a signature exists. Types are compared: under the undefined-behaviour
/// sanitizer of g++ 12 no comparison of a function's address with null is a constant. Operations of
/// users: users_kernels_fit.
template <class Backend, signature S>
constexpr bool exists() {
  if constexpr (is_user(S.what)) {
    return true;
  } else {
    using missing = std::integral_constant<kernel, nullptr>;
    return !std::is_same_v<std::integral_constant<kernel, Backend::template kernel_of<S>>, missing>;
  }
}

/// The same for kernel number `K` of a job: what is joined exists.
template <class Job, class Backend, std::size_t K>
constexpr bool is_there() {
  constexpr const auto& runs = joined<typename Job::plan, Backend>;
  if constexpr (runs.used.items[K] && runs.after.items[K] == kind::none) {
    return exists<Backend, Job::plan::kernels.items[K]>();
  } else {
    return true;
  }
}

template <class Job, class Backend, std::size_t... Index>
constexpr bool complete(std::index_sequence<Index...>) {
  for (const bool one : {true, is_there<Job, Backend, Index>()...}) {
    if (!one) return false;
  }
  return true;
}

/// A number for each kernel of a job.
template <class Job>
using kernel_numbers = std::make_index_sequence<static_cast<std::size_t>(Job::plan::kernel_count)>;

/// Whether the operations that users have written know the types in which the job stores values.
template <class Job>
constexpr bool users_kernels_fit() {
  for (const signature& s : Job::plan::kernels) {
    if (is_user(s.what) && !user_sizes::known(s)) return false;
  }
  return true;
}

}  // namespace detail

/// Kernels of a job, by number.
template <class Job, class Backend>
inline constexpr auto kernel_table =
    detail::make_kernel_table<Job, Backend>(detail::kernel_numbers<Job>{});

/// The calls of one step of `Job`, bound to memory. Build once, run often.
template <class Job, class Backend>
call_sequence bind(const region_bases& bases) {
  static_assert(detail::users_kernels_fit<Job>(),
                "an operation written by a user has no kernels for the job's precision; fp32 has");
  static_assert(!detail::users_kernels_fit<Job>() ||
                    detail::complete<Job, Backend>(detail::kernel_numbers<Job>{}),
                "this backend lacks a kernel for the job's precision; fp64 runs on the reference "
                "backend");
  using plan = typename Job::plan;
  std::array<sequence_entry, static_cast<std::size_t>(Job::operation_count)> entries;
  for (i32 i = 0; i < Job::operation_count; ++i) {
    const i32 k = plan::signatures.kernel_of[i];
    entries[static_cast<std::size_t>(i)] = {
        k < 0 ? nullptr : kernel_table<Job, Backend>[static_cast<std::size_t>(k)],
        &plan::signatures.of_operation.items[i], &plan::step_graph.operations.items[i],
        plan::kept_runs[i] > 0, detail::joined<plan, Backend>.joined[i]};
  }
  return call_sequence(entries, {plan::locations(), static_cast<std::size_t>(Job::tensor_count)},
                       {plan::step_graph.bodies.items, static_cast<std::size_t>(plan::size.bodies)},
                       bases);
}

/// First values of a state tensor.
inline void reset_state(const tensor& t, std::byte* data) {
  std::fill_n(data, t.bytes(), std::byte{0});
  write_element(data, t.type, 0, static_cast<double>(t.fill));
}

/// First values of every state tensor of a job, and its constants.
template <class Job>
void reset_state(const region_bases& bases) {
  for (i32 id = 0; id < Job::tensor_count; ++id) {
    const tensor& t = Job::plan::step_graph.tensors[id];
    if (t.what == role::constant) fill_constant(t, bases.at(Job::plan::locations()[id]));
    if (t.what != role::state || t.of >= 0) continue;
    reset_state(t, bases.at(Job::plan::locations()[id]));
  }
}

}  // namespace tessera
