#include <tessera/data/wav.hpp>

#include <tessera/core/random.hpp>

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <support/wav_files.hpp>

#include <limits>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

data::audio parse(const byte_string& bytes) { return data::parse_wav(bytes, "a.wav"); }

// What is said of these bytes, without the name that it begins with.
std::string refusal(const byte_string& bytes) {
  const std::string text = error_of([&] { parse(bytes); });
  return text.starts_with("a.wav: ") ? text.substr(7) : text;
}

byte_string words(const std::vector<u32>& values) {
  byte_string bytes;
  for (const u32 value : values) append_little_endian(bytes, value);
  return bytes;
}

using floats = std::vector<float>;

// A file as it would be written by hand: two frames, 16 bits, 8000 a second.
const byte_string by_hand{'R',  'I',  'F', 'F', 40,   0,    0, 0, 'W', 'A',  'V', 'E',
                          'f',  'm',  't', ' ', 16,   0,    0, 0, 1,   0,    1,   0,
                          0x40, 0x1f, 0,   0,   0x80, 0x3e, 0, 0, 2,   0,    16,  0,
                          'd',  'a',  't', 'a', 4,    0,    0, 0, 0,   0x40, 0,   0x80};

}  // namespace

TEST_CASE("samples of 16 bits are read from written-out bytes", "[data]") {
  const data::audio sound = parse(by_hand);
  CHECK(sound.rate == 8000);
  CHECK(sound.channels == 1);
  CHECK(sound.samples == floats{0.5f, -1.0f});
  CHECK(wav_of({0x4000, -0x8000}) == by_hand);
}

TEST_CASE("every number of bits has its extremes at -1 and just below 1", "[data]") {
  CHECK(parse(wav_bytes(wav_format(1, 1, 8000, 8), {0, 64, 128, 255})).samples ==
        floats{-1, -0.5f, 0, 127 / 128.0f});
  CHECK(parse(wav_of({-32768, -1, 0, 32767})).samples ==
        floats{-1, -1 / 32768.0f, 0, 32767 / 32768.0f});
  CHECK(parse(wav_bytes(wav_format(1, 1, 8000, 24),
                        {0, 0, 0x80, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0x7f}))
            .samples == floats{-1, -0x1p-23f, 0, 1 - 0x1p-23f});
  CHECK(parse(wav_bytes(wav_format(1, 1, 8000, 32), words({0x80000000, 0xc0000000, 0, 1 << 30})))
            .samples == floats{-1, -0.5f, 0, 0.5f});
  CHECK(parse(wav_bytes(wav_format(3, 1, 8000, 32), words({0x3f800000, 0xbe800000}))).samples ==
        floats{1, -0.25f});
}

TEST_CASE("two channels lie side by side and are mixed by their mean", "[data]") {
  const data::audio sound = parse(wav_bytes(wav_format(1, 2, 44100, 8), {128, 192, 64, 128, 0, 0}));
  CHECK(sound.rate == 44100);
  CHECK(sound.frames() == 3);
  CHECK(sound.samples == floats{0, 0.5f, -0.5f, 0, -1, -1});
  CHECK(data::mix_down(sound) == floats{0.25f, -0.25f, -1});
  CHECK(data::mix_down(parse(by_hand)) == floats{0.5f, -1});
}

TEST_CASE("chunks come in any order, unknown ones are passed over", "[data]") {
  byte_string chunks;
  append_chunk(chunks, "LIST", {1, 2, 3});  // of odd size, padded
  append_chunk(chunks, "data", {128, 255, 0});
  append_chunk(chunks, "junk", {});
  append_chunk(chunks, "fmt ", wav_format_extended(1, 1, 16000, 8));
  CHECK(parse(wav_bytes(chunks)).samples == floats{0, 127 / 128.0f, -1});
  CHECK(parse(wav_bytes(chunks)).rate == 16000);
  CHECK(parse(wav_bytes(wav_format_extended(3, 1, 8000, 32), words({0x3f800000}))).samples ==
        floats{1});
  // The last chunk's padding may be missing, or lie behind what the header states.
  byte_string last = wav_bytes(wav_format(1, 1, 8000, 8), {128});
  CHECK(parse(last).samples == floats{0});
  last.pop_back();
  --last[4];
  CHECK(parse(last).samples == floats{0});
  last.push_back(0);
  CHECK(parse(last).samples == floats{0});
}

TEST_CASE("no samples are a sound of nothing", "[data]") {
  CHECK(parse(wav_of({})).samples.empty());
  CHECK(parse(wav_of({})).frames() == 0);
}

TEST_CASE("every truncated sound file is refused", "[data]") {
  for (std::size_t length = 0; length < by_hand.size(); ++length) {
    CAPTURE(length);
    const byte_string cut(by_hand.begin(), by_hand.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(refusal(cut) != "(no error)");
    // Nor does it help that the header states what is there.
    if (length < 12) continue;
    byte_string adapted = cut;
    adapted[4] = static_cast<u8>(length - 8);
    CHECK(refusal(adapted) != "(no error)");
  }
  CHECK(refusal({}) == "is empty, expected a WAVE file");
  CHECK(refusal({'R', 'I', 'F', 'F', 0}) ==
        "ends within its header, expected 12 bytes, found 5; the file is truncated");
  byte_string bytes = by_hand;
  bytes.pop_back();
  CHECK(refusal(bytes) == "header states 48 bytes, found 47; the file is truncated");
  --bytes[4];
  CHECK(refusal(bytes) == "chunk \"data\" states 4 bytes, found 3; the file is truncated");
}

TEST_CASE("another kind of file is named", "[data]") {
  CHECK(refusal({'R', 'I', 'F', 'X', 0, 0, 0, 0}) == "starts with \"RIFX\", expected \"RIFF\"");
  CHECK(refusal({0x1a, 'E', 0xdf, 'x'}) == "starts with \".E.x\", expected \"RIFF\"");
  byte_string bytes = by_hand;
  bytes[8] = 'A';
  CHECK(refusal(bytes) == "is a RIFF file of \"AAVE\", expected \"WAVE\"");
}

TEST_CASE("sizes that lie are refused before memory is taken", "[data]") {
  byte_string bytes = by_hand;
  for (int i = 4; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = 0xff;
  CHECK(refusal(bytes) == "header states 4294967303 bytes, found 48; the file is truncated");
  bytes = by_hand;
  for (int i = 40; i < 44; ++i) bytes[static_cast<std::size_t>(i)] = 0xff;
  CHECK(refusal(bytes) == "chunk \"data\" states 4294967295 bytes, found 4; the file is truncated");
  bytes = by_hand;
  bytes[16] = 0xff;  // "fmt " reaches over the end
  CHECK(refusal(bytes) == "chunk \"fmt \" states 255 bytes, found 28; the file is truncated");
  bytes = by_hand;
  bytes[4] = 3;
  CHECK(refusal(bytes) == "header states 11 bytes, found 48");
  bytes.resize(12);
  bytes[4] = 0;
  CHECK(refusal(bytes) == "header states 8 bytes, found 12");
}

TEST_CASE("bytes behind the end belong to no chunk and are refused", "[data]") {
  byte_string bytes = by_hand;
  bytes.push_back(0);
  CHECK(refusal(bytes) == "header states 48 bytes, found 49");
  bytes[4] = 41;
  CHECK(refusal(bytes) == "ends within the header of a chunk");
}

TEST_CASE("formats that cannot be read are told", "[data]") {
  const auto with = [](const byte_string& format) { return refusal(wav_bytes(format, {})); };
  CHECK(with(wav_format(2, 1, 8000, 8)) ==
        "has samples of format 2, expected 1 (PCM) or 3 (float)");
  CHECK(with(wav_format_extended(7, 1, 8000, 8)) ==
        "has samples of format 7, expected 1 (PCM) or 3 (float)");
  CHECK(with(wav_format(1, 1, 8000, 12)) == "has samples of 12 bits, expected 8, 16, 24 or 32");
  CHECK(with(wav_format(3, 1, 8000, 64)) == "has samples of 64 bits, expected 32 for floats");
  CHECK(with(wav_format(1, 0, 8000, 8)) == "has 0 channels, expected 1 or 2");
  CHECK(with(wav_format(1, 6, 8000, 8)) == "has 6 channels, expected 1 or 2");
  CHECK(with(wav_format(1, 1, 0, 8)) == "has 0 frames a second, expected 1 to 1000000");
  CHECK(with(wav_format(1, 1, 0xffffffff, 8)) ==
        "has 4294967295 frames a second, expected 1 to 1000000");
  CHECK(with({1, 0, 1, 0}) == "chunk \"fmt \" has 4 bytes, expected at least 16");
  byte_string format = wav_format(1, 1, 8000, 16);
  format[12] = 3;
  CHECK(with(format) == "states 3 bytes a frame and 16000 a second, expected 2 and 16000");
  format = wav_format_extended(1, 1, 8000, 16);
  format[30] = 9;
  CHECK(with(format) == "has an extended format that is not known");
  format.resize(39);
  CHECK(with(format) == "has an extended format that is not known");
}

TEST_CASE("chunks that are missing, doubled or of part of a frame are told", "[data]") {
  byte_string chunks;
  append_chunk(chunks, "fmt ", wav_format(1, 1, 8000, 16));
  CHECK(refusal(wav_bytes(chunks)) == "has no \"data\" chunk");
  append_chunk(chunks, "data", {});
  append_chunk(chunks, "data", {});
  CHECK(refusal(wav_bytes(chunks)) == "has two \"data\" chunks");
  chunks.clear();
  append_chunk(chunks, "data", {});
  CHECK(refusal(wav_bytes(chunks)) == "has no \"fmt \" chunk");
  append_chunk(chunks, "fmt ", wav_format(1, 1, 8000, 16));
  append_chunk(chunks, "fmt ", wav_format(1, 1, 8000, 16));
  CHECK(refusal(wav_bytes(chunks)) == "has two \"fmt \" chunks");
  CHECK(refusal(wav_bytes(wav_format(1, 2, 8000, 16), {1, 2, 3, 4, 5, 6})) ==
        "chunk \"data\" has 6 bytes, expected a multiple of 4");
}

TEST_CASE("floats that are not finite are refused", "[data]") {
  CHECK(refusal(wav_bytes(wav_format(3, 1, 8000, 32), words({0, 0x7f800000}))) ==
        "sample 1 is no finite number");
  CHECK(refusal(wav_bytes(wav_format(3, 1, 8000, 32), words({0x7fc00000}))) ==
        "sample 0 is no finite number");
}

TEST_CASE("any byte changed gives an error or a sound within the bytes", "[data]") {
  std::vector<byte_string> files{by_hand};
  byte_string chunks;
  append_chunk(chunks, "LIST", {1, 2, 3});
  append_chunk(chunks, "data", words({0x3f000000, 0xbf000000}));
  append_chunk(chunks, "fmt ", wav_format_extended(3, 2, 48000, 32));
  files.push_back(wav_bytes(chunks));
  for (const byte_string& good : files) {
    for (std::size_t i = 0; i < good.size(); ++i) {
      byte_string bytes = good;
      for (int value = 0; value < 256; ++value) {
        bytes[i] = static_cast<u8>(value);
        try {
          const data::audio sound = parse(bytes);
          if (sound.samples.size() > bytes.size()) FAIL("more samples than bytes");
        } catch (const error&) {
        }
      }
    }
  }
  random_stream random(11);
  for (int k = 0; k < 20000; ++k) {  // several at once, and cut anywhere
    byte_string bytes = files[random.next_below(2)];
    for (u32 n = random.next_below(4); n > 0; --n) {
      bytes[random.next_below(static_cast<u32>(bytes.size()))] =
          static_cast<u8>(random.next_below(256));
    }
    bytes.resize(random.next_below(static_cast<u32>(bytes.size()) + 4));
    try {
      if (parse(bytes).samples.size() > bytes.size()) FAIL("more samples than bytes");
    } catch (const error&) {
    }
  }
}

TEST_CASE("sound files are read from the disk, packed or not, up to a limit", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("a.wav"), by_hand);
  write_bytes(folder.file("b.wav"), gzip_stored(by_hand));
  CHECK(data::read_wav(folder.file("a.wav")).samples == floats{0.5f, -1.0f});
  CHECK(data::read_wav(folder.file("b.wav")).samples == floats{0.5f, -1.0f});
  CHECK(error_of([&] { data::read_wav(folder.file("a.wav"), 47); }) ==
        folder.file("a.wav") + ": holds more than the limit of 47 bytes");
  CHECK(error_of([&] { data::read_wav(folder.file("c.wav")); }) ==
        folder.file("c.wav") + ": no such file");
}
