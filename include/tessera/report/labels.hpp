#pragma once

// Words and colours that all pictures of a graph share.

#include <tessera/ir/names.hpp>
#include <tessera/ops/ops.hpp>
#include <tessera/report/flow.hpp>
#include <string>
#include <vector>

namespace tessera {

/// Fill and outline of an operation's box.
struct phase_colours {
  const char* fill;
  const char* line;
};

constexpr phase_colours colours_of(phase p) {
  switch (p) {
    case phase::forward: return {"#dfeaf7", "#2f6299"};
    case phase::backward: return {"#fce8d8", "#b0601c"};
    case phase::update: return {"#e0f0dd", "#3c7a35"};
  }
  return {"#ffffff", "#000000"};
}

/// "5 times", "512 times, last first".
inline std::string spell_trips(const loop_body& b) {
  std::string words = b.trips == 1 ? "once" : std::to_string(b.trips) + " times";
  return b.reversed ? words + ", last first" : words;
}

/// "32x6x28x28 f32".
inline std::string spell_type(const tensor& t) {
  return std::string(spell_all<48>(t.dims).view()) + " " + name_of(t.type);
}

/// The layer of an operation: an update is asked for by its parameter, whose part is no layer.
inline std::string spell_layer(const graph& g, const operation& op) {
  return std::string(full_name(g, {op.layer.layer, op.layer.ordinal, "", "", op.layer.scope}));
}

/// What stands in an operation's box: who asked for it, what it is, what it puts out.
inline std::vector<std::string> box_lines(const graph& g, const operation& op) {
  std::vector<std::string> lines{spell_layer(g, op), ops::name_of(op.what)};
  if (op.out[0] < 0) return lines;
  const tensor& t = g.tensors[op.out[0]];
  const bool parameter = t.what == role::parameter && *t.name.part != 0;
  lines.push_back((parameter ? std::string(t.name.part) + " " : "") + spell_type(t));
  return lines;
}

/// What stands in the box of a tensor that the caller fills.
inline std::vector<std::string> leaf_lines(const graph& g, i32 id) {
  return {std::string(full_name(g, g.tensors[id].name)), spell_type(g.tensors[id])};
}

}  // namespace tessera
