#pragma once

// What every example does around a training: it measures the steps, shows progress and ends with a
// report. Include it in one file of a program only: it counts all allocations.

#include <tessera/data/dataset.hpp>  // split
#include <tessera/io/json.hpp>
#include <tessera/report/json.hpp>
#include <tessera/runtime/price.hpp>  // cost
#include <tessera/train.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "allocations.hpp"
#include "options.hpp"

namespace examples {

/// What a training was like.
struct figures {
  double seconds = 0;  // in training steps, without evaluations
  tessera::i64 steps = 0;
  tessera::i64 samples = 0;
  tessera::i64 allocations_per_step = 0;  // the most that any step made
  double train_loss = 0;                  // mean over the last epoch

  double samples_per_second() const {
    return seconds > 0 ? static_cast<double>(samples) / seconds : 0;
  }
  double step_microseconds() const {
    return steps > 0 ? 1e6 * seconds / static_cast<double>(steps) : 0;
  }
};

/// Trains for the epochs that the options say, with a progress bar unless they say quiet; calls
/// `epoch_ended(progress, figures)` after each, which may evaluate.
template <class Trainer, class Source, class EpochEnded>
figures train(Trainer& trainer, const Source& source, const options& o,
              const tessera::schedule& rate, EpochEnded epoch_ended) {
  using clock = std::chrono::steady_clock;
  figures f;
  auto resumed = clock::now();
  tessera::i64 allocated = allocations;
  const auto after_step = [&](const tessera::progress& p) {
    f.seconds += std::chrono::duration<double>(clock::now() - resumed).count();
    ++f.steps;
    if (p.step > 1) {  // the first step of an epoch follows an evaluation
      f.allocations_per_step = std::max(f.allocations_per_step, allocations - allocated);
    }
    if (!o.quiet) tessera::bar(p);
    if (p.epoch_ends()) {
      f.samples += source.size();
      f.train_loss = p.loss;
      epoch_ended(p, f);
      std::fflush(stdout);
    }
    allocated = allocations;
    resumed = clock::now();
  };
  trainer.fit(source, {.epochs = o.epochs, .learning_rate = rate, .progress = after_step});
  return f;
}

/// The fields that every report has, for an example to add its own metric to.
template <class Job>
tessera::io::json begin_report(const char* example, const options& o, const figures& f) {
  tessera::io::json j{{"example", example},
                      {"data", o.data.empty() ? "made" : o.data},
                      {"backend", o.backend},
                      {"precision", o.precision},
                      {"seed", o.seed},
                      {"epochs", o.epochs},
                      {"threads", o.threads},
                      {"samples_per_second", f.samples_per_second()},
                      {"step_microseconds", f.step_microseconds()},
                      {"train_loss", f.train_loss},
                      {"heap_allocations_per_step", f.allocations_per_step}};
  j.update(tessera::to_json(Job::memory));
  return j;
}

/// Of a run on the accelerator model: what one step costs there.
template <class Job>
void add_price(tessera::io::json& j, const options& o) {
  if (o.backend != "model") return;
  constexpr auto& price = tessera::cost<Job, tessera::accelerator::ipu_mk1>;
  j["step_cycles"] = price.cycles();
  j["step_energy_fJ"] = price.energy_fJ;
}

/// Gives a network, e.g. one that only predicts, the weights of another of the same layers.
inline void copy_weights(const tessera::weight_list& from, const tessera::weight_list& to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::copy(from[i].bytes.begin(), from[i].bytes.end(), to[i].bytes.begin());
  }
}

/// At most `samples` of each part.
inline tessera::data::split first_of(const tessera::data::split& all, tessera::i64 samples) {
  return {all.train.subset(0, std::min(samples, all.train.size())),
          all.test.subset(0, std::min(samples, all.test.size()))};
}

/// A line on what the example learns from and is judged by.
inline void say_data(const options& o, const char* made, const char* set, tessera::i64 train,
                     tessera::i64 test) {
  std::cout << (o.data.empty() ? std::string(made) : std::string(set) + " from " + o.data) << ": "
            << train << " to train on, " << test << " to test\n";
}

/// A line on what the job needs.
template <class Job>
void say_size() {
  std::cout << Job::parameter_count << " parameters, " << Job::memory.total_bytes
            << " bytes for a whole training step of " << Job::options.batch << "\n";
}

/// What `train` calls after each epoch of a classifier: a line of a table with losses and accuracy.
template <class Trainer, class Source>
auto accuracy_table(Trainer& trainer, const Source& test) {
  return [&](const tessera::progress& p, const figures& f) {
    const tessera::metrics found = trainer.evaluate(test);
    if (p.epoch == 1) std::cout << "epoch  train loss   test loss   test accuracy   samples/s\n";
    std::printf("%5d %11.4f %11.4f %13.2f %% %11.0f\n", p.epoch, p.loss, found.loss,
                100 * found.accuracy, f.samples_per_second());
  };
}

/// "test accuracy 98.90 %, loss 0.0350"
inline std::string spell_accuracy(const tessera::metrics& test) {
  char text[80];
  std::snprintf(text, sizeof(text), "test accuracy %.2f %%, loss %.4f", 100 * test.accuracy,
                test.loss);
  return text;
}

/// The one line of results that every example ends with.
template <class Job>
void say_results(const std::string& model, const options& o, const figures& f,
                 const std::string& metric) {
  std::printf("%s %s %s: %s, %.0f samples/s, arena %lld bytes\n", model.c_str(), o.backend.c_str(),
              o.precision.c_str(), metric.c_str(), f.samples_per_second(),
              static_cast<long long>(Job::memory.arena_bytes));
}

}  // namespace examples
