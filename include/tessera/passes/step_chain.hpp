#pragma once

// A step as a chain: units of its forward pass, cut into blocks where little crosses.
//
//   units     conv  bn  relu | conv  bn  relu  conv  bn  add  relu | loop | pool  dense  loss
//   blocks         0                         1                        2            3
//
// A unit is an operation, or a loop as a whole. A cut is good where all that crosses it is kept for
// the backward pass anyway, and cheap beside what the blocks at its sides keep; of many the dearest
// in that sense go. What a block needs is measured on the liveness of the step as it is. The
// operations of the backward pass belong to the block whose values and weights they read; they stay
// in their order.

#include <tessera/passes/chain_plan.hpp>
#include <tessera/passes/liveness.hpp>
#include <tessera/passes/repeatable.hpp>

namespace tessera::passes {

/// Lists of tensors, one for each unit.
struct unit_lists {
  grow<i32> first;  // list u: all[first[u]] to all[first[u + 1] - 1]
  grow<i32> all;
};

class step_chain {
 public:
  static constexpr i32 most_blocks = 16;

  /// `cuts`: where there are any, those of another chain of the same forward pass. `measured` off:
  /// blocks of unknown size.
  constexpr explicit step_chain(const graph& g, const grow<i32>& cuts = {}, bool measured = true)
      : g_(g),
        root_(g.tensors.size()),
        first_(g.tensors.size()),
        last_write_(g.tensors.size()),
        last_read_(g.tensors.size()),
        needed_(g.tensors.size()),
        droppable_(g.tensors.size()),
        handed_(g.tensors.size()),
        taken_(g.tensors.size()) {
    find_units();
    find_values();
    find_cuts(cuts);
    place_backward();
    if (measured) measure();
  }

  constexpr i32 blocks() const { return cuts_.size() - 1; }
  constexpr const grow<chain_block>& chain() const { return chain_; }
  constexpr const grow<i32>& cuts() const { return cuts_; }

  /// Units of the forward pass; those of block b are first_unit(b) to first_unit(b + 1) - 1.
  constexpr i32 forward_units() const { return forward_units_; }
  constexpr i32 units() const { return units_.size(); }
  constexpr i32 first_unit(i32 block) const { return cuts_[block]; }
  constexpr const loop_span& unit(i32 u) const { return units_[u]; }
  constexpr i32 block_of(i32 unit) const { return block_[unit]; }

  /// Values of the forward pass: tensors of the step itself that it writes into the arena.
  constexpr i32 root_of(i32 id) const { return id < root_.size() ? root_[id] : id; }
  constexpr bool is_value(i32 id) const { return id < first_.size() && first_[id] >= 0; }
  constexpr bool needed(i32 value) const { return needed_[value]; }
  constexpr bool droppable(i32 value) const { return droppable_[value]; }
  constexpr i32 first_writer(i32 value) const { return first_[value]; }
  constexpr i32 last_reader(i32 value) const { return last_read_[value]; }
  constexpr const unit_lists& reads() const { return reads_; }
  constexpr const unit_lists& writes() const { return writes_; }

 private:
  constexpr void find_units() {
    for (i32 id = 0; id < g_.tensors.size(); ++id) {
      root_[id] = storage_of(g_, id);
      first_[id] = last_write_[id] = last_read_[id] = -1;
    }
    const i32 count = g_.operations.size();
    for (i32 i = 0; i < count; ++i) {
      if (i == g_.forward_operations) forward_units_ = units_.size();
      i32 end = i;
      if (g_.operations[i].what == kind::loop) {
        while (g_.operations[end].what != kind::end_loop ||
               g_.operations[end].body != g_.operations[i].body) {
          ++end;
        }
      }
      units_.push({i, end});
      i = end;
    }
    block_.resize(units_.size());
  }

  /// Who writes and reads which values, and what can be had again.
  constexpr void find_values() {
    for (i32 u = 0; u < units_.size(); ++u) {
      writes_.first.push(writes_.all.size());
      for (i32 i = units_[u].begin; u < forward_units_ && i <= units_[u].end; ++i) {
        for (const i32 out : g_.operations[i].out) {
          if (out < 0) continue;
          const i32 r = root_[out];
          if (g_.tensors[r].body != 0 || !in_arena(g_.tensors[r].what)) continue;
          if (first_[r] < 0) {
            first_[r] = u;
            droppable_[r] = worth_dropping(g_.operations[i], r);
          }
          if (last_write_[r] != u) writes_.all.push(r);
          last_write_[r] = u;
        }
      }
    }
    writes_.first.push(writes_.all.size());
    grow<i32> state_writes = count_state_writes();
    grow<i32> seen(g_.tensors.size());
    for (i32& s : seen) s = -1;
    for (i32 u = 0; u < units_.size(); ++u) {
      reads_.first.push(reads_.all.size());
      bool again = true;
      for (i32 i = units_[u].begin; i <= units_[u].end; ++i) {
        const operation& op = g_.operations[i];
        const bool border = op.what == kind::loop || op.what == kind::end_loop;
        if (u < forward_units_ && !border) again = again && repeatable(g_, op);
        for (const i32 in : op.in) {
          if (in < 0) continue;
          const i32 r = root_[in];
          if (state_writes[r] > 0) again = false;
          if (!is_value(r) || seen[r] == u) continue;
          seen[r] = u;
          reads_.all.push(r);
          if (u >= forward_units_) {
            needed_[r] = true;
          } else {
            last_read_[r] = u;
            const bool copied = g_.operations[units_[u].begin].what == kind::copy;
            handed_[r] = copied ? handed_[r] + 1 : -operation::max_inputs * units_.size();
            // What is read before it is complete is something else.
            if (u < last_write_[r] && !writes(u, r)) droppable_[r] = false;
          }
        }
      }
      for (i32 k = writes_.first[u]; k < writes_.first[u + 1] && !again; ++k) {
        droppable_[writes_.all[k]] = false;
      }
    }
    reads_.first.push(reads_.all.size());
  }

  /// False for results, and for what an operation saves beside values that are far larger: running
  /// it again for those alone would be a bad bargain.
  constexpr bool worth_dropping(const operation& op, i32 r) const {
    const tensor& t = g_.tensors[r];
    if (t.what == role::saved) {
      for (const i32 in : op.in) {
        if (in >= 0 && g_.tensors[in].dims.count() * 2 >= t.bytes()) return false;
      }
    }
    return t.what != role::result;
  }

  constexpr bool writes(i32 u, i32 r) const {
    for (i32 k = writes_.first[u]; k < writes_.first[u + 1]; ++k) {
      if (writes_.all[k] == r) return true;
    }
    return false;
  }

  /// How often the forward pass writes states: what it has read of them is gone.
  constexpr grow<i32> count_state_writes() const {
    grow<i32> count(g_.tensors.size());
    for (i32 i = 0; i < g_.forward_operations; ++i) {
      for (const i32 out : g_.operations[i].out) {
        if (out >= 0 && g_.tensors[root_[out]].what == role::state) ++count[root_[out]];
      }
    }
    return count;
  }

  constexpr i64 bytes(i32 value) const { return aligned(g_.tensors[value].bytes()); }

  /// True for a value that the forward pass only copies into a slot of a stack, where it then lies.
  constexpr bool is_handed(i32 r) const { return handed_[r] > 0 && !needed_[r]; }
  constexpr bool takes_over(i32 u) const {
    const operation& op = g_.operations[units_[u].begin];
    return op.what == kind::copy && is_value(root_[op.in[0]]) && is_handed(root_[op.in[0]]);
  }

  constexpr void find_cuts(const grow<i32>& cuts) {
    const i32 n = forward_units_;
    grow<i64> crossing(n + 2);  // by unit: bytes that cross into it
    grow<i64> saved(n + 2);     // by unit: bytes kept of the units before it
    grow<i32> refused(n + 2);   // by unit: what makes a cut in front of it bad
    for (i32 r = 0; r < first_.size(); ++r) {
      if (first_[r] < 0 || !droppable_[r]) continue;
      const i32 begin = first_[r] + 1;
      if (needed_[r]) saved[begin] += bytes(r);
      if (last_write_[r] >= begin) {
        ++refused[begin];
        --refused[last_write_[r] + 1];
      }
      if (is_handed(r)) {
        saved[begin] += bytes(r);
        const i32 to = root_[g_.operations[units_[last_read_[r]].begin].out[0]];
        taken_[to] += bytes(r);
        if (is_value(to) && droppable_[to] && needed_[to]) saved[first_[to] + 1] -= bytes(r);
      }
      if (last_read_[r] < begin) continue;
      crossing[begin] += bytes(r);
      crossing[last_read_[r] + 1] -= bytes(r);
      if (needed_[r] || is_handed(r)) continue;
      ++refused[begin];
      --refused[last_read_[r] + 1];
    }
    for (i32 u = 1; u <= n; ++u) {
      crossing[u] += crossing[u - 1];
      saved[u] += saved[u - 1];
      refused[u] += refused[u - 1];
    }
    if (!cuts.empty()) {
      cuts_ = cuts;
    } else {
      choose_cuts(crossing, saved, refused);
    }
    for (i32 b = 0; b < blocks(); ++b) {
      chain_block block;
      block.input_bytes = crossing[cuts_[b]];
      block.saved_bytes = saved[cuts_[b + 1]] - saved[cuts_[b]];
      chain_.push(block);
      for (i32 u = cuts_[b]; u < cuts_[b + 1]; ++u) block_[u] = b;
    }
  }

  /// Cuts where something new is kept; of too many those that let most cross go.
  constexpr void choose_cuts(const grow<i64>& crossing, const grow<i64>& saved,
                             const grow<i32>& refused) {
    const i32 n = forward_units_;
    cuts_.push(0);
    for (i32 u = 1; u < n; ++u) {
      if (refused[u] > 0 || saved[n] <= saved[u]) continue;
      if (saved[u] > saved[cuts_.back()] || takes_over(u)) cuts_.push(u);
    }
    cuts_.push(n);
    while (cuts_.size() > most_blocks + 1) {
      i32 worst = 1;
      double largest = -1;
      for (i32 c = 1; c + 1 < cuts_.size(); ++c) {
        const auto around = static_cast<double>(saved[cuts_[c + 1]] - saved[cuts_[c - 1]]);
        const double share = static_cast<double>(crossing[cuts_[c]]) / around;
        if (share <= largest) continue;
        largest = share;
        worst = c;
      }
      for (i32 c = worst; c + 1 < cuts_.size(); ++c) cuts_[c] = cuts_[c + 1];
      cuts_.resize(cuts_.size() - 1);
    }
  }

  /// Which block a unit of the backward pass belongs to.
  constexpr void place_backward() {
    // Weights that units of one block read alone tell it, too.
    grow<i32> weight_block(g_.tensors.size());  // 0: none, -1: several, else block + 1
    for (i32 u = 0; u < forward_units_; ++u) {
      for (i32 i = units_[u].begin; i <= units_[u].end; ++i) {
        for (const i32 in : g_.operations[i].in) {
          if (in < 0) continue;
          const role what = g_.tensors[root_[in]].what;
          if (what != role::parameter && what != role::working) continue;
          i32& block = weight_block[root_[in]];
          block = block == 0 || block == block_[u] + 1 ? block_[u] + 1 : -1;
        }
      }
    }
    const i32 last = blocks() - 1;
    for (i32 u = forward_units_; u < units_.size(); ++u) {
      i32 block = -1;
      for (i32 k = reads_.first[u]; k < reads_.first[u + 1]; ++k) {
        const i32 b = block_[first_[reads_.all[k]]];
        block = b > block ? b : block;
      }
      for (i32 i = units_[u].begin; i <= units_[u].end; ++i) {
        const operation& op = g_.operations[i];
        for (const i32 in : op.in) {
          if (in >= 0 && weight_block[root_[in]] > block) block = weight_block[root_[in]] - 1;
        }
        if (block >= 0 && op.out[0] >= 0 && weight_block[root_[op.out[0]]] > block) {
          block = weight_block[root_[op.out[0]]] - 1;  // a fused update
        }
      }
      block_[u] = block;
    }
    // In the order of the backward pass blocks only go down.
    i32 later = 0;
    for (i32 u = units_.size() - 1; u >= forward_units_; --u) {
      if (block_[u] < 0) continue;
      later = block_[u] > later ? block_[u] : later;
      block_[u] = later;
    }
    i32 before = last;
    for (i32 u = forward_units_; u < units_.size(); ++u) {
      if (block_[u] < 0) block_[u] = before;
      before = block_[u];
    }
  }

  /// Bytes and multiply-adds of the blocks.
  constexpr void measure() {
    const liveness l = find_liveness(g_);
    const i32 operations = g_.operations.size();
    grow<i32> unit_of(operations);
    for (i32 u = 0; u < units_.size(); ++u) {
      for (i32 i = units_[u].begin; i <= units_[u].end; ++i) unit_of[i] = u;
    }
    grow<i32> last_use(l.buffers.size());  // in the forward pass
    grow<bool> kept(l.buffers.size());
    for (i32 r = 0; r < first_.size(); ++r) {
      if (first_[r] < 0 || l.buffer_of[r] < 0) continue;
      const i32 u = last_read_[r] > last_write_[r] ? last_read_[r] : last_write_[r];
      i32& last = last_use[l.buffer_of[r]];
      last = units_[u].end > last ? units_[u].end : last;
      if (needed_[r]) kept[l.buffer_of[r]] = true;
    }
    grow<i64> keeping(operations + 1);
    grow<i64> passing(operations + 1);
    grow<i64> always(blocks());     // by block: held while it runs
    grow<i32> begin(blocks() + 1);  // by block: where its backward pass begins
    for (i32& b : begin) b = operations;
    for (i32 u = units_.size() - 1; u >= forward_units_; --u) begin[block_[u]] = units_[u].begin;
    for (i32 b = 0; b < l.buffers.size(); ++b) {
      buffer x = l.buffers[b];
      x.bytes -= taken_[x.tensor];
      const i32 u = unit_of[x.born];
      i32 dies = x.dies < operations ? x.dies : operations - 1;
      keeping[x.born] += x.bytes;
      if (u >= forward_units_) {
        keeping[dies + 1] -= x.bytes;
        continue;
      }
      if (kept[b] && !droppable_[x.tensor]) {  // held whatever the plan
        keeping[x.born] -= x.bytes;
        for (i32 k = block_[u]; k < blocks(); ++k) always[k] += x.bytes;
        continue;
      }
      const i32 end = units_[cuts_[block_[u] + 1] - 1].end;  // of the block
      passing[x.born] += x.bytes;
      const i32 gone = kept[b] ? last_use[b] : dies;
      passing[(gone < end ? gone : end) + 1] -= x.bytes;
      keeping[(kept[b] || dies > end ? end : dies) + 1] -= x.bytes;
      if (!kept[b] || dies < begin[block_[u]]) continue;
      keeping[begin[block_[u]]] += x.bytes;  // until its last reader
      keeping[dies + 1] -= x.bytes;
    }
    i64 kept_now = 0;
    i64 passed_now = 0;
    const grow<i32> bodies = bodies_of_operations(g_);
    for (i32 i = 0; i < operations; ++i) {
      kept_now += keeping[i];
      passed_now += passing[i];
      chain_block& c = chain_[block_[unit_of[i]]];
      if (i >= g_.forward_operations) {
        c.backward_bytes = kept_now > c.backward_bytes ? kept_now : c.backward_bytes;
        continue;
      }
      c.keeping_bytes = kept_now > c.keeping_bytes ? kept_now : c.keeping_bytes;
      c.passing_bytes = passed_now > c.passing_bytes ? passed_now : c.passing_bytes;
      c.macs += ops::macs_of(g_, g_.operations[i]) * runs_of(g_, bodies[i]);
    }
    for (i32 b = 0; b < blocks(); ++b) {
      chain_[b].keeping_bytes += always[b];
      chain_[b].passing_bytes += always[b];
      chain_[b].backward_bytes += always[b];
    }
  }

  const graph& g_;
  grow<loop_span> units_;
  i32 forward_units_ = 0;
  grow<i32> root_;        // by tensor
  grow<i32> first_;       // by value: the unit that writes it first
  grow<i32> last_write_;  // the last of the forward pass that does
  grow<i32> last_read_;   // the last of the forward pass that reads it
  grow<bool> needed_;     // the backward pass reads it
  grow<bool> droppable_;
  grow<i32> handed_;  // > 0: only copies read it
  grow<i64> taken_;   // bytes of it that are those of a value copied there
  unit_lists reads_;
  unit_lists writes_;
  grow<i32> cuts_;
  grow<i32> block_;  // by unit
  grow<chain_block> chain_;
};

}  // namespace tessera::passes
