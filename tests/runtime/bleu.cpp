#include <tessera/runtime/bleu.hpp>

#include <support/catch.hpp>

#include <sstream>

using namespace tessera;

namespace {

bleu::words words(const std::string& text) {
  std::istringstream in(text);
  bleu::words all;
  for (std::string word; in >> word;) all.push_back(word);
  return all;
}

}  // namespace

TEST_CASE("BLEU counts words at most as often as a reference has them", "[runtime]") {
  // Papineni et al. 2002, example 2: 2 of 7; their references.
  bleu b;
  const bleu::words references[] = {words("the cat is on the mat"),
                                    words("there is a cat on the mat")};
  b.add(words("the the the the the the the"), references);
  CHECK(b.precision(1) == Approx(2.0 / 7));
  CHECK(b.precision(2) == 0);
  CHECK(b.score() == 0);
  CHECK(b.brevity_penalty() == 1);  // 7 words, the closest reference has 7
}

TEST_CASE("BLEU of Papineni's two candidates", "[runtime]") {
  // Papineni et al. 2002, example 1: 17 of 18 and 8 of 14 words; pairs 10 of 17 and 1 of 13.
  const bleu::words references[] = {
      words("it is a guide to action that ensures that the military will forever heed party "
            "commands"),
      words("it is the guiding principle which guarantees the military forces always being under "
            "the command of the party"),
      words("it is the practical guide for the army always to heed the directions of the party")};
  bleu first, second;
  first.add(words("it is a guide to action which ensures that the military always obeys the "
                  "commands of the party"),
            references);
  second.add(words("it is to insure the troops forever hearing the activity guidebook that party "
                   "direct"),
             references);
  CHECK(first.precision(1) == Approx(17.0 / 18));
  CHECK(first.precision(2) == Approx(10.0 / 17));
  CHECK(second.precision(1) == Approx(8.0 / 14));
  CHECK(second.precision(2) == Approx(1.0 / 13));
  CHECK(first.brevity_penalty() == 1);
}

TEST_CASE("BLEU is of the whole corpus, with a penalty for brevity", "[runtime]") {
  bleu b;
  b.add(words("a b c d e"), words("a b c d e"));  // 5 4 3 2 all right
  b.add(words("a b c d"), words("a b c x y z"));  // 3 of 4, 2 of 3, 1 of 2, 0 of 1
  CHECK(b.precision(1) == Approx(8.0 / 9));
  CHECK(b.precision(2) == Approx(6.0 / 7));
  CHECK(b.precision(3) == Approx(4.0 / 5));
  CHECK(b.precision(4) == Approx(2.0 / 3));
  CHECK(b.brevity_penalty() == Approx(std::exp(1 - 11.0 / 9)));
  // (8/9 6/7 4/5 2/3)^(1/4) = 0.798420..., times exp(-2/9) = 0.800737...
  CHECK(b.score() == Approx(std::pow(384.0 / 945, 0.25) * std::exp(-2.0 / 9)));
  CHECK(b.score() == Approx(0.639321).epsilon(1e-4));
  CHECK(b.sentences() == 2);
  CHECK(b.translated_words() == 9);
  CHECK(b.reference_words() == 11);
}

TEST_CASE("BLEU of equal texts is 1, of nothing 0", "[runtime]") {
  bleu same, nothing, empty;
  same.add(words("a b c d"), words("a b c d"));
  CHECK(same.score() == Approx(1));
  CHECK(nothing.score() == 0);
  empty.add({}, words("a b"));
  CHECK(empty.score() == 0);
  CHECK(empty.brevity_penalty() == 0);
}
