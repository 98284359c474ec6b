#pragma once

// A trainer of several jobs over the same weights: one network for inputs of several lengths.
//
//   bucket          0 (12 words)    1 (16 words)    2 (26 words)
//   parameters      |=============================================|   one block, and so for working
//   optimizer state |=============================================|   copies
//   arena           |======|
//                   |===============|
//                   |=============================================|   one block, of the largest
//   input, target   of each its own
//
// Each bucket has its plan, whose loops have as many trips as its inputs are long; the weights and
// what the optimizer keeps of them lie at the same places in all. A step runs the plan of its
// batch's bucket. That the jobs have weights in common is tested while compiling.

#include <tessera/train/trainer.hpp>
#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

namespace tessera {

/// The order of batches, in data/word_pairs.hpp or a user's own: `start(epoch)`, `next()` giving a
/// bucket and samples, `batches()`.
template <class O>
concept order_of_buckets = requires(O& o) {
  o.start(i64{});
  o.next().bucket;
  o.next().samples;
  { o.batches() } -> std::convertible_to<i64>;
};

namespace detail {

/// True for what outlives a step: it must lie at one place in all buckets.
constexpr bool outlives_step(const tensor& t, const location& at) {
  const bool lasts =
      at.where == region::parameters || at.where == region::working || at.where == region::state;
  return lasts && t.of < 0;
}

template <class A, class B>
constexpr bool same_weights() {
  const memory_summary& m = memory_of<A>();
  const memory_summary& n = memory_of<B>();
  if (m.parameter_bytes != n.parameter_bytes || m.working_bytes != n.working_bytes ||
      m.state_bytes != n.state_bytes) {
    return false;
  }
  i32 other = 0;
  for (i32 id = 0; id < A::tensor_count; ++id) {
    const tensor& t = A::plan::step_graph.tensors[id];
    const location& at = A::plan::locations()[id];
    if (!outlives_step(t, at)) continue;
    while (other < B::tensor_count &&
           !outlives_step(B::plan::step_graph.tensors[other], B::plan::locations()[other])) {
      ++other;
    }
    if (other == B::tensor_count) return false;
    const tensor& u = B::plan::step_graph.tensors[other];
    const location& place = B::plan::locations()[other++];
    if (t.what != u.what || t.type != u.type || t.dims != u.dims || at.where != place.where ||
        at.offset != place.offset) {
      return false;
    }
  }
  return true;
}

/// The same while compiling, where both plans are known then.
template <class A, class B>
constexpr bool surely_same_weights() {
  if constexpr (A::plan::at_start || B::plan::at_start) {
    return true;
  } else {
    return same_weights<A, B>();
  }
}

/// One job of a bucket trainer, bound to its memory.
template <class Job, backend Backend>
struct bucket_program {
  using plan = typename Job::plan;
  using evaluation_job = typename Job::evaluation_job;
  using evaluation_plan = typename evaluation_job::plan;
  static constexpr i32 inputs = plan::step_graph.inputs.size();
  static constexpr i32 targets = plan::step_graph.targets.size();
  static_assert(plan::step_graph.losses.size() == 1, "bucket_trainer: expected one loss");

  region_bases bases;
  call_sequence step;
  call_sequence evaluation;
  std::array<batch_writer, static_cast<std::size_t>(inputs)> input;
  std::array<batch_writer, static_cast<std::size_t>(targets)> target;

  explicit bucket_program(const region_bases& where)
      : bases(where),
        step(bind<Job, Backend>(bases)),
        evaluation(bind<evaluation_job, Backend>(bases)) {
    for (i32 k = 0; k < inputs; ++k) {
      input[static_cast<std::size_t>(k)] =
          batch_writer(plan::step_graph.tensors[plan::step_graph.inputs[k]]);
    }
    for (i32 k = 0; k < targets; ++k) {
      target[static_cast<std::size_t>(k)] =
          batch_writer(plan::step_graph.tensors[plan::step_graph.targets[k]]);
    }
  }

  template <class Source>
  void load(const Source& source, std::span<const i32> samples) {
    i32 n = 0;
    for (const i32 index : samples) {
      for (i32 k = 0; k < inputs; ++k) {
        batch_writer& to = input[static_cast<std::size_t>(k)];
        if (plan::step_graph.tensors[plan::step_graph.inputs[k]].type == element::int32) {
          read_input(source, index, k, to.integers(n));
        } else {
          read_input(source, index, k, to.row(n));
        }
      }
      for (i32 k = 0; k < targets; ++k) {
        batch_writer& to = target[static_cast<std::size_t>(k)];
        if (plan::step_graph.tensors[plan::step_graph.targets[k]].type == element::int32) {
          read_target(source, index, k, to.features(), to.integers(n));
        } else {
          read_target(source, index, k, to.features(), to.row(n));
        }
      }
      ++n;
    }
    const auto at = [&](i32 id) { return bases.at(plan::locations()[id]); };
    for (i32 k = 0; k < inputs; ++k) {
      input[static_cast<std::size_t>(k)].write(n, at(plan::step_graph.inputs[k]));
    }
    for (i32 k = 0; k < targets; ++k) {
      target[static_cast<std::size_t>(k)].write(n, at(plan::step_graph.targets[k]));
    }
  }

  /// How many terms the mean that the loss is was taken over: targets that count where they are
  /// classes, else samples; of a sum 1.
  double terms(i32 samples) {
    for (const operation& op : plan::step_graph.operations) {
      if (op.out[0] != plan::step_graph.losses[0]) continue;
      if (op.attr.loss.reduce == reduction::sum) return 1;
      if (!is_loss(op.what) || !names_classes(op.what)) break;
      const i64 labels = samples * target[0].features();
      const i32* const first = target[0].integers(0);
      return static_cast<double>(labels -
                                 std::count(first, first + labels, op.attr.loss.ignore_index));
    }
    return samples;
  }

  double loss(bool evaluated) const {
    if (evaluated) {
      constexpr i32 id = evaluation_plan::step_graph.losses[0];
      return read_element(bases.at(evaluation_plan::locations()[id]),
                          evaluation_plan::step_graph.tensors[id].type, 0);
    }
    constexpr i32 id = plan::step_graph.losses[0];
    return read_element(bases.at(plan::locations()[id]), plan::step_graph.tensors[id].type, 0);
  }
};

}  // namespace detail

/// Trains `Jobs`, one for each bucket, that differ in the extents of inputs and agree in weights,
/// optimizer, precision and batch. Allocates in its constructor; a step allocates nothing.
///
/// Memory   weights and optimizer state once, the largest arena, inputs and targets of each
/// Source   of samples as in train/sample_source.hpp, and `bucket(i)`, `buckets_of_samples()`
template <backend Backend, class First, class... Others>
class bucket_trainer_on {
  static_assert((detail::surely_same_weights<First, Others>() && ...),
                "bucket_trainer: expected jobs with the same weights and optimizer state");
  static_assert(((First::options.batch == Others::options.batch) && ...),
                "bucket_trainer: expected jobs with the same batch");

 public:
  static constexpr i32 buckets = 1 + static_cast<i32>(sizeof...(Others));
  static constexpr i32 batch_size = First::options.batch;

  explicit bucket_trainer_on(seed start = {}, threads workers = {})
      : block_(memory_bytes()), programs_(cut<First>(), cut<Others>()...) {
    if (!(detail::same_weights<First, Others>() && ...)) {
      throw error("bucket_trainer: expected jobs with the same weights and optimizer state");
    }
    values_.seed = start.value;
    values_.threads = workers;
    std::apply([](auto&... each) { (reset(each), ...); }, programs_);
    initialize_weights(weights(), start.value);
  }

  bucket_trainer_on(const bucket_trainer_on&) = delete;
  bucket_trainer_on& operator=(const bucket_trainer_on&) = delete;

  /// Bytes that all buckets need together.
  static constexpr i64 memory_bytes() {
    i64 arena = 0;
    for (const i64 each : {arena_of<First>(), arena_of<Others>()...}) arena = std::max(arena, each);
    i64 own = 0;
    for (const i64 each : {own_bytes<First>(), own_bytes<Others>()...}) own += each;
    return memory_of<First>().parameter_bytes + memory_of<First>().working_bytes +
           memory_of<First>().state_bytes + arena + scratchpad_bytes() + own;
  }

  /// Named views of the parameters (the f32 masters under mixed precision).
  weight_list weights() const {
    using plan = typename First::plan;
    return list_weights(thaw(plan::step_graph),
                        {plan::locations(), static_cast<std::size_t>(First::tensor_count)},
                        std::get<0>(programs_).bases);
  }

  /// Runs one step on up to a batch of samples of one bucket; returns the loss before its update.
  template <sample_source Source>
  double step(const Source& source, i32 bucket, std::span<const i32> samples, float learning_rate) {
    double loss = 0;
    with(bucket, [&](auto& program) {
      program.load(source, samples);
      values_.learning_rate = learning_rate;
      values_.valid = static_cast<i32>(samples.size());
      program.step.run(values_);
      loss = program.loss(false);
      terms_ = program.terms(values_.valid);
    });
    ++values_.step;
    return loss;
  }

  /// Runs whole epochs over `source` in an order of buckets and samples that follows from the seed.
  /// Returns the mean loss of the last epoch, over all targets that count. Of the options it heeds
  /// epochs, learning rate and progress.
  template <sample_source Source, order_of_buckets Order>
  double fit(const Source& source, Order& order, const fit_options& options) {
    schedule rate = options.learning_rate;
    if (rate.total == 0) rate.total = order.batches() * options.epochs;
    progress p{.epochs = options.epochs, .steps = order.batches()};
    const auto start = std::chrono::steady_clock::now();
    i64 done = 0;
    i64 samples = 0;
    for (i32 epoch = 0; epoch < options.epochs; ++epoch, ++epochs_) {
      order.start(epochs_);
      double sum = 0;
      double terms = 0;
      for (i64 k = 0; k < order.batches(); ++k, ++done) {
        const auto batch = order.next();
        p.learning_rate = rate.at(done);
        sum +=
            step(source, batch.bucket, batch.samples, static_cast<float>(p.learning_rate)) * terms_;
        terms += terms_;
        samples += static_cast<i64>(batch.samples.size());
        p.loss = terms > 0 ? sum / terms : 0;
        p.losses = {&p.loss, 1};
        p.epoch = epoch + 1;
        p.step = k + 1;
        if (!options.progress) continue;
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        p.samples_per_second = static_cast<double>(samples) / spent.count();
        p.seconds_left = spent.count() * static_cast<double>(p.steps * options.epochs - done - 1) /
                         static_cast<double>(done + 1);
        options.progress(p);
      }
    }
    return p.loss;
  }

  /// The mean loss over all targets of `source` that count.
  template <sample_source Source, order_of_buckets Order>
  double evaluate(const Source& source, Order& order) {
    double sum = 0;
    double terms = 0;
    order.start(0);
    for (i64 k = 0; k < order.batches(); ++k) {
      const auto batch = order.next();
      with(batch.bucket, [&](auto& program) {
        program.load(source, batch.samples);
        values_.valid = static_cast<i32>(batch.samples.size());
        program.evaluation.run(values_);
        const double all = program.terms(values_.valid);
        sum += all > 0 ? all * program.loss(true) : 0;
        terms += all;
      });
    }
    return terms > 0 ? sum / terms : 0;
  }

 private:
  template <class Job>
  static constexpr i64 arena_of() {
    return std::max(memory_of<Job>().arena_bytes,
                    memory_of<typename Job::evaluation_job>().arena_bytes);
  }
  template <class Job>
  static constexpr i64 scratchpad_of() {
    return std::max(memory_of<Job>().scratchpad_bytes,
                    memory_of<typename Job::evaluation_job>().scratchpad_bytes);
  }
  static constexpr i64 scratchpad_bytes() {
    return std::max({scratchpad_of<First>(), scratchpad_of<Others>()...});
  }
  template <class Job>
  static constexpr i64 own_bytes() {
    return memory_of<Job>().input_bytes + memory_of<Job>().target_bytes +
           memory_of<Job>().constant_bytes;
  }

  /// The regions of the next job: what outlives steps in front, then the arena, then its own.
  template <class Job>
  region_bases cut() {
    region_bases bases;
    std::byte* at = block_.data();
    const auto take = [&](region where, i64 bytes) {
      bases[where] = at;
      at += bytes;
    };
    take(region::parameters, memory_of<First>().parameter_bytes);
    take(region::working, memory_of<First>().working_bytes);
    take(region::state, memory_of<First>().state_bytes);
    take(region::arena, std::max({arena_of<First>(), arena_of<Others>()...}));
    take(region::scratchpad, scratchpad_bytes());
    at += used_;
    take(region::input, memory_of<Job>().input_bytes);
    take(region::target, memory_of<Job>().target_bytes);
    take(region::constant, memory_of<Job>().constant_bytes);
    used_ += own_bytes<Job>();
    return bases;
  }

  template <class Job>
  static void reset(detail::bucket_program<Job, Backend>& program) {
    tessera::reset_state<Job>(program.bases);
  }

  template <class Use, std::size_t... Index>
  void with(i32 bucket, Use use, std::index_sequence<Index...>) {
    ((static_cast<i32>(Index) == bucket ? use(std::get<Index>(programs_)) : void()), ...);
  }
  template <class Use>
  void with(i32 bucket, Use use) {
    with(bucket, use, std::make_index_sequence<static_cast<std::size_t>(buckets)>{});
  }

  i64 used_ = 0;
  memory_block block_;
  std::tuple<detail::bucket_program<First, Backend>, detail::bucket_program<Others, Backend>...>
      programs_;
  step_values values_;
  double terms_ = 0;
  i64 epochs_ = 0;
};

template <class... Jobs>
using bucket_trainer = bucket_trainer_on<host_backend, Jobs...>;

}  // namespace tessera
