#pragma once

// Which name the next layer gets, while layers append themselves.
//
// Layers are counted by kind within their scope: conv1, conv2, ... A scope is a row of
// graph::scopes; opened again under the same name it goes on where it was.

#include <tessera/ir/graph.hpp>

namespace tessera {

constexpr bool same_letters(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b) {
    if (*a == 0) return true;
  }
  return false;
}

class layer_names {
 public:
  /// The name that has been given to the next layer, or its kind and number.
  constexpr tensor_name next(const char* kind_name) {
    if (has_given_) {
      ++given_uses_;
      return {given_, 0, "", "", scope_};
    }
    return {kind_name, ++count_of(kind_name, false), "", "", scope_};
  }

  constexpr i32 scope() const { return scope_; }

  /// Opens a scope within the one at hand; returns what `end_scope` takes.
  constexpr i32 begin_scope(graph& g, const char* name) {
    const i32 around = scope_;
    scope_ = -1;
    for (i32 i = 0; i < g.scopes.size(); ++i) {
      const name_scope& s = g.scopes[i];
      if (s.parent == around && s.body == 0 && same_letters(s.name, name)) scope_ = i;
    }
    if (scope_ < 0) scope_ = g.scopes.push({name, around, 0, 0, 0});
    return around;
  }
  constexpr void end_scope(i32 around) { scope_ = around; }

  /// Opens a scope for each trip of loop `body`, numbered from `first`: "repeat1.0.", or where
  /// `name` is empty "0.". Ends like a scope.
  constexpr i32 begin_repeat(graph& g, const char* name, i32 body, i32 first) {
    const i32 around = scope_;
    const i32 ordinal = *name == 0 ? 0 : ++count_of(name, false);
    scope_ = g.scopes.push({name, around, body, first, ordinal});
    return around;
  }

  /// Gives the next layer a name. Returns false where another layer of the scope has it.
  constexpr bool begin_named(const char* name) {
    given_ = name;
    has_given_ = true;
    given_uses_ = 0;
    return ++count_of(name, true) == 1;
  }
  /// Returns how many layers took it.
  constexpr i32 end_named() {
    has_given_ = false;
    return given_uses_;
  }

 private:
  struct counted {
    const char* name = "";
    i32 scope = -1;
    bool given = false;  // the name of one layer, not that of a kind
    i32 count = 0;
  };

  constexpr i32& count_of(const char* name, bool given) {
    for (counted& c : counts_) {
      if (c.scope == scope_ && c.given == given && same_letters(c.name, name)) return c.count;
    }
    return counts_[counts_.push({name, scope_, given, 0})].count;
  }

  grow<counted> counts_;
  i32 scope_ = -1;
  const char* given_ = "";
  bool has_given_ = false;
  i32 given_uses_ = 0;
};

}  // namespace tessera
