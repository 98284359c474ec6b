#pragma once

// Spoken digits: recordings of one digit each, and recordings of one speaker joined to strings.
//
//   recordings   7_jackson_32.wav   1_jackson_5.wav   1_jackson_17.wav
//   joined       ~~~~~~~~~~~~~~~~~~|~~~~~~~~~~~~~~~~~|~~~~~~~~~~~~~~~~
//   features     f f f f f f f f f f f f f f f f . . . .     time x (bands x stack), then zeros
//   labels       7 1 1                                       what is to be read in it
//
// `joined_speech` goes through all recordings once in an epoch, in strings of random lengths whose
// speakers are one each; with `anew` the strings are others in every epoch, a function of (seed,
// epoch). Features are those of the joined sound, seams included, computed when an epoch starts.
//
// Source: Free Spoken Digit Dataset (Jakobovski et al.): recordings 0 to 4 of each digit and
// speaker are the test set.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/mel.hpp>
#include <tessera/data/resample.hpp>
#include <tessera/data/wav.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

/// One digit, one channel.
struct recording {
  std::vector<float> samples;
  i32 label = 0;
  i32 speaker = 0;  // number in spoken_digits::speakers
};

/// A set of recordings at one rate.
struct spoken_digits {
  i32 rate = 8000;
  std::vector<std::string> speakers;
  std::vector<recording> train;
  std::vector<recording> test;
};

namespace detail {

struct spoken_name {
  i32 label = 0;
  std::string speaker;
  i32 index = 0;
};

/// "7_jackson_32.wav" in parts.
inline spoken_name read_spoken_name(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  const std::size_t last = stem.rfind('_');
  spoken_name name;
  if (stem.size() >= 5 && stem[0] >= '0' && stem[0] <= '9' && stem[1] == '_' && last > 2 &&
      last + 1 < stem.size()) {
    name.label = stem[0] - '0';
    name.speaker = stem.substr(2, last - 2);
    const char* const end = stem.data() + stem.size();
    const auto found = std::from_chars(stem.data() + last + 1, end, name.index);
    if (found.ec == std::errc{} && found.ptr == end && name.index >= 0) return name;
  }
  throw error(path.string() + ": expected a name like 7_jackson_32.wav");
}

}  // namespace detail

/// The recordings of a folder, or of its folder "recordings": all that end in .wav, brought to
/// `rate`, in the order of their names. Those numbered 0 to 4 are the test set.
///
/// Errors   no recordings, or none to train on or to test by; a name of another form; those of
///          read_wav; a recording without sound
inline spoken_digits read_spoken_digits(std::filesystem::path folder, i32 rate = 8000) {
  std::error_code ignored;
  if (std::filesystem::is_directory(folder / "recordings", ignored)) folder /= "recordings";
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".wav") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  spoken_digits set;
  set.rate = rate;
  for (const auto& path : paths) {
    const detail::spoken_name name = detail::read_spoken_name(path);
    auto at = std::find(set.speakers.begin(), set.speakers.end(), name.speaker);
    if (at == set.speakers.end()) at = set.speakers.insert(at, name.speaker);
    const audio sound = read_wav(path);
    recording one{resample(mix_down(sound), sound.rate, rate), name.label,
                  static_cast<i32>(at - set.speakers.begin())};
    if (one.samples.empty()) throw error(path.string() + ": holds no sound");
    (name.index < 5 ? set.test : set.train).push_back(std::move(one));
  }
  if (set.train.empty() || set.test.empty()) {
    throw error(folder.string() + ": has " + std::to_string(set.train.size()) +
                " recordings to train on and " + std::to_string(set.test.size()) +
                " to test by, expected some like 7_jackson_32.wav and 7_jackson_0.wav");
  }
  return set;
}

/// Mean and deviation of each band, of all recordings together or of each speaker's.
class band_scaling {
 public:
  /// Errors   no recordings
  band_scaling(std::span<const recording> train, i32 speakers, log_mel features, bool by_speaker)
      : bands_(features.bands()), by_speaker_(by_speaker) {
    if (train.empty()) throw error("band_scaling: expected recordings, got none");
    const auto groups = static_cast<std::size_t>(by_speaker ? speakers : 1);
    const auto bands = static_cast<std::size_t>(bands_);
    std::vector<double> sums(groups * bands);
    std::vector<double> squares(groups * bands);
    std::vector<double> counts(groups);
    std::vector<float> values;
    for (const recording& one : train) {
      const i64 frames = features.frames(static_cast<i64>(one.samples.size()));
      values.resize(static_cast<std::size_t>(frames) * bands);
      features.compute(one.samples, values.data());
      const std::size_t group = by_speaker ? static_cast<std::size_t>(one.speaker) : 0;
      counts[group] += static_cast<double>(frames);
      for (std::size_t i = 0; i < values.size(); ++i) {
        sums[group * bands + i % bands] += values[i];
        squares[group * bands + i % bands] += double{values[i]} * values[i];
      }
    }
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const double n = std::max(1.0, counts[i / bands]);
      const double mean = sums[i] / n;
      const double variance = squares[i] / n - mean * mean;
      mean_.push_back(static_cast<float>(mean));
      factor_.push_back(variance > 1e-6 ? static_cast<float>(1 / std::sqrt(variance)) : 1.0f);
    }
  }

  /// Scales one frame of a speaker.
  void apply(i32 speaker, float* frame) const {
    const auto start = by_speaker_ ? static_cast<std::size_t>(speaker * bands_) : 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(bands_); ++k) {
      frame[k] = (frame[k] - mean_[start + k]) * factor_[start + k];
    }
  }

 private:
  i32 bands_;
  bool by_speaker_;
  std::vector<float> mean_;
  std::vector<float> factor_;
};

/// How recordings are joined.
struct join_options {
  i32 least = 2;  // recordings of a string
  i32 most = 6;
  i32 time = 128;     // steps that a sample has room for
  i32 stack = 3;      // frames side by side in a step
  bool anew = false;  // other strings in every epoch; a recording that has no room is left out
  u64 seed = 1;
};

/// Strings of recordings as samples with features, length and labels.
///
/// Shapes   features time x (bands x stack), zeros from the length on
/// Memory   the features of all strings, and the sound of the longest
/// Errors   numbers out of order; a recording that has no room alone; fewer than 1 recording
class joined_speech {
 public:
  joined_speech(std::shared_ptr<const std::vector<recording>> recordings, log_mel features,
                band_scaling scale, const join_options& options)
      : recordings_(std::move(recordings)),
        features_(std::move(features)),
        scale_(std::move(scale)),
        options_(options) {
    if (options.least < 1 || options.most < options.least || options.time < 1 ||
        options.stack < 1) {
      throw error("joined_speech: expected 1 <= least <= most, at least 1 step and 1 frame in it");
    }
    if (recordings_->empty()) throw error("joined_speech: expected recordings, got none");
    // The last step may hold less than `stack` frames.
    const i64 frames = i64{options.time} * options.stack;
    room_ = (frames - 1) * features_.hop() + features_.window();
    i32 speakers = 0;
    for (const recording& one : *recordings_) {
      speakers = std::max(speakers, one.speaker + 1);
      if (static_cast<i64>(one.samples.size()) <= room_) continue;
      throw error("joined_speech: expected recordings of at most " + std::to_string(room_) +
                  " samples, got " + std::to_string(one.samples.size()));
    }
    by_speaker_.resize(static_cast<std::size_t>(speakers));
    for (std::size_t i = 0; i < recordings_->size(); ++i) {
      by_speaker_[static_cast<std::size_t>((*recordings_)[i].speaker)].push_back(
          static_cast<i32>(i));
    }
    sound_.reserve(static_cast<std::size_t>(room_));
    join(0);
    measure();
  }

  i64 size() const { return static_cast<i64>(strings_.size()); }

  /// Values of a step.
  i32 width() const { return features_.bands() * options_.stack; }
  const join_options& options() const { return options_; }

  /// Steps that string `index` takes, its labels, who speaks. `index` is not checked.
  i32 length(i64 index) const { return at(index).length; }
  std::span<const i32> labels(i64 index) const {
    return {labels_.data() + at(index).first, static_cast<std::size_t>(at(index).count)};
  }
  i32 speaker(i64 index) const { return at(index).speaker; }

  /// Recordings by their numbers, in the order in which they are joined.
  std::span<const i32> parts(i64 index) const {
    return {parts_.data() + at(index).first, static_cast<std::size_t>(at(index).count)};
  }

  /// Stores the features of a string.
  void features(i64 index, float* out) const {
    const auto count = static_cast<std::size_t>(at(index).length * width());
    const float* const from = values_.data() + at(index).start;
    std::copy(from, from + count, out);
    std::fill(out + count, out + i64{options_.time} * width(), 0.0f);
  }

  /// Joins anew for this epoch, where the options say so.
  void start_epoch(i64 epoch) const {
    if (!options_.anew || epoch == epoch_) return;
    join(epoch);
    measure();
  }

 private:
  struct string {
    i32 speaker = 0;
    i32 length = 0;
    i32 first = 0;  // of parts_ and labels_
    i32 count = 0;
    i64 start = 0;  // of values_
    i64 samples = 0;
  };

  const string& at(i64 index) const { return strings_[static_cast<std::size_t>(index)]; }

  /// Which recordings make which strings. Each speaker's are shuffled and cut into lengths of
  /// `least` to `most`, all equally often, in a random order: as many strings in every epoch.
  void join(i64 epoch) const {
    // The upper half says what the stream is for, so that no other use of the seed shares it.
    constexpr u64 purpose = u64{0x6a6f696e} << 32;
    random_stream random(options_.seed, purpose + static_cast<u64>(epoch));
    epoch_ = epoch;
    strings_.clear();
    parts_.clear();
    labels_.clear();
    for (std::size_t s = 0; s < by_speaker_.size(); ++s) {
      std::vector<i32> order = by_speaker_[s];
      shuffle(std::span(order), random);
      std::vector<i32> lengths;
      i32 left = static_cast<i32>(order.size());
      for (i32 n = options_.least; left > 0; n = n < options_.most ? n + 1 : options_.least) {
        lengths.push_back(std::min(n, left));
        left -= lengths.back();
      }
      shuffle(std::span(lengths), random);
      std::size_t next = 0;
      for (const i32 length : lengths) {
        begin_string(static_cast<i32>(s));
        for (i32 k = 0; k < length; ++k) append(order[next++]);
      }
    }
  }

  void begin_string(i32 speaker) const {
    strings_.push_back({speaker, 0, static_cast<i32>(parts_.size()), 0, 0, 0});
  }

  void append(i32 number) const {
    const recording& one = (*recordings_)[static_cast<std::size_t>(number)];
    const auto more = static_cast<i64>(one.samples.size());
    if (strings_.back().samples + more > room_) {
      if (options_.anew) return;
      begin_string(one.speaker);  // fixed strings leave nothing out
    }
    strings_.back().samples += more;
    ++strings_.back().count;
    parts_.push_back(number);
    labels_.push_back(one.label);
  }

  /// The features of all strings.
  void measure() const {
    const i64 bands = features_.bands();
    values_.clear();
    for (string& s : strings_) {
      sound_.clear();
      for (i32 k = 0; k < s.count; ++k) {
        const recording& one =
            (*recordings_)[static_cast<std::size_t>(parts_[static_cast<std::size_t>(s.first + k)])];
        sound_.insert(sound_.end(), one.samples.begin(), one.samples.end());
      }
      const i64 frames = features_.frames(static_cast<i64>(sound_.size()));
      s.length = static_cast<i32>((frames + options_.stack - 1) / options_.stack);
      s.start = static_cast<i64>(values_.size());
      values_.resize(values_.size() + static_cast<std::size_t>(s.length * width()));
      float* const to = values_.data() + s.start;  // frames that fill up the last step are zeros
      features_.compute(sound_, to);
      for (i64 f = 0; f < frames; ++f) scale_.apply(s.speaker, to + f * bands);
    }
  }

  std::shared_ptr<const std::vector<recording>> recordings_;
  // A source is read as a constant; which epoch it shows is the reader's place in it.
  mutable log_mel features_;
  band_scaling scale_;
  join_options options_;
  i64 room_ = 0;  // samples of a string
  std::vector<std::vector<i32>> by_speaker_;
  mutable i64 epoch_ = -1;
  mutable std::vector<string> strings_;
  mutable std::vector<i32> parts_;
  mutable std::vector<i32> labels_;
  mutable std::vector<float> values_;
  mutable std::vector<float> sound_;
};

}  // namespace tessera::data
