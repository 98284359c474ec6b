// A user's first program: a network, its memory as a constant, and a data set that is not there.

#include <tessera/data.hpp>  // zlib
#include <tessera/io.hpp>    // nlohmann_json
#include <tessera/network.hpp>

#include <iostream>

namespace ts = tessera;
using namespace ts::literals;

using net = ts::network<ts::image<1, 8, 8>, ts::flatten, ts::dense<32>, ts::relu, ts::dense<10>>;
using job = ts::training<net, ts::softmax_cross_entropy, ts::adam, ts::batch<16>>;
static_assert(job::memory.total_bytes > 0 && job::memory.total_bytes < 64_KiB);

int main() {
  try {
    ts::data::mnist("a folder that is not there");
  } catch (const ts::error& e) {
    std::cout << "a training step takes " << job::memory.total_bytes << " bytes; " << e.what()
              << '\n';
    return 0;
  }
  return 1;
}
