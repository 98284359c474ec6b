#pragma once

// The builder: what a layer sees of the graph while it appends itself.
//
// A layer is a type with `static constexpr value build(builder&, value)`. It asks for shapes of one
// sample, without the batch; it reports a misfit through `fail`, after which everything appended is
// ignored and only the first diagnostic counts. Several values that flow together are a bundle;
// layers that take or give bundles have them in the place of `value`.
//
// A layer takes its name from `begin_layer` and its weights from `parameter`: so that what stands
// around it decides about names (`named`, `scope`), about weights in common (`shared`, `each`) and
// about what is trained (`frozen`). A layer of a user's own is put together from other layers and
// the operations on values here; its gradient comes by itself.

#include <tessera/nn/layer_names.hpp>
#include <tessera/nn/value.hpp>
#include <tessera/ops/move.hpp>
#include <tessera/ops/ops.hpp>
#include <tessera/ops/user.hpp>
#include <concepts>

namespace tessera {

enum class purpose : u8 { training, inference };

class builder {
 public:
  constexpr builder(graph& g, i32 batch, purpose why) : g_(g), why_(why) { g.batch = batch; }

  constexpr graph& network() { return g_; }

  /// True where layers behave as in training: dropout drops, normalization measures its batch.
  constexpr bool training() const { return why_ == purpose::training && frozen_ == 0; }

  /// True where parameters made now are trained.
  constexpr bool trainable() const { return frozen_ == 0; }

  /// True where a gradient will go back through the network: loops keep what it needs.
  constexpr bool differentiates() const { return why_ == purpose::training; }

  /// The shape of one sample.
  constexpr shape sample(value x) const { return g_.tensors[x.id].sample(); }

  /// The next input of the network: samples of shape `dims`, whose first `stack` extents count time
  /// and stand before the batch.
  constexpr value input(const shape& dims, element type = element::f32, i32 stack = 0) {
    const i32 others = g_.inputs.size();
    if (g_.inputs.full()) {
      return fail({"network", spell_all("at most ", endpoints::max_count, " inputs"), "more",
                   "join some of them before the network"});
    }
    tensor t;
    t.dims = batched(dims, stack, g_.batch);
    t.type = type;
    t.what = role::input;
    t.batched = true;
    t.batch_last = ops::batch_goes_last(g_.batch);
    t.stack = stack;
    t.name = {"input", others > 0 ? others + 1 : 0, ""};
    const i32 id = g_.add(t);
    g_.inputs.push(id);
    return {id};
  }

  /// A name for the next layer of this kind: conv1, conv2, ... within the scope at hand, or the one
  /// that `named` has for it.
  constexpr tensor_name begin_layer(const char* kind_name) { return names_.next(kind_name); }

  /// A parameter of `layer`; its part is "weight", "bias", ... Where the layer shares its weights
  /// with an earlier one, that one's.
  constexpr i32 parameter(const shape& dims, tensor_name layer, const char* part, initializer init,
                          i32 fan_in, i32 fan_out) {
    tensor t;
    t.dims = dims;
    t.what = role::parameter;
    t.differentiable = frozen_ == 0;
    t.name = part_of(layer, part);
    t.init = init;
    t.fan_in = fan_in;
    t.fan_out = fan_out;
    return lasting(t);
  }

  /// A statistic that lives and is saved with the parameters: running means.
  constexpr i32 statistic(const shape& dims, tensor_name layer, const char* part,
                          initializer init) {
    tensor t;
    t.dims = dims;
    t.what = role::statistic;
    t.name = part_of(layer, part);
    t.init = init;
    return lasting(t);
  }

  /// Numbers of some type that live and are saved with the parameters and are not trained:
  /// quantized weights, zero points.
  constexpr i32 numbers(element type, const shape& dims, tensor_name layer, const char* part,
                        initializer init) {
    tensor t;
    t.dims = dims;
    t.type = type;
    t.what = role::statistic;
    t.name = part_of(layer, part);
    t.init = init;
    return lasting(t);
  }

  /// The scalar `id` is a further term of what training makes smaller, behind the losses of the
  /// network's outputs.
  constexpr void add_auxiliary_loss(i32 id) { auxiliary_losses_.push(id); }

  /// Lists those terms; called once the losses of the outputs are there.
  constexpr void append_auxiliary_losses() {
    for (const i32 id : auxiliary_losses_) {
      if (g_.losses.full()) {
        fail({"network", spell_all("at most ", endpoints::max_count, " losses"), "more",
              "balance fewer mixtures"});
        return;
      }
      g_.losses.push(id);
    }
    auxiliary_losses_ = {};
  }

  /// A number of its own for each source of random numbers (dropout), from 1.
  constexpr i32 next_salt() { return ++salts_; }

  constexpr value fail(diagnostic d) {
    if (!g_.wrong.wrong()) {
      d.where = spell_scope(names_.scope()).append(d.where);
      g_.wrong = d;
    }
    return {};
  }

  /// True while nothing is wrong and `x` exists; layers return an empty value otherwise.
  constexpr bool usable(value x) const { return x.valid() && !g_.wrong.wrong(); }
  constexpr bool usable(const bundle& x) const {
    for (const value item : x) {
      if (!item.valid()) return false;
    }
    return !g_.wrong.wrong();
  }

  // --- operations on values ---------------------------------------------------------------------
  // All may stand for what comes in from outside, for what other layers give, or for each other.

  // Element by element on two values; their shapes may differ as numpy broadcasts them
  // (ops/broadcast.hpp): aligned at the last extents, an extent of 1 or a missing one goes with
  // any.

  constexpr value add(value x, value y) { return pair(kind::broadcast_add, x, y, "add"); }
  constexpr value subtract(value x, value y) {
    return pair(kind::broadcast_subtract, x, y, "subtract");
  }
  constexpr value multiply(value x, value y) {
    return pair(kind::broadcast_multiply, x, y, "multiply");
  }
  constexpr value mul(value x, value y) { return multiply(x, y); }
  constexpr value divide(value x, value y) { return pair(kind::divide, x, y, "divide"); }
  constexpr value maximum(value x, value y) { return pair(kind::maximum, x, y, "maximum"); }
  constexpr value minimum(value x, value y) { return pair(kind::minimum, x, y, "minimum"); }

  // Functions of one number, element by element (ops/activation.hpp).

  constexpr value relu(value x) { return unary(kind::relu, x); }
  constexpr value relu6(value x) { return hardtanh(x, 0, 6); }
  constexpr value leaky_relu(value x, float alpha = 0.01f) {
    return activation(kind::leaky_relu, x, {.alpha = alpha});
  }
  constexpr value elu(value x, float alpha = 1, float scale = 1) {
    return activation(kind::elu, x, {.alpha = alpha, .scale = scale});
  }
  constexpr value selu(value x) { return elu(x, 1.6732632423543772f, 1.0507009873554805f); }
  constexpr value gelu(value x) { return unary(kind::gelu_erf, x); }
  constexpr value gelu_tanh(value x) { return unary(kind::gelu_tanh, x); }
  constexpr value silu(value x) { return unary(kind::silu, x); }
  constexpr value softplus(value x, float beta = 1, float threshold = 20) {
    return activation(kind::softplus, x, {.beta = beta, .threshold = threshold});
  }
  constexpr value hardswish(value x) { return unary(kind::hardswish, x); }
  constexpr value hardsigmoid(value x) { return unary(kind::hardsigmoid, x); }
  constexpr value hardtanh(value x, float low = -1, float high = 1) {
    return activation(kind::hardtanh, x, {.low = low, .high = high});
  }
  constexpr value mish(value x) { return unary(kind::mish, x); }
  constexpr value softsign(value x) { return unary(kind::softsign, x); }
  constexpr value tanh(value x) { return unary(kind::tanh, x); }
  constexpr value sigmoid(value x) { return unary(kind::sigmoid, x); }
  constexpr value exp(value x) { return unary(kind::exp, x); }
  constexpr value square(value x) { return unary(kind::square, x); }
  constexpr value abs(value x) { return unary(kind::abs, x); }

  // Shapes. Axes count the extents of a sample, time first; negative ones count from the last.

  /// The first half along an axis times the sigmoid of the second; -1: channels, features.
  constexpr value glu(value x, i32 axis = -1);

  /// The largest of every `pieces` consecutive channels (features).
  constexpr value maxout(value x, i32 pieces);

  /// Reductions over axes; `keep` leaves them as 1.
  constexpr value reduce_sum(value x, std::initializer_list<i32> axes, bool keep = false) {
    return reduce(kind::reduce_sum, x, axes, keep);
  }
  constexpr value reduce_mean(value x, std::initializer_list<i32> axes, bool keep = false) {
    return reduce(kind::reduce_mean, x, axes, keep);
  }
  constexpr value reduce_amax(value x, std::initializer_list<i32> axes, bool keep = false) {
    return reduce(kind::reduce_amax, x, axes, keep);
  }
  constexpr value reduce(kind what, value x, std::initializer_list<i32> axes, bool keep);

  /// Extent i of the result's sample is extent order[i] of x's. As many count time as before.
  constexpr value permute(value x, std::initializer_list<i32> order);

  /// The same values as samples of other extents, one of which may be -1. A view.
  constexpr value reshape(value x, const shape& dims);

  /// x along the extents of `like` that it has not.
  constexpr value expand(value x, value like) {
    if (!usable(x) || !usable(like)) return {};
    return {ops::expand(g_, x.id, g_.tensors[like.id], begin_layer("expand"))};
  }

  /// One value each of in and out, the same shape.
  constexpr value unary(kind what, value x, const attributes& attr = {}) {
    if (!usable(x)) return {};
    return {ops::unary(g_, what, x.id, begin_layer(ops::name_of(what)), attr)};
  }

  constexpr value activation(kind what, value x, const activation_attributes& constants) {
    attributes attr;
    attr.activation = constants;
    return unary(what, x, attr);
  }

  /// Two values whose shapes broadcast; `what` is one of those kinds.
  constexpr value pair(kind what, value x, value y, const char* where);

  /// A user's operation on values; the output has the shape of the first, or of `dims`.
  template <std::same_as<value>... Values>
  constexpr value apply(const user_operation& what, value x, Values... more) {
    return usable(x) ? apply_as(what, sample(x), x, more...) : value{};
  }
  template <std::same_as<value>... Values>
  constexpr value apply_as(const user_operation& what, const shape& dims, value x, Values... more) {
    if (!usable(bundle{x, more...})) return {};
    const tensor& t = g_.tensors[x.id];
    const shape whole = t.batched ? batched(dims, t.stack, t.batch()) : dims;
    const i32 inputs[] = {x.id, more.id...};
    return {ops::user(g_, what, inputs, 1 + static_cast<i32>(sizeof...(more)), whole,
                      begin_layer(what.name))};
  }

  /// Sum, difference or product of all values, from the first to the last.
  constexpr value join(kind what, const bundle& x, const char* where);

  /// All values side by side along axis number `axis` of a sample; -1: channels, features.
  constexpr value concat(const bundle& x, i32 axis = -1, const char* where = "concat");

  /// The value cut into parts of these extents along an axis, as in `concat`.
  constexpr bundle split(value x, std::initializer_list<i32> extents, i32 axis = -1) {
    if (!usable(x)) return {};
    const i32 along = axis < 0 ? g_.tensors[x.id].stack : axis;
    const ops::split_parts parts = ops::split(
        g_, x.id, extents.begin(), static_cast<i32>(extents.size()), along, begin_layer("split"));
    bundle all;
    for (i32 i = 0; i < static_cast<i32>(extents.size()) && i < bundle::capacity; ++i) {
      all.items[all.size++] = {parts[i]};
    }
    return all;
  }

  // --- what stands around layers: each `begin` has its `end` ------------------------------------

  /// From here on names start with `name`; returns what `end_scope` takes.
  constexpr i32 begin_scope(const char* name) { return names_.begin_scope(g_, name); }
  constexpr void end_scope(i32 around) { names_.end_scope(around); }

  /// From here on names start with the number of the trip of loop `body`, counted from `first`,
  /// after `name` where that is not empty: "repeat1.0.". Ends like a scope.
  constexpr i32 begin_repeat(const char* name, i32 body, i32 first) {
    return names_.begin_repeat(g_, name, body, first);
  }

  /// The one layer that follows has this name. Returns false where another layer has it.
  constexpr bool begin_named(const char* name) { return names_.begin_named(name); }
  /// Returns how many layers took it.
  constexpr i32 end_named() { return names_.end_named(); }

  /// Parameters made from here on are not trained.
  constexpr void begin_frozen() { ++frozen_; }
  constexpr void end_frozen() { --frozen_; }

  /// What `end_shared` puts back.
  struct around_shared {
    i32 set = -1;
    i32 next = -1;
    layer_names names;
  };

  /// Weights from here on are those of `tag`: made the first time, given out again in the same
  /// order and under the same names every further time. Without a tag those of the set with number
  /// `set`, or of a new one.
  constexpr around_shared begin_shared(const char* tag, i32 set = -1) {
    const around_shared around{set_, next_, names_};
    if (tag != nullptr) set = set_of(tag);
    if (set < 0) {
      set_ = shared_.push({tag, names_, {}});
      next_ = -1;
    } else {
      set_ = set;
      next_ = 0;
      names_ = shared_[set].names;
    }
    return around;
  }
  /// Returns the number of the set.
  constexpr i32 end_shared(const around_shared& around) {
    const i32 ended = set_;
    if (next_ >= 0) {
      if (next_ != shared_[ended].weights.size()) refuse_reuse(shared_[ended], "fewer");
      names_ = around.names;
    }
    set_ = around.set;
    next_ = around.next;
    return ended;
  }

  /// Weight number `index` of what is shared under `tag`, as the body at hand sees it; -1 where
  /// there is none.
  constexpr i32 shared_weight(const char* tag, i32 index) {
    const i32 set = set_of(tag);
    if (set < 0 || index >= shared_[set].weights.size()) return -1;
    return seen_here(shared_[set], shared_[set].weights[index]);
  }

 private:
  struct shared_set {
    const char* tag = nullptr;
    layer_names names;  // as they were before the first layer
    grow<i32> weights;
  };

  /// Samples of shape `dims`, whose first `stack` extents stand before the batch.
  static constexpr shape batched(const shape& dims, i32 stack, i32 batch) {
    shape all = dims.batch_of(batch);
    for (i32 axis = 0; axis < stack; ++axis) {
      all[axis] = dims[axis];
      all[axis + 1] = batch;
    }
    return all;
  }

  constexpr i32 set_of(const char* tag) const {
    for (i32 i = 0; i < shared_.size(); ++i) {
      const char* const known = shared_[i].tag;
      if (known != nullptr && same_letters(known, tag)) return i;
    }
    return -1;
  }

  constexpr i32 lasting(const tensor& t) {
    if (next_ >= 0) return reuse(t);
    const i32 id = ops::append_lasting(g_, t);
    if (set_ >= 0) shared_[set_].weights.push(id);
    return id;
  }

  constexpr i32 reuse(const tensor& t) {
    const shared_set& set = shared_[set_];
    if (next_ >= set.weights.size()) {
      refuse_reuse(set, "more");
      return ops::append_lasting(g_, t);
    }
    const i32 id = set.weights[next_++];
    const tensor& first = g_.tensors[id];
    if (first.dims != t.dims || first.what != t.what) {
      fail({spell_sharing(set), spell_all("a ", t.name.part, " of ", first.dims, " as before"),
            spell_all<64>(t.dims), "share layers of one shape on inputs of one shape"});
    }
    return seen_here(set, id);
  }

  constexpr i32 seen_here(const shared_set& set, i32 id) {
    const i32 body = g_.tensors[id].body;
    if (body == 0) return id;
    if (!encloses(g_, body, g_.body)) {
      fail({spell_sharing(set), "weights of the whole network", "those of a repeated block",
            "share within the block, or outside of it"});
      return id;
    }
    return ops::captured(g_, id, g_.body);
  }

  constexpr void refuse_reuse(const shared_set& set, const char* got) {
    fail({spell_sharing(set), spell_all(set.weights.size(), " weights as before"), got,
          "share layers of one kind"});
  }

  static constexpr text<64> spell_sharing(const shared_set& set) {
    if (set.tag == nullptr) return "each";
    return spell_all<64>("shared<", set.tag, ">");
  }

  /// "layer2.0."
  constexpr text<64> spell_scope(i32 scope) const {
    if (scope < 0) return {};
    text<64> joined = spell_scope(g_.scopes[scope].parent);
    if (*g_.scopes[scope].name == 0) return joined;
    joined.append(g_.scopes[scope].name);
    if (g_.scopes[scope].ordinal > 0) joined.append(g_.scopes[scope].ordinal);
    return joined.append('.');
  }

  /// "16x8x8 and 32x8x8"
  constexpr text<64> spell_both(value x, value y) const {
    return spell_all<64>(sample(x), " and ", sample(y));
  }

  graph& g_;
  purpose why_;
  layer_names names_;
  grow<i32> auxiliary_losses_;
  i32 salts_ = 0;
  i32 frozen_ = 0;
  grow<shared_set> shared_;
  i32 set_ = -1;   // the set of weights at hand
  i32 next_ = -1;  // which of its weights is given out next; -1: they are being made
};

/// A layer: one value, or a bundle, to one value or a bundle.
template <class L>
concept layer = requires(builder& b, value x) {
  { L::build(b, x) } -> std::convertible_to<bundle>;
};

}  // namespace tessera

#include <tessera/nn/builder_values.hpp>
