// Training on threads of the caller's own or on a team: the same bits, and nothing runs elsewhere.

#include <support/catch.hpp>

#include <tessera/runtime/thread_team.hpp>
#include <tessera/tessera.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace tessera;

/// A few threads that wait for work, as a program with threads of its own would have them.
class own_threads {
 public:
  explicit own_threads(i32 size) {
    for (i32 t = 0; t < size; ++t) members_.emplace_back([this] { work(); });
  }
  ~own_threads() {
    {
      const std::lock_guard lock(guard_);
      ends_ = true;
    }
    begins_.notify_all();
    for (std::thread& member : members_) member.join();
  }
  own_threads(const own_threads&) = delete;
  own_threads& operator=(const own_threads&) = delete;

  const executor& on() const { return executor_; }
  i64 calls() const { return calls_; }
  /// The threads that have done pieces of work.
  std::set<std::thread::id> seen() const { return seen_; }

 private:
  static void run(void* state, i32 count, executor::piece piece, const void* context) {
    auto& team = *static_cast<own_threads*>(state);
    std::unique_lock lock(team.guard_);
    ++team.calls_;
    team.piece_ = piece;
    team.context_ = context;
    team.next_ = 0;
    team.count_ = team.left_ = count;
    team.begins_.notify_all();
    team.done_.wait(lock, [&] { return team.left_ == 0; });
  }

  void work() {
    std::unique_lock lock(guard_);
    while (true) {
      begins_.wait(lock, [&] { return ends_ || next_ < count_; });
      if (ends_) return;
      const i32 index = next_++;
      seen_.insert(std::this_thread::get_id());
      lock.unlock();
      piece_(context_, index);
      lock.lock();
      if (--left_ == 0) done_.notify_all();
    }
  }

  executor executor_{&run, this};
  std::mutex guard_;
  std::condition_variable begins_;
  std::condition_variable done_;
  std::vector<std::thread> members_;
  std::set<std::thread::id> seen_;
  executor::piece piece_ = nullptr;
  const void* context_ = nullptr;
  i32 next_ = 0;
  i32 count_ = 0;
  i32 left_ = 0;
  i64 calls_ = 0;
  bool ends_ = false;
};

struct noise {
  i64 size() const { return 40; }
  shape sample_shape() const { return shape(3, 12, 12); }
  void read(i64 index, float* out) const {
    random_stream random(6, static_cast<u64>(index));
    for (i64 i = 0; i < 3 * 144; ++i) out[i] = random.next_normal();
  }
  i32 label(i64 index) const { return static_cast<i32>(index * 5 % 4); }
};

template <int Batch>
using job = training<network<image<3, 12, 12>, conv<16, 3, pad<1>>, batch_norm, relu, max_pool<2>,
                             flatten, dense<64>, relu, dropout<20>, dense<4>>,
                     softmax_cross_entropy, momentum_sgd, batch<Batch>>;

template <int Batch>
std::vector<std::byte> train(threads workers) {
  const auto t = std::make_unique<trainer<job<Batch>>>(seed{4}, workers);
  t->fit(noise{}, {.epochs = 2, .learning_rate = 0.05f});
  CHECK(t->evaluate(noise{}).samples == 40);
  std::vector<std::byte> all;
  for (const weight& w : t->weights()) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  return all;
}

TEST_CASE("Steps run on the caller's threads and give the same bits", "[train]") {
  own_threads team(3);
  CHECK(train<16>({3, &team.on()}) == train<16>(1));
  CHECK(team.calls() > 50);
  CHECK(team.seen().size() > 1);
  CHECK(team.seen().count(std::this_thread::get_id()) == 0);
  CHECK(train<10>({3, &team.on()}) == train<10>(2));  // samples outermost
}

TEST_CASE("One thread leaves the caller's alone", "[train]") {
  own_threads team(1);
  CHECK_FALSE(train<16>({1, &team.on()}).empty());
  CHECK(team.calls() == 0);
}

TEST_CASE("Steps run on a team and give the same bits", "[train]") {
  thread_team team(3);
  CHECK(train<16>(team) == train<16>(1));
  CHECK(train<10>(team) == train<10>(1));
}

/// What the threads of a team have done in one round.
struct tally {
  std::vector<std::atomic<i32>> times;
  std::vector<std::thread::id> by;

  explicit tally(i32 count) : times(static_cast<std::size_t>(count)), by(times.size()) {}
  static void add(const void* context, i32 index) {
    auto& all = *static_cast<tally*>(const_cast<void*>(context));
    ++all.times[static_cast<std::size_t>(index)];
    all.by[static_cast<std::size_t>(index)] = std::this_thread::get_id();
  }
};

TEST_CASE("A team does every piece once and shares them out alike", "[train]") {
  for (const i32 size : {1, 2, 3, 5}) {
    for (const auto patience : {0, 50}) {  // 0: asleep between rounds
      const thread_team team(size, std::chrono::microseconds(patience));
      REQUIRE(team.size() == size);
      const threads workers = team;
      for (i32 count = 0; count < 40; ++count) {
        tally all(count);
        workers.on->run(workers.on->state, count, &tally::add, &all);
        std::map<std::thread::id, i32> shares;
        for (const std::thread::id& id : all.by) ++shares[id];
        for (const auto& times : all.times) CHECK(times == 1);
        CHECK(static_cast<i32>(shares.size()) == std::min(size, count));
        for (const auto& share : shares) CHECK(std::abs(share.second - count / size) <= 1);
        if (count % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    }
  }
}

TEST_CASE("A team of less than one thread is the caller", "[train]") {
  CHECK(thread_team(0).size() == 1);
  CHECK(train<16>(thread_team(-3)) == train<16>(1));
}

}  // namespace
