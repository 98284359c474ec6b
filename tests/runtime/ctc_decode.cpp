#include <tessera/runtime/ctc_decode.hpp>
#include <tessera/runtime/edit_distance.hpp>

#include <support/catch.hpp>

#include <map>
#include <random>

namespace {

using namespace tessera;

using labels = std::vector<i32>;

/// The probability of every sequence of labels, by writing down all ways.
std::map<labels, double> all_labels(const std::vector<float>& frames, i32 classes, i32 blank) {
  const auto width = static_cast<std::size_t>(classes);
  const std::size_t times = frames.size() / width;
  std::map<labels, double> found;
  labels way(times);
  for (;;) {
    double p = 1;
    for (std::size_t t = 0; t < times; ++t) {
      double sum = 0;
      for (std::size_t k = 0; k < width; ++k) {
        sum += std::exp(static_cast<double>(frames[t * width + k]));
      }
      const auto c = static_cast<std::size_t>(way[t]);
      p *= std::exp(static_cast<double>(frames[t * width + c])) / sum;
    }
    found[ctc_collapse(way, blank)] += p;
    std::size_t t = 0;
    while (t < times && ++way[t] == classes) way[t++] = 0;
    if (t == times) return found;
  }
}

std::vector<float> random_frames(std::mt19937& random, std::size_t count) {
  std::normal_distribution<float> draw(0, 1.5f);
  std::vector<float> frames(count);
  for (float& z : frames) z = draw(random);
  return frames;
}

TEST_CASE("Repeats go before blanks do", "[runtime]") {
  CHECK(ctc_collapse(labels{0, 1, 1, 0, 1, 2, 2, 0}) == labels{1, 1, 2});
  CHECK(ctc_collapse(labels{2, 0, 2, 1, 2}, 2) == labels{0, 1});
  CHECK(ctc_collapse(labels{}) == labels{});
  CHECK(ctc_collapse(labels{0, 0}) == labels{});
}

TEST_CASE("Greedy decoding follows the largest class of each frame", "[runtime]") {
  const std::vector<float> frames{0, 2, 1, /**/ 0, 3, 1, /**/ 5, 2, 1, /**/ 0, 1, 1, /**/ 0, 1, 4};
  CHECK(ctc_greedy(frames, 3) == labels{1, 1, 2});  // of equals the first
  CHECK(ctc_greedy(frames, 3, 2) == labels{1, 0, 1});
  CHECK(ctc_greedy({}, 3).empty());
}

TEST_CASE("A beam that leaves nothing out finds what all ways add up to", "[runtime]") {
  std::mt19937 random(5);
  for (const i32 classes : {2, 3, 4}) {
    for (const std::size_t times : {1U, 2U, 5U}) {
      for (i32 blank = 0; blank < classes; ++blank) {
        const auto frames = random_frames(random, times * static_cast<std::size_t>(classes));
        const auto wanted = all_labels(frames, classes, blank);
        const auto found =
            ctc_beam_search(frames, classes, {.width = 100000, .blank = blank, .best = 100000});
        REQUIRE(found.size() == wanted.size());
        double before = 1;
        double sum = 0;
        for (const ctc_hypothesis& h : found) {
          const double p = std::exp(h.log_probability);
          REQUIRE(wanted.count(h.labels) == 1);
          CHECK(p == Approx(wanted.at(h.labels)).epsilon(1e-9));
          CHECK(p <= before * (1 + 1e-12));
          before = p;
          sum += p;
        }
        CHECK(sum == Approx(1));
      }
    }
  }
}

TEST_CASE("Beam search finds labels of many ways, which no single frame shows", "[runtime]") {
  // Graves 2008, figure 7.5: the best way is all blanks (0.42), the best labels are "1" (0.58).
  const std::vector<float> frames{std::log(0.7f), std::log(0.3f), std::log(0.6f), std::log(0.4f)};
  CHECK(ctc_greedy(frames, 2).empty());
  const auto found = ctc_beam_search(frames, 2, {.width = 4, .best = 2});
  REQUIRE(found.size() == 2);
  CHECK(found[0].labels == labels{1});
  CHECK(std::exp(found[0].log_probability) == Approx(0.58));
  CHECK(std::exp(found[1].log_probability) == Approx(0.42));
}

TEST_CASE("A narrow beam is never better than a wide one", "[runtime]") {
  std::mt19937 random(9);
  for (i32 round = 0; round < 20; ++round) {
    const auto frames = random_frames(random, 12 * 6);
    double before = -1e300;
    for (const i32 width : {1, 4, 16, 200}) {
      const auto found = ctc_beam_search(frames, 6, {.width = width});
      REQUIRE(found.size() == 1);
      if (width > 1) CHECK(found[0].log_probability >= before - 1e-9);
      before = found[0].log_probability;
    }
  }
  CHECK(ctc_beam_search({}, 3).front().labels.empty());
  CHECK(ctc_beam_search({}, 3).front().log_probability == 0);
}

TEST_CASE("Edits are counted as Levenshtein does", "[runtime]") {
  const auto letters = [](const char* text) {
    labels all;
    for (; *text != 0; ++text) all.push_back(*text);
    return all;
  };
  const auto distance = [&](const char* a, const char* b) {
    return edit_distance(letters(a), letters(b));
  };
  CHECK(distance("kitten", "sitting") == 3);
  CHECK(distance("saturday", "sunday") == 3);
  CHECK(distance("", "abc") == 3);
  CHECK(distance("abc", "") == 3);
  CHECK(distance("", "") == 0);
  CHECK(distance("same", "same") == 0);
  CHECK(distance("ab", "ba") == 2);
  label_errors errors;
  CHECK(errors.rate() == 0);
  errors.add(letters("abcd"), letters("abd"));
  errors.add(letters("xy"), letters("xy"));
  CHECK(errors.rate() == Approx(1.0 / 6));
  CHECK(errors.whole == 1);
  CHECK(errors.sequences == 2);
}

}  // namespace
