#pragma once

// What a process must be told before it starts, and where it runs.
//
// Peers are fast on a CPU with settings none of which is their default:
//
//   OPENBLAS_CORETYPE       OpenBLAS 0.3.21 takes AVX2 kernels on CPUs with AVX-512 that it does
//                           not know
//   ATEN_CPU_CAPABILITY     Debian's build of libtorch takes AVX2 kernels where AVX-512 is there
//   MALLOC_*_THRESHOLD_     glibc returns large tensors to the kernel, page by page, at every step
//   *_NUM_THREADS           as many threads as the benchmark was asked for
//   GOMP_SPINCOUNT          of several threads: OpenMP's wait for work for milliseconds and keep
//                           OpenBLAS's own threads, which libtorch uses beside them, off the cores
//
// Each is read when a process starts, so a benchmark sets them and starts itself again. One more is
// the BLAS library: with Debian's plain libblas3 in place of OpenBLAS, libtorch is several times
// slower (`blas_name` in peers/torch.hpp tells).

#include <tessera/ir/threads.hpp>
#include <string>

namespace bench {

/// Puts the settings into the environment and starts this program again, once. Leaves settings that
/// the user made.
void tune(char** argv, int threads);

/// The settings in force, for the record.
std::string settings();

/// Lets this process run on `threads` cores: number `core` (-1: the last that it may use) and the
/// ones before it.
void pin(int core, int threads);

/// Gives each of some threads, the caller and OpenMP's (which most peers share) or a team's, one of
/// the cores that `pin` chose; nothing before it has.
void spread(const tessera::threads& workers);

std::string cpu_name();
std::string compiler_name();
std::string today();

}  // namespace bench
