#pragma once

// The price of operations on a machine: cycles, traffic, energy, as constants.
//
//   superstep 1   sync, exchange of operands, compute        the busiest tile counts
//   superstep 2   sync, exchange of partial sums, add up     where a sum is cut
//   return        sync                                       where merged statistics go back
//   vote          sync                                       where all tiles answer a question
//
// The price of an operation is summed over kinds of vertices, not over vertices: along each axis
// all blocks but the last are equal, so at most 2^6 kinds exist and usually two or three. The
// counters of a run (counters.hpp) add up every vertex and must come to the same.

#include <tessera/backends/accelerator/mapping.hpp>
#include <tessera/backends/accelerator/traffic.hpp>
#include <tessera/core/diagnostic.hpp>
#include <tessera/ir/memory.hpp>

namespace tessera::accelerator {

/// What an operation, or a step of many, costs.
struct operation_price {
  i64 compute_cycles = 0;
  i64 exchange_cycles = 0;
  i64 sync_cycles = 0;
  i64 macs = 0;        // done by the matrix units
  i64 vector_ops = 0;  // elements through the vector units
  i64 sram_bytes = 0;  // read and written
  i64 exchange_bytes = 0;
  i64 energy_fJ = 0;
  i64 vertices = 0;
  i64 peak_tile_bytes = 0;  // the largest vertex: fetched slices and f32 sums
  i64 sram_cycles = 0;      // of the ports of the busiest tile's SRAM, beside its units
  i64 offchip_bytes = 0;    // read and written
  i64 offchip_cycles = 0;   // of these transfers
  i64 stall_cycles = 0;     // of them, what no computing hides

  constexpr i64 cycles() const {
    return compute_cycles + exchange_cycles + sync_cycles + stall_cycles;
  }

  constexpr operation_price& operator+=(const operation_price& other) {
    compute_cycles += other.compute_cycles;
    exchange_cycles += other.exchange_cycles;
    sync_cycles += other.sync_cycles;
    macs += other.macs;
    vector_ops += other.vector_ops;
    sram_bytes += other.sram_bytes;
    exchange_bytes += other.exchange_bytes;
    energy_fJ += other.energy_fJ;
    vertices += other.vertices;
    sram_cycles += other.sram_cycles;
    offchip_bytes += other.offchip_bytes;
    offchip_cycles += other.offchip_cycles;
    stall_cycles += other.stall_cycles;
    if (other.peak_tile_bytes > peak_tile_bytes) peak_tile_bytes = other.peak_tile_bytes;
    return *this;
  }

  /// The price of so many runs, one after another.
  constexpr operation_price times(i64 runs) const {
    operation_price p = *this;
    for (i64* n : {&p.compute_cycles, &p.exchange_cycles, &p.sync_cycles, &p.macs, &p.vector_ops,
                   &p.sram_bytes, &p.exchange_bytes, &p.energy_fJ, &p.vertices, &p.sram_cycles,
                   &p.offchip_bytes, &p.offchip_cycles, &p.stall_cycles}) {
      *n *= runs;
    }
    return p;
  }

  friend constexpr bool operator==(const operation_price&, const operation_price&) = default;
};

using step_price = operation_price;

/// What limits an operation or a step: the units that compute, the ports of the tiles' SRAM, the
/// exchange with its synchronisation, or the memory off the chip.
enum class bound : u8 { compute, sram, exchange, offchip };

constexpr const char* name_of(bound b) {
  constexpr const char* names[] = {"compute", "SRAM", "exchange", "off-chip"};
  return names[static_cast<i32>(b)];
}

/// The bound that rules: what took the most cycles. SRAM where its ports took as long as the units.
constexpr bound bound_of(const operation_price& p) {
  const i64 exchange = p.exchange_cycles + p.sync_cycles;
  if (p.offchip_cycles > p.compute_cycles && p.offchip_cycles > exchange) return bound::offchip;
  if (exchange > p.compute_cycles) return bound::exchange;
  return p.sram_cycles > 0 && p.sram_cycles >= p.compute_cycles ? bound::sram : bound::compute;
}

/// How an operation finds its operands.
struct circumstances {
  bool kept_weights = false;  // its weights are on the tiles since an earlier trip of its loop
  bool off_chip = false;      // the step is too large for the chip: operands lie outside of it
  const user_operation* user = nullptr;  // the definition of a user's operation

  friend constexpr bool operator==(const circumstances&, const circumstances&) = default;
};

/// Cycles that the ports of a tile's SRAM need, where the machine says what they take.
constexpr i64 sram_cycles(const machine& m, i64 bytes) {
  const i64 rate = m.sram.bytes_per_cycle();
  return rate > 0 ? ceil_div(bytes, rate) : 0;
}

/// Counts of one operation before they become cycles: the most of a tile, the sum over all tiles.
struct tally {
  i64 most_cycles = 0;
  i64 most_sram_cycles = 0;
  i64 most_received = 0;
  i64 most_bytes = 0;
  i64 macs = 0;
  i64 vector_ops = 0;
  i64 sram_bytes = 0;
  i64 exchange_bytes = 0;
  i64 vertices = 0;
  // superstep 2
  i64 most_share_cycles = 0;
  i64 most_share_received = 0;

  constexpr void merge(const tally& t) {
    const auto most = [](i64& a, i64 b) { a = a > b ? a : b; };
    most(most_cycles, t.most_cycles);
    most(most_sram_cycles, t.most_sram_cycles);
    most(most_received, t.most_received);
    most(most_bytes, t.most_bytes);
    most(most_share_cycles, t.most_share_cycles);
    most(most_share_received, t.most_share_received);
    macs += t.macs;
    vector_ops += t.vector_ops;
    sram_bytes += t.sram_bytes;
    exchange_bytes += t.exchange_bytes;
    vertices += t.vertices;
  }

  /// Adds `times` output blocks of `outputs` elements: their second superstep, or what the vertex
  /// itself does at its end, which is returned in cycles.
  constexpr i64 finish(const machine& m, const finish_work& f, i64 partials, i64 outputs,
                       i64 times) {
    const i64 elements = outputs * times;
    vector_ops += elements * f.ops;
    sram_bytes += elements * f.sram_bytes;
    if (partials == 1) return finish_cycles(m, f, outputs);
    const share_work share = share_of(m, f, partials, outputs);
    vector_ops += elements * (partials - 1);
    exchange_bytes += elements * (partials - 1) * 4;
    sram_bytes += elements * partials * 8;  // written once, read once
    if (share.cycles > most_share_cycles) most_share_cycles = share.cycles;
    if (share.received > most_share_received) most_share_received = share.received;
    return 0;
  }
};

/// The price that the counts of an operation come to.
constexpr operation_price settle(const machine& m, const signature& s, const problem& of,
                                 const tally& t, circumstances how) {
  operation_price p;
  // Units and SRAM work at the same time; the slower counts.
  const bool ports = t.most_sram_cycles > t.most_cycles;
  p.compute_cycles = (ports ? t.most_sram_cycles : t.most_cycles) + t.most_share_cycles;
  p.sram_cycles = t.most_sram_cycles + (ports ? t.most_share_cycles : 0);
  const i64 sums = t.most_share_received > 0 ? summing_rounds(of) * (returns_sums(s) ? 2 : 1) : 0;
  p.exchange_cycles =
      exchange_cost::transfers(m.exchange, t.most_received, of.rounds) +
      exchange_cost::transfers(m.exchange, t.most_share_received, summing_rounds(of));
  p.sync_cycles = m.exchange.sync_cycles * (of.rounds + sums + (votes(s) ? 1 : 0));
  p.macs = t.macs;
  p.vector_ops = t.vector_ops;
  p.sram_bytes = t.sram_bytes;
  p.exchange_bytes = t.exchange_bytes;
  p.vertices = t.vertices;
  p.peak_tile_bytes = t.most_bytes;
  if (how.off_chip) {
    const offchip_traffic moved = traffic_of(m, s, of, t.exchange_bytes, t.sram_bytes);
    p.offchip_bytes = moved.read_bytes + moved.written_bytes;
    p.offchip_cycles = moved.cycles(m);
    p.stall_cycles = moved.stall(m, p.cycles());
  }
  const element type = s.has_input(1) ? s.input_type(1) : element::f32;
  p.energy_fJ = t.macs * m.energy.mac(type) + t.vector_ops * m.energy.vector(type) +
                t.sram_bytes * m.energy.sram_byte + t.exchange_bytes * m.energy.exchange_byte +
                p.offchip_bytes * m.energy.dram_byte + m.energy.leaked(p.cycles(), m.clock_hz);
  return p;
}

namespace detail {

/// Equal blocks along one axis.
struct block_kind {
  i32 size = 0;
  i64 count = 0;
  i64 span_sum = 0;   // cells fetched, over all of them
  i64 span_most = 0;  // by one of them
};

/// The blocks of axis `a`: the whole ones, and the last where it is smaller.
constexpr i32 block_kinds(const mapping& map, i32 a, block_kind (&kinds)[2]) {
  const i32 rest = map.of.extent[a] % map.block[a];
  kinds[0] = {map.block[a], map.of.extent[a] / map.block[a], 0, 0};
  kinds[1] = {rest, rest > 0 ? 1 : 0, 0, 0};
  if (a == axis_h || a == axis_w) {
    for (i32 i = 0; i < map.count(a); ++i) {
      block_kind& k = kinds[i < kinds[0].count ? 0 : 1];
      const i64 span = cells_of(map.of, a - axis_h, map.begin(a, i), k.size);
      k.span_sum += span;
      if (span > k.span_most) k.span_most = span;
    }
  }
  return rest > 0 ? 2 : 1;
}

}  // namespace detail

/// Products that a problem needs: of all samples, positions, taps that meet a cell, and channels.
constexpr i64 all_macs(const problem& p) {
  if (!is_product(p.what)) return 0;
  return i64{p.extent[axis_g]} * p.extent[axis_b] * p.extent[axis_o] * p.extent[axis_c] *
         all_pairs(p, 0) * all_pairs(p, 1);
}

/// The price of `s`, mapped as `map` says; of a user's operation by its definition `how.user`.
constexpr operation_price price(const machine& m, const signature& s, const mapping& map,
                                circumstances how = {}) {
  detail::block_kind kinds[axis_count][2];
  i32 count[axis_count] = {};
  for (i32 a = 0; a < axis_count; ++a) count[a] = detail::block_kinds(map, a, kinds[a]);

  const problem& p = map.of;
  const finish_work finish = finish_of(m, s);
  const i64 partials = map.partials();
  const bool kept = how.kept_weights && keeps_weights(m, s, map);
  tally t;
  for (i32 code = 0; code < 1 << axis_count; ++code) {
    i32 size[axis_count] = {};
    i64 vertices = 1;
    i64 blocks = 1;     // output blocks of this kind, counted at one of their partial sums
    bool first = true;  // is this kind of vertex the first along every axis summed over?
    bool exists = true;
    for (i32 a = 0; a < axis_count; ++a) {
      const i32 which = (code >> a) & 1;
      if (which >= count[a]) {
        exists = false;
        break;
      }
      const detail::block_kind& k = kinds[a][which];
      size[a] = k.size;
      vertices *= k.count;
      if (p.reduced[a]) {
        first = first && which == 0;
      } else {
        blocks *= k.count;
      }
    }
    if (!exists) continue;
    const detail::block_kind& h = kinds[axis_h][(code >> axis_h) & 1];
    const detail::block_kind& w = kinds[axis_w][(code >> axis_w) & 1];
    const vertex_work work = work_of(m, s, p, size, how.user);
    const i64 cells = h.span_sum * w.span_sum * (vertices / (h.count * w.count));
    const i64 stays = kept ? work.weight_bytes : 0;
    const i64 received = work.cell_bytes * cells + (work.fixed_bytes - stays) * vertices;
    const i64 most = work.received(h.span_most * w.span_most) - stays;
    tally kind;
    kind.most_cycles = work.cycles;
    kind.most_received = most;
    kind.most_sram_cycles = sram_cycles(m, work.sram_bytes);
    kind.most_bytes = work.held(h.span_most * w.span_most);
    kind.vector_ops = work.vector_ops * vertices;
    kind.macs = work.macs * vertices;
    kind.exchange_bytes = received;
    kind.sram_bytes = work.sram_bytes * vertices + received;
    kind.vertices = vertices;
    if (finishes(p.what) && first) {
      kind.most_cycles += kind.finish(m, finish, partials, work.outputs, blocks);
    }
    t.merge(kind);
  }
  t.macs += all_macs(p);
  return settle(m, s, p, t, how);
}

constexpr operation_price price(const machine& m, const signature& s, circumstances how = {}) {
  return price(m, s, map(m, s), how);
}

/// Of an operation that a user has defined.
constexpr operation_price price(const machine& m, const signature& s, const user_operation* user) {
  return price(m, s, circumstances{.user = user});
}

/// The price of `runs` runs, in `kept` of which the weights are where the run before had them.
constexpr operation_price price_of_runs(const machine& m, const signature& s, i64 runs, i64 kept,
                                        circumstances how = {}) {
  const mapping cut = map(m, s);
  how.kept_weights = false;
  if (kept == 0 || !keeps_weights(m, s, cut)) return price(m, s, cut, how).times(runs);
  operation_price p = price(m, s, cut, how).times(runs - kept);
  how.kept_weights = true;
  return p += price(m, s, cut, how).times(kept);
}

/// The price of a sequence of operations.
constexpr step_price price(const machine& m, const signature* s, i32 count) {
  step_price total;
  for (i32 i = 0; i < count; ++i) total += price(m, s[i]);
  return total;
}

/// Seconds, at the machine's clock.
constexpr double seconds(const machine& m, const operation_price& p) {
  return static_cast<double>(p.cycles()) / static_cast<double>(m.clock_hz);
}

/// Share of the matrix units' multiplications that the cycles had room for.
constexpr double utilization(const machine& m, const operation_price& p, element type) {
  return static_cast<double>(p.macs) / (static_cast<double>(p.cycles()) * m.tiles *
                                        static_cast<double>(matrix_cost::peak_macs(m, type)));
}

}  // namespace tessera::accelerator
