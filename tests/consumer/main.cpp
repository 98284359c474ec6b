// A user's first program: one header of the library and one check.

#include <tessera/core/shape.hpp>

int main() {
  constexpr tessera::shape images(64, 1, 28, 28);  // (batch, channels, height, width)
  static_assert(images.rank == 4);
  return images[3] == 28 ? 0 : 1;
}
