// Whole trainings with CTC: strings of digits read in sound, made and spoken, as
// examples/spoken_digits.cpp does.

#include <tessera/data.hpp>
#include <tessera/tessera.hpp>
#include <tessera/runtime/ctc_decode.hpp>
#include <tessera/runtime/edit_distance.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ts = tessera;

namespace {

constexpr ts::i32 classes = 11;
constexpr ts::i32 most_digits = 5;

/// For strings of up to Time steps, each of `width` features.
template <ts::i32 Time, ts::i32 Width, ts::i32 Hidden>
using reader = ts::network<ts::inputs<ts::sequence<Time, Width>, ts::tokens<>>,
                           ts::bidirectional<ts::lstm<Hidden, ts::masked>>, ts::dropout<20>,
                           ts::each_step<ts::dense<classes>>>;

class digit_strings {
 public:
  explicit digit_strings(ts::data::joined_speech strings) : strings_(std::move(strings)) {}

  ts::i64 size() const { return strings_.size(); }
  ts::shape sample_shape(ts::i32 which) const {
    return which == 0 ? ts::shape(strings_.options().time, strings_.width()) : ts::shape(1);
  }
  void read(ts::i64 i, ts::i32, float* out) const { strings_.features(i, out); }
  void read(ts::i64 i, ts::i32, ts::i32* out) const { *out = strings_.length(i); }
  void target(ts::i64 i, ts::i32 which, ts::i32* out) const {
    const std::vector<ts::i32> digits = labels(i);
    if (which == 0) {
      std::fill_n(out, most_digits, 0);
      std::copy(digits.begin(), digits.end(), out);
    } else {
      *out = which == 1 ? static_cast<ts::i32>(digits.size()) : strings_.length(i);
    }
  }
  void start_epoch(ts::i64 epoch) const { strings_.start_epoch(epoch); }

  std::vector<ts::i32> labels(ts::i64 i) const {
    std::vector<ts::i32> all;
    for (const ts::i32 digit : strings_.labels(i)) all.push_back(digit + 1);
    return all;
  }

 private:
  ts::data::joined_speech strings_;
};

struct rates {
  double greedy = 0;
  double beam = 0;
};

/// Trains on joins of a set's training recordings, judges by joins of its test recordings.
template <ts::i32 Time, ts::i32 Stack, ts::i32 Bands, ts::i32 Hidden>
rates train(const ts::data::spoken_digits& set, ts::i32 epochs, double rate) {
  constexpr ts::i32 width = Stack * Bands;
  using network = reader<Time, width, Hidden>;
  using job = ts::training<network, ts::ctc<most_digits>, ts::adam, ts::batch<16>, ts::fp32>;
  const ts::data::log_mel features({.bands = Bands});
  const ts::data::band_scaling scale(set.train, 1, features, false);
  const auto join = [&](const std::vector<ts::data::recording>& recordings, bool anew) {
    return digit_strings(ts::data::joined_speech(
        std::make_shared<const std::vector<ts::data::recording>>(recordings), features, scale,
        {.least = 2, .most = most_digits, .time = Time, .stack = Stack, .anew = anew}));
  };
  const digit_strings seen = join(set.train, true);
  const digit_strings test = join(set.test, false);
  const auto t = std::make_unique<ts::trainer<job>>(ts::seed{1});
  t->fit(seen, {.epochs = epochs, .learning_rate = ts::cosine_rate(rate, 0, 50)});

  const auto reads = std::make_unique<ts::predictor<ts::inference<network, ts::batch<1>>>>();
  const ts::weight_list from = t->weights();
  const ts::weight_list to = reads->weights();
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::copy(from[i].bytes.begin(), from[i].bytes.end(), to[i].bytes.begin());
  }
  ts::label_errors greedy, beam;
  std::vector<float> sound(static_cast<std::size_t>(Time * width));
  std::vector<float> scores(static_cast<std::size_t>(Time * classes));
  for (ts::i64 i = 0; i < test.size(); ++i) {
    std::array<ts::i32, 1> steps{};
    test.read(i, 0, sound.data());
    test.read(i, 1, steps.data());
    reads->run({sound, steps}, {scores});
    const std::span<const float> heard(scores.data(), static_cast<std::size_t>(steps[0] * classes));
    greedy.add(test.labels(i), ts::ctc_greedy(heard, classes));
    beam.add(test.labels(i), ts::ctc_beam_search(heard, classes).front().labels);
  }
  return {greedy.rate(), beam.rate()};
}

}  // namespace

TEST_CASE("strings of made digits are learned without being told when each is spoken",
          "[end_to_end]") {
  const rates found = train<32, 8, 20, 32>(ts::data::made_spoken_digits(2, 20, 3, 1), 20, 2e-2);
  CAPTURE(found.greedy, found.beam);
  CHECK(found.beam < 0.2);  // of one label for all 0.9
  CHECK(found.greedy < 0.3);
}

TEST_CASE("strings of spoken digits are read with less than 10 % of errors", "[end_to_end][slow]") {
  const char* const data = std::getenv("TESSERA_DATA");
  const std::string folder = std::string(data != nullptr ? data : "") + "/fsdd";
  if (data == nullptr || !std::filesystem::is_directory(folder)) {
    WARN("skipped: TESSERA_DATA names no folder with fsdd in it");
    return;
  }
  const rates found = train<96, 3, 40, 64>(ts::data::read_spoken_digits(folder), 16, 5e-3);
  CAPTURE(found.greedy, found.beam);
  CHECK(found.beam <= 0.10);
}
