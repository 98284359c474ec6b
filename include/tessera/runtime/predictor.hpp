#pragma once

// The predictor: a network that only computes outputs.

#include <tessera/core/error.hpp>
#include <tessera/runtime/backends.hpp>
#include <tessera/runtime/batch_writer.hpp>
#include <tessera/runtime/program.hpp>
#include <tessera/runtime/weights.hpp>
#include <array>
#include <concepts>
#include <initializer_list>
#include <string>

namespace tessera {

/// Values of some samples of one input, one sample after another: f32, or i32 for an input of i32.
struct input_values {
  std::span<const float> numbers;
  std::span<const i32> integers;

  template <std::convertible_to<std::span<const float>> Range>
  input_values(const Range& values) : numbers(values) {}  // NOLINT: any array of numbers
  template <std::convertible_to<std::span<const i32>> Range>
  input_values(const Range& values) : integers(values) {}  // NOLINT

  std::size_t size() const { return numbers.size() + integers.size(); }
};

/// Runs an inference job: predictor<inference<lenet, batch<1>>>. Allocates in its
/// constructor only. Fill the weights (all zeros at first) before the first batch.
template <class Job, backend Backend = host_backend>
class predictor {
  using plan = typename Job::plan;

 public:
  static constexpr i32 batch_size = Job::options.batch;
  static constexpr i32 input_count = plan::step_graph.inputs.size();
  static constexpr i32 output_count = plan::step_graph.outputs.size();

  /// The shape of a sample of input or output number `which`.
  static constexpr shape shape_of_input(i32 which) {
    return plan::step_graph.tensors[plan::step_graph.inputs[which]].sample();
  }
  static constexpr shape shape_of_output(i32 which) {
    return plan::step_graph.tensors[plan::step_graph.outputs[which]].sample();
  }
  static constexpr shape input = shape_of_input(0);
  static constexpr shape output = shape_of_output(0);

  explicit predictor(threads workers = {}, scratchpad_memory fast = {})
      : block_(block_bytes(memory_of<Job>(), fast)),
        bases_(cut_regions(block_.data(), memory_of<Job>(), fast)),
        forward_(bind<Job, Backend>(bases_)) {
    for (i32 k = 0; k < input_count; ++k) {
      writers_[static_cast<std::size_t>(k)] =
          batch_writer(plan::step_graph.tensors[plan::step_graph.inputs[k]]);
    }
    values_.threads = workers;
    if constexpr (counting<Backend>) values_.backend = &counters_;
    reset_state();
  }

  predictor(const predictor&) = delete;
  predictor& operator=(const predictor&) = delete;

  weight_list weights() const {
    return list_weights(thaw(plan::step_graph),
                        {plan::locations(), static_cast<std::size_t>(Job::tensor_count)}, bases_);
  }

  /// What the backend has counted, on backends that count.
  auto& counters() requires(counting<Backend>) { return counters_; }

  /// What a network carries from one batch to the next begins again.
  void reset_state() { tessera::reset_state<Job>(bases_); }

  /// Outputs of up to a batch of samples, for a network with one input and one output. `samples`
  /// holds them one after another, row-major; `outputs` receives as many rows of `output.count()`
  /// values.
  ///
  /// Errors   more samples than a batch, or sizes that are no whole samples
  void run(std::span<const float> samples, std::span<float> outputs) {
    const input_values in[] = {samples};
    run(in, {&outputs, 1});
  }
  void run(std::span<const i32> samples, std::span<float> outputs) {
    const input_values in[] = {samples};
    run(in, {&outputs, 1});
  }

  /// The same for several: run({images, words}, {classes, boxes}).
  void run(std::initializer_list<input_values> samples,
           std::initializer_list<std::span<float>> outputs) {
    run({samples.begin(), samples.size()}, {outputs.begin(), outputs.size()});
  }
  void run(std::span<const input_values> samples, std::span<const std::span<float>> outputs) {
    const std::size_t count = checked_count(samples, outputs);
    values_.valid = static_cast<i32>(count);
    for (std::size_t k = 0; k < input_count; ++k) {
      const i32 id = plan::step_graph.inputs[static_cast<i32>(k)];
      if (plan::step_graph.tensors[id].type == element::int32) {
        std::copy(samples[k].integers.begin(), samples[k].integers.end(), writers_[k].integers(0));
      } else {
        std::copy(samples[k].numbers.begin(), samples[k].numbers.end(), writers_[k].row(0));
      }
      writers_[k].write(values_.valid, bases_.at(plan::locations()[id]));
    }
    forward_.run(values_);
    for (std::size_t k = 0; k < output_count; ++k) {
      const i32 id = plan::step_graph.outputs[static_cast<i32>(k)];
      const tensor& about = plan::step_graph.tensors[id];
      const std::byte* const data = bases_.at(plan::locations()[id]);
      const i64 values = about.sample().count();
      for (i64 i = 0; i < static_cast<i64>(outputs[k].size()); ++i) {
        outputs[k][static_cast<std::size_t>(i)] = static_cast<float>(
            read_element(data, about.type, sample_index(about, i / values, i % values)));
      }
    }
  }

 private:
  /// How many samples there are, the same in every input and output.
  static std::size_t checked_count(std::span<const input_values> samples,
                                   std::span<const std::span<float>> outputs) {
    if (samples.size() != input_count || outputs.size() != output_count) {
      throw error("predictor: expected " + std::to_string(input_count) + " inputs and " +
                  std::to_string(output_count) + " outputs, got " + std::to_string(samples.size()) +
                  " and " + std::to_string(outputs.size()));
    }
    const std::size_t count =
        samples[0].size() / static_cast<std::size_t>(shape_of_input(0).count());
    for (std::size_t k = 0; k < input_count; ++k) {
      const i32 which = static_cast<i32>(k);
      const auto values = static_cast<std::size_t>(shape_of_input(which).count());
      const bool integers =
          plan::step_graph.tensors[plan::step_graph.inputs[which]].type == element::int32;
      if (integers ? !samples[k].numbers.empty() : !samples[k].integers.empty()) {
        throw error("predictor: expected " + std::string(integers ? "i32" : "f32") +
                    " values for input " + std::to_string(k + 1));
      }
      if (samples[k].size() != count * values || count > batch_size) {
        throw error("predictor: expected up to " + std::to_string(batch_size) + " samples of " +
                    std::to_string(values) + " values" + of_number("input", input_count, which) +
                    ", got " + std::to_string(samples[k].size()) + " values");
      }
    }
    for (std::size_t k = 0; k < output_count; ++k) {
      const i32 which = static_cast<i32>(k);
      const auto values = static_cast<std::size_t>(shape_of_output(which).count());
      if (outputs[k].size() != count * values) {
        throw error("predictor: expected room for " + std::to_string(count) + " x " +
                    std::to_string(values) + " values" + of_number("output", output_count, which) +
                    ", got room for " + std::to_string(outputs[k].size()));
      }
    }
    return count;
  }

  /// " of input 2" where there are several.
  static std::string of_number(const char* what, i32 count, i32 which) {
    if (count == 1) return {};
    return " of " + std::string(what) + " " + std::to_string(which + 1);
  }

  memory_block block_;
  region_bases bases_;
  call_sequence forward_;
  std::array<batch_writer, static_cast<std::size_t>(input_count)> writers_;
  step_values values_;
  decltype(detail::backend_state_for<Backend, Job>()) counters_ =
      detail::backend_state_for<Backend, Job>();
};

}  // namespace tessera
