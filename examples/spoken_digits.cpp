// Reads strings of spoken digits: which digits, in which order, without being told when.
//
// You see a line per epoch, some strings with what is read in them, and one line of results: edits
// for each digit (label error rate) by greedy and by beam search. With --data DIR (recordings of
// the Free Spoken Digit Dataset) it trains on those, otherwise on speech that it makes up.
//
//   spoken_digits --data DIR --epochs 25                               1 % errors or less
//   spoken_digits --data DIR --epochs 0 --load FILE --read PHONE.wav   a recording of your own
//
//   sound -> 40 log-mel bands every 10 ms -> 3 frames a step -> LSTM in both directions -> at each
//   step a score for every digit and for "nothing" -> connectionist temporal classification
//
// Training joins 2 to 5 recordings of a speaker to a string, others in every epoch; testing joins
// the recordings of the official test set, each once. A string takes up to 96 steps; states behind
// its end are masked, so that strings of any length share one plan.
// Source: Graves, Fernandez, Gomez, Schmidhuber 2006, Connectionist Temporal Classification.

#include <tessera/data.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>
#include <tessera/runtime/ctc_decode.hpp>
#include <tessera/runtime/edit_distance.hpp>

#include <algorithm>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/options.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 12_MiB

constexpr ts::i32 bands = 40;
constexpr ts::i32 frames_a_step = 3;
constexpr ts::i32 most_steps = 96;  // 2.9 seconds
constexpr ts::i32 most_digits = 5;
constexpr ts::i32 classes = 11;  // 0: nothing; then the digits
constexpr ts::i32 batch_size = 16;

using reader = ts::network<
    ts::inputs<ts::sequence<most_steps, bands * frames_a_step>, ts::tokens<>>,  // sound, its steps
    ts::named<"lstm", ts::bidirectional<ts::lstm<64, ts::masked>>>, ts::dropout<20>,
    ts::named<"out", ts::each_step<ts::dense<classes>>>>;

template <class Precision>
using job = ts::training<reader, ts::ctc<most_digits>, ts::adam, ts::batch<batch_size>, Precision>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;

static_assert(job<ts::fp32>::memory.arena_bytes < 12_MiB);

/// Strings as the network and its loss want them.
class digit_strings {
 public:
  explicit digit_strings(ts::data::joined_speech strings) : strings_(std::move(strings)) {}

  ts::i64 size() const { return strings_.size(); }
  ts::shape sample_shape(ts::i32 which) const {
    return which == 0 ? ts::shape(most_steps, strings_.width()) : ts::shape(1);
  }
  void read(ts::i64 index, ts::i32, float* out) const { strings_.features(index, out); }
  void read(ts::i64 index, ts::i32, ts::i32* out) const { *out = strings_.length(index); }

  /// Labels, their number, and the steps in which they are to be found.
  void target(ts::i64 index, ts::i32 which, ts::i32* out) const {
    const std::span<const ts::i32> digits = strings_.labels(index);
    if (which == 0) {
      std::fill_n(out, most_digits, 0);
      for (const ts::i32 digit : digits) *out++ = digit + 1;
    } else {
      *out = which == 1 ? static_cast<ts::i32>(digits.size()) : strings_.length(index);
    }
  }

  void start_epoch(ts::i64 epoch) const { strings_.start_epoch(epoch); }

  const ts::data::joined_speech& strings() const { return strings_; }

 private:
  ts::data::joined_speech strings_;
};

/// The network for a batch of sounds that it only reads.
class listener {
 public:
  listener(const ts::weight_list& weights, ts::i32 threads)
      : network_(std::make_unique<predictor>(threads)) {
    examples::copy_weights(weights, network_->weights());
  }

  /// Calls `heard(index, scores of its steps)` for every string of a source.
  template <class Heard>
  void listen(const digit_strings& source, Heard heard) {
    for (ts::i64 first = 0; first < source.size(); first += batch_size) {
      const ts::i64 count = std::min<ts::i64>(batch_size, source.size() - first);
      for (ts::i64 n = 0; n < count; ++n) {
        source.read(first + n, 0, sound_.data() + n * sound_values);
        source.read(first + n, 1, steps_.data() + n);
      }
      run(count);
      for (ts::i64 n = 0; n < count; ++n) heard(first + n, scores(n));
    }
  }

  /// The scores of one sound of up to most_steps steps.
  std::span<const float> listen(std::span<const float> sound) {
    std::fill_n(sound_.begin(), sound_values, 0.0f);
    std::copy(sound.begin(), sound.end(), sound_.begin());
    steps_[0] = static_cast<ts::i32>(sound.size()) / (bands * frames_a_step);
    run(1);
    return scores(0);
  }

 private:
  using predictor = ts::predictor<ts::inference<reader, ts::batch<batch_size>>>;
  static constexpr ts::i64 sound_values = ts::i64{most_steps} * bands * frames_a_step;
  static constexpr ts::i64 score_values = ts::i64{most_steps} * classes;

  void run(ts::i64 count) {
    const auto n = static_cast<std::size_t>(count);
    network_->run({std::span<const float>(sound_).first(n * sound_values),
                   std::span<const ts::i32>(steps_).first(n)},
                  {std::span(scores_).first(n * score_values)});
  }
  std::span<const float> scores(ts::i64 n) const {
    return {scores_.data() + n * score_values,
            static_cast<std::size_t>(steps_[static_cast<std::size_t>(n)]) * classes};
  }

  std::unique_ptr<predictor> network_;
  std::vector<float> sound_ = std::vector<float>(batch_size * sound_values);
  std::vector<ts::i32> steps_ = std::vector<ts::i32>(batch_size);
  std::vector<float> scores_ = std::vector<float>(batch_size * score_values);
};

/// "301" of the classes 4 1 2.
std::string spell(std::span<const ts::i32> labels) {
  std::string text;
  for (const ts::i32 label : labels) text += static_cast<char>('0' + label - 1);
  return text.empty() ? "nothing" : text;
}

/// Labels by the best class of each step, and the most probable of all ways to write them.
std::vector<ts::i32> greedy(std::span<const float> scores) {
  return ts::ctc_greedy(scores, classes);
}
std::vector<ts::i32> beam(std::span<const float> scores) {
  return ts::ctc_beam_search(scores, classes, {.width = 16}).front().labels;
}

struct outcome {
  ts::label_errors greedy;
  ts::label_errors beam;
};

/// How well all strings are read; prints the first `show` of them.
outcome judge(listener network, const digit_strings& strings, ts::i64 show) {
  outcome all;
  network.listen(strings, [&](ts::i64 index, std::span<const float> scores) {
    std::vector<ts::i32> wanted;
    for (const ts::i32 digit : strings.strings().labels(index)) wanted.push_back(digit + 1);
    const std::vector<ts::i32> found = beam(scores);
    all.greedy.add(wanted, greedy(scores));
    all.beam.add(wanted, found);
    if (index < show) {
      std::cout << (index == 0 ? "spoken -> read   " : "   ") << spell(wanted) << " -> "
                << spell(found) << (index + 1 == show ? "\n" : "");
    }
  });
  return all;
}

/// What the example learns from.
struct speech {
  ts::data::log_mel features{ts::data::log_mel_options{.bands = bands}};
  ts::data::band_scaling scale;
  digit_strings train;
  digit_strings test;
};

/// The digits read in a sound file.
std::string read_sound(listener network, const speech& taught, const std::string& path) {
  const ts::data::audio sound = ts::data::read_wav(path);
  const std::vector<float> samples =
      ts::data::resample(ts::data::mix_down(sound), sound.rate, 8000);
  ts::data::log_mel features = taught.features;
  const ts::i64 frames = features.frames(static_cast<ts::i64>(samples.size()));
  const ts::i64 steps = (frames + frames_a_step - 1) / frames_a_step;
  if (steps < 1 || steps > most_steps) {
    throw ts::error(path + ": expected sound of up to " + std::to_string(most_steps * 30) +
                    " ms, got " + std::to_string(samples.size() / 8) + " ms");
  }
  std::vector<float> values(static_cast<std::size_t>(steps * frames_a_step * bands));
  features.compute(samples, values.data());
  for (ts::i64 f = 0; f < frames; ++f) taught.scale.apply(0, values.data() + f * bands);
  return spell(beam(network.listen(values)));
}

template <class Job>
void run(const speech& taught, const std::string& sound, const examples::options& o) {
  const auto trainer = std::make_unique<ts::trainer<Job>>(ts::seed{o.seed}, ts::threads{o.threads});
  examples::say_size<Job>();
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  const auto ears = [&] { return listener(trainer->weights(), o.threads); };
  examples::figures f;
  if (o.epochs > 0) {
    f = examples::train(*trainer, taught.train, o, ts::cosine_rate(5e-3, 0, 50),
                        [&](const ts::progress& p, const examples::figures& so_far) {
                          const outcome now = judge(ears(), taught.test, 0);
                          if (p.epoch == 1)
                            std::cout << "epoch  train loss   greedy errors   beam   strings/s\n";
                          std::printf("%5d %11.4f %13.2f %% %6.2f %% %8.0f\n", p.epoch, p.loss,
                                      100 * now.greedy.rate(), 100 * now.beam.rate(),
                                      so_far.samples_per_second());
                        });
  }
  const double test_loss = trainer->evaluate(taught.test).loss;
  const outcome test = judge(ears(), taught.test, 4);
  if (!o.save.empty()) ts::save(o.save, trainer->weights());
  if (!sound.empty()) {
    std::cout << sound << ": " << read_sound(ears(), taught, sound) << "\n";
  }
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<Job>("spoken_digits", o, f);
    j["test_loss"] = test_loss;
    j["test_label_error_rate"] = test.beam.rate();
    j["test_label_error_rate_greedy"] = test.greedy.rate();
    j["test_strings_without_error"] = test.beam.whole;
    j["test_strings"] = test.beam.sequences;
    ts::io::write_json(o.report, j);
  }
  char metric[120];
  std::snprintf(metric, sizeof(metric),
                "label error rate %.2f %% greedy, %.2f %% beam, %lld of %lld strings whole",
                100 * test.greedy.rate(), 100 * test.beam.rate(),
                static_cast<long long>(test.beam.whole),
                static_cast<long long>(test.beam.sequences));
  examples::say_results<Job>("spoken_digits", o, f, metric);
}

/// At most `samples` recordings, from the first to the last as evenly as they go.
std::shared_ptr<const std::vector<ts::data::recording>> thin_out(
    std::vector<ts::data::recording> all, ts::i64 samples) {
  const auto count = static_cast<ts::i64>(all.size());
  if (samples < count) {
    std::vector<ts::data::recording> some;
    for (ts::i64 i = 0; i < samples; ++i) {
      some.push_back(std::move(all[static_cast<std::size_t>(i * count / samples)]));
    }
    all = std::move(some);
  }
  return std::make_shared<const std::vector<ts::data::recording>>(std::move(all));
}

speech read(const examples::options& o, ts::i64 samples) {
  ts::data::spoken_digits all = o.data.empty() ? ts::data::made_spoken_digits(4, 15, 3, 1)
                                               : ts::data::read_spoken_digits(o.data);
  const auto train = thin_out(std::move(all.train), samples);
  const auto test = thin_out(std::move(all.test), samples);
  examples::say_data(o, "made speech", "spoken digits", static_cast<ts::i64>(train->size()),
                     static_cast<ts::i64>(test->size()));
  const ts::data::log_mel features({.bands = bands});
  const ts::data::band_scaling scale(*train, 1, features, false);
  const auto join = [&](const auto& recordings, bool anew, ts::u64 seed) {
    const ts::data::join_options how{.least = 2,
                                     .most = most_digits,
                                     .time = most_steps,
                                     .stack = frames_a_step,
                                     .anew = anew,
                                     .seed = seed};
    return digit_strings(ts::data::joined_speech(recordings, features, scale, how));
  };
  return {features, scale, join(train, true, o.seed), join(test, false, 1)};
}

int main(int argc, char** argv) {
  return examples::run("spoken_digits", [&] {
    examples::options o;
    o.epochs = 25;
    std::string sound;
    ts::i64 samples = examples::all_samples;
    o = examples::parse(argc, argv, o, "fsdd",
                        {examples::samples_option(samples),
                         {"--read", "FILE.wav", "a recording to read at the end",
                          [&](const std::string& value) { sound = value; }}});
    examples::check_job(o, {"fp32", "fp16"}, {});
    if (!sound.empty()) static_cast<void>(ts::data::read_wav(sound));  // refused before training
    const speech taught = read(o, samples);
    if (o.precision == "fp16") {
      run<job<mixed>>(taught, sound, o);
    } else {
      run<job<ts::fp32>>(taught, sound, o);
    }
  });
}
