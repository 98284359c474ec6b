#pragma once

// What a kernel reads next, fetched into the caches while it computes: transposing or packing what
// comes from memory waits for it otherwise, and so does the next piece of work.
//
//   computing, row p    ====  ====  ====  ====     each call's segments (panel_sum.hpp) also fetch
//   fetched, row p + 1   .. ..  .. ..  .. ..  ..   some lines of the runs that row p + 1 packs

#include <tessera/backends/host/panel_sum.hpp>

namespace tessera::host {

/// Runs of bytes, in boxes of equal ones, dealt out in pieces of some lines.
class fetch_ahead {
 public:
  void clear() { boxes_ = box_ = run_ = cell_ = 0, done_ = 0, bytes_ = 0; }

  /// `runs` times `cells` runs of `bytes`. Boxes beyond the most there are stay unfetched.
  void add(const void* from, i32 runs, i64 run_step, i32 cells, i64 cell_step, i64 bytes) {
    if (boxes_ == most) return;
    if (cells > 0 && cell_step == bytes) bytes *= cells, cells = 1;
    boxes[boxes_++] = {static_cast<const char*>(from), runs, cells, run_step, cell_step, bytes};
    bytes_ += runs * cells * ((bytes + line - 1) / line) * line;
  }

  /// Deals everything out to so many segments.
  void share(i64 segments) {
    lines_ = segments > 0 ? static_cast<i32>((bytes_ / line + segments - 1) / segments) : 0;
    if (lines_ > most_lines) lines_ = most_lines;
  }
  i32 lines() const { return lines_; }

  /// Where the next lines begin; the last ones again where there are no more.
  const void* next() {
    if (box_ == boxes_) return last_;
    const box& b = boxes[box_];
    last_ = b.from + run_ * b.run_step + cell_ * b.cell_step + done_;
    done_ += i64{lines_} * line;
    if (done_ < b.bytes) return last_;
    done_ = 0;
    if (++cell_ < b.cells) return last_;
    cell_ = 0;
    if (++run_ < b.runs) return last_;
    run_ = 0;
    ++box_;
    return last_;
  }

 private:
  static constexpr i64 line = 64;
  static constexpr i32 most = 8;
  static constexpr i32 most_lines = 16;

  struct box {
    const char* from;
    i32 runs, cells;
    i64 run_step, cell_step, bytes;
  };

  box boxes[most];
  i32 boxes_ = 0;
  i64 bytes_ = 0;
  i32 lines_ = 0;
  i32 box_ = 0, run_ = 0, cell_ = 0;  // the next one
  i64 done_ = 0;                      // of its run
  const char* last_ = nullptr;
};

}  // namespace tessera::host
