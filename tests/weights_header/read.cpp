// Compiled with the weights that write.cpp has written: they are the same bits, and so are the
// outputs. No file is opened here.

#include "net.hpp"

#include <cstdio>
#include <cstring>
#include <net_weights.hpp>  // generated
#include <vector>

template <class Job>
bool same() {
  ts::predictor<Job> drawn, loaded;
  draw(drawn.weights());
  const ts::load_result result = ts::load(net_weights, loaded.weights());
  const ts::weight_list a = drawn.weights();
  const ts::weight_list b = loaded.weights();
  bool agree = result.loaded == net_weights.count && a.size() == b.size();
  for (std::size_t i = 0; i < a.size(); ++i) {
    agree = agree && std::memcmp(a[i].bytes.data(), b[i].bytes.data(), a[i].bytes.size()) == 0;
  }
  std::vector<float> x(72), y(10), z(10);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
  drawn.run(x, y);
  loaded.run(x, z);
  return agree && std::memcmp(y.data(), z.data(), y.size() * sizeof(float)) == 0 && y[0] != y[1];
}

int main() {
  const bool agree = same<job<>>() && same<job<ts::mixed<ts::fp16>>>();
  std::puts(agree ? "same bits" : "other bits");
  return agree ? 0 : 1;
}
