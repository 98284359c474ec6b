#pragma once

// Graphcore's IPUs.

#include <tessera/machine/presets/energy.hpp>

namespace tessera::accelerator {

/// The IPU's vector path: 64 bits wide, six workers in a barrel (poplibs,
/// PerformanceEstimation.hpp: numWorkerContexts = 6, dataPathWidth = 64).
inline constexpr vector_unit ipu_vector{
    .threads = 6,
    .lanes_f32 = 2,
    .lanes_f16 = 4,
    .supervisor_cycles = 30,  // poplibs' estimators: 11 to 60 by codelet
    .worker_cycles = 25,      // 17 to 33
    .simple = 1,
    .divide = 10,       // choice: as dear as a transcendental in f32
    .root = 10,         // choice, likewise
    .exponential = 10,  // choice, likewise
    .logarithm = 10,    // choice, likewise
    .tanh_f16 = 2,      // poplibs, getNonLinearityOpCycles
    .tanh_f32 = 10,
    .sigmoid_f16 = 4,
    .sigmoid_f32 = 10,
    .gradient = 3,
    .random = 1,        // choice: a generator per tile that gives one vector a cycle
    .pool = 3,          // poplibs: 3 cycles per vector and window element
    .row_cycles = 30,   // poplibs: per row
    .item_cycles = 33,  // poplibs: 20 per work item and 13 per row loop
    .cast_cycles = 26,
    .issue = issue_form::barrel};

/// Two reads and one write of 64 bits a cycle: 45 TB/s of the Mk1 are 23.1 bytes per cycle and
/// tile, its 31.1 TB/s of reads 16 (Jia et al. 2019, by summaries); 6 cycles from address to value
/// (same).
inline constexpr sram_unit ipu_sram{
    .read_ports = 2, .write_ports = 1, .port_bytes = 8, .latency_cycles = 6};

/// poplibs, lib/poplibs_test/Util.cpp: links of 128 x 2^30 bit/s, of which data gets 85 %, four
/// within a pair of chips, two up and two down a ladder of them; 15 ns a hop to synchronise.
inline constexpr link_unit ipu_links{.bits_per_second = 137'438'953'472,
                                     .links = 4,
                                     .efficiency_percent = 85,
                                     .sync_ns_per_hop = 15};

/// Graphcore GC2 (2018).
///
/// The order of sums inside the matrix unit is not published. Its units multiply four pairs at a
/// time (poplibs: convUnitPipelineDepth = 4), so sums go in blocks of four.
inline constexpr machine ipu_mk1{
    .name = "ipu_mk1",
    .clock_hz = 1'600'000'000,  // Poplar's profile report: 1,600 MHz
    .tiles = 1216,              // same: 1,216 tiles
    .tile_bytes = 262144,       // same: 256.0 kB, 304.0 MB in all
    .vector = ipu_vector,
    .matrix = {.form = matrix_form::amp,
               .order = accumulation::block4,
               .round = rounding::nearest_even,
               // 16 x 8 weights, 4 cycles a position (poplibs, coreCycles = 4): 32 a cycle, which
               // is 124.5 TFLOP/s / (1,216 x 1.6 GHz x 2) as Jia et al. 2019 state
               .f16 = {.in_group = 16, .out_group = 8, .core_cycles = 4},
               // 31.1 TFLOP/s / (1,216 x 1.6 GHz x 2) = 8 a cycle, coreCycles = 8
               .f32 = {.in_group = 8, .out_group = 8, .core_cycles = 8},
               .weight_load_bytes = 8,   // poplibs, convUnitCoeffLoadBytesPerCycle
               .supervisor_cycles = 50,  // poplibs, PerformanceEstimation.hpp
               .out_group_cycles = 19,
               .in_group_cycles = 15,
               .depth = 4},
    .exchange = {.bytes_16ths = 4 * 16,  // poplibs, ipuExchangeBandwidth = 4; 7.78 TB/s in all
                 .startup_cycles = 100,  // poplibs, CTCLossPlan.cpp, fixedOverheadExchangeCycles
                 .sync_cycles = 90,      // same, syncCycles
                 .multicast_group = 2},  // poplibs, ExchangeEstimator.hpp: two neighbours, one bus
    .energy = energy_45nm,
    .sram = ipu_sram,
    .links = ipu_links};

/// Graphcore GC200 (2020). Priced with FP32 sums as on the Mk1: poplibs uses 8 units when partial
/// sums are float. The 250 TFLOP/s of the data sheet sum in FP16.
inline constexpr machine ipu_mk2{
    .name = "ipu_mk2",
    .clock_hz = 1'330'000'000,  // 6,681,766 cycles in 5,023.9 us, Poplar tutorial 6
    .tiles = 1472,
    .tile_bytes = 638976,  // Poplar's profile: 624.0 kB, 897.0 MB in all
    .vector = ipu_vector,
    .matrix = {.form = matrix_form::amp,
               .order = accumulation::block4,
               .round = rounding::nearest_even,
               .f16 = {.in_group = 16, .out_group = 8, .core_cycles = 4},
               // 62.5 TFLOP/s / (1,472 x 1.33 GHz x 2) = 16 a cycle
               .f32 = {.in_group = 16, .out_group = 8, .core_cycles = 8},
               .weight_load_bytes = 8,
               .supervisor_cycles = 50,
               .out_group_cycles = 19,
               .in_group_cycles = 15,
               .depth = 4},
    .exchange = {.bytes_16ths = 4 * 16,
                 .startup_cycles = 100,
                 .sync_cycles = 90,
                 .multicast_group = 2},
    .energy = energy_45nm,
    .sram = ipu_sram,
    // 320 GB/s of links (thecharlieblake.co.uk/ipus), counted both ways: half of it in each; what
    // of it data gets, and the time to synchronise, as on the Mk1: a choice.
    .links = {
        .bits_per_second = 1'280'000'000'000, .efficiency_percent = 85, .sync_ns_per_hop = 15}};

}  // namespace tessera::accelerator
