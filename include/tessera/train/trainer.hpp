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
#include <tessera/train/best_epoch.hpp>
#include <tessera/train/progress.hpp>
#include <tessera/train/sample_source.hpp>
#include <array>
#include <chrono>
#include <string>

namespace tessera {

/// Starts the random numbers of a trainer: first weights, dropout masks, order of samples.
struct seed {
  u64 value = 1;
};

struct fit_options {
  i32 epochs = 1;
  schedule learning_rate = 1e-3;
  progress_function progress = {};  // called after every step
  epoch_function each_epoch = {};   // called after every epoch, false ends the fit
  early_stopping stop = {};
};

/// Trains `Job` on `Backend`, this machine's processor unless another is named. Allocates once, in
/// its constructor: the total bytes of the job's memory, what its evaluation needs beyond that, and
/// room for one batch of rows of each input and target; a step allocates nothing. A job with a
/// scratchpad has it in the caller's memory where `fast` names some (runtime/bases.hpp, which says
/// what is wrong with memory that does not hold it), else as a part of the block.
template <class Job, backend Backend = host_backend>
class trainer {
  using plan = typename Job::plan;
  using evaluation_job = typename Job::evaluation_job;
  using evaluation_plan = typename evaluation_job::plan;

 public:
  using job = Job;
  static constexpr i32 batch_size = Job::options.batch;

  static constexpr i32 input_count = plan::step_graph.inputs.size();
  static constexpr i32 target_count = plan::step_graph.targets.size();
  static constexpr i32 output_count = plan::step_graph.outputs.size();
  static constexpr i32 loss_count = plan::step_graph.losses.size();

  explicit trainer(seed start = {}, threads workers = {}, scratchpad_memory fast = {})
      : block_(block_bytes(memory(), fast)),
        bases_(cut_regions(block_.data(), memory(), fast)),
        step_(bind<Job, Backend>(bases_)),
        evaluation_(bind<evaluation_job, Backend>(bases_)) {
    for (i32 k = 0; k < input_count; ++k) input(k) = batch_writer(input_tensor(k));
    for (i32 k = 0; k < target_count; ++k) target(k) = batch_writer(target_tensor(k));
    values_.seed = start.value;
    values_.threads = workers;
    tessera::reset_state<Job>(bases_);
    initialize_weights(weights(), start.value);
    if constexpr (counts) values_.backend = &counters_;
  }

  trainer(const trainer&) = delete;
  trainer& operator=(const trainer&) = delete;

  /// Named views of the parameters (the f32 masters under mixed precision).
  weight_list weights() const {
    return list_weights(thaw(plan::step_graph),
                        {plan::locations(), static_cast<std::size_t>(Job::tensor_count)}, bases_);
  }

  /// What the network carries from step to step begins again; the optimizer's state stays.
  void reset_state() {
    for (i32 id = 0; id < Job::tensor_count; ++id) {
      const tensor& t = plan::step_graph.tensors[id];
      if (t.what != role::state || t.of >= 0 || t.parameter >= 0) continue;
      if (id == plan::step_graph.scaler) continue;
      tessera::reset_state(t, bases_.at(plan::locations()[id]));
    }
  }

  /// Runs one step on the batch that lies in input and target. `valid` samples count.
  void step(float learning_rate, i32 valid = batch_size) {
    values_.learning_rate = learning_rate;
    values_.valid = valid;
    step_.run(values_);
    ++values_.step;
  }

  /// The loss of the last step, before its update: the sum of all losses.
  double loss() const {
    double sum = 0;
    for (i32 k = 0; k < loss_count; ++k) sum += loss(k);
    return sum;
  }
  /// One of them, with its weight.
  double loss(i32 which) const {
    return read(plan::step_graph, plan::locations(), plan::step_graph.losses[which]);
  }

  /// The loss scale that the next step will use; 1 without loss scaling.
  double loss_scale() const {
    if constexpr (plan::step_graph.scaler < 0) return 1;
    return read(plan::step_graph, plan::locations(), plan::step_graph.scaler);
  }

  /// The norm over the gradients of all parameters in the last step, before clip_norm has limited
  /// it, without loss scale; infinite or none where a gradient has overflowed.
  double gradient_norm() const requires(plan::step_graph.clip >= 0) {
    return read(plan::step_graph, plan::locations(), plan::step_graph.clip);
  }

  /// Puts up to a batch of samples where the step reads them; the rest of the batch is padding.
  /// What a source must have: train/sample_source.hpp.
  template <sample_source Source>
  void load(const Source& source, std::span<const i32> indices) {
    static_assert(reads_all<Source>(),
                  "trainer: the source lacks read(i, out) for the network's input, or read(i, "
                  "which, out) for several; out is i32* for inputs of i32, else float*");
    static_assert(targets_all<Source>(),
                  "trainer: the source lacks what the losses compare with: label(i), targets(i, "
                  "i32* out) for a label per position, target(i, float* out) or target(i, which, "
                  "out)");
    i32 n = 0;
    for (const i32 index : indices) {
      for (i32 k = 0; k < input_count; ++k) {
        if (input_tensor(k).type == element::int32) {
          detail::read_input(source, index, k, input(k).integers(n));
        } else {
          detail::read_input(source, index, k, input(k).row(n));
        }
      }
      for (i32 k = 0; k < target_count; ++k) {
        const i64 values = target(k).features();
        if (target_tensor(k).type == element::int32) {
          detail::read_target(source, index, k, values, target(k).integers(n));
        } else {
          detail::read_target(source, index, k, values, target(k).row(n));
        }
      }
      ++n;
    }
    for (i32 k = 0; k < input_count; ++k) {
      input(k).write(n, bases_.at(plan::locations()[plan::step_graph.inputs[k]]));
    }
    for (i32 k = 0; k < target_count; ++k) {
      target(k).write(n, bases_.at(plan::locations()[plan::step_graph.targets[k]]));
    }
  }

  /// Runs whole epochs over `source` in an order that follows from the seed. Returns the mean loss
  /// of the last epoch.
  ///
  /// Errors   samples whose shape is not the network's input
  template <sample_source Source>
  double fit(const Source& source, const fit_options& options) {
    return fit_with(
        source, options, [] { return metrics{}; }, false);
  }

  /// The same; after every epoch evaluates `validation`, by which early stopping goes.
  template <sample_source Source, sample_source Validation>
  double fit(const Source& source, const Validation& validation, const fit_options& options) {
    return fit_with(
        source, options, [&] { return evaluate(validation); }, true);
  }

  /// Losses and, of each output that names classes, the accuracy, over all samples of `source`. A
  /// position (a pixel, a point in time) whose target its loss ignores does not count.
  template <sample_source Source>
  metrics evaluate(const Source& source) {
    check(source);
    metrics result;
    constexpr i32 evaluated = evaluation_plan::step_graph.losses.size();  // of the outputs
    result.losses.resize(static_cast<std::size_t>(evaluated));
    result.accuracies.resize(static_cast<std::size_t>(output_count));
    std::array<tally, static_cast<std::size_t>(output_count)> tallies;
    i32 first = -1;  // the output whose confusion matrix is kept
    for (i32 k = output_count - 1; k >= 0; --k) {
      if (names_classes<Source>(k)) first = k;
    }
    if (first >= 0) result.matrix = confusion(classes_of(first));
    data::epoch_order order(source.size(), batch_size, 0, false);
    if constexpr (detail::in_order<Source>) reset_state();
    const results_of_step left = read_results();
    for (auto indices = order.next(); !indices.empty(); indices = order.next()) {
      const auto count = static_cast<i32>(indices.size());
      load(source, indices);
      values_.valid = count;
      evaluation_.run(values_);
      for (i32 k = 0; k < evaluated; ++k) {
        result.losses[static_cast<std::size_t>(k)] +=
            samples_of_loss(k, count) * read(evaluation_plan::step_graph,
                                             evaluation_plan::locations(),
                                             evaluation_plan::step_graph.losses[k]);
      }
      result.samples += count;
      for (i32 k = 0; k < output_count; ++k) {
        if (!names_classes<Source>(k)) continue;
        tally& t = tallies[static_cast<std::size_t>(k)];
        for (i32 n = 0; n < count; ++n) {
          compare(source, indices[static_cast<std::size_t>(n)], n, k, t,
                  k == first ? &result.matrix : nullptr);
        }
      }
    }
    write_results(left);
    for (double& loss : result.losses) {
      if (result.samples > 0) loss /= static_cast<double>(result.samples);
      result.loss += loss;
    }
    for (i32 k = 0; k < output_count; ++k) {
      const tally& t = tallies[static_cast<std::size_t>(k)];
      const double share =
          t.all > 0 ? static_cast<double>(t.right) / static_cast<double>(t.all) : 0;
      result.accuracies[static_cast<std::size_t>(k)] = share;
      if (k == first) result.accuracy = share;
    }
    return result;
  }

  /// What the backend has counted, on backends that count.
  auto& counters() requires(counting<Backend>) { return counters_; }

 private:
  /// The loop of a fit. `validate()` gives the metrics that the end of an epoch shows, if it
  /// `validates`.
  template <class Source, class Validate>
  double fit_with(const Source& source, const fit_options& options, const Validate& validate,
                  bool validates) {
    check(source);
    data::epoch_order order(source.size(), batch_size, values_.seed, !detail::in_order<Source>);
    const i64 steps = order.batches();
    schedule rate = options.learning_rate;
    if (rate.total == 0) rate.total = steps * options.epochs;
    progress p{.epochs = options.epochs, .steps = steps};
    best_epoch best(options.stop, options.stop.patience > 0 ? weights() : weight_list{});
    metrics validation;
    const auto start = std::chrono::steady_clock::now();
    i64 done = 0;
    i64 samples = 0;
    for (i32 epoch = 0; epoch < options.epochs; ++epoch, ++epochs_) {
      order.start(epochs_);
      if constexpr (requires { source.start_epoch(epochs_); }) source.start_epoch(epochs_);
      if constexpr (detail::in_order<Source>) reset_state();
      double sum[loss_count] = {};
      double mean[loss_count] = {};
      i64 seen = 0;
      for (auto indices = order.next(); !indices.empty(); indices = order.next(), ++done) {
        const auto count = static_cast<i32>(indices.size());
        load(source, indices);
        p.learning_rate = rate.at(done);
        step(static_cast<float>(p.learning_rate), count);
        seen += count;
        samples += count;
        p.loss = 0;
        for (i32 k = 0; k < loss_count; ++k) {
          sum[k] += loss(k) * samples_of_loss(k, count);
          mean[k] = sum[k] / static_cast<double>(seen);
          p.loss += mean[k];
        }
        p.losses = mean;
        p.epoch = epoch + 1;
        p.step = order.position();
        if (!options.progress) continue;
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        p.samples_per_second = static_cast<double>(samples) / spent.count();
        p.seconds_left = spent.count() * static_cast<double>(steps * options.epochs - done - 1) /
                         static_cast<double>(done + 1);
        options.progress(p);
      }
      epoch_end end{.epoch = epoch + 1, .epochs = options.epochs, .loss = p.loss};
      if (validates) {
        validation = validate();
        end.validation = &validation;
      }
      end.best = best.take(end.monitored());
      const bool goes_on = !options.each_epoch || options.each_epoch(end);
      if (goes_on && !best.out_of_patience()) continue;
      ++epochs_;
      break;
    }
    best.restore();
    return p.loss;
  }

  static constexpr bool counts = counting<Backend>;

  /// The evaluation shares all regions with the step; its arena may be the larger one.
  static memory_summary memory() {
    if constexpr (Job::plan::at_start) {
      const text<360> wrong = Job::budget_fault();
      if (!wrong.empty()) throw error(std::string(wrong.view()));
    }
    return together(memory_of<Job>(), memory_of<evaluation_job>());
  }

  /// What the last step has left for loss() and gradient_norm(): the evaluation works in its bytes.
  using results_of_step = std::array<double, loss_count + 1>;
  static constexpr i32 step_result(i32 which) {
    return which < loss_count ? plan::step_graph.losses[which] : plan::step_graph.clip;
  }
  results_of_step read_results() const {
    results_of_step left{};
    for (i32 k = 0; k <= loss_count; ++k) {
      if (step_result(k) >= 0)
        left[static_cast<std::size_t>(k)] =
            read(plan::step_graph, plan::locations(), step_result(k));
    }
    return left;
  }
  void write_results(const results_of_step& left) {
    for (i32 k = 0; k <= loss_count; ++k) {
      if (step_result(k) < 0) continue;
      write_element(bases_.at(plan::locations()[step_result(k)]),
                    plan::step_graph.tensors[step_result(k)].type, 0,
                    left[static_cast<std::size_t>(k)]);
    }
  }

  template <class Graph, class Locations>
  double read(const Graph& g, const Locations& locations, i32 id) const {
    return read_element(bases_.at(locations[id]), g.tensors[id].type, 0);
  }

  static constexpr const tensor& input_tensor(i32 which) {
    return plan::step_graph.tensors[plan::step_graph.inputs[which]];
  }
  static constexpr const tensor& target_tensor(i32 which) {
    return plan::step_graph.tensors[plan::step_graph.targets[which]];
  }
  static constexpr const tensor& output_tensor(i32 which) {
    return evaluation_plan::step_graph.tensors[evaluation_plan::step_graph.outputs[which]];
  }

  batch_writer& input(i32 which) { return inputs_[static_cast<std::size_t>(which)]; }
  batch_writer& target(i32 which) { return targets_[static_cast<std::size_t>(which)]; }

  /// The tensor whose bytes it lies in; on its way to a loss an output or target may be reshaped.
  static constexpr i32 storage(i32 id) {
    while (id >= 0 && evaluation_plan::step_graph.tensors[id].of >= 0) {
      id = evaluation_plan::step_graph.tensors[id].of;
    }
    return id;
  }

  /// True where a loss over classes compares `output` with `target`.
  static constexpr bool compares_classes(i32 output, i32 target) {
    for (const operation& op : evaluation_plan::step_graph.operations) {
      if (!is_loss(op.what) || !tessera::names_classes(op.what)) continue;
      if (storage(op.in[0]) == storage(output) && storage(op.in[1]) == storage(target)) return true;
    }
    return false;
  }

  /// By output: the number of the target with its classes, -1 where it is not compared with any.
  static constexpr auto target_of_output = [] {
    std::array<i32, static_cast<std::size_t>(output_count)> found{};
    for (i32 k = 0; k < output_count; ++k) {
      found[static_cast<std::size_t>(k)] = -1;
      for (i32 t = 0; t < target_count; ++t) {
        const bool compared = compares_classes(evaluation_plan::step_graph.outputs[k],
                                               evaluation_plan::step_graph.targets[t]);
        if (compared) found[static_cast<std::size_t>(k)] = t;
      }
    }
    return found;
  }();

  /// True where an output has one value for each class: it is compared with classes, or it is the
  /// only one, compared with values, and the source has labels and no values of its own.
  template <class Source>
  static constexpr bool names_classes(i32 output) {
    if (target_of_output[static_cast<std::size_t>(output)] >= 0) return true;
    return output_count == 1 && output_tensor(0).sample().rank == 1 && detail::has_label<Source> &&
           !detail::targets_values<Source> && !detail::targets_several<Source, float>;
  }

  static constexpr i32 classes_of(i32 output) {
    const tensor& t = output_tensor(output);
    return t.dims[t.stack + 1];
  }

  template <class Source>
  static constexpr bool reads_all() {
    for (i32 k = 0; k < input_count; ++k) {
      const bool integers = input_tensor(k).type == element::int32;
      if (!(integers ? detail::gives_input<i32, Source>(input_count == 1)
                     : detail::gives_input<float, Source>(input_count == 1))) {
        return false;
      }
    }
    return true;
  }
  template <class Source>
  static constexpr bool targets_all() {
    for (i32 k = 0; k < target_count; ++k) {
      const bool integers = target_tensor(k).type == element::int32;
      const bool single = target_tensor(k).sample().count() == 1;
      if (!(integers ? detail::gives_target<i32, Source>(single)
                     : detail::gives_target<float, Source>(single))) {
        return false;
      }
    }
    return true;
  }

  /// How many samples' losses the number of a loss stands for: of a sum it is all of them already.
  static constexpr i32 samples_of_loss(i32 which, i32 count) {
    for (const operation& op : plan::step_graph.operations) {
      if (op.out[0] != plan::step_graph.losses[which]) continue;
      return op.attr.loss.reduce == reduction::sum ? 1 : count;
    }
    return count;
  }

  struct tally {
    i64 right = 0;
    i64 all = 0;
  };

  /// Counts the positions of sample `n` of the batch, number `index` of the source, at which the
  /// largest value of an output stands at the target.
  template <class Source>
  void compare(const Source& source, i64 index, i32 n, i32 output, tally& t, confusion* matrix) {
    const tensor& about = output_tensor(output);
    const std::byte* const data =
        bases_.at(evaluation_plan::locations()[evaluation_plan::step_graph.outputs[output]]);
    const i32 classes = classes_of(output);
    const batch_blocks b(about);
    const i64 inner = b.values / classes;  // positions of a block
    const i32 which = target_of_output[static_cast<std::size_t>(output)];
    for (i64 position = 0; position < b.blocks * inner; ++position) {
      i32 truth = 0;
      if (which >= 0) {
        truth = target(which).integers(n)[position];
      } else if constexpr (detail::has_label<Source>) {
        truth = source.label(index);
      }
      if (truth < 0 || truth >= classes) continue;  // ignored
      const auto score = [&](i32 c) {
        return read_element(data, about.type,
                            b.at(position / inner, n, c * inner + position % inner));
      };
      i32 best = 0;
      for (i32 c = 1; c < classes; ++c) best = score(c) > score(best) ? c : best;
      if (matrix != nullptr) matrix->add(truth, best);
      ++t.all;
      t.right += truth == best ? 1 : 0;
    }
  }

  template <sample_source Source>
  void check(const Source& source) const {
    for (i32 k = 0; k < input_count; ++k) {
      const shape wanted = input_tensor(k).sample();
      shape found;
      if constexpr (requires { source.sample_shape(k); }) {
        found = source.sample_shape(k);
      } else {
        static_assert(input_count == 1,
                      "trainer: a source for several inputs needs "
                      "sample_shape(which)");
        found = source.sample_shape();
      }
      if (found.count() != wanted.count()) {
        throw error(std::string(
            spell_all<160>("trainer: expected samples of shape ", wanted, ", got ", found).view()));
      }
    }
  }

  memory_block block_;
  region_bases bases_;
  call_sequence step_;
  call_sequence evaluation_;
  std::array<batch_writer, static_cast<std::size_t>(input_count)> inputs_;
  std::array<batch_writer, static_cast<std::size_t>(target_count)> targets_;
  step_values values_;
  decltype(detail::backend_state_for<Backend, Job>()) counters_ =
      detail::backend_state_for<Backend, Job>();
  i64 epochs_ = 0;
};

}  // namespace tessera
