#include <tessera/runtime/beam_search.hpp>

#include <support/catch.hpp>
#include <tessera/core/random.hpp>

using namespace tessera;

namespace {

constexpr i32 words = 4;  // word 0 is the end

/// Scores of the next word behind a beginning: a function of all its words.
std::vector<float> model(const std::vector<i32>& beginning, u64 seed) {
  u64 stream = 1;
  for (const i32 word : beginning) stream = stream * 7 + static_cast<u64>(word) + 1;
  random_stream random(seed, stream);
  std::vector<float> scores;
  for (i32 w = 0; w < words; ++w) scores.push_back(4 * random.next_uniform());
  return scores;
}

double log_p(const std::vector<float>& scores, i32 word) {
  double sum = 0;
  for (const float s : scores) sum += std::exp(static_cast<double>(s));
  return scores[static_cast<std::size_t>(word)] - std::log(sum);
}

struct found {
  std::vector<i32> words;
  double score = -1e300;
};

/// All sequences of up to `most` words, by recursion.
void try_all(const beam_options& o, u64 seed, std::vector<i32>& beginning, double so_far,
             found& best) {
  const std::vector<float> scores = model(beginning, seed);
  for (i32 w = 0; w < words; ++w) {
    const double p = so_far + log_p(scores, w);
    const auto length = static_cast<i32>(beginning.size()) + 1;
    if (w != o.end) beginning.push_back(w);
    if (w == o.end || length == o.most_words) {
      const double score = p / std::pow(length, o.alpha);
      if (score > best.score) best = {beginning, score};
    } else {
      try_all(o, seed, beginning, p, best);
    }
    if (w != o.end) beginning.pop_back();
  }
}

std::vector<beam_result> search(const beam_options& o, u64 seed) {
  beam_search s(o);
  while (!s.over()) {
    std::vector<float> scores;
    for (const beam_row& row : s.rows()) {
      CHECK(static_cast<i32>(s.rows().size()) <= o.width);
      for (const float each : model(row.words, seed)) scores.push_back(each + 3);  // any constant
    }
    s.advance(scores);
  }
  return {s.results().begin(), s.results().end()};
}

}  // namespace

TEST_CASE("a beam that leaves nothing out finds the best of all sequences", "[runtime]") {
  for (u64 seed = 1; seed <= 20; ++seed) {
    for (const double alpha : {0.0, 0.7, 1.0}) {
      const beam_options o{.width = 81, .most_words = 4, .end = 0, .alpha = alpha};
      found best;
      std::vector<i32> beginning;
      try_all(o, seed, beginning, 0, best);
      const std::vector<beam_result> results = search(o, seed);
      REQUIRE(!results.empty());
      CHECK(results[0].words == best.words);
      CHECK(results[0].score == Approx(best.score));
      for (std::size_t i = 1; i < results.size(); ++i) {
        CHECK(results[i].score <= results[i - 1].score);
      }
    }
  }
}

TEST_CASE("a beam of 1 takes the likeliest word each time", "[runtime]") {
  for (u64 seed = 1; seed <= 20; ++seed) {
    const beam_options o{.width = 1, .most_words = 9, .end = 0};
    std::vector<i32> greedy;
    double p = 0;
    i32 word = -1;
    for (i32 t = 0; t < 9 && word != 0; ++t) {
      const std::vector<float> scores = model(greedy, seed);
      word = static_cast<i32>(std::max_element(scores.begin(), scores.end()) - scores.begin());
      p += log_p(scores, word);
      if (word != 0) greedy.push_back(word);
    }
    const std::vector<beam_result> results = search(o, seed);
    REQUIRE(results.size() == 1);
    // A less likely end may have been met on the way only where it came out better in the end.
    CHECK(results[0].score >= Approx(p));
    if (results[0].words == greedy) CHECK(results[0].score == Approx(p));
  }
}

TEST_CASE("a wider beam follows rows to their parents", "[runtime]") {
  beam_search s({.width = 2, .most_words = 3, .end = 0});
  REQUIRE(s.rows().size() == 1);
  CHECK(s.rows()[0].word == -1);
  s.advance(std::vector<float>{-9, 2, 1, -9});  // words 1 and 2
  REQUIRE(s.rows().size() == 2);
  CHECK(s.rows()[0].word == 1);
  CHECK(s.rows()[1].word == 2);
  CHECK(s.rows()[1].parent == 0);
  s.advance(std::vector<float>{-9, -9, 0, 0, -9, 9, -9, -9});  // 2 1; 1 2 and 1 3 are as likely
  REQUIRE(s.rows().size() == 2);
  CHECK(s.rows()[0].words == std::vector<i32>{1, 2});
  CHECK(s.rows()[0].parent == 0);
  CHECK(s.rows()[1].words == std::vector<i32>{1, 3});
  s.advance(std::vector<float>{9, -9, -9, -9, -9, 9, -9, -9});
  CHECK(s.over());
  REQUIRE(s.results().size() == 2);
  for (const beam_result& r : s.results()) {
    CHECK(r.path.size() == 3);
    CHECK(r.complete == (r.words.size() == 2));
  }
}

TEST_CASE("an early search ends once as many sequences are complete as it is wide", "[runtime]") {
  for (u64 seed = 1; seed <= 20; ++seed) {
    const beam_options o{.width = 3, .most_words = 30, .end = 0, .alpha = 1, .early = true};
    beam_search s(o);
    i32 steps = 0;
    for (; !s.over(); ++steps) {
      CHECK(static_cast<i32>(s.results().size()) < o.width);
      std::vector<float> scores;
      for (const beam_row& row : s.rows()) {
        for (const float each : model(row.words, seed)) scores.push_back(each);
      }
      s.advance(scores);
    }
    CHECK(static_cast<i32>(s.results().size()) == o.width);
    CHECK(s.results()[0].score <= search({3, 30, 0, 1}, seed)[0].score + 1e-5);
  }
}

TEST_CASE("a row that is not a number is given up", "[runtime]") {
  beam_search s({.width = 2, .most_words = 5, .end = 0});
  s.advance(std::vector<float>{-9, 2, 1, -9});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  s.advance(std::vector<float>{0, nan, 0, 0, 0, 0, 0, 9});
  REQUIRE(!s.over());
  for (const beam_row& row : s.rows()) CHECK(row.words[0] == 2);
  s.advance(std::vector<float>(s.rows().size() * 4, nan));
  CHECK(s.over());
}
