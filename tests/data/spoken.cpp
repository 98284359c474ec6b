#include <tessera/data/spoken.hpp>

#include <tessera/data/made_speech.hpp>

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <support/wav_files.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

using recordings = std::vector<data::recording>;

/// Recordings of two speakers, `samples` long each, with the labels 0 to 9 in turn.
std::shared_ptr<const recordings> some(i32 count, std::size_t samples) {
  auto all = std::make_shared<recordings>();
  for (i32 i = 0; i < count; ++i) {
    data::recording one{std::vector<float>(samples), i % 10, i % 2};
    for (std::size_t n = 0; n < samples; ++n) {
      one.samples[n] = static_cast<float>(std::sin(0.01 * double(n) * (i + 1)));
    }
    all->push_back(one);
  }
  return all;
}

data::band_scaling scaling_of(const recordings& all, bool by_speaker = false) {
  return data::band_scaling(all, 2, data::log_mel({.bands = 8}), by_speaker);
}

data::joined_speech join(std::shared_ptr<const recordings> all, const data::join_options& options) {
  const data::band_scaling scale = scaling_of(*all);
  return data::joined_speech(std::move(all), data::log_mel({.bands = 8}), scale, options);
}

std::vector<i32> all_parts(const data::joined_speech& strings) {
  std::vector<i32> parts;
  for (i64 i = 0; i < strings.size(); ++i) {
    parts.insert(parts.end(), strings.parts(i).begin(), strings.parts(i).end());
  }
  return parts;
}

std::vector<i32> sorted(std::vector<i32> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

TEST_CASE("an epoch's strings hold every recording once, one speaker in each", "[data]") {
  const auto all = some(50, 800);
  const data::joined_speech strings = join(all, {.least = 2, .most = 5, .anew = true});
  std::vector<i32> expected;
  for (i32 i = 0; i < 50; ++i) expected.push_back(i);
  std::vector<std::vector<i32>> epochs;
  const i64 count = strings.size();
  for (i64 epoch = 0; epoch < 3; ++epoch) {
    strings.start_epoch(epoch);
    CHECK(strings.size() == count);
    epochs.push_back(all_parts(strings));
    CHECK(sorted(epochs.back()) == expected);
    for (i64 i = 0; i < strings.size(); ++i) {
      REQUIRE(strings.parts(i).size() <= 5);
      for (std::size_t k = 0; k < strings.parts(i).size(); ++k) {
        const auto& one = (*all)[static_cast<std::size_t>(strings.parts(i)[k])];
        CHECK(one.speaker == strings.speaker(i));
        CHECK(one.label == strings.labels(i)[k]);
      }
      // 800 samples each: 8 frames a recording, and the seams.
      const i64 samples = 800 * static_cast<i64>(strings.parts(i).size());
      CHECK(strings.length(i) == (1 + (samples - 200) / 80 + 2) / 3);
    }
  }
  CHECK(epochs[0] != epochs[1]);
  strings.start_epoch(1);
  CHECK(all_parts(strings) == epochs[1]);  // a function of the epoch alone
  const data::joined_speech other = join(all, {.least = 2, .most = 5, .anew = true, .seed = 2});
  CHECK(all_parts(other) != epochs[0]);
}

TEST_CASE("fixed strings do not change and leave nothing out", "[data]") {
  // Room for 2000 / 800 recordings: strings of 3 and more are cut.
  const auto all = some(21, 800);
  const data::joined_speech strings = join(all, {.least = 1, .most = 4, .time = 8, .stack = 3});
  const std::vector<i32> before = all_parts(strings);
  CHECK(sorted(before).size() == 21);
  strings.start_epoch(5);
  CHECK(all_parts(strings) == before);
  std::size_t most = 0;
  for (i64 i = 0; i < strings.size(); ++i) {
    CHECK(strings.length(i) <= 8);
    most = std::max(most, strings.parts(i).size());
  }
  CHECK(most == 2);
  // Where strings change anyway, what has no room waits for another epoch.
  const data::joined_speech anew =
      join(all, {.least = 1, .most = 4, .time = 8, .stack = 3, .anew = true});
  CHECK(all_parts(anew).size() < 21);
  for (i64 i = 0; i < anew.size(); ++i) CHECK(anew.length(i) <= 8);
}

TEST_CASE("features are those of the joined sound, scaled, with zeros behind", "[data]") {
  const auto all = some(8, 850);
  const data::joined_speech strings = join(all, {.least = 3, .most = 3, .time = 20, .stack = 2});
  std::vector<float> found(20 * 16, 7.0f);
  strings.features(0, found.data());
  std::vector<float> sound;
  for (const i32 part : strings.parts(0)) {
    const auto& samples = (*all)[static_cast<std::size_t>(part)].samples;
    sound.insert(sound.end(), samples.begin(), samples.end());
  }
  data::log_mel mel({.bands = 8});
  const auto frames = static_cast<std::size_t>(mel.frames(static_cast<i64>(sound.size())));
  CHECK(frames == 30);
  CHECK(strings.length(0) == 15);
  std::vector<float> expected(20 * 16);
  mel.compute(sound, expected.data());
  for (std::size_t f = 0; f < frames; ++f) scaling_of(*all).apply(0, expected.data() + 8 * f);
  CHECK(found == expected);
}

TEST_CASE("bands get mean 0 and deviation 1, together or for each speaker", "[data]") {
  const auto all = some(12, 900);
  data::log_mel mel({.bands = 8});
  for (const bool by_speaker : {false, true}) {
    const data::band_scaling scale = scaling_of(*all, by_speaker);
    for (i32 speaker = 0; speaker < 2; ++speaker) {
      double sum = 0, squares = 0, count = 0;
      for (const data::recording& one : *all) {
        if (by_speaker && one.speaker != speaker) continue;
        std::vector<float> values(static_cast<std::size_t>(mel.frames(900)) * 8);
        mel.compute(one.samples, values.data());
        for (std::size_t f = 0; f < values.size(); f += 8) {
          scale.apply(one.speaker, values.data() + f);
          sum += values[f + 2];
          squares += double{values[f + 2]} * values[f + 2];
          count += 1;
        }
      }
      CHECK(sum / count == Approx(0).margin(1e-4));
      CHECK(squares / count == Approx(1).epsilon(1e-3));
    }
  }
}

TEST_CASE("joins that cannot be are refused", "[data]") {
  const auto all = some(4, 800);
  CHECK(error_of([&] { join(all, {.least = 3, .most = 2}); }) ==
        "joined_speech: expected 1 <= least <= most, at least 1 step and 1 frame in it");
  CHECK(error_of([&] { join(all, {.time = 2, .stack = 2}); }) ==
        "joined_speech: expected recordings of at most 440 samples, got 800");
  CHECK(error_of([&] {
          const data::joined_speech none(std::make_shared<const recordings>(),
                                         data::log_mel({.bands = 8}), scaling_of(*all), {});
        }) == "joined_speech: expected recordings, got none");
  CHECK(error_of([] { scaling_of({}); }) == "band_scaling: expected recordings, got none");
}

TEST_CASE("recordings are found by their names and split by their numbers", "[data]") {
  const scratch_folder folder;
  std::filesystem::create_directory(folder.file("recordings"));
  const auto put = [&](const std::string& name, const byte_string& bytes) {
    write_bytes(folder.file("recordings/" + name), bytes);
  };
  put("7_ann_12.wav", wav_of({1, 2, 3}));
  put("7_ann_4.wav", wav_of({4, 5}));
  put("3_bob_the_2nd_5.wav", wav_of({1, 2, 3, 4, 5, 6}, 16000));
  put("notes.txt", {1});
  const data::spoken_digits set = data::read_spoken_digits(folder.file(""));
  CHECK(set.speakers == std::vector<std::string>{"bob_the_2nd", "ann"});
  REQUIRE(set.train.size() == 2);
  REQUIRE(set.test.size() == 1);
  CHECK(set.train[0].label == 3);
  CHECK(set.train[0].samples.size() == 3);  // from 16000 to 8000 a second
  CHECK(set.train[1].label == 7);
  CHECK(set.train[1].speaker == 1);
  CHECK(set.test[0].samples == std::vector<float>{4 / 32768.0f, 5 / 32768.0f});

  const auto refusal = [&] {
    return error_of([&] { data::read_spoken_digits(folder.file("recordings")); });
  };
  put("1_ann_6.wav", wav_of({}));
  CHECK(refusal() == folder.file("recordings/1_ann_6.wav") + ": holds no sound");
  put("1_ann_6.wav", {1, 2, 3, 4, 5});
  CHECK(refusal() ==
        folder.file("recordings/1_ann_6.wav") + ": starts with \"....\", expected \"RIFF\"");
  std::filesystem::remove(folder.file("recordings/1_ann_6.wav"));
  for (const std::string bad : {"x_ann_1.wav", "12_ann_1.wav", "1_ann.wav", "1_ann_.wav",
                                "1__1.wav", "1_ann_1x.wav", "1_ann_-1.wav"}) {
    CAPTURE(bad);
    put(bad, wav_of({1}));
    CHECK(refusal() ==
          folder.file("recordings/" + bad) + ": expected a name like 7_jackson_32.wav");
    std::filesystem::remove(folder.file("recordings/" + bad));
  }
  std::filesystem::remove(folder.file("recordings/7_ann_4.wav"));
  CHECK(refusal() == folder.file("recordings") +
                         ": has 2 recordings to train on and 0 to test by, expected some like "
                         "7_jackson_32.wav and 7_jackson_0.wav");
  CHECK_THAT(error_of([&] { data::read_spoken_digits(folder.file("nowhere")); }),
             starts_with(folder.file("nowhere") + ": has 0 recordings"));
}

TEST_CASE("made digits are the same for a seed and differ from each other", "[data]") {
  const data::spoken_digits set = data::made_spoken_digits(2, 3, 1, 5);
  CHECK(set.train.size() == 60);
  CHECK(set.test.size() == 20);
  CHECK(set.speakers.size() == 2);
  const data::spoken_digits again = data::made_spoken_digits(2, 3, 1, 5);
  for (std::size_t i = 0; i < 60; ++i) {
    const std::vector<float>& samples = set.train[i].samples;
    REQUIRE(samples == again.train[i].samples);
    CHECK(samples.size() > 1000);
    CHECK(samples.size() < 8000);
    float loudest = 0;
    for (const float v : samples) loudest = std::max(loudest, std::abs(v));
    CHECK(loudest > 0.05f);
    CHECK(loudest <= 1.0f);
    if (i > 0) CHECK(samples != set.train[i - 1].samples);
  }
  CHECK(error_of([] { data::made_spoken_digits(0, 1, 1, 1); }) ==
        "made_spoken_digits: expected 1 to 100 speakers and recordings, got 0, 1 and 1");
}

TEST_CASE("the Free Spoken Digit Dataset itself is read", "[data]") {
  const char* const root = std::getenv("TESSERA_DATA");
  if (!root || !std::filesystem::is_directory(std::filesystem::path(root) / "fsdd")) {
    WARN("skipped: set TESSERA_DATA to a folder that holds fsdd/ to read the spoken digits");
    return;
  }
  const data::spoken_digits set = data::read_spoken_digits(std::filesystem::path(root) / "fsdd");
  CHECK(set.train.size() == 2700);
  CHECK(set.test.size() == 300);
  CHECK(set.speakers ==
        std::vector<std::string>{"george", "jackson", "lucas", "nicolas", "theo", "yweweler"});
  double seconds = 0;
  std::vector<int> of_label(10);
  for (const auto* part : {&set.train, &set.test}) {
    for (const data::recording& one : *part) {
      seconds += static_cast<double>(one.samples.size()) / 8000;
      ++of_label[static_cast<std::size_t>(one.label)];
    }
  }
  CHECK(seconds == Approx(1312.3).margin(0.1));
  CHECK(of_label == std::vector<int>(10, 300));
}
