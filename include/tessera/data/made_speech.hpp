#pragma once

// Digits spoken by nobody: recordings in the place of spoken ones.
//
//   buzz (a pulse for each period of the voice) --+
//                                                 +-- resonance F1 -- resonance F2 -- sound
//   hiss (noise) ---------------------------------+
//
// A digit is a row of sounds, each with the first two resonances of a mouth that says it, a share
// of hiss and a duration; resonances glide from one to the next. A speaker has a pitch, a size of
// mouth and a pace; every recording differs from the others in all of them a little.
//
// Source: vowels after Peterson, Barney 1952, Control Methods Used in a Study of the Vowels;
// resonances as in Klatt 1980, Software for a Cascade/Parallel Formant Synthesizer.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/spoken.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <string>
#include <vector>

namespace tessera::data {

namespace detail {

/// A sound of speech: resonances in hertz, loudness of buzz and hiss in percent, milliseconds.
struct speech_sound {
  i32 first = 0;
  i32 second = 0;
  i32 buzz = 0;
  i32 hiss = 0;
  i32 milliseconds = 0;
};

struct spoken_word {
  i32 count = 0;
  speech_sound sound[5] = {};
};

constexpr spoken_word spoken_words[10] = {
    {4,
     {{300, 3000, 20, 40, 60},
      {300, 2200, 100, 0, 80},
      {420, 1300, 80, 0, 60},
      {450, 900, 100, 0, 140}}},                                                       // zero
    {3, {{300, 700, 70, 0, 70}, {640, 1190, 100, 0, 130}, {250, 1450, 50, 0, 100}}},   // one
    {2, {{1500, 2600, 0, 60, 50}, {300, 870, 100, 0, 220}}},                           // two
    {3, {{1200, 1900, 0, 30, 80}, {420, 1300, 80, 0, 70}, {270, 2290, 100, 0, 170}}},  // three
    {3, {{900, 1300, 0, 25, 90}, {570, 840, 100, 0, 150}, {450, 1300, 70, 0, 90}}},    // four
    {4,
     {{900, 1300, 0, 25, 80},
      {730, 1090, 100, 0, 130},
      {390, 1990, 90, 0, 90},
      {300, 1200, 40, 15, 70}}},  // five
    {4,
     {{2500, 3500, 0, 70, 110},
      {390, 1990, 100, 0, 100},
      {390, 1990, 0, 0, 50},
      {2500, 3500, 0, 70, 110}}},  // six
    {5,
     {{2500, 3500, 0, 70, 90},
      {530, 1840, 100, 0, 90},
      {300, 1200, 40, 15, 60},
      {500, 1500, 80, 0, 60},
      {250, 1450, 50, 0, 80}}},  // seven
    {4,
     {{480, 1900, 100, 0, 110},
      {300, 2250, 90, 0, 90},
      {300, 2250, 0, 0, 40},
      {1500, 2600, 0, 60, 50}}},  // eight
    {4,
     {{250, 1450, 50, 0, 80},
      {730, 1090, 100, 0, 120},
      {390, 1990, 90, 0, 90},
      {250, 1450, 50, 0, 90}}},  // nine
};

/// Two poles: what a mouth does to sound at one of its frequencies.
class resonance {
 public:
  /// Answers `next` with the resonance at `hertz`, `width` wide, at 8000 samples a second.
  double answer(double next, double hertz, double width) {
    const double radius = std::exp(-std::numbers::pi * width / 8000);
    const double b = 2 * radius * std::cos(2 * std::numbers::pi * hertz / 8000);
    const double c = -radius * radius;
    const double y = (1 - b - c) * next + b * last_ + c * before_;
    before_ = last_;
    last_ = y;
    return y;
  }

 private:
  double last_ = 0;
  double before_ = 0;
};

/// One digit of one speaker, at 8000 samples a second.
inline std::vector<float> speak(i32 digit, i32 speaker, random_stream& random) {
  const auto about = [&](double value, double spread) {
    return value * (1 + spread * (2.0 * random.next_uniform() - 1));
  };
  const double pitch = about(95 + 37 * (speaker % 4), 0.08);
  const double mouth = about(0.9 + 0.07 * (speaker % 5), 0.03);
  const double pace = about(0.9 + 0.1 * (speaker % 3), 0.15);
  const spoken_word& word = spoken_words[digit];
  std::vector<float> sound;
  resonance low, high;
  double phase = 0;
  for (i32 k = 0; k < word.count; ++k) {
    const speech_sound& now = word.sound[k];
    const speech_sound& next = word.sound[std::min(k + 1, word.count - 1)];
    const auto samples = static_cast<i32>(about(8.0 * now.milliseconds, 0.15) * pace);
    for (i32 n = 0; n < samples; ++n) {
      // The last third glides to the next sound.
      const double glide = std::max(0.0, 3.0 * n / samples - 2);
      const auto between = [&](i32 a, i32 b) { return a + glide * (b - a); };
      phase += pitch * (1 - 0.1 * k / word.count) / 8000;
      const double pulse = phase >= 1 ? 1 : 0;
      phase -= pulse;
      const double noise = 2.0 * random.next_uniform() - 1;
      const double source = between(now.buzz, next.buzz) * (8 * pulse - 0.08) +
                            between(now.hiss, next.hiss) * 0.5 * noise;
      const double first = std::min(mouth * between(now.first, next.first), 3800.0);
      const double second = std::min(mouth * between(now.second, next.second), 3800.0);
      const double y = high.answer(low.answer(source, first, 90), second, 140);
      sound.push_back(static_cast<float>(std::clamp(0.002 * y + 0.0005 * noise, -1.0, 1.0)));
    }
  }
  return sound;
}

}  // namespace detail

/// Each digit said `train` and `test` times by each of `speakers`. A recording depends on the seed
/// and its number alone.
///
/// Errors   numbers not of 1 to 100
inline spoken_digits made_spoken_digits(i32 speakers, i32 train, i32 test, u64 seed) {
  if (std::min({speakers, train, test}) < 1 || std::max({speakers, train, test}) > 100) {
    throw error("made_spoken_digits: expected 1 to 100 speakers and recordings, got " +
                std::to_string(speakers) + ", " + std::to_string(train) + " and " +
                std::to_string(test));
  }
  spoken_digits set;
  u64 number = 0;
  for (i32 digit = 0; digit < 10; ++digit) {
    for (i32 speaker = 0; speaker < speakers; ++speaker) {
      for (i32 k = 0; k < train + test; ++k) {
        // The upper half says what the stream is for, so that no other use of the seed shares it.
        random_stream random(seed, (u64{0x73706561} << 32) + number++);
        (k < test ? set.test : set.train)
            .push_back({detail::speak(digit, speaker, random), digit, speaker});
      }
    }
  }
  for (i32 s = 0; s < speakers; ++s) set.speakers.push_back("made" + std::to_string(s));
  return set;
}

}  // namespace tessera::data
