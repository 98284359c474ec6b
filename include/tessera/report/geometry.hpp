#pragma once

// Points, rectangles, and intervals that must not lie on each other.

#include <tessera/core/types.hpp>
#include <algorithm>
#include <vector>

namespace tessera {

/// Pixels from the left and from the top.
struct point {
  double x = 0;
  double y = 0;
};

struct rectangle {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;
};

namespace detail {

/// What a line takes of a gap or channel, and which track it is given.
struct interval {
  double low = 0;
  double high = 0;
  i32 track = 0;
};

/// Gives intervals that overlap, or nearly do, different tracks: first fit by lower end. Returns
/// how many tracks there are.
inline i32 assign_tracks(std::vector<interval*> lines, double apart) {
  std::stable_sort(lines.begin(), lines.end(),
                   [](const interval* a, const interval* b) { return a->low < b->low; });
  std::vector<double> ends;
  for (interval* line : lines) {
    std::size_t track = 0;
    while (track < ends.size() && ends[track] + apart > line->low) ++track;
    if (track == ends.size()) ends.push_back(0);
    ends[track] = line->high;
    line->track = static_cast<i32>(track);
  }
  return static_cast<i32>(ends.size());
}

}  // namespace detail
}  // namespace tessera
