#pragma once

// Threads for kernels that start and end their pieces of work within a fraction of a microsecond.
//
//   ts::thread_team team(4);
//   ts::trainer<job> t(ts::seed{1}, team);
//
// A small network's kernels take microseconds, of which OpenMP spends one or more to wake its
// threads and to wait for them. A team's threads look for the next kernel all the time, and fall
// asleep only where none has come for a while. No result depends on any of it.

#include <tessera/core/types.hpp>
#include <tessera/ir/threads.hpp>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace tessera {

/// Some threads of which the caller is one, see `threads` and `executor`. Must outlive what it was
/// given to; one caller at a time. Nothing is allocated after construction.
class thread_team {
 public:
  /// Starts count - 1 threads, which burn their cores for `patience` after each kernel before they
  /// sleep. They run on all cores that the caller may use: no more than `count` should be busy.
  /// Throws std::system_error where the machine has no more threads.
  explicit thread_team(i32 count,
                       std::chrono::microseconds patience = std::chrono::microseconds(200))
      : thread_team(patience, count < 1 ? 1 : count) {
    members_.reserve(static_cast<std::size_t>(count_ - 1));
    for (i32 m = 1; m < count_; ++m) members_.emplace_back([this, m] { work(m); });
  }

  ~thread_team() {
    work_ = {};
    start_round();
    for (std::thread& m : members_) m.join();
  }

  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;

  i32 size() const { return count_; }
  operator threads() const { return {count_, &executor_}; }

 private:
  /// What a round of work is. Written between rounds only.
  struct pieces {
    executor::piece one = nullptr;
    const void* context = nullptr;
    i32 count = 0;
  };

  // Complete before any thread is started: an exception from there on ends in the destructor.
  thread_team(std::chrono::microseconds patience, i32 count) : patience_(patience), count_(count) {}

  static void run(void* state, i32 count, executor::piece one, const void* context) {
    auto& team = *static_cast<thread_team*>(state);
    team.work_ = {one, context, count};
    team.busy_.store(team.count_ - 1, std::memory_order_relaxed);
    team.start_round();
    team.do_share(0);
    team.wait_for_all();
  }

  void start_round() {
    round_.fetch_add(1);  // what was written before is seen by those that see the new number
    round_.notify_all();
  }

  /// The pieces of member m: neighbours, as many as the others have, give or take one.
  void do_share(i32 m) const {
    const auto first_of = [&](i32 member) {
      return static_cast<i32>(static_cast<i64>(work_.count) * member / count_);
    };
    for (i32 i = first_of(m); i < first_of(m + 1); ++i) work_.one(work_.context, i);
  }

  void work(i32 m) {
    for (u32 seen = 0;;) {
      seen = next_round(seen);
      if (work_.one == nullptr) return;
      do_share(m);
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  /// Waits for a round other than `seen`; its number.
  u32 next_round(u32 seen) const {
    u32 now = seen;
    const auto started = [&] {
      now = round_.load(std::memory_order_acquire);
      return now != seen;
    };
    while (!watch(started)) round_.wait(seen);
    return now;
  }

  void wait_for_all() const {
    const auto done = [&] { return busy_.load(std::memory_order_acquire) == 0; };
    while (!watch(done)) std::this_thread::yield();  // a member may need this very core
  }

  /// Looks at `happened` until it is true or patience ends; the last answer.
  template <class Condition>
  bool watch(const Condition& happened) const {
    if (look(happened)) return true;  // not at the clock yet: it costs as much as some looks
    const auto end = std::chrono::steady_clock::now() + patience_;
    do {
      if (look(happened)) return true;
    } while (std::chrono::steady_clock::now() < end);
    return happened();
  }

  template <class Condition>
  static bool look(const Condition& happened) {
    for (i32 i = 0; i < 64; ++i) {
      if (happened()) return true;
      relax();
    }
    return false;
  }

  /// Tells the processor that this thread waits for memory to change.
  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const std::chrono::microseconds patience_;
  const i32 count_;
  executor executor_{&run, this};
  alignas(64) pieces work_;  // in the line that members watch: one transfer brings both
  std::atomic<u32> round_ = 0;
  alignas(64) std::atomic<i32> busy_ = 0;  // members that have not finished the round
  alignas(64) std::vector<std::thread> members_;
};

}  // namespace tessera
