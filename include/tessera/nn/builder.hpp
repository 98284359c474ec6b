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
// about what is trained (`frozen`).

#include <tessera/ops/ops.hpp>
#include <concepts>

namespace tessera {

/// A symbolic value: what some operation will put out.
struct value {
  i32 id = -1;
  constexpr bool valid() const { return id >= 0; }
};

/// Several values side by side; a value is a bundle of one.
struct bundle {
  static constexpr i32 capacity = 8;

  value items[capacity];
  i32 size = 0;

  constexpr bundle() = default;
  constexpr bundle(value x) : items{x}, size(1) {}  // NOLINT: a value is a bundle

  constexpr const value* begin() const { return items; }
  constexpr const value* end() const { return items + size; }
};

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

  /// An input of the network: samples of shape `dims`, whose first `stack` extents count time and
  /// stand before the batch.
  constexpr value input(const shape& dims, element type = element::f32, i32 stack = 0) {
    if (g_.inputs.full()) {
      return fail({"network", spell_all("at most ", endpoints::max_count, " inputs"), "more",
                   "join some of them before the network"});
    }
    tensor t;
    t.dims = dims.batch_of(g_.batch);
    for (i32 axis = 0; axis < stack; ++axis) {
      t.dims[axis] = dims[axis];
      t.dims[axis + 1] = g_.batch;
    }
    t.type = type;
    t.what = role::input;
    t.batched = true;
    t.batch_last = ops::batch_goes_last(g_.batch);
    t.stack = stack;
    t.name = {"input", g_.inputs.size() > 0 ? g_.inputs.size() + 1 : 0, ""};
    const i32 id = g_.add(t);
    g_.inputs.push(id);
    return {id};
  }

  /// What a loss compares with, laid out like `like`: the caller fills it before a step.
  constexpr value target(tensor like) {
    like.what = role::target;
    like.differentiable = false;
    like.of = -1;
    like.base = like.step = 0;
    like.name = {"target", g_.targets.size() > 0 ? g_.targets.size() + 1 : 0, ""};
    const i32 id = g_.add(like);
    g_.targets.push(id);
    return {id};
  }

  /// Makes the scalar `x`, which the operation of a loss puts out, a term of what training makes
  /// smaller.
  constexpr value loss(value x) {
    g_.tensors[x.id].name.ordinal = g_.losses.size() > 0 ? g_.losses.size() + 1 : 0;
    g_.losses.push(x.id);
    return x;
  }

  /// A name for the next layer of this kind: conv1, conv2, ... within the scope at hand, or the one
  /// that `named` has for it.
  constexpr tensor_name begin_layer(const char* kind_name) {
    if (given_name_ != nullptr) {
      ++given_uses_;
      return {given_name_, 0, "", "", scope_};
    }
    return {kind_name, ++count_of(kind_name, false), "", "", scope_};
  }

  /// A parameter of the layer `name`; its part is "weight", "bias", ... Where the layer shares its
  /// weights with an earlier one, that one's.
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

  /// A number of its own for each source of random numbers (dropout), from 1.
  constexpr i32 next_salt() { return ++salts_; }

  constexpr value fail(diagnostic d) {
    if (!g_.wrong.wrong()) {
      text<64> where = spell_scope(scope_);
      if (!where.empty()) d.where = where.append(d.where);
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

  // --- what stands around layers: each `begin` has its `end` ------------------------------------

  /// From here on names start with `name`; returns what `end_scope` takes.
  constexpr i32 begin_scope(const char* name) {
    const i32 around = scope_;
    scope_ = -1;
    for (i32 i = 0; i < g_.scopes.size(); ++i) {
      const name_scope& s = g_.scopes[i];
      if (s.parent == around && s.body == 0 && same(s.name, name)) scope_ = i;
    }
    if (scope_ < 0) scope_ = g_.scopes.push({name, around, 0, 0, 0});
    return around;
  }
  constexpr void end_scope(i32 around) { scope_ = around; }

  /// From here on names start with the number of the trip of loop `body`, counted from `first`,
  /// after `name` where that is not empty: "repeat1.0.". Ends like a scope.
  constexpr i32 begin_repeat(const char* name, i32 body, i32 first) {
    const i32 around = scope_;
    const i32 ordinal = *name == 0 ? 0 : ++count_of(name, false);
    scope_ = g_.scopes.push({name, around, body, first, ordinal});
    return around;
  }
  constexpr i32 scope() const { return scope_; }

  /// The one layer that follows has this name. Returns false where another layer has it.
  constexpr bool begin_named(const char* name) {
    given_name_ = name;
    given_uses_ = 0;
    return ++count_of(name, true) == 1;
  }
  /// Returns how many layers took it.
  constexpr i32 end_named() {
    given_name_ = nullptr;
    return given_uses_;
  }

  constexpr void begin_frozen() { ++frozen_; }
  constexpr void end_frozen() { --frozen_; }

  /// Parameters made from here on are those of `tag`: made the first time, given out again in the
  /// same order, and under the same names, every further time. A null tag is unlike all others.
  /// Returns what `end_shared` takes.
  struct sharing {
    i32 set = -1;
    i32 next = -1;  // the next to be given out; -1: they are being made
  };
  constexpr sharing begin_shared(const char* tag) {
    for (i32 i = 0; i < shared_.size(); ++i) {
      if (tag != nullptr && shared_[i].tag != nullptr && same(shared_[i].tag, tag)) {
        return begin_reuse(i);
      }
    }
    shared_set made;
    made.tag = tag;
    made.scope = scope_;
    made.kinds = kinds_;
    const sharing around = sharing_;
    sharing_ = {shared_.push(made), -1};
    return around;
  }
  /// The same for the set that has just ended, or any earlier one.
  constexpr sharing begin_reuse(i32 set) {
    const sharing around = sharing_;
    sharing_ = {set, 0};
    swap_names(shared_[set]);
    return around;
  }
  /// Returns the number of the set.
  constexpr i32 end_shared(sharing around) {
    const sharing ended = sharing_;
    sharing_ = around;
    if (ended.next < 0) return ended.set;
    swap_names(shared_[ended.set]);
    const shared_set& set = shared_[ended.set];
    if (ended.next != set.parameters.size() && !g_.wrong.wrong())
      refuse_reuse(set, "fewer weights");
    return ended.set;
  }

  /// Parameter number `index` of what is shared under `tag`; -1 where there is none.
  constexpr i32 shared_parameter(const char* tag, i32 index) const {
    for (const shared_set& s : shared_) {
      if (s.tag == nullptr || !same(s.tag, tag)) continue;
      return index < s.parameters.size() ? s.parameters[index] : -1;
    }
    return -1;
  }

 private:
  struct counted {
    const char* name = "";
    i32 scope = -1;
    bool given = false;  // by `named`
    i32 count = 0;
  };
  struct shared_set {
    const char* tag = nullptr;
    i32 scope = -1;  // names as they were before the first layer
    grow<counted> kinds;
    grow<i32> parameters;
  };

  static constexpr bool same(const char* a, const char* b) {
    for (; *a == *b; ++a, ++b) {
      if (*a == 0) return true;
    }
    return false;
  }

  /// How many layers of this kind, or given this name, the scope at hand has.
  constexpr i32& count_of(const char* name, bool given) {
    for (counted& c : kinds_) {
      if (c.scope == scope_ && c.given == given && same(c.name, name)) return c.count;
    }
    return kinds_[kinds_.push({name, scope_, given, 0})].count;
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

  constexpr i32 lasting(const tensor& t) {
    if (sharing_.next >= 0) return reuse(t);
    const i32 id = ops::append_lasting(g_, t);
    if (sharing_.set >= 0) shared_[sharing_.set].parameters.push(id);
    return id;
  }

  constexpr i32 reuse(const tensor& t) {
    const shared_set& set = shared_[sharing_.set];
    if (sharing_.next >= set.parameters.size()) {
      refuse_reuse(set, "more weights");
      return ops::append_lasting(g_, t);
    }
    const i32 id = set.parameters[sharing_.next++];
    const tensor& first = g_.tensors[id];
    if (!encloses(g_, first.body, g_.body)) {
      refuse_reuse(set, "weights of another block, which has its own in every repeat");
    } else if (first.dims != t.dims || first.what != t.what) {
      fail({spell_sharing(set),
            spell_all("a ", t.name.part, " of ", first.dims, " as where it first stands"),
            spell_all<64>(t.dims), "share layers of one shape on inputs of one shape"});
    }
    return first.body == 0 ? id : ops::captured(g_, id, g_.body);
  }

  constexpr void refuse_reuse(const shared_set& set, const char* got) {
    fail({spell_sharing(set), "the weights of where it stands first", got,
          "share layers of one kind"});
  }

  static constexpr text<64> spell_sharing(const shared_set& set) {
    if (set.tag == nullptr) return "each";
    return spell_all<64>("shared<\"", set.tag, "\">");
  }

  constexpr void swap_names(shared_set& set) {
    const i32 scope = scope_;
    scope_ = set.scope;
    set.scope = scope;
    grow<counted> kinds = kinds_;
    kinds_ = set.kinds;
    set.kinds = kinds;
  }

  graph& g_;
  purpose why_;
  grow<counted> kinds_;
  i32 scope_ = -1;
  const char* given_name_ = nullptr;
  i32 given_uses_ = 0;
  i32 salts_ = 0;
  i32 frozen_ = 0;
  grow<shared_set> shared_;
  sharing sharing_;
};

/// A layer: one value, or a bundle, to one value or a bundle.
template <class L>
concept layer = requires(builder& b, value x) {
  { L::build(b, x) } -> std::convertible_to<bundle>;
};

/// A layer that gives one value.
template <class L>
concept plain_layer = requires(builder& b, value x) {
  { L::build(b, x) } -> std::same_as<value>;
};

}  // namespace tessera
