// Any bytes at all as a WAVE file: an error, or a sound that the bytes have room for.

#include <tessera/data/wav.hpp>

#include <cmath>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const data::audio sound = data::parse_wav({data, size}, "fuzz");
    if (sound.samples.size() > size || sound.channels < 1 || sound.channels > 2) std::abort();
    if (sound.samples.size() % static_cast<std::size_t>(sound.channels) != 0) std::abort();
    for (const float v : sound.samples) {
      if (!std::isfinite(v)) std::abort();
    }
    if (static_cast<i64>(data::mix_down(sound).size()) != sound.frames()) std::abort();
  } catch (const error&) {
  }
  return 0;
}
