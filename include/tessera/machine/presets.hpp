#pragma once

// Machines by name, every figure with where it comes from. What no source at hand states is said to
// be a choice of ours.
//
//   ipu_mk1         Graphcore GC2: 1,216 tiles of 256 KiB, 124.5 TFLOP/s in FP16       presets/
//   ipu_mk2         Graphcore GC200: 1,472 tiles of 624 KiB                            ipu.hpp
//   tpu_v1          256 x 256 INT8, weights in place, 24 MiB, 92 TOPS                  tpu.hpp
//   tpu_v2_core     128 x 128 BF16 into FP32, 8 x 128 vector lanes
//   ethos_u55_32    a microcontroller's unit with 32 multiplications a cycle           ethos.hpp
//   ethos_u55_64, ethos_u55_128, ethos_u55_256
//   nvdla_full      2,048 INT8, Winograd for 3 x 3 windows                             nvdla.hpp
//   v100_sm         one multiprocessor of a GPU, eight tensor cores                    gpu.hpp
//   host            eight cores of a desktop                                           host.hpp
//   small_array     one's own, to start from: a 16 x 16 systolic array, 4 MiB small_array.hpp
//
// `machines` lists them for programs that take a name, `find_machine` looks one up.

#include <tessera/machine/presets/ethos.hpp>
#include <tessera/machine/presets/gpu.hpp>
#include <tessera/machine/presets/host.hpp>
#include <tessera/machine/presets/ipu.hpp>
#include <tessera/machine/presets/nvdla.hpp>
#include <tessera/machine/presets/small_array.hpp>
#include <tessera/machine/presets/tpu.hpp>

#include <span>
#include <string_view>

namespace tessera::accelerator {

namespace detail {

inline constexpr const machine* all_machines[] = {
    &ipu_mk1,       &ipu_mk2,       &tpu_v1,     &tpu_v2_core, &ethos_u55_32, &ethos_u55_64,
    &ethos_u55_128, &ethos_u55_256, &nvdla_full, &v100_sm,     &host,         &small_array};

}  // namespace detail

/// All presets.
inline constexpr std::span<const machine* const> machines = detail::all_machines;

/// The preset of that name; null where there is none.
constexpr const machine* find_machine(std::string_view name) {
  for (const machine* m : machines) {
    if (name == m->name) return m;
  }
  return nullptr;
}

}  // namespace tessera::accelerator
