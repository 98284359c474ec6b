#pragma once

// Adjoints: which tensor holds the gradient of which, while a graph is being differentiated.

#include <tessera/ops/append.hpp>

namespace tessera::ops {

/// Gradients by tensor. A rule asks for the gradient of its outputs and contributes to its inputs;
/// contributions to one tensor are summed in the order in which they come. What a loop sees of
/// tensors outside it has gradients of its own: those of one trip (passes/differentiate.hpp).
class adjoints {
 public:
  constexpr adjoints(graph& g, i32 forward_tensors) : g_(g), gradient_(forward_tensors) {
    for (i32& id : gradient_) id = -1;
  }

  /// The gradient of forward tensor `id`, -1 where nothing has contributed.
  constexpr i32 of(i32 id) const { return id < gradient_.size() ? gradient_[id] : -1; }

  constexpr bool wanted(i32 id) const { return id >= 0 && g_.tensors[id].differentiable; }

  /// A new tensor for the gradient of `id`, not yet contributed.
  constexpr i32 make(i32 id, tensor_name layer) {
    tensor t = g_.tensors[id];
    t.parameter = t.what == role::parameter ? id : -1;
    t.what = role::gradient;
    t.differentiable = false;
    t.body = g_.body;
    t.of = -1;
    t.base = t.step = 0;
    if (t.parameter >= 0) {
      t.name.of_part = "gradient";
    } else {
      t.name = part_of(layer, "gradient");
    }
    return g_.add(t);
  }

  constexpr void contribute(i32 id, i32 gradient) {
    if (!wanted(id)) return;
    const tensor t = g_.tensors[id];
    if (renames(id)) {  // its gradient is a view of the same bytes, for what it views
      contribute(t.of, view_like(gradient, t.of));
      return;
    }
    if (gradient_[id] < 0) {
      gradient_[id] = gradient;
      return;
    }
    operation sum;
    sum.what = kind::add;
    sum.in[0] = gradient_[id];
    sum.in[1] = gradient;
    sum.out[0] = make(id, t.name);
    sum.layer = t.name;
    g_.add(sum);
    gradient_[id] = sum.out[0];
  }

  /// The gradient of `id` for a rule that needs it; where `id` is a view of a tensor whose gradient
  /// is known, a view of that.
  constexpr i32 need(i32 id) {
    if (!renames(id)) return gradient_[id];
    const i32 whole = need(g_.tensors[id].of);
    return whole < 0 ? -1 : view_like(whole, id);
  }

 private:
  /// True where `id` is all of another tensor of its body, under another shape at most.
  constexpr bool renames(i32 id) const {
    const tensor& t = g_.tensors[id];
    if (t.of < 0) return false;
    const tensor& of = g_.tensors[t.of];
    return of.body == t.body && of.dims.count() == t.dims.count();
  }

  /// The bytes of gradient `of` under the shape of forward tensor `like`.
  constexpr i32 view_like(i32 of, i32 like) {
    const tensor t = g_.tensors[like];
    const i32 seen = view_into(g_, captured(g_, of, g_.body), t.dims, t.stack, g_.body, 0, 0);
    g_.tensors[seen].batched = t.batched;
    g_.tensors[seen].batch_last = t.batch_last;
    return seen;
  }

  graph& g_;
  grow<i32> gradient_;
};

}  // namespace tessera::ops
