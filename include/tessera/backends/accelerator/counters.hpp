#pragma once

// Counters: what a run of the model spent, and the buffers it works with.
//
// `step_values::backend` points to one of these; without one nothing is counted. Every vertex that
// a kernel executes is recorded with the sizes it really had; at the end of an operation the
// records become cycles. The totals must equal the constants of price.hpp.

#include <tessera/backends/accelerator/price.hpp>
#include <tessera/backends/parallel.hpp>
#include <cstddef>
#include <mutex>
#include <vector>

namespace tessera::accelerator {

/// Counters of a model machine. Not to be shared by programs that run at the same time.
class counters {
 public:
  /// `scratch_bytes`: the most that an operation of the program needs (`scratch_bytes` below); a
  /// kernel that needs more makes the buffer grow.
  explicit counters(i64 scratch_bytes = 0) : mappings_(slots) { reserve(scratch_bytes); }

  operation_price total;
  i64 operations = 0;
  bool off_chip = false;  // the step is too large for the chip: operands come from outside

  /// Cycles, bytes and energy by kind of operation.
  const operation_price& of(kind what) const { return by_kind_[static_cast<i32>(what)]; }

  void clear() {
    total = {};
    operations = 0;
    for (operation_price& p : by_kind_) p = {};
  }

  void add(kind what, const operation_price& price) {
    total += price;
    by_kind_[static_cast<i32>(what)] += price;
    ++operations;
  }

  void reserve(i64 bytes) {
    if (static_cast<i64>(scratch_.size()) < bytes) scratch_.resize(static_cast<std::size_t>(bytes));
  }

  std::byte* scratch(i64 bytes) {
    reserve(bytes);
    return scratch_.data();
  }

  /// The mapping of `s`, found once and kept.
  const mapping& mapping_of(const machine& m, const signature& s) {
    u64 hash = static_cast<u64>(s.what) * 0x9e3779b97f4a7c15u ^ s.types;
    for (const i32 n : s.n) hash = (hash ^ static_cast<u64>(n)) * 0x100000001b3u;
    known& k = mappings_[static_cast<std::size_t>((hash >> 32) % slots)];
    if (k.on != &m || !(k.of == s)) k = {&m, s, map(m, s)};
    return k.cut;
  }

 private:
  struct known {
    const machine* on = nullptr;
    signature of;
    mapping cut;
  };
  static constexpr std::size_t slots = 256;

  operation_price by_kind_[static_cast<i32>(kind::count)];
  std::vector<known> mappings_;
  std::vector<std::byte> scratch_;
};

/// Elements of the gradient that a fused update computes; 0 for other operations.
constexpr i64 fused_gradient_elements(const signature& s) {
  switch (s.what) {
    case kind::dense_weight_update: {
      const auto n = dense_sizes::of(s);
      return i64{n.in} * n.out;
    }
    case kind::conv2d_weight_update: {
      const auto n = conv_sizes::of(s);
      return i64{n.out_channels} * n.group_in() * n.kernel_height * n.kernel_width;
    }
    case kind::bias_update: return bias_sizes::of(s).channels;
    default: return 0;
  }
}

/// Entries of a lookup whose kernel sorts them by row; 0 for other operations.
constexpr i64 sorted_entries(const signature& s) {
  if (s.what == kind::embedding_update || s.what == kind::embedding_overflow_test) {
    return embedding_sizes::of(s).indices();
  }
  const bool sorts =
      s.what == kind::embedding_bag_gradient || is_lookup_update(s.what) || is_lookup_test(s.what);
  return sorts ? bag_sizes::of(s).entries(s) : 0;
}

/// Bytes of scratch that the kernel of `s` works with, on any machine: the gradient of a fused
/// update, which a real machine keeps on the tiles that made it; the weights of a product in f32,
/// each vertex' sums padded to whole groups of four.
constexpr i64 scratch_bytes(const signature& s) {
  const i64 elements = fused_gradient_elements(s);
  if (elements > 0) return aligned(elements * bytes_of(s.input_type(1)));
  if (s.what == kind::matmul) return 0;
  if (const i64 entries = sorted_entries(s); entries > 0) return aligned(entries * 16);
  const problem p = problem_of(s);
  if (p.what != family::forward && p.what != family::data_gradient) return 0;
  if (is_quantization(s.what)) return 0;
  const i32 axis_k = p.transposed ? axis_o : axis_c;
  const i64 cols = i64{p.extent[axis_g]} * p.extent[p.transposed ? axis_c : axis_o];
  const i64 sums = ceil_div(p.extent[axis_k], p.grain[axis_k]);
  return aligned(cols * (i64{p.extent[axis_k]} * p.taps + 3 * sums) * 4);
}

/// The most that any of `count` operations needs.
constexpr i64 scratch_bytes(const signature* s, i32 count) {
  i64 most = 0;
  for (i32 i = 0; i < count; ++i) {
    const i64 bytes = scratch_bytes(s[i]);
    if (bytes > most) most = bytes;
  }
  return most;
}

/// Scratch for a call: the counters' own, or one per thread where nothing is counted.
inline std::byte* scratch_of(const call& c, i64 bytes) {
  if (c.step->backend != nullptr) return static_cast<counters*>(c.step->backend)->scratch(bytes);
  thread_local counters uncounted;
  return uncounted.scratch(bytes);
}

/// One vertex as it is executed: its blocks by number, their places and sizes.
struct vertex {
  i32 block[axis_count] = {};
  i32 begin[axis_count] = {};
  i32 size[axis_count] = {};

  void place(const mapping& map, i32 a, i32 i) {
    block[a] = i;
    begin[a] = map.begin(a, i);
    size[a] = map.size(a, i);
  }
};

/// Records the vertices that one thread executes.
class recorder {
 public:
  recorder(const machine& m, const call& c, const mapping& map)
      : recorder(m, *c.sizes, map, is_user(c.sizes->what) ? c.attr->user : nullptr, c.kept) {}

  /// `user`: the definition of a user's operation; `kept`: its weights are on the tiles.
  recorder(const machine& m, const signature& s, const mapping& map, const user_operation* user,
           bool kept = false)
      : m_(m),
        s_(s),
        user_(user),
        map_(map),
        finish_(finish_of(m, s)),
        partials_(map.partials()),
        kept_(kept && keeps_weights(m, s, map)) {}

  /// One vertex. `ends_block`: its output block is complete with it. Products of the families that
  /// are nothing else are not counted here but where they are made.
  void add(const vertex& v, bool ends_block) {
    bool same = true;
    for (i32 a = 0; a < axis_count; ++a) same = same && v.size[a] == size_[a];
    if (!same) {  // most vertices are of the size of the one before
      for (i32 a = 0; a < axis_count; ++a) size_[a] = v.size[a];
      work_ = work_of(m_, s_, map_.of, size_, user_);
    }
    i64 cells = 1;
    for (i32 a = 0; a < 2; ++a) {
      cells *= cells_of(map_.of, a, v.begin[axis_h + a], v.size[axis_h + a]);
    }
    const i64 stays = kept_ ? work_.weight_bytes : 0;
    const i64 received = work_.received(cells) - stays;
    i64 cycles = work_.cycles;
    if (ends_block && finishes(map_.of.what)) {
      cycles += counts.finish(m_, finish_, partials_, work_.outputs, 1);
    }
    counts.vector_ops += work_.vector_ops;
    counts.macs += work_.macs;
    counts.sram_bytes += work_.sram_bytes + received;
    counts.exchange_bytes += received;
    ++counts.vertices;
    if (cycles > counts.most_cycles) counts.most_cycles = cycles;
    const i64 ports = sram_cycles(m_, work_.sram_bytes);
    if (ports > counts.most_sram_cycles) counts.most_sram_cycles = ports;
    if (received > counts.most_received) counts.most_received = received;
    const i64 held = work_.held(cells);
    if (held > counts.most_bytes) counts.most_bytes = held;
  }

  /// Vertices number `first` to `last`, in the order of their axes: groups, channels, positions.
  void add_range(i64 first, i64 last) {
    constexpr i32 fastest_first[] = {axis_b, axis_w, axis_h, axis_c, axis_o, axis_g};
    vertex v;
    i32 blocks[axis_count];
    i64 rest = first;
    for (const i32 a : fastest_first) {
      blocks[a] = map_.count(a);
      v.place(map_, a, static_cast<i32>(rest % blocks[a]));
      rest /= blocks[a];
    }
    for (i64 i = first; i < last; ++i) {
      bool ends_block = true;
      for (i32 a = 0; a < axis_count; ++a) {
        ends_block = ends_block && (!map_.of.reduced[a] || v.block[a] + 1 == blocks[a]);
      }
      add(v, ends_block);
      for (const i32 a : fastest_first) {
        const bool carry = v.block[a] + 1 == blocks[a];
        if (blocks[a] > 1) v.place(map_, a, carry ? 0 : v.block[a] + 1);
        if (!carry) break;
      }
    }
  }

  tally counts;

 private:
  const machine& m_;
  const signature& s_;
  const user_operation* user_;
  const mapping& map_;
  finish_work finish_;
  i64 partials_;
  bool kept_;
  i32 size_[axis_count] = {-1, -1, -1, -1, -1, -1};
  vertex_work work_;
};

/// One call on the model: machine, signature, mapping and where to count.
class execution {
 public:
  execution(const machine& m, const call& c)
      : on(m),
        c_(c),
        counters_(static_cast<counters*>(c.step->backend)),
        cut(counters_ != nullptr ? counters_->mapping_of(m, *c.sizes) : map(m, *c.sizes)) {}

  const machine& on;

  const mapping& blocks() const { return cut; }

  /// Runs `work(first, last, recorder)` over the ranges of `count` output blocks, one range per
  /// thread, and settles the counts. Results and counts are the same for any number of threads.
  template <class Work>
  void run(i64 count, const Work& work) {
    tally all;
    const threads workers = c_.step->threads.when(count > 1);
    std::mutex merging;
    parallel_for(workers, workers.count, [&](i32 t) {
      recorder r(on, c_, cut);
      work(count * t / workers.count, count * (t + 1) / workers.count, r);
      const std::lock_guard one_at_a_time(merging);
      all.merge(r.counts);
    });
    settle_into(all);
  }

 private:
  void settle_into(const tally& all) {
    if (counters_ != nullptr)
      counters_->add(c_.sizes->what, settle(on, *c_.sizes, cut.of, all, how_));
  }

  const call& c_;
  counters* counters_;
  const mapping cut;
  const circumstances how_{c_.kept, counters_ != nullptr && counters_->off_chip};
};

}  // namespace tessera::accelerator
