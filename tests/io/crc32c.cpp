#include <tessera/io/crc32c.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

using namespace tessera;
using tessera::io::crc32c;

namespace {

u32 sum_of(const std::string& text) { return crc32c(std::as_bytes(std::span(text))); }

// The definition: one bit after the other.
u32 bit_by_bit(std::span<const std::byte> bytes) {
  u32 rest = 0xffffffff;
  for (const std::byte value : bytes) {
    for (u32 bit = 0; bit < 8; ++bit) {
      const bool carry = ((rest ^ (static_cast<u32>(value) >> bit)) & 1) != 0;
      rest >>= 1;
      if (carry) rest ^= 0x82f63b78;
    }
  }
  return ~rest;
}

}  // namespace

TEST_CASE("CRC32C gives the check values of RFC 3720", "[io]") {
  CHECK(sum_of("123456789") == 0xe3069283);
  CHECK(sum_of(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(sum_of(std::string(32, '\xff')) == 0x62a8ab43);
  std::string up;
  for (char i = 0; i < 32; ++i) up += i;
  CHECK(sum_of(up) == 0x46dd794e);
  CHECK(sum_of("") == 0);
}

TEST_CASE("CRC32C agrees with its definition at every length and alignment", "[io]") {
  std::vector<std::byte> bytes(100);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i * 37 + 11);
  for (std::size_t first = 0; first < 9; ++first) {
    for (std::size_t size = 0; size + first <= bytes.size(); ++size) {
      const auto piece = std::span<const std::byte>(bytes).subspan(first, size);
      REQUIRE(crc32c(piece) == bit_by_bit(piece));
    }
  }
}

TEST_CASE("CRC32C of pieces is that of the whole", "[io]") {
  const std::string text = "A network is a type. Its memory is a constant.";
  const auto bytes = std::as_bytes(std::span(text));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    REQUIRE(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))) == sum_of(text));
  }
}

TEST_CASE("CRC32C can be a constant", "[io]") {
  constexpr std::byte bytes[] = {std::byte{'1'}, std::byte{'2'}, std::byte{'3'},
                                 std::byte{'4'}, std::byte{'5'}, std::byte{'6'},
                                 std::byte{'7'}, std::byte{'8'}, std::byte{'9'}};
  STATIC_REQUIRE(crc32c(bytes) == 0xe3069283);
}
