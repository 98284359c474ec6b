#include <tessera/data/word_pairs.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <map>
#include <set>

using namespace tessera;
using tessera::testing::error_of;

namespace {

std::vector<i32> words(i32 count) {
  std::vector<i32> all;
  for (i32 i = 0; i < count; ++i) all.push_back(10 + i);
  return all;
}

}  // namespace

TEST_CASE("a pair of sentences is read for an encoder and a decoder", "[data]") {
  const data::bucketed_pairs pairs({{{7, 8, 9}, {4, 5}}}, {4, 6});
  REQUIRE(pairs.size() == 1);
  CHECK(pairs.bucket(0) == 0);
  std::vector<i32> source(4), told(4), said(4);
  i32 length = 0;
  pairs.read(0, 0, source.data());
  pairs.read(0, 1, &length);
  pairs.read(0, 2, told.data());
  pairs.target(0, 0, said.data());
  CHECK(source == std::vector<i32>{7, 8, 9, 0});
  CHECK(length == 3);
  CHECK(told == std::vector<i32>{2, 4, 5, 0});
  CHECK(said == std::vector<i32>{4, 5, 3, -100});
}

TEST_CASE("a pair lies in the first bucket that holds both its sides", "[data]") {
  const data::bucketed_pairs pairs({{words(4), words(3)},  // both fill 4
                                    {words(4), words(4)},  // the target's end does not
                                    {words(5), words(1)},
                                    {words(6), words(5)},
                                    {words(7), words(1)},  // left out
                                    {words(1), words(6)},  // left out
                                    {words(0), words(2)},  // left out
                                    {words(1), words(0)}},
                                   {4, 6});
  REQUIRE(pairs.size() == 5);
  const auto buckets = pairs.buckets_of_samples();
  CHECK(std::vector<i32>(buckets.begin(), buckets.end()) == std::vector<i32>{0, 1, 1, 1, 0});
  std::vector<i32> told(4), said(4);
  pairs.read(4, 2, told.data());
  pairs.target(4, 0, said.data());
  CHECK(told == std::vector<i32>{2, 0, 0, 0});
  CHECK(said == std::vector<i32>{3, -100, -100, -100});
  CHECK(error_of([] {
          data::bucketed_pairs({}, {4, 4});
        }) == "bucketed_pairs: expected buckets that grow, got 4 as number 2");
}

TEST_CASE("an epoch visits each sample once, in batches of one bucket", "[data]") {
  std::vector<i32> bucket;
  for (i32 i = 0; i < 100; ++i) bucket.push_back(i * i % 7 % 3);
  data::bucket_order order(bucket, 8, 5);
  std::map<i64, std::vector<i32>> by_epoch;
  for (const i64 epoch : {0, 1, 0}) {
    order.start(epoch);
    std::vector<i32> seen;
    i64 batches = 0;
    for (auto b = order.next(); !b.samples.empty(); b = order.next(), ++batches) {
      CHECK(b.samples.size() <= 8);
      for (const i32 i : b.samples) {
        CHECK(bucket[static_cast<std::size_t>(i)] == b.bucket);
        seen.push_back(i);
      }
    }
    CHECK(batches == order.batches());
    CHECK(seen.size() == 100);
    CHECK(std::set<i32>(seen.begin(), seen.end()).size() == 100);
    if (by_epoch.contains(epoch)) CHECK(by_epoch[epoch] == seen);
    by_epoch[epoch] = seen;
  }
  CHECK(by_epoch[0] != by_epoch[1]);

  data::bucket_order plain(bucket, 8, 5, false);
  i32 last_bucket = 0;
  for (auto b = plain.next(); !b.samples.empty(); b = plain.next()) {
    CHECK(b.bucket >= last_bucket);
    CHECK(std::is_sorted(b.samples.begin(), b.samples.end()));
    last_bucket = b.bucket;
  }
  CHECK(error_of([&] { data::bucket_order(bucket, 0, 1); }) ==
        "bucket_order: expected a batch of at least 1, got 0");
  CHECK(data::bucket_order({}, 4, 1).next().samples.empty());
}
