#pragma once

// The builder's operations on values that need more than a line: joins, halves, reductions, views.

#include <tessera/nn/builder.hpp>

namespace tessera {

constexpr value builder::join(kind what, const bundle& x, const char* where) {
  if (!usable(x)) return {};
  if (x.size == 0) return fail({where, "at least one value", "none", "put layers into it"});
  value y = x.items[0];
  for (i32 i = 1; i < x.size; ++i) {
    const tensor& a = g_.tensors[y.id];
    const tensor& b = g_.tensors[x.items[i].id];
    if (a.dims != b.dims || a.stack != b.stack || a.batch_last != b.batch_last) {
      return fail({where, "values of one shape", spell_both(y, x.items[i]),
                   "make their channels, strides and padding agree"});
    }
    y = {ops::binary(g_, what, y.id, x.items[i].id, begin_layer(where))};
  }
  return y;
}

constexpr value builder::pair(kind what, value x, value y, const char* where) {
  if (!usable(x) || !usable(y)) return {};
  if (ops::broadcast_of(g_.tensors[x.id], g_.tensors[y.id]).dims.rank < 0) {
    return fail({where, "values whose extents agree or are 1", spell_both(x, y),
                 "make their last extents agree"});
  }
  return {ops::broadcast(g_, what, x.id, y.id, begin_layer(where))};
}

constexpr value builder::glu(value x, i32 axis) {
  if (!usable(x)) return {};
  const i32 along = axis < 0 ? g_.tensors[x.id].stack : axis;
  const shape in = sample(x);
  if (along >= in.rank || in[along] % 2 != 0) {
    return fail({"glu", spell_all("an even extent along axis ", along), spell_all<64>(in),
                 "give a value and a gate of one extent"});
  }
  return {ops::glu(g_, x.id, along, begin_layer("glu"))};
}

constexpr value builder::maxout(value x, i32 pieces) {
  if (!usable(x)) return {};
  const i32 along = g_.tensors[x.id].stack;
  const shape in = sample(x);
  if (along >= in.rank || in[along] % pieces != 0 || in.rank + 2 > shape::max_rank) {
    return fail({spell_all<64>("maxout<", pieces, ">"),
                 spell_all("channels that ", pieces, " pieces divide"), spell_all<64>(in),
                 "change the pieces or the channels"});
  }
  return {ops::maxout(g_, x.id, pieces, along, begin_layer("maxout"))};
}

constexpr value builder::reduce(kind what, value x, std::initializer_list<i32> axes, bool keep) {
  if (!usable(x)) return {};
  const shape in = sample(x);
  u32 bits = 0;
  for (const i32 axis : axes) {
    const i32 at = axis < 0 ? axis + in.rank : axis;
    if (at < 0 || at >= in.rank) {
      return fail({ops::name_of(what), spell_all("a value with an axis ", axis), spell_all<64>(in),
                   "count axes from 0, without the batch"});
    }
    bits |= u32{1} << ops::extent_of_axis(g_.tensors[x.id], at);
  }
  return {ops::reduce(g_, what, x.id, bits, keep, begin_layer(ops::name_of(what)))};
}

constexpr value builder::permute(value x, std::initializer_list<i32> order) {
  if (!usable(x)) return {};
  const tensor t = g_.tensors[x.id];
  const shape in = sample(x);
  ops::extent_order sample_order;
  ops::extent_order all;
  i32 given = 0;
  for (const i32 axis : order) {
    if (given < shape::max_rank) sample_order.of[given++] = axis < 0 ? axis + in.rank : axis;
  }
  if (given != in.rank || !ops::is_permutation(sample_order, in.rank)) {
    return fail({"permute", spell_all("each of ", in.rank, " axes once"),
                 spell_all<64>(given, " axes for ", in), "give an order of 0, 1, ..."});
  }
  for (i32 i = 0; i < in.rank; ++i) {
    all.of[ops::extent_of_axis(t, i)] = ops::extent_of_axis(t, sample_order[i]);
  }
  if (t.batched) all.of[t.stack] = t.stack;
  return {ops::permute(g_, x.id, all, begin_layer("permute"))};
}

constexpr value builder::reshape(value x, const shape& dims) {
  if (!usable(x)) return {};
  const tensor t = g_.tensors[x.id];
  const shape in = sample(x);
  shape to = dims;
  i64 known = 1;
  i32 open = -1;
  for (i32 i = 0; i < to.rank; ++i) {
    if (to[i] < 0 && open < 0) {
      open = i;
    } else {
      known *= to[i];
    }
  }
  if (open >= 0 && known > 0) to[open] = static_cast<i32>(in.count() / known);
  if (to.count() != in.count() || to.rank + 1 > shape::max_rank) {
    return fail({"reshape", spell_all("samples of ", in.count(), " values"),
                 spell_all<64>(in, " for ", dims), "make the extents' product agree"});
  }
  for (i32 i = 0; i < t.stack; ++i) {
    if (i < to.rank && to[i] == in[i]) continue;
    return fail({"reshape", "time to stay as it is", spell_all<64>(in, " for ", dims),
                 "start with the extents that count time"});
  }
  return {ops::view(g_, x.id, t.batched ? batched(to, t.stack, t.batch()) : to)};
}

constexpr value builder::concat(const bundle& x, i32 axis, const char* where) {
  if (!usable(x)) return {};
  if (x.size == 0) return fail({where, "at least one value", "none", "put layers into it"});
  const tensor first = g_.tensors[x.items[0].id];
  const bool channels = axis < 0;
  if (channels) axis = first.stack;
  ops::part parts[bundle::capacity];
  for (i32 i = 0; i < x.size; ++i) {
    parts[i].id = x.items[i].id;
    if (axis < first.sample().rank && ops::meet_along(first, g_.tensors[parts[i].id], axis)) {
      continue;
    }
    return fail({where,
                 channels ? text<120>("values that agree in all but channels")
                          : spell_all("values that agree in all but axis ", axis),
                 spell_both(x.items[0], x.items[i]), "make their strides and padding agree"});
  }
  if (x.size == 1) return x.items[0];
  return {ops::concat(g_, parts, x.size, axis, begin_layer(where))};
}

}  // namespace tessera
