#pragma once

// The predictor: a network that only computes outputs.

#include <tessera/core/error.hpp>
#include <tessera/runtime/backends.hpp>
#include <tessera/runtime/batch_writer.hpp>
#include <tessera/runtime/program.hpp>
#include <tessera/runtime/weights.hpp>
#include <string>

namespace tessera {

/// Runs an inference job: predictor<inference<lenet, batch<1>>>. Allocates in its
/// constructor only. Fill the weights (all zeros at first) before the first batch.
template <class Job, backend Backend = host_backend>
class predictor {
  using plan = typename Job::plan;

 public:
  static constexpr i32 batch_size = Job::options.batch;
  static constexpr shape input = Job::network::input;
  static constexpr shape output =
      plan::step_graph.tensors[plan::step_graph.outputs[0]].dims.sample();

  explicit predictor(i32 threads = 1)
      : block_(Job::memory.total_bytes),
        bases_(cut_regions(block_.data(), Job::memory)),
        forward_(bind<Job, Backend>(bases_)),
        writer_(plan::step_graph.tensors[plan::step_graph.inputs[0]]) {
    values_.threads = threads;
  }

  predictor(const predictor&) = delete;
  predictor& operator=(const predictor&) = delete;

  weight_list weights() const {
    return list_weights(
        {plan::step_graph.tensors.items, static_cast<std::size_t>(Job::tensor_count)},
        {plan::where.locations.items, static_cast<std::size_t>(Job::tensor_count)}, bases_);
  }

  /// Outputs of up to a batch of samples. `samples` holds them one after another, row-major;
  /// `outputs` receives as many rows of `output.count()` values.
  ///
  /// Errors   more samples than a batch, or sizes that are no whole samples
  void run(std::span<const float> samples, std::span<float> outputs) {
    constexpr auto in = static_cast<std::size_t>(input.count());
    constexpr auto out = static_cast<std::size_t>(output.count());
    const std::size_t count = samples.size() / in;
    if (count * in != samples.size() || count > batch_size || outputs.size() != count * out) {
      throw error("predictor: expected up to " + std::to_string(batch_size) + " samples of " +
                  std::to_string(in) + " values and room for " + std::to_string(out) +
                  " outputs each, got " + std::to_string(samples.size()) + " values and room for " +
                  std::to_string(outputs.size()));
    }
    std::copy(samples.begin(), samples.end(), writer_.row(0));
    values_.valid = static_cast<i32>(count);
    writer_.write(values_.valid, bases_[region::input]);
    forward_.run(values_);
    constexpr tensor about = plan::step_graph.tensors[plan::step_graph.outputs[0]];
    const std::byte* const data = bases_.at(plan::where.locations[plan::step_graph.outputs[0]]);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      outputs[i] = static_cast<float>(
          read_element(data, about.type, memory_index(about, static_cast<i64>(i))));
    }
  }

 private:
  memory_block block_;
  region_bases bases_;
  sequence forward_;
  batch_writer writer_;
  step_values values_;
};

}  // namespace tessera
