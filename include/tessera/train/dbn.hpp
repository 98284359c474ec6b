#pragma once

// Greedy training of a stack of restricted Boltzmann machines, and what becomes of it.
//
//   using stack = dbn<rbm<784, 500>, rbm<500, 500>>;
//   using classifier = stack::classifier<10>;
//
//   const auto pretrained = pretrain<stack, cd<1>, momentum_sgd, batch<32>>(
//       images, {.epochs = 10, .learning_rate = 0.05}, seed{7});
//   trainer<training<classifier, softmax_cross_entropy, adam, batch<32>>> t{seed{7}};
//   pretrained.copy_to(t.weights());                          dense3 keeps its random weights
//   t.fit(labelled, {.epochs = 30});
//
// Machine k learns the hidden probabilities that the machines below give for the data; they are
// computed once and held: size x hidden units floats. Source: Hinton, Osindero, Teh 2006.

#include <tessera/network/dbn.hpp>
#include <tessera/runtime/predictor.hpp>
#include <tessera/train/copy_weights.hpp>
#include <tessera/train/trainer.hpp>
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tessera {

/// Samples that a machine has made of others: rows of floats, without labels. Copies share them.
class feature_source {
 public:
  feature_source(i64 size, i32 width)
      : width_(width),
        rows_(std::make_shared<std::vector<float>>(static_cast<std::size_t>(size) *
                                                   static_cast<std::size_t>(width))) {}

  i64 size() const { return static_cast<i64>(rows_->size()) / width_; }
  shape sample_shape() const { return shape(width_); }
  void read(i64 index, float* out) const { std::copy_n(row(index), width_, out); }
  float* row(i64 index) const { return rows_->data() + index * width_; }

 private:
  i32 width_;
  std::shared_ptr<std::vector<float>> rows_;
};

/// The hidden probabilities of a trained machine for all samples of `source`.
template <class Job, backend Backend, sample_source Source>
feature_source features_of(const trainer<Job, Backend>& machine, const Source& source,
                           threads workers = {}) {
  using machine_type = typename Job::machine;
  using job = rbm_features<machine_type, batch<64>>;
  constexpr rbm_shape units = machine_type::units;
  const auto up = std::make_unique<predictor<job, Backend>>(workers);
  copy_weights(machine.weights(), up->weights());
  feature_source features(source.size(), units.hidden);
  std::vector<float> samples(static_cast<std::size_t>(64 * units.visible));
  for (i64 first = 0; first < source.size(); first += 64) {
    const i64 count = std::min<i64>(64, source.size() - first);
    for (i64 n = 0; n < count; ++n) {
      source.read(first + n, samples.data() + n * units.visible);
    }
    const std::span<const float> in(samples.data(),
                                    static_cast<std::size_t>(count * units.visible));
    const std::span<float> out(features.row(first), static_cast<std::size_t>(count * units.hidden));
    up->run(in, out);
  }
  return features;
}

/// The weights of a trained stack, under the names of its classifier: dense1.weight, dense1.bias
/// and so on, and dense1.visible_bias, which only going downwards needs.
class dbn_weights {
 public:
  /// Views of the weights, for `save` and `load`; they live as long as this.
  weight_list weights() const {
    weight_list list;
    for (const part& p : parts_) {
      list.push_back({p.name, p.about, {p.bytes->data(), p.bytes->size()}});
    }
    return list;
  }

  /// Overwrites the weights of the same names; others (the classifier's last layer) stay.
  ///
  /// Errors   a network that lacks a layer of the stack, or has it in another shape
  load_result copy_to(const weight_list& network) const {
    load_result result =
        copy_weights(weights(), network, {.ignore = {"visible_bias"}, .partial = true});
    if (!result.unused.empty()) {
      throw error("dbn: the network has no \"" + result.unused.front() +
                  "\"; use the stack's own classifier or features");
    }
    return result;
  }

  /// Appends the weights of the next machine.
  void add(const weight_list& machine) {
    const std::string layer = "dense" + std::to_string(++machines_);
    for (const weight& w : machine) {
      const std::string last = w.name.substr(w.name.find('.') + 1);
      parts_.push_back({layer + '.' + (last == "hidden_bias" ? "bias" : last), w.about,
                        std::make_shared<std::vector<std::byte>>(w.bytes.begin(), w.bytes.end())});
    }
  }

 private:
  struct part {
    std::string name;
    tensor about;
    std::shared_ptr<std::vector<std::byte>> bytes;
  };
  i32 machines_ = 0;
  std::vector<part> parts_;
};

/// Told after each machine: its number from 0, how many there are, the mean squared error of its
/// reconstructions in the last epoch.
using machine_ended = std::function<void(i32 machine, i32 count, double error)>;

namespace detail {

template <class Stack, class Gibbs, class Optimizer, class Options, i32 Which>
struct machine_job;
template <class Stack, class Gibbs, class Optimizer, class... Options, i32 Which>
struct machine_job<Stack, Gibbs, Optimizer, std::tuple<Options...>, Which> {
  using type = rbm_training<typename Stack::template machine<Which>, Gibbs, Optimizer, Options...>;
};

template <class Stack, class Gibbs, class Optimizer, class Options, class Backend, i32 Which = 0,
          class Source>
void pretrain_from(dbn_weights& result, const Source& source,
                   const std::vector<fit_options>& options, seed start, threads workers,
                   const machine_ended& told) {
  using job = typename machine_job<Stack, Gibbs, Optimizer, Options, Which>::type;
  const auto machine = std::make_unique<trainer<job, Backend>>(seed{start.value + Which}, workers);
  const std::size_t mine = std::min(static_cast<std::size_t>(Which), options.size() - 1);
  const double loss = machine->fit(source, options[mine]);
  result.add(machine->weights());
  if (told) told(Which, Stack::size, loss);
  if constexpr (Which + 1 < Stack::size) {
    pretrain_from<Stack, Gibbs, Optimizer, Options, Backend, Which + 1>(
        result, features_of(*machine, source, workers), options, start, workers, told);
  }
}

}  // namespace detail

/// Trains the machines of `Stack` one after another on `source`, which needs no labels. `options`:
/// one for each machine, the last for all that follow; gaussian machines want smaller rates than
/// binary ones (the practical guide, 13.2). The last argument names a backend: on<...>{}.
///
/// Errors   no options; samples whose shape is not that of the lowest machine
template <stack_type Stack, gibbs_type Gibbs, optimizer Optimizer, job_option... Options,
          sample_source Source, backend Backend = host_backend>
dbn_weights pretrain(const Source& source, const std::vector<fit_options>& options, seed start = {},
                     threads workers = {}, const machine_ended& told = {}, Backend = {}) {
  if (options.empty()) throw error("pretrain: expected options for at least one machine");
  dbn_weights result;
  detail::pretrain_from<Stack, Gibbs, Optimizer, std::tuple<Options...>, Backend>(
      result, source, options, start, workers, told);
  return result;
}
template <stack_type Stack, gibbs_type Gibbs, optimizer Optimizer, job_option... Options,
          sample_source Source, backend Backend = host_backend>
dbn_weights pretrain(const Source& source, const fit_options& options, seed start = {},
                     threads workers = {}, const machine_ended& told = {}, Backend where = {}) {
  return pretrain<Stack, Gibbs, Optimizer, Options...>(source, std::vector<fit_options>{options},
                                                       start, workers, told, where);
}

}  // namespace tessera
