#pragma once

// Several chips: data parallel training, whose gradients are summed over all of them.
//
//   step of n devices = step of one on its own samples + all-reduce of the gradients
//
//   ring   2 (n - 1) exchanges of ceil(E / n) elements with a neighbour; in the first n - 1 what
//          arrives is added:             dev 0 -> dev 1 -> ... -> dev n - 1 -> dev 0
//   tree   sums on device 0 in ceil(log2 n) rounds, then back in as many; all E elements in each.
//          In round r partners stand 2^r apart, so that no two pairs share a link:
//                                        0 <- 1   2 <- 3   then   0 <- - 2
//
// An exchange costs what one between tiles does to begin (synchronisation and start-up), the
// meeting of the chips for every hop between them, and the bytes at the rate of the links; what
// arrives is added by the vector units of all tiles. The cheaper one is taken: rings move the
// fewest bytes, trees begin less often, which is cheaper for few bytes on many devices. The
// backward pass is not overlapped with them: all gradients go in one piece at its end.
//
// Sources: Patarasuk, Yuan 2009 (rings move 2 (n - 1) / n of the bytes, the least there is);
// Thakur, Rabenseifner, Gropp 2005 (trees). Rates and meetings of IPU links: graphcore/poplibs.

#include <tessera/backends/accelerator/price.hpp>
#include <tessera/ir/graph.hpp>
#include <tessera/machine/offchip_cost.hpp>

namespace tessera::accelerator {

enum class reduction_path : u8 { none, ring, tree };

constexpr const char* name_of(reduction_path path) {
  switch (path) {
    case reduction_path::none: return "none";
    case reduction_path::ring: return "ring";
    case reduction_path::tree: return "tree";
  }
  return "?";
}

/// What it costs to sum an array over devices, so that all have the sum.
struct all_reduce_price {
  reduction_path path = reduction_path::none;
  i64 exchanges = 0;    // one after another
  i64 link_cycles = 0;  // bytes on their way
  i64 meet_cycles = 0;  // synchronisation and start-up
  i64 add_cycles = 0;   // vector units
  i64 link_bytes = 0;   // over all links
  i64 vector_ops = 0;   // over all devices
  i64 energy_fJ = 0;    // of all devices

  constexpr i64 cycles() const { return link_cycles + meet_cycles + add_cycles; }

  friend constexpr bool operator==(const all_reduce_price&, const all_reduce_price&) = default;
};

/// Cycles in which `bytes` go from a chip to its neighbour, rounded up.
constexpr i64 link_cycles(const machine& m, i64 bytes) {
  const i64 rate = m.links.bytes_per_second();
  if (bytes <= 0 || rate <= 0) return 0;
  return offchip_cost::cycles_at(m.clock_hz, bytes, rate);
}

/// Cycles before the bytes of one exchange with a chip so many hops away.
constexpr i64 meeting_cycles(const machine& m, i64 hops) {
  return m.exchange.sync_cycles + m.exchange.startup_cycles +
         hops * ceil_div(i64{m.links.sync_ns_per_hop} * (m.clock_hz / 1000), 1'000'000);
}

namespace detail {

/// Cycles in which a chip's tiles add `elements` to what they have.
constexpr i64 adding_cycles(const machine& m, i64 elements) {
  return vector_cost::elementwise(m.vector, ceil_div(elements, m.tiles), element::f32,
                                  m.vector.simple);
}

constexpr void add_energy(const machine& m, all_reduce_price& p) {
  p.energy_fJ = p.link_bytes * m.energy.link_byte + p.vector_ops * m.energy.vector_op;
}

}  // namespace detail

/// The ring on `devices` chips, 2 at least.
constexpr all_reduce_price ring_all_reduce(const machine& m, i64 devices, i64 elements,
                                           element type) {
  all_reduce_price p;
  const i64 part = ceil_div(elements, devices);
  const i64 steps = devices - 1;
  p.path = reduction_path::ring;
  p.exchanges = 2 * steps;
  p.link_cycles = p.exchanges * link_cycles(m, part * bytes_of(type));
  p.meet_cycles = p.exchanges * meeting_cycles(m, 1);
  p.add_cycles = steps * detail::adding_cycles(m, part);
  p.link_bytes = 2 * steps * elements * bytes_of(type);
  p.vector_ops = steps * elements;
  detail::add_energy(m, p);
  return p;
}

/// Rounds of the tree: ceil(log2 devices).
constexpr i64 tree_rounds(i64 devices) {
  i64 rounds = 0;
  while ((i64{1} << rounds) < devices) ++rounds;
  return rounds;
}

/// The tree on `devices` chips, 2 at least.
constexpr all_reduce_price tree_all_reduce(const machine& m, i64 devices, i64 elements,
                                           element type) {
  all_reduce_price p;
  const i64 rounds = tree_rounds(devices);
  const i64 bytes = elements * bytes_of(type);
  p.path = reduction_path::tree;
  p.exchanges = 2 * rounds;
  p.link_cycles = p.exchanges * link_cycles(m, bytes);
  i64 hops_of_all = 0;
  for (i64 r = 0; r < rounds; ++r) {
    const i64 hops = i64{1} << r;
    p.meet_cycles += 2 * meeting_cycles(m, hops);
    for (i64 to = 0; to + hops < devices; to += 2 * hops) hops_of_all += hops;
  }
  p.add_cycles = rounds * detail::adding_cycles(m, elements);
  p.link_bytes = 2 * hops_of_all * bytes;
  p.vector_ops = (devices - 1) * elements;
  detail::add_energy(m, p);
  return p;
}

/// The cheaper of both, the ring where they are equal; nothing on one device.
constexpr all_reduce_price all_reduce(const machine& m, i64 devices, i64 elements, element type) {
  if (devices < 2 || elements <= 0) return {};
  const all_reduce_price ring = ring_all_reduce(m, devices, elements, type);
  const all_reduce_price tree = tree_all_reduce(m, devices, elements, type);
  return tree.cycles() < ring.cycles() ? tree : ring;
}

/// What data parallel training sums: one value for every trainable parameter, stored as the
/// gradients are.
struct gradient_volume {
  i64 elements = 0;
  element type = element::f32;  // the widest of them

  constexpr i64 bytes() const { return elements * bytes_of(type); }
};

constexpr gradient_volume gradients_of(const graph& g) {
  gradient_volume v;
  i64 narrow = 0;
  for (const tensor& t : g.tensors) {
    if (t.what == role::parameter && t.of < 0 && t.differentiable) v.elements += t.dims.count();
    if (t.what == role::gradient && t.parameter >= 0 && bytes_of(t.type) == 2) ++narrow;
  }
  if (narrow > 0) v.type = element::f16;
  return v;
}

/// A step of data parallel training, each device with samples of its own.
struct parallel_price {
  i32 devices = 1;
  step_price step;  // of each device
  all_reduce_price reduction;

  constexpr i64 cycles() const { return step.cycles() + reduction.cycles(); }
  /// Of all devices.
  constexpr i64 energy_fJ() const { return devices * step.energy_fJ + reduction.energy_fJ; }

  friend constexpr bool operator==(const parallel_price&, const parallel_price&) = default;
};

constexpr parallel_price price_on(const machine& m, i32 devices, const step_price& step,
                                  const gradient_volume& gradients) {
  return {devices, step, all_reduce(m, devices, gradients.elements, gradients.type)};
}

}  // namespace tessera::accelerator
