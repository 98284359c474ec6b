#pragma once

// The fields of a machine by name: one list from which files are read and written.
//
//   visit_fields(unit, visit)
//     visit(name, number, least, most)     whole numbers, with what they may be
//     visit(name, truth)                   bool
//     visit(name, choice, names)           enumerations, with their names in order
//     visit(name, unit)                    a unit in a unit; has fields of its own
//
// Names are those of the structs. The bounds keep every price within 64 bits and every divisor
// above 0. Whoever adds a field to a struct adds it here; tests/machine/fields.cpp counts them.

#include <tessera/machine/machine.hpp>

#include <concepts>
#include <span>
#include <string_view>
#include <type_traits>

namespace tessera {

namespace machine_fields {

/// Names of an enumeration's values, in the order of their numbers.
using choices = std::span<const std::string_view>;

inline constexpr std::string_view issue_names[] = {"barrel", "lockstep"};
inline constexpr std::string_view form_names[] = {"amp", "systolic", "dots"};
inline constexpr std::string_view order_names[] = {"chain", "block4", "folds", "tree"};
inline constexpr std::string_view rounding_names[] = {"nearest_even", "toward_zero", "stochastic"};
inline constexpr std::string_view flow_names[] = {"output_stationary", "weight_stationary",
                                                  "input_stationary"};
inline constexpr std::string_view drain_names[] = {"overlap", "serial"};
inline constexpr std::string_view element_names[] = {"f32", "f64", "f16", "bf16",
                                                     "u8",  "i32", "i64", "i8"};

inline constexpr i64 most_cycles = 1'000'000;
inline constexpr i64 most_lanes = 65'536;
inline constexpr i64 most_rate = i64{1} << 50;  // bytes, or bits, per second
inline constexpr i64 most_energy = 1'000'000'000;

}  // namespace machine_fields

/// A struct of type `Unit`, to be read or written.
template <class Fields, class Unit>
concept fields_of = std::same_as<std::remove_const_t<Fields>, Unit>;

template <fields_of<vector_unit> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  using namespace machine_fields;
  visit("threads", u.threads, 1, 4096);
  visit("issue", u.issue, issue_names);
  visit("lanes_f32", u.lanes_f32, 1, most_lanes);
  visit("lanes_f16", u.lanes_f16, 1, most_lanes);
  visit("lanes_i8", u.lanes_i8, 0, most_lanes);
  visit("supervisor_cycles", u.supervisor_cycles, 0, most_cycles);
  visit("worker_cycles", u.worker_cycles, 0, most_cycles);
  visit("simple", u.simple, 0, most_cycles);
  visit("divide", u.divide, 0, most_cycles);
  visit("root", u.root, 0, most_cycles);
  visit("exponential", u.exponential, 0, most_cycles);
  visit("logarithm", u.logarithm, 0, most_cycles);
  visit("tanh_f16", u.tanh_f16, 0, most_cycles);
  visit("tanh_f32", u.tanh_f32, 0, most_cycles);
  visit("sigmoid_f16", u.sigmoid_f16, 0, most_cycles);
  visit("sigmoid_f32", u.sigmoid_f32, 0, most_cycles);
  visit("gradient", u.gradient, 0, most_cycles);
  visit("random", u.random, 0, most_cycles);
  visit("pool", u.pool, 0, most_cycles);
  visit("row_cycles", u.row_cycles, 0, most_cycles);
  visit("item_cycles", u.item_cycles, 0, most_cycles);
  visit("cast_cycles", u.cast_cycles, 0, most_cycles);
}

template <fields_of<amp_block> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  visit("in_group", u.in_group, 1, 4096);
  visit("out_group", u.out_group, 1, 4096);
  visit("core_cycles", u.core_cycles, 1, 4096);
}

template <fields_of<dataflow_set> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  visit("output_stationary", u.output_stationary);
  visit("weight_stationary", u.weight_stationary);
  visit("input_stationary", u.input_stationary);
}

template <fields_of<dot_units> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  using namespace machine_fields;
  visit("positions", u.positions, 1, 4096);
  visit("in_group", u.in_group, 1, 4096);
  visit("out_group", u.out_group, 1, 4096);
  visit("taps", u.taps, 1, 64);
  visit("block_positions", u.block_positions, 0, i64{1} << 30);
  visit("macs_i8", u.macs_i8, 0, i64{1} << 30);
  visit("macs_f16", u.macs_f16, 0, i64{1} << 30);
  visit("macs_f32", u.macs_f32, 0, i64{1} << 30);
  visit("winograd_16ths", u.winograd_16ths, 16, 256);
  visit("folds_stride", u.folds_stride);
  visit("pool_cycles", u.pool_cycles, 0, most_cycles);
}

template <fields_of<number_handling> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  using namespace machine_fields;
  visit("in", u.in, element_names);
  visit("sum", u.sum, element_names);
  visit("out", u.out, element_names);
  visit("flush_inputs", u.flush_inputs);
  visit("flush_outputs", u.flush_outputs);
  visit("saturate", u.saturate);
  visit("seed", u.seed, 0, 4'294'967'295);
}

template <fields_of<matrix_unit> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  using namespace machine_fields;
  visit("form", u.form, form_names);
  visit("order", u.order, order_names);
  visit("round", u.round, rounding_names);
  visit("f16", u.f16);
  visit("f32", u.f32);
  visit("weight_load_bytes", u.weight_load_bytes, 0, 1'000'000);
  visit("supervisor_cycles", u.supervisor_cycles, 0, most_cycles);
  visit("out_group_cycles", u.out_group_cycles, 0, most_cycles);
  visit("in_group_cycles", u.in_group_cycles, 0, most_cycles);
  visit("rows", u.rows, 0, 16'384);
  visit("cols", u.cols, 0, 16'384);
  visit("flow", u.flow, flow_names);
  visit("flows", u.flows);
  visit("double_buffered_weights", u.double_buffered_weights);
  visit("drain", u.drain, drain_names);
  visit("passes_16", u.passes_16, 1, 4096);
  visit("passes_32", u.passes_32, 1, 4096);
  visit("depth", u.depth, 1, 4096);
  visit("dots", u.dots);
  visit("numbers", u.numbers);
}

template <fields_of<exchange_unit> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  using namespace machine_fields;
  visit("bytes_16ths", u.bytes_16ths, 1, 100'000'000);
  visit("send_bytes_16ths", u.send_bytes_16ths, 0, 100'000'000);
  visit("startup_cycles", u.startup_cycles, 0, most_cycles);
  visit("sync_cycles", u.sync_cycles, 0, most_cycles);
  visit("multicast_group", u.multicast_group, 1, 4096);
}

template <fields_of<energy_costs> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  using namespace machine_fields;
  visit("mac_f16", u.mac_f16, 0, most_energy);
  visit("mac_f32", u.mac_f32, 0, most_energy);
  visit("mac_i8", u.mac_i8, 0, most_energy);
  visit("vector_op", u.vector_op, 0, most_energy);
  visit("vector_op_f16", u.vector_op_f16, 0, most_energy);
  visit("vector_op_i8", u.vector_op_i8, 0, most_energy);
  visit("sram_byte", u.sram_byte, 0, most_energy);
  visit("exchange_byte", u.exchange_byte, 0, most_energy);
  visit("link_byte", u.link_byte, 0, most_energy);
  visit("dram_byte", u.dram_byte, 0, most_energy);
  visit("leakage_mw", u.leakage_mw, 0, 1'000'000);
}

template <fields_of<sram_unit> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  visit("banks", u.banks, 1, 1'000'000);
  visit("bank_bytes", u.bank_bytes, 0, i64{1} << 30);
  visit("read_ports", u.read_ports, 0, 4096);
  visit("write_ports", u.write_ports, 0, 4096);
  visit("port_bytes", u.port_bytes, 0, 65'536);
  visit("latency_cycles", u.latency_cycles, 0, machine_fields::most_cycles);
}

template <fields_of<offchip_unit> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  using namespace machine_fields;
  visit("read_bytes_per_second", u.read_bytes_per_second, 0, most_rate);
  visit("write_bytes_per_second", u.write_bytes_per_second, 0, most_rate);
  visit("bytes", u.bytes, 0, most_rate);
  visit("latency_cycles", u.latency_cycles, 0, most_cycles);
  visit("burst_bytes", u.burst_bytes, 1, 1'000'000);
  visit("channels", u.channels, 1, 4096);
}

template <fields_of<dma_unit> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  visit("engines", u.engines, 1, 4096);
  visit("setup_cycles", u.setup_cycles, 0, machine_fields::most_cycles);
  visit("overlap", u.overlap);
}

template <fields_of<link_unit> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  visit("bits_per_second", u.bits_per_second, 0, machine_fields::most_rate);
  visit("links", u.links, 1, 64);
  visit("efficiency_percent", u.efficiency_percent, 1, 100);
  visit("sync_ns_per_hop", u.sync_ns_per_hop, 0, 1'000'000'000);
}

/// All but the name.
template <fields_of<machine> Unit, class Visit>
constexpr void visit_fields(Unit& u, const Visit& visit) {
  visit("clock_hz", u.clock_hz, 1, 1'000'000'000'000);
  visit("tiles", u.tiles, 1, 1'000'000);
  visit("tile_bytes", u.tile_bytes, 1, i64{1} << 40);
  visit("vector", u.vector);
  visit("matrix", u.matrix);
  visit("exchange", u.exchange);
  visit("energy", u.energy);
  visit("sram", u.sram);
  visit("offchip", u.offchip);
  visit("dma", u.dma);
  visit("links", u.links);
}

}  // namespace tessera
