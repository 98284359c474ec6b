#pragma once

// Sizes of blocks of the host's kernels for each kind of processor, in one table, with the reasons.
//
// Registers: a tile of sums stays in registers over all terms. Sums are chains of multiply-adds of
// 4 cycles, of which 2 start in a cycle: at least 8 chains. What feeds them has to fit beside them
// (vectors of one operand, one number of the other spread out), and to cost fewer loads than
// multiply-adds.
//
//   registers   32: AVX-512 (16 lanes), NEON (4)        16: AVX2 (8 lanes), SSE2 (4)
//   tile        8 x 2: 16 sums, 10 loads for 16         6 x 2: 12 sums, 8 loads for 12
//   panel       14 x 2: 28 sums, 16 loads for 28        6 x 2
//   positions   6 x 4: 24 sums, 10 loads for 24         6 x 2
//   samples     6 x 4: 24 sums, 10 loads for 24         2 x 4: 8 sums, 6 loads for 8
//
// Tiles of 8 x 2 reach as much as 12 x 2, 14 x 2, 8 x 3 and 6 x 4 in products of matrices (116 of
// 118 GFLOP/s on a Zen 4), and waste less at the edges; convolutions go through short sums in
// place, where what a tile loads and stores of y counts, and higher blocks pay.
//
// Caches: what all kernels pack lies in a workspace of 512 KiB, half of an L2 of 1 MiB, so that the
// operands still have a place beside it; its parts are used again for every tile and come from L2
// at what these tiles need, 8 bytes a cycle. L1 holds what a tile uses in its inner loop only. On
// an L2 of 256 KiB the packed columns of a product (`columns_floats`) come from L3, in order.
//
//   depth      terms of a piece of a sum     every piece loads and stores the sums once: 196 terms
//                                            reach 113 GFLOP/s, 392 117, 256 and 512 alike on AVX2
//   columns    of y, packed together         what rows of the other operand are packed for
//   rows       of y at a time                bounds the rows packed beside them
//
// Convolutions cut their own panels out of the workspace (strip_plan.hpp, conv_last.hpp,
// conv_winograd.hpp), by the sizes of images.

#include <tessera/backends/host/simd_vector.hpp>

namespace tessera::host {

struct block_sizes {
  // Registers.
  i32 tile_rows = 0;             // products of matrices: x 2 vectors (gemm_tile.hpp)
  i32 panel_rows = 0;            // convolutions, samples innermost: x 2 vectors (panel_sum.hpp)
  i32 position_vectors = 0;      // 6 rows x these: convolutions in place, attention
  i32 sample_rows = 0;           // x 4 columns: products whose lanes are samples, from panels
  i32 sample_rows_in_place = 0;  // x 4 columns, from where they lie: addresses take registers too
  i32 frame_vectors = 0;         // one row x these, in several chains: streams (stream_layout.hpp)
  i32 winograd_vectors = 0;      // 4 products x 3 rows x these (winograd_transforms.hpp)
  i32 winograd_weight_rows = 0;  // x the vectors of 16 samples (conv_winograd_weight.hpp)

  // Caches.
  i64 workspace_bytes = 512 * 1024;
  i32 depth = 512;
  i32 columns = 512;
  i32 rows = 512;
  i64 columns_floats = 64 * 1024;  // of the workspace: packed columns,
  i64 rows_floats = 28 * 1024;     // rows,
  i64 sums_floats = 32 * 1024;     // and sums that are narrowed or handed on
};

inline constexpr block_sizes blocks_of_32_registers = {.tile_rows = 8,
                                                       .panel_rows = 14,
                                                       .position_vectors = 4,
                                                       .sample_rows = 6,
                                                       .sample_rows_in_place = 4,
                                                       .frame_vectors = 8,
                                                       .winograd_vectors = 2,
                                                       .winograd_weight_rows = 8};
inline constexpr block_sizes blocks_of_16_registers = {.tile_rows = 6,
                                                       .panel_rows = 6,
                                                       .position_vectors = 2,
                                                       .sample_rows = 2,
                                                       .sample_rows_in_place = 2,
                                                       .frame_vectors = 4,
                                                       .winograd_vectors = 1,
                                                       .winograd_weight_rows = 4};

/// Those of the processor that is compiled for.
inline constexpr block_sizes machine_blocks =
    simd::registers == 32 ? blocks_of_32_registers : blocks_of_16_registers;

static_assert((machine_blocks.columns_floats + machine_blocks.rows_floats +
               machine_blocks.sums_floats) *
                  static_cast<i64>(sizeof(float)) <=
              machine_blocks.workspace_bytes);

}  // namespace tessera::host
