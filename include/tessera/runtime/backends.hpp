#pragma once

// The backends as types: what a trainer or a predictor runs on.
//
//   trainer<job>                                  this machine's processor
//   trainer<job, on<accelerator::ipu_mk1>>        a model of an accelerator, which counts
//
// The reference backend, plain loops that also know f64, is included by name:
// backends/reference.hpp.

#include <tessera/backends/accelerator.hpp>
#include <tessera/backends/host.hpp>

namespace tessera {

/// This machine's processor.
struct host_backend {
  template <signature S>
  static constexpr kernel kernel_of = host::kernel_of<S>;

  /// Operations in a row that one kernel does (runtime/join.hpp).
  static constexpr bool joins(const signature* run, i32 count) { return host::joins(run, count); }
  template <signature S, kind After>
  static constexpr kernel joined_kernel_of = host::joined_kernel_of<S, After>;
};

/// The accelerator model with the arithmetic and the costs of machine `M`.
template <machine M>
struct on {
  static constexpr tessera::machine model = M;

  template <signature S>
  static constexpr kernel kernel_of = accelerator::kernel_of<M, S>;

  /// Counts what the machine would have spent; one for every trainer.
  using state = accelerator::counters;

  /// Counters with the buffers that operations of these signatures work in; `bytes` is what the
  /// step needs.
  static state make_state(const signature* s, i32 count, i64 bytes) {
    i64 scratch = 0;
    for (i32 i = 0; i < count; ++i) {
      const i64 needed = accelerator::scratch_bytes(s[i]);
      scratch = needed > scratch ? needed : scratch;
    }
    state made(scratch);
    made.off_chip = accelerator::lies_off_chip(M, bytes);
    return made;
  }
};

}  // namespace tessera
