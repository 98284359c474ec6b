#include <tessera/data/batches.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <algorithm>
#include <numeric>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

std::vector<i32> rest_of_epoch(data::epoch_order& order) {
  std::vector<i32> all;
  for (auto batch = order.next(); !batch.empty(); batch = order.next()) {
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

std::vector<i32> first_to_last(i32 count) {
  std::vector<i32> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

TEST_CASE("an epoch visits every sample once", "[data]") {
  for (const i32 samples : {1, 2, 31, 32, 33, 1000}) {
    data::epoch_order order(samples, 32, 7);
    std::vector<i32> all = rest_of_epoch(order);
    if (samples > 30) CHECK(all != first_to_last(samples));
    std::sort(all.begin(), all.end());
    CHECK(all == first_to_last(samples));
  }
}

TEST_CASE("the last batch is as small as what is left", "[data]") {
  data::epoch_order order(10, 4, 1);
  CHECK(order.batches() == 3);
  CHECK(order.next().size() == 4);
  CHECK(order.next().size() == 4);
  CHECK(order.position() == 2);
  CHECK(order.next().size() == 2);
  CHECK(order.next().empty());
  CHECK(order.next().empty());
  CHECK(order.position() == 3);
  CHECK(data::epoch_order(8, 4, 1).batches() == 2);
  CHECK(data::epoch_order(3, 100, 1).next().size() == 3);
}

TEST_CASE("no samples make an epoch of no batches", "[data]") {
  data::epoch_order order(0, 4, 1);
  CHECK(order.batches() == 0);
  CHECK(order.next().empty());
}

TEST_CASE("an order depends on seed and epoch and on nothing else", "[data]") {
  data::epoch_order straight(100, 8, 5);
  std::vector<std::vector<i32>> epochs;
  for (i64 epoch = 0; epoch < 4; ++epoch) {
    straight.start(epoch);
    CHECK(straight.epoch() == epoch);
    epochs.push_back(rest_of_epoch(straight));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK(epochs[i] != epochs[j]);
  }

  data::epoch_order jumping(100, 33, 5);  // another batch size, another history
  for (const i64 epoch : {3, 0, 2, 1, 3}) {
    jumping.start(epoch);
    CHECK(rest_of_epoch(jumping) == epochs[static_cast<std::size_t>(epoch)]);
  }

  data::epoch_order other(100, 8, 6);
  CHECK(rest_of_epoch(other) != epochs[0]);
}

TEST_CASE("an epoch is taken up again in its middle", "[data]") {
  data::epoch_order order(50, 8, 3);
  order.start(2);
  for (int i = 0; i < 4; ++i) order.next();
  const i64 position = order.position();
  const std::vector<i32> rest = rest_of_epoch(order);
  data::epoch_order again(50, 8, 3);
  again.start(2, position);
  CHECK(rest_of_epoch(again) == rest);
  CHECK(rest.size() == 18);
  again.start(2, 1000);
  CHECK(again.next().empty());
}

TEST_CASE("without shuffling every epoch goes from first to last", "[data]") {
  data::epoch_order order(20, 6, 9, false);
  CHECK(rest_of_epoch(order) == first_to_last(20));
  order.start(1);
  CHECK(rest_of_epoch(order) == first_to_last(20));
}

TEST_CASE("each sample comes first about equally often", "[data]") {
  // 10,000 epochs of 10: each expected 1,000 times, standard deviation 30; 5 of them allowed.
  std::vector<int> first(10);
  data::epoch_order order(10, 10, 11);
  for (i64 epoch = 0; epoch < 10'000; ++epoch) {
    order.start(epoch);
    ++first[static_cast<std::size_t>(order.next()[0])];
  }
  for (const int count : first) CHECK(std::abs(count - 1000) < 150);
}

TEST_CASE("impossible counts are refused", "[data]") {
  CHECK(error_of([] { data::epoch_order order(-1, 4, 1); }) ==
        "epoch_order: expected 0 to 2147483647 samples, got -1");
  CHECK(error_of([] { data::epoch_order order(i64{1} << 31, 4, 1); }) ==
        "epoch_order: expected 0 to 2147483647 samples, got 2147483648");
  CHECK(error_of([] { data::epoch_order order(4, 0, 1); }) ==
        "epoch_order: expected a batch of at least 1, got 0");
}
