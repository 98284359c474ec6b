#pragma once

// Operations in a row that one kernel does: which of a step's, decided while compiling.
//
//   batch_norm -> t7    add (t7, t3) -> t8    relu (t8) -> t9       t7, t8: nobody else reads them
//   \________________ one call, which writes t9 only ____________/
//
// The graph, the memory plan, and what other backends do stay as they are; bits too. A backend says
// what it can join. Left alone: where t9 would be written while bytes that it shares with an
// operand of the run are still read at another place, since the plan lets t9 take the bytes of what
// dies before the last operation of the run; and steps whose memory is planned at start-up.
//
// A kernel is replaced by one that also does what follows it, where anything does: as many kernels
// as before, less those that have nothing left to do.

#include <tessera/ir/memory.hpp>
#include <tessera/ir/signature.hpp>
#include <tessera/network/planned.hpp>

namespace tessera::detail {

/// Finds runs of operations to join. `Plan` is that of a job.
template <class Plan, class Backend>
class join_finder {
 public:
  static constexpr i32 operations = Plan::size.operations;
  static constexpr i32 kernels = Plan::kernel_count;
  static constexpr i32 most = 2;  // operations after the first

  struct result {
    frozen_array<i32, operations> joined;  // how many operations after it are done along
    frozen_array<kind, kernels> after;     // what a kernel may do as well; none: nothing
    frozen_array<bool, kernels> used;
  };

  constexpr result run() {
    for (i32 i = 0; i < operations;) {
      const i32 k = Plan::signatures.kernel_of[i];
      if (k >= 0) {
        found_.used[k] = true;
        found_.joined[i] = join(i, k);
      }
      i += 1 + found_.joined[i];
    }
    return found_;
  }

 private:
  static constexpr const auto& g = Plan::step_graph;

  /// As many operations after `first` as go along with it.
  constexpr i32 join(i32 first, i32 k) {
    signature run[most + 1] = {Plan::signatures.of_operation[first]};
    if (!Backend::joins(run, 1)) return 0;
    i32 longest = 0;
    for (i32 n = 1; n <= most && first + n < operations; ++n) {
      if (Plan::signatures.kernel_of[first + n] < 0) break;
      if (!hands_on(first + n - 1, first + n)) break;
      run[n] = Plan::signatures.of_operation[first + n];
      if (!Backend::joins(run, n + 1)) break;
      if (fits(k, run[n].what) && is_safe(first, n)) longest = n;
    }
    if (longest == 0) return 0;
    const kind last = run[longest].what;
    if (found_.after[k] == kind::none || last != kind::add) found_.after[k] = last;
    return longest;
  }

  /// One kind of activation a kernel.
  constexpr bool fits(i32 k, kind last) const {
    const kind known = found_.after[k];
    return last == kind::add || known == kind::none || known == kind::add || known == last;
  }

  /// Whether only `next` sees what `one` gives first: it overwrites it, or is the only one to read.
  constexpr bool hands_on(i32 one, i32 next) {
    const i32 id = g.operations[one].out[0];
    const i32 out = g.operations[next].out[0];
    if (id < 0 || out < 0) return false;
    i32 reads = 0;
    for (const i32 in : g.operations[next].in) reads += in == id ? 1 : 0;
    if (reads != 1) return false;
    const tensor& t = g.tensors[id];
    if (is_in_place(id, out)) return true;
    return t.of < 0 && in_arena(t.what) && t.what != role::result && uses_of(id) == 1;
  }

  /// How often a tensor is read, by operations, views and the world outside.
  constexpr i32 uses_of(i32 id) {
    if (uses_.empty()) {
      uses_.resize(g.tensors.size());
      for (const operation& op : g.operations) {
        for (const i32 in : op.in) {
          if (in >= 0) ++uses_[in];
        }
      }
      for (const tensor& t : g.tensors) {
        if (t.of >= 0) ++uses_[t.of];
      }
      for (const endpoints* ends : {&g.outputs, &g.losses}) {
        for (const i32 end : *ends) ++uses_[end];
      }
    }
    return uses_[id];
  }

  /// Whether the last of `n` operations after `first` may write while the run is still reading.
  constexpr bool is_safe(i32 first, i32 n) const {
    const i32 y = g.operations[first + n].out[0];
    for (i32 i = first; i <= first + n; ++i) {
      const operation& op = g.operations[i];
      for (const i32 in : op.in) {
        const bool between = i > first && in == g.operations[i - 1].out[0];
        if (in >= 0 && !between && !are_apart(in, y) && !is_in_place(in, y)) return false;
      }
      for (i32 slot = i < first + n ? 1 : 0; slot < operation::max_outputs; ++slot) {
        const i32 out = op.out[slot];
        if (out >= 0 && out != y && !are_apart(out, y)) return false;
      }
    }
    return true;
  }

  /// The same bytes in the same order: each is read before it is written.
  static constexpr bool is_in_place(i32 a, i32 b) {
    return same_steps(a, b) && Plan::locations()[a].where == Plan::locations()[b].where &&
           Plan::locations()[a].offset == Plan::locations()[b].offset &&
           g.tensors[a].bytes() == g.tensors[b].bytes();
  }

  static constexpr bool are_apart(i32 a, i32 b) {
    const location& at_a = Plan::locations()[a];
    const location& at_b = Plan::locations()[b];
    if (at_a.where != at_b.where) return true;
    if (same_steps(a, b)) {
      return apart(at_a.offset, g.tensors[a].bytes(), at_b.offset, g.tensors[b].bytes());
    }
    const buffer* const of_a = Plan::arena().of(a);
    const buffer* const of_b = Plan::arena().of(b);
    return of_a != nullptr && of_b != nullptr && of_a != of_b &&
           apart(of_a->offset, of_a->bytes, of_b->offset, of_b->bytes);
  }
  static constexpr bool apart(i64 a, i64 bytes_a, i64 b, i64 bytes_b) {
    return a + bytes_a <= b || b + bytes_b <= a;
  }
  static constexpr bool same_steps(i32 a, i32 b) {
    for (i32 depth = 0; depth < location::max_depth; ++depth) {
      if (Plan::locations()[a].step[depth] != Plan::locations()[b].step[depth]) return false;
    }
    return true;
  }

  result found_{};
  grow<i32> uses_;
};

/// Which operations of a plan a backend joins.
template <class Plan, class Backend>
inline constexpr auto joined = [] {
  using finder = join_finder<Plan, Backend>;
  if constexpr (!Plan::at_start && requires { &Backend::joins; }) {
    return finder().run();
  } else {
    typename finder::result none{};
    for (i32 k = 0; k < finder::kernels; ++k) none.used[k] = true;
    return none;
  }
}();

}  // namespace tessera::detail
