// Training on threads of the caller's own: the same bits, and nothing runs elsewhere.

#include <support/catch.hpp>

#include <tessera/tessera.hpp>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace tessera;

/// A few threads that wait for work, as a program with threads of its own would have them.
class thread_team {
 public:
  explicit thread_team(i32 size) {
    for (i32 t = 0; t < size; ++t) members_.emplace_back([this] { work(); });
  }
  ~thread_team() {
    {
      const std::lock_guard lock(guard_);
      ends_ = true;
    }
    begins_.notify_all();
    for (std::thread& member : members_) member.join();
  }
  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;

  const executor& on() const { return executor_; }
  i64 calls() const { return calls_; }
  /// The threads that have done pieces of work.
  std::set<std::thread::id> seen() const { return seen_; }

 private:
  static void run(void* state, i32 count, executor::piece piece, const void* context) {
    auto& team = *static_cast<thread_team*>(state);
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
  thread_team team(3);
  CHECK(train<16>({3, &team.on()}) == train<16>(1));
  CHECK(team.calls() > 50);
  CHECK(team.seen().size() > 1);
  CHECK(team.seen().count(std::this_thread::get_id()) == 0);
  CHECK(train<10>({3, &team.on()}) == train<10>(2));  // samples outermost
}

TEST_CASE("One thread leaves the caller's alone", "[train]") {
  thread_team team(1);
  CHECK_FALSE(train<16>({1, &team.on()}).empty());
  CHECK(team.calls() == 0);
}

}  // namespace
