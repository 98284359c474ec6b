#include <tessera/backends/host/pool.hpp>

#include "host_support.hpp"

// Pooling against plain loops over windows, in both layouts and storage types.

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

struct window_cells {
  std::vector<i64> cell;   // of the plane
  std::vector<i32> place;  // in the window
  i32 padded = 0;          // cells inside the padded image
};

window_cells cells_of(const pool_sizes& n, i32 p, i32 q) {
  window_cells all;
  for (i32 r = 0; r < n.kernel_height; ++r) {
    for (i32 s = 0; s < n.kernel_width; ++s) {
      const i32 h = p * n.stride_height + r * n.dilation_height - n.pad_top;
      const i32 w = q * n.stride_width + s * n.dilation_width - n.pad_left;
      if (h < n.in_height + n.pad_bottom && w < n.in_width + n.pad_right) ++all.padded;
      if (h < 0 || h >= n.in_height || w < 0 || w >= n.in_width) continue;
      all.cell.push_back(i64{h} * n.in_width + w);
      all.place.push_back(r * n.kernel_width + s);
    }
  }
  return all;
}

void check_pool(const pool_sizes& n, element type) {
  const bool last = n.batch % 16 == 0;
  CAPTURE(n.batch, n.in_height, n.in_width, n.kernel_height, n.kernel_width, name_of(type));
  const i64 in_plane = i64{n.in_height} * n.in_width;
  const i64 out_plane = i64{n.out_height} * n.out_width;
  const i64 planes = i64{n.batch} * n.channels;
  numbers x = random_numbers(planes * in_plane, 1);
  for (double& one : x) one = std::round(one * 2) / 2;  // many ties
  const numbers dy = random_numbers(planes * out_plane, 2);
  numbers largest(at(planes * out_plane));
  numbers winner(largest.size());
  std::vector<bounded_sum> mean(largest.size());
  std::vector<bounded_sum> max_dx(x.size());
  std::vector<bounded_sum> mean_dx(x.size());
  for (i64 plane = 0; plane < planes; ++plane) {
    for (i32 p = 0; p < n.out_height; ++p) {
      for (i32 q = 0; q < n.out_width; ++q) {
        const std::size_t e = at(plane * out_plane + p * n.out_width + q);
        const window_cells window = cells_of(n, p, q);
        const double divisor =
            n.count_include_pad != 0 ? window.padded : static_cast<double>(window.cell.size());
        std::size_t best = 0;
        for (std::size_t i = 0; i < window.cell.size(); ++i) {
          const std::size_t cell = at(plane * in_plane + window.cell[i]);
          if (x[cell] > x[at(plane * in_plane + window.cell[best])]) best = i;
          mean[e].add(x[cell] / divisor);
          mean_dx[cell].add(dy[e] / divisor);
        }
        largest[e] = x[at(plane * in_plane + window.cell[best])];
        winner[e] = window.place[best];
        max_dx[at(plane * in_plane + window.cell[best])].add(dy[e]);
      }
    }
  }
  const bool small = n.kernel_height * n.kernel_width <= 256;
  const element index_type = small ? element::uint8 : element::int32;
  const i64 cells = i64{n.kernel_height} * n.kernel_width;
  for (const i32 threads : {1, 2}) {
    host_call max(kind::max_pool2d, last);
    n.write(max.s);
    max.step.threads = threads;
    max.in(0, x, type, n.batch);
    max.out(0, planes * out_plane, type, n.batch);
    max.out(1, planes * out_plane, index_type, n.batch);
    max.run();
    CHECK(max.result(0) == largest);
    CHECK(max.result(1) == winner);

    host_call no_index(kind::max_pool2d, last);
    n.write(no_index.s);
    no_index.in(0, x, type, n.batch);
    no_index.out(0, planes * out_plane, type, n.batch);
    no_index.run();
    CHECK(no_index.result(0) == largest);

    host_call max_gradient(kind::max_pool2d_gradient, last);
    n.write(max_gradient.s);
    max_gradient.step.threads = threads;
    max_gradient.in(0, dy, type, n.batch);
    max_gradient.in(1, winner, index_type, n.batch);
    max_gradient.out(0, planes * in_plane, type, n.batch);
    max_gradient.run();
    CHECK(excess(max_gradient.result(0), max_dx, cells, type) <= 0);

    host_call average(kind::avg_pool2d, last);
    n.write(average.s);
    average.step.threads = threads;
    average.in(0, x, type, n.batch);
    average.out(0, planes * out_plane, type, n.batch);
    average.run();
    CHECK(excess(average.result(0), mean, cells + 2, type) <= 0);

    host_call average_gradient(kind::avg_pool2d_gradient, last);
    n.write(average_gradient.s);
    average_gradient.step.threads = threads;
    average_gradient.in(0, dy, type, n.batch);
    average_gradient.out(0, planes * in_plane, type, n.batch);
    average_gradient.run();
    CHECK(excess(average_gradient.result(0), mean_dx, cells + 2, type) <= 0);
  }
}

}  // namespace

TEST_CASE("pooling takes the largest and the mean of every window", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i32 batch : {1, 3, 16, 48}) {
      // batch, channels, in, out, kernel, stride, pad begin, pad end, dilation, count padding
      check_pool({batch, 6, 8, 10, 4, 5, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0}, type);
      check_pool({batch, 2, 7, 9, 3, 4, 3, 3, 2, 2, 0, 0, 0, 0, 1, 1, 0}, type);
      check_pool({batch, 2, 6, 7, 6, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0}, type);
      check_pool({batch, 2, 6, 7, 6, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, type);
      check_pool({batch, 3, 9, 8, 3, 4, 3, 2, 3, 2, 1, 0, 1, 1, 2, 1, 1}, type);
      check_pool({batch, 2, 11, 12, 5, 3, 3, 2, 2, 3, 1, 2, 1, 1, 1, 3, 0}, type);
      check_pool({batch, 2, 7, 7, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0}, type);  // ceil mode
      check_pool({batch, 2, 7, 7, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1}, type);
      check_pool({batch, 2, 5, 6, 1, 1, 5, 6, 1, 1, 0, 0, 0, 0, 1, 1, 0}, type);      // global
      check_pool({batch, 1, 20, 17, 2, 1, 18, 17, 2, 1, 0, 0, 0, 0, 1, 1, 0}, type);  // i32 index
      check_pool({batch, 2, 5, 5, 2, 2, 2, 2, 3, 3, 0, 0, 0, 0, 1, 1, 0}, type);  // cells between
      check_pool({batch, 1, 9, 20, 1, 2, 9, 10, 9, 10, 0, 0, 0, 0, 1, 1, 0}, type);  // 90 taps
      if (batch > 3) continue;  // rows of more windows than a vector
      check_pool({batch, 1, 6, 40, 3, 20, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0}, type);
      check_pool({batch, 2, 5, 37, 3, 19, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1}, type);
      check_pool({batch, 1, 9, 44, 3, 20, 4, 3, 2, 2, 0, 0, 0, 0, 2, 2, 0}, type);
    }
  }
}
