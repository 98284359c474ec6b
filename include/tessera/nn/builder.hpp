#pragma once

// The builder: what a layer sees of the graph while it appends itself.
//
// A layer is a type with `static constexpr value build(builder&, value)`. It asks for shapes of one
// sample, without the batch; it reports a misfit through `fail`, after which everything appended is
// ignored and only the first diagnostic counts.

#include <tessera/ops/ops.hpp>
#include <concepts>

namespace tessera {

/// A symbolic value: what some operation will put out.
struct value {
  i32 id = -1;
  constexpr bool valid() const { return id >= 0; }
};

enum class purpose : u8 { training, inference };

class builder {
 public:
  constexpr builder(graph& g, i32 batch, purpose why) : g_(g), why_(why) { g.batch = batch; }

  constexpr graph& network() { return g_; }
  constexpr bool training() const { return why_ == purpose::training; }

  /// The shape of one sample.
  constexpr shape sample(value x) const { return g_.tensors[x.id].dims.sample(); }

  /// An input of the network: samples of shape `dims`.
  constexpr value input(const shape& dims) {
    tensor t;
    t.dims = dims.batch_of(g_.batch);
    t.what = role::input;
    t.batched = true;
    t.batch_last = ops::batch_goes_last(g_.batch);
    t.name = {"input", 0, ""};
    g_.inputs.push(g_.add(t));
    return {g_.inputs[g_.inputs.size() - 1]};
  }

  /// A name for the next layer of this kind: conv1, conv2, ...
  constexpr tensor_name begin_layer(const char* name) {
    for (counted& c : kinds_) {
      if (text<32>(c.name) == text<32>(name).view()) return {name, ++c.count, ""};
    }
    kinds_.push({name, 1});
    return {name, 1, ""};
  }

  constexpr value fail(const diagnostic& d) {
    if (!g_.wrong.wrong()) g_.wrong = d;
    return {};
  }

  /// True while nothing is wrong and `x` exists; layers return an empty value otherwise.
  constexpr bool usable(value x) const { return x.valid() && !g_.wrong.wrong(); }

 private:
  struct counted {
    const char* name = "";
    i32 count = 0;
  };

  graph& g_;
  purpose why_;
  grow<counted> kinds_;
};

template <class L>
concept layer = requires(builder& b, value x) {
  { L::build(b, x) } -> std::same_as<value>;
};

}  // namespace tessera
