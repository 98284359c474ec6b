// How long is one training step? LeNet-5 and two perceptrons, in FP32 and mixed precision, beside
// plain loops, Eigen, dlib and libtorch; ResNet-20, a character LSTM and a block of a transformer
// beside libtorch.
//
// All contestants of a case start from the same weights on the same batch, which lies in memory;
// a step is forward pass, loss, backward pass and update (SGD, momentum 0.9). Before anything is
// timed, each takes the same steps and must arrive at the same loss. Pinned, rounds interleaved
// (support/rounds.hpp), peers with their best settings (support/process.hpp). "+ load" also copies
// the batch to where the step reads it.
//
// With --threads N, libtorch uses N threads and ours a team of N (runtime/thread_team.hpp); ours
// with one thread are contestants too, and must have arrived at the same bits.

#include <support/process.hpp>
#include <support/results.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/core/error.hpp>
#include <tessera/runtime/thread_team.hpp>
#include <host/steps/cases.hpp>

#include <chrono>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <utility>

namespace {

using steps::entries;
using steps::entry;

constexpr int checked_steps = 20;
// Losses fall visibly, and not to zero, at which everybody agrees.
constexpr float check_rate_b32 = 1e-2f;
constexpr float check_rate_b1 = 1e-4f;
constexpr float check_rate_text = 1.0f;
constexpr float check_rate_block = 1.0f;

constexpr const char* one_thread = ", 1 thread";

float check_rate(const std::string& name) {
  if (name.ends_with(".b1")) return check_rate_b1;
  if (name.starts_with("block")) return check_rate_block;
  return name.starts_with("charlstm") ? check_rate_text : check_rate_b32;
}

/// All take the same steps; throws where one ends elsewhere.
void check_losses(const std::string& name, entries& all) {
  std::cout << name << ": loss after " << checked_steps << " steps:";
  for (entry& e : all) {
    for (int i = 0; i < checked_steps; ++i) e.step(check_rate(name));
    e.loss = e.who.result();
    std::cout << "  " << e.who.name << ' ' << std::setprecision(6) << e.loss;
  }
  std::cout << std::endl;
  for (const entry& e : all) {
    const double off = std::abs(e.loss - all.front().loss);
    if (!(off <= e.tolerance)) {
      throw tessera::error(name + ": " + e.who.name + " computes something else than " +
                           all.front().who.name);
    }
  }
}

/// Ours have the same weights to the bit, however many threads computed them.
void check_bits(const std::string& name, const entries& all) {
  for (const entry& many : all) {
    for (const entry& one : all) {
      if (one.who.name != many.who.name + one_thread || !one.weights) continue;
      if (many.weights() != one.weights()) {
        throw tessera::error(name + ": " + many.who.name + " has other weights with " +
                             std::to_string(steps::workers.count) + " threads than with one");
      }
      std::cout << name << ": " << many.who.name << ": the same bits with " << steps::workers.count
                << " threads as with one" << std::endl;
    }
  }
}

/// Prints how long the team's threads take to hear of work and to report back: what they share they
/// also hand to each other, and a machine's cores may be near to each other or far apart.
void print_distance(const std::string& name) {
  constexpr int rounds = 20000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) {
    tessera::parallel_for(steps::workers, steps::workers.count, [](int) {});
  }
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
  std::cout << name << ": an empty round of the threads takes " << std::setprecision(2)
            << time.count() / rounds << " us" << std::endl;
}

/// The contestants of a case with all threads, without those that know only one, and ours with one.
entries make_threaded(entries (*make)()) {
  entries all;
  for (entry& e : make()) {
    if (steps::is_ours(e) || e.who.name == "libtorch") all.push_back(std::move(e));
  }
  const tessera::threads team = std::exchange(steps::workers, 1);
  for (entry& e : make()) {
    if (!steps::is_ours(e)) continue;
    e.who.name += one_thread;
    all.push_back(std::move(e));
  }
  steps::workers = team;
  return all;
}

void run_case(const std::string& name, entries (*make)(), bench::results& results) {
  if (!results.wants(name)) return;
  const bool threaded = steps::workers.count > 1;
  entries all = threaded ? make_threaded(make) : make();
  check_losses(name, all);
  check_bits(name, all);
  if (threaded) print_distance(name);
  bench::comparison c{.name = name, .contestants = {}, .beside = {"libtorch", "Eigen", "dlib"}};
  if (threaded) {
    for (const char* who : {"tessera fp32", "tessera mixed"}) {
      c.beside.push_back(std::string(who) + one_thread);
    }
  } else {
    c.beside.push_back("tessera fp32");
  }
  for (const entry& e : all) c.contestants.push_back(e.who);
  results.add(c);
}

void run(bench::results& all) {
  const tessera::thread_team team(all.asked().threads);
  bench::spread(team);
  steps::workers = team;
  steps::limit_torch(team.size());
  all.about("libtorch", steps::torch_name());
  all.about("dlib", steps::dlib_name());
  run_case("lenet5.b32", &steps::lenet5_b32, all);
  run_case("lenet5.b1", &steps::lenet5_b1, all);
  run_case("mlp784-500-250-10.b100", &steps::large_mlp_b100, all);
  run_case("mlp784-500-250-10.b32", &steps::large_mlp_b32, all);
  run_case("mlp784-500-250-10.b1", &steps::large_mlp_b1, all);
  run_case("mlp64-64-10.b32", &steps::small_mlp_b32, all);
  run_case("mlp64-64-10.b1", &steps::small_mlp_b1, all);
  run_case("resnet20.b32", &steps::resnet20_b32, all);
  run_case("charlstm128.s64.b32", &steps::char_lstm_b32, all);
  run_case("block64h4.s64.b32", &steps::block_b32, all);
}

}  // namespace

int main(int argc, char** argv) { return bench::run_program("bench_host_steps", argc, argv, &run); }
