#pragma once

// The trainer: parameters, state and memory of a job, and the loops around its step.

#include <tessera/core/error.hpp>
#include <tessera/data/batches.hpp>
#include <tessera/optim/schedule.hpp>
#include <tessera/runtime/backends.hpp>
#include <tessera/runtime/batch_writer.hpp>
#include <tessera/runtime/metrics.hpp>
#include <tessera/runtime/program.hpp>
#include <tessera/runtime/weights.hpp>
#include <tessera/train/progress.hpp>
#include <tessera/train/sample_source.hpp>
#include <chrono>
#include <string>

namespace tessera {

/// Starts the random numbers of a trainer: first weights, dropout masks, order of samples.
struct seed {
  u64 value = 1;
};

/// Threads that kernels may use. No result depends on it.
struct threads {
  i32 count = 1;
};

struct fit_options {
  i32 epochs = 1;
  schedule learning_rate = 1e-3;
  progress_function progress = {};  // called after every step
};

namespace detail {

struct no_state {};

/// What a backend keeps beside the memory of a program: counters, where it counts.
template <class Backend, class Job>
auto backend_state_for() {
  if constexpr (requires { typename Backend::state; }) {
    return Backend::make_state(Job::plan::signatures.of_operation.data(), Job::operation_count);
  } else {
    return no_state{};
  }
}

}  // namespace detail

/// Trains `Job` on `Backend`, this machine's processor unless another is named. Allocates once, in
/// its constructor: `Job::memory.total_bytes`, what its evaluation needs beyond that, and room for
/// one batch of f32 rows; a step allocates nothing.
template <class Job, backend Backend = host_backend>
class trainer {
  using plan = typename Job::plan;
  using evaluation_job = typename Job::evaluation_job;
  using evaluation_plan = typename evaluation_job::plan;

 public:
  using job = Job;
  static constexpr i32 batch_size = Job::options.batch;

  explicit trainer(seed start = {}, threads workers = {})
      : block_(block_bytes()),
        bases_(cut_regions(block_.data(), Job::memory)),
        step_(bind<Job, Backend>(bases_)),
        evaluation_(bind<evaluation_job, Backend>(bases_)),
        writer_(plan::step_graph.tensors[plan::step_graph.inputs[0]]),
        target_writer_(plan::step_graph.tensors[plan::step_graph.targets[0]]) {
    values_.seed = start.value;
    values_.threads = workers.count;
    reset_state<Job>(bases_);
    initialize_weights(weights(), start.value);
    if constexpr (counts) values_.backend = &counters_;
  }

  trainer(const trainer&) = delete;
  trainer& operator=(const trainer&) = delete;

  /// Named views of the parameters (the f32 masters under mixed precision).
  weight_list weights() const {
    return list_weights(
        {plan::step_graph.tensors.items, static_cast<std::size_t>(Job::tensor_count)},
        {plan::where.locations.items, static_cast<std::size_t>(Job::tensor_count)}, bases_);
  }

  /// Runs one step on the batch that lies in input and target. `valid` samples count.
  void step(float learning_rate, i32 valid = batch_size) {
    values_.learning_rate = learning_rate;
    values_.valid = valid;
    step_.run(values_);
    ++values_.step;
  }

  /// The loss of the last step, before its update.
  double loss() const {
    return read(plan::step_graph, plan::where.locations, plan::step_graph.losses[0]);
  }

  /// The loss scale that the next step will use; 1 without loss scaling.
  double loss_scale() const {
    if constexpr (plan::step_graph.scaler < 0) return 1;
    return read(plan::step_graph, plan::where.locations, plan::step_graph.scaler);
  }

  /// Puts up to a batch of samples where the step reads them; the rest of the batch is padding. A
  /// loss that compares values takes them from `source.target(i, out)`, and where a source has
  /// labels only, from a row with a one at the label.
  template <sample_source Source>
  void load(const Source& source, std::span<const i32> indices) {
    constexpr tensor target = plan::step_graph.tensors[plan::step_graph.targets[0]];
    auto* const labels = reinterpret_cast<i32*>(bases_[region::target]);
    i32 n = 0;
    for (const i32 index : indices) {
      source.read(index, writer_.row(n));
      if constexpr (target.type == element::int32) {
        labels[n] = source.label(index);
      } else if constexpr (requires { source.target(index, target_writer_.row(n)); }) {
        source.target(index, target_writer_.row(n));
      } else {
        float* const row = target_writer_.row(n);
        std::fill_n(row, target_writer_.features(), 0.0f);
        row[source.label(index)] = 1;
      }
      ++n;
    }
    writer_.write(n, bases_[region::input]);
    if constexpr (target.type == element::int32) {
      std::fill(labels + n, labels + batch_size, 0);
    } else {
      target_writer_.write(n, bases_[region::target]);
    }
  }

  /// Runs whole epochs over `source` in an order that follows from the seed. Returns the mean loss
  /// of the last epoch.
  ///
  /// Errors   samples whose shape is not the network's input
  template <sample_source Source>
  double fit(const Source& source, const fit_options& options) {
    check(source);
    data::epoch_order order(source.size(), batch_size, values_.seed);
    const i64 steps = order.batches();
    schedule rate = options.learning_rate;
    if (rate.total == 0) rate.total = steps * options.epochs;
    progress p{.epochs = options.epochs, .steps = steps};
    const auto start = std::chrono::steady_clock::now();
    i64 done = 0;
    i64 samples = 0;
    for (i32 epoch = 0; epoch < options.epochs; ++epoch, ++epochs_) {
      order.start(epochs_);
      double sum = 0;
      i64 seen = 0;
      for (auto indices = order.next(); !indices.empty(); indices = order.next(), ++done) {
        const auto count = static_cast<i32>(indices.size());
        load(source, indices);
        p.learning_rate = rate.at(done);
        step(static_cast<float>(p.learning_rate), count);
        sum += loss() * count;
        seen += count;
        samples += count;
        p.epoch = epoch + 1;
        p.step = order.position();
        p.loss = sum / static_cast<double>(seen);
        if (!options.progress) continue;
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        p.samples_per_second = static_cast<double>(samples) / spent.count();
        p.seconds_left = spent.count() * static_cast<double>(steps * options.epochs - done - 1) /
                         static_cast<double>(done + 1);
        options.progress(p);
      }
    }
    return p.loss;
  }

  /// Loss and, for a classifier, accuracy and confusion matrix over all samples of `source`.
  template <sample_source Source>
  metrics evaluate(const Source& source) {
    check(source);
    constexpr i32 output = evaluation_plan::step_graph.outputs[0];
    constexpr tensor about = evaluation_plan::step_graph.tensors[output];
    constexpr bool classifier = about.dims.rank == 2;
    constexpr auto classes = static_cast<i32>(about.dims.sample().count());
    metrics result;
    if constexpr (classifier) result.matrix = confusion(classes);
    const std::byte* const outputs = bases_.at(evaluation_plan::where.locations[output]);
    data::epoch_order order(source.size(), batch_size, 0, false);
    i64 right = 0;
    for (auto indices = order.next(); !indices.empty(); indices = order.next()) {
      const auto count = static_cast<i32>(indices.size());
      load(source, indices);
      values_.valid = count;
      evaluation_.run(values_);
      result.loss += count * read(evaluation_plan::step_graph, evaluation_plan::where.locations,
                                  evaluation_plan::step_graph.losses[0]);
      result.samples += count;
      if constexpr (classifier) {
        for (i32 n = 0; n < count; ++n) {
          const auto score = [&](i32 c) {
            return read_element(outputs, about.type, memory_index(about, i64{n} * classes + c));
          };
          i32 best = 0;
          for (i32 c = 1; c < classes; ++c) best = score(c) > score(best) ? c : best;
          const i32 truth = source.label(indices[static_cast<std::size_t>(n)]);
          result.matrix.add(truth, best);
          right += truth == best ? 1 : 0;
        }
      }
    }
    if (result.samples > 0) {
      result.loss /= static_cast<double>(result.samples);
      result.accuracy = static_cast<double>(right) / static_cast<double>(result.samples);
    }
    return result;
  }

  /// What the backend has counted, on backends that count.
  auto& counters() requires(requires { typename Backend::state; }) { return counters_; }

 private:
  static constexpr bool counts = requires { typename Backend::state; };

  static constexpr memory_summary evaluation_memory = evaluation_job::memory;

  /// The evaluation shares all regions with the step; its arena may be the larger one.
  static constexpr i64 block_bytes() {
    const i64 more = evaluation_memory.arena_bytes - Job::memory.arena_bytes;
    return Job::memory.total_bytes + (more > 0 ? more : 0);
  }

  template <class Graph, class Locations>
  double read(const Graph& g, const Locations& locations, i32 id) const {
    return read_element(bases_.at(locations[id]), g.tensors[id].type, 0);
  }

  template <sample_source Source>
  void check(const Source& source) const {
    const shape& wanted = Job::network::input;
    const shape found = source.sample_shape();
    if (found.count() != wanted.count()) {
      throw error(std::string(
          spell_all<160>("trainer: expected samples of shape ", wanted, ", got ", found).view()));
    }
  }

  memory_block block_;
  region_bases bases_;
  sequence step_;
  sequence evaluation_;
  batch_writer writer_;
  batch_writer target_writer_;
  step_values values_;
  decltype(detail::backend_state_for<Backend, Job>()) counters_ =
      detail::backend_state_for<Backend, Job>();
  i64 epochs_ = 0;
};

}  // namespace tessera
