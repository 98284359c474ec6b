#pragma once

// A dense layer at every point of a sequence, in one product.
//
//   samples outermost   (time, batch, features) is a batch of time x batch rows: one dense
//   operation samples innermost   (time, features, batch): a loop of one dense operation for each
//   time
//
// The views cost nothing.

#include <tessera/nn/builder.hpp>
#include <tessera/ops/loop.hpp>

namespace tessera::detail {

/// x (time, batch, in), (batch, time, in) or (batch, in); weight (out, in), bias (out) or -1 of the
/// body at hand or around it. Returns y: x's shape with out features.
constexpr value dense_rows(builder& b, value x, i32 weight, i32 bias, tensor_name layer) {
  if (!b.usable(x)) return {};
  graph& g = b.network();
  const tensor t = g.tensors[x.id];
  if (t.dims.rank == 2 && t.stack == 0) return {ops::dense(g, x.id, weight, bias, layer)};
  const i32 in = t.dims[t.dims.rank - 1];
  shape dims = t.dims;
  dims[dims.rank - 1] = g.tensors[weight].dims[0];
  const auto back = [&](i32 y) {
    const i32 seen = ops::view_into(g, y, dims, t.stack, g.body, 0, 0);
    g.tensors[seen].batched = t.batched;
    g.tensors[seen].batch_last = t.batch_last;
    return value{seen};
  };
  if (!t.batch_last) {
    const i32 rows = ops::view(g, x.id, shape(t.dims.count() / in, in));
    g.tensors[rows].stack = 0;
    g.tensors[rows].batched = true;
    return back(ops::dense(g, rows, weight, bias, layer));
  }
  // Samples innermost: whatever stands before the features is time, in memory.
  const i32 batch = t.batch();
  const shape over_time(t.dims.count() / in / batch, batch, in);
  const i32 sequence = ops::view(g, x.id, over_time);
  g.tensors[sequence].stack = 1;
  ops::loop_options o;
  o.trips = over_time[0];
  o.stacked = b.differentiates();
  ops::loop_writer loop(g, o, layer);
  loop.begin();
  const i32 out = loop.output(ops::dense(g, loop.scan(sequence), weight, bias, layer));
  loop.end();
  return back(loop.outer(out));
}

}  // namespace tessera::detail
