// Writes the weights of a network as a C++ header: write_weights_header FILE.

#include "net.hpp"

#include <cstdio>

int main(int count, char** words) {
  if (count != 2) return 2;
  try {
    ts::predictor<job<>> p;
    draw(p.weights());
    ts::save_header(words[1], p.weights(), "net_weights");
  } catch (const ts::error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
