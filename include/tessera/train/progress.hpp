#pragma once

// What a fit tells while it runs.

#include <tessera/core/types.hpp>
#include <tessera/runtime/metrics.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <span>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace tessera {

/// State of a fit after a step.
struct progress {
  i32 epoch = 0;  // from 1
  i32 epochs = 0;
  i64 step = 0;  // of this epoch, from 1
  i64 steps = 0;
  double loss = 0;                      // mean over the epoch so far; of several losses their sum
  std::span<const double> losses = {};  // each of them; valid during the call
  double learning_rate = 0;
  double samples_per_second = 0;
  double seconds_left = 0;  // of the whole fit

  bool epoch_ends() const { return step == steps; }
};

using progress_function = std::function<void(const progress&)>;

/// What a fit knows at the end of an epoch.
struct epoch_end {
  i32 epoch = 0;  // from 1
  i32 epochs = 0;
  double loss = 0;                      // mean over the epoch
  const metrics* validation = nullptr;  // of the validation samples, where a fit was given any
  bool best = false;                    // the loss on them, else `loss`, is the lowest so far

  double monitored() const { return validation != nullptr ? validation->loss : loss; }
};

/// Called after every epoch; false ends the fit.
using epoch_function = std::function<bool(const epoch_end&)>;

/// Ends a fit after `patience` epochs in a row without improvement of the loss on the validation
/// samples (without those, of the training loss): an epoch improves where its loss is below the
/// best so far by more than `least_improvement`; a loss that is not a number never does. Then, and
/// also when all epochs have been run, `restore_best` puts back the weights of the best epoch,
/// running statistics included; the optimizer's state stays. Room for them is allocated when the
/// fit starts. Patience 0: neither.
struct early_stopping {
  i32 patience = 0;
  double least_improvement = 0;
  bool restore_best = true;
};

namespace detail {

/// "0.4321", of several losses "0.4321 (0.4000 + 0.0321)", into `text`.
inline void spell_losses(const progress& p, char* text, std::size_t room) {
  auto used = static_cast<std::size_t>(std::snprintf(text, room, "%.4f", p.loss));
  for (std::size_t k = 0; p.losses.size() > 1 && k < p.losses.size() && used < room; ++k) {
    used += static_cast<std::size_t>(std::snprintf(text + used, room - used, "%s%.4f%s",
                                                   k == 0 ? " (" : " + ", p.losses[k],
                                                   k + 1 == p.losses.size() ? ")" : ""));
  }
}

}  // namespace detail

/// Shows a bar with loss, rate and time left where stderr is a terminal, a plain line at the end of
/// each epoch elsewhere.
inline void bar(const progress& p) {
#if defined(__unix__) || defined(__APPLE__)
  static const bool terminal = isatty(STDERR_FILENO) != 0;
#else
  static const bool terminal = false;
#endif
  static std::chrono::steady_clock::time_point last;
  const auto now = std::chrono::steady_clock::now();
  if (!p.epoch_ends() && (!terminal || now - last < std::chrono::milliseconds(100))) return;
  last = now;
  char loss[160];
  detail::spell_losses(p, loss, sizeof(loss));
  if (terminal) {
    constexpr i64 width = 24;
    char cells[width + 1] = {};
    for (i64 i = 0; i < width; ++i) cells[i] = i < p.step * width / p.steps ? '#' : '.';
    std::fprintf(stderr, "\repoch %d/%d [%s] loss %s  %.0f samples/s  %.0f s left \033[K%s",
                 p.epoch, p.epochs, cells, loss, p.samples_per_second, p.seconds_left,
                 p.epoch_ends() ? "\n" : "");
  } else {
    std::fprintf(stderr, "epoch %d/%d  loss %s  %.0f samples/s\n", p.epoch, p.epochs, loss,
                 p.samples_per_second);
  }
}

}  // namespace tessera
