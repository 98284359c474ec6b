#include <tessera/data/idx.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>
#include <support/paths.hpp>  // scratch_folder

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/resource.h>  // getrusage

using namespace tessera;
using namespace tessera::testing;

namespace {

// Two images of 2 x 3 as IDX, written out.
const byte_string two_images{0, 0, 8, 3, 0, 0, 0, 2, 0,   0,   0,   2,   0,   0,
                             0, 3, 0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255};

// Three images of 2 x 3 and three labels by `gzip -9n`; zlib's own compressor in another program.
const byte_string images_gz{0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60,
                            0xe0, 0x60, 0x66, 0x60, 0x60, 0x00, 0x61, 0x26, 0x30, 0xcd, 0xc8, 0xc4,
                            0xcc, 0xc2, 0xca, 0xc5, 0xcd, 0xc3, 0xcb, 0xc7, 0xff, 0xff, 0xdf, 0xdf,
                            0x86, 0xfa, 0x3a, 0x00, 0xf0, 0x02, 0xa5, 0x01, 0x22, 0x00, 0x00, 0x00};
const byte_string labels_gz{0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63,
                            0x60, 0xe0, 0x60, 0x64, 0x60, 0x60, 0x60, 0x66, 0x67, 0xe0, 0x04,
                            0x00, 0xa5, 0x12, 0xd3, 0x72, 0x0b, 0x00, 0x00, 0x00};

byte_string first_bytes(const byte_string& bytes, std::size_t count) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count)};
}

// What read_idx says of these bytes, without the path and the colon that it begins with.
std::string refusal(const byte_string& bytes, i32 rank, i64 limit = data::idx_limit_bytes) {
  const scratch_folder folder;
  const std::string path = folder.file("bad");
  write_bytes(path, bytes);
  const std::string text = error_of([&] { data::read_idx(path, rank, limit); });
  if (text.rfind(path + ": ", 0) != 0) return "(not named) " + text;
  return text.substr(path.size() + 2);
}

// A small set of 28 x 28: 3 training and 2 test images.
struct small_mnist {
  scratch_folder folder;
  std::string path = folder.file("set");

  small_mnist() {
    std::filesystem::create_directory(path);
    put("train-images-idx3-ubyte", idx_images(3, 28, 28));
    put("train-labels-idx1-ubyte", idx_labels({4, 0, 9}));
    put("t10k-images-idx3-ubyte", idx_images(2, 28, 28));
    put("t10k-labels-idx1-ubyte", idx_labels({1, 2}));
  }

  std::string name(const std::string& file) const { return path + "/" + file; }
  void put(const std::string& file, const byte_string& bytes) const {
    write_bytes(name(file), bytes);
  }
  void remove(const std::string& file) const { std::filesystem::remove(name(file)); }
  std::string refused() const {
    return error_of([&] { data::mnist(path); });
  }
};

}  // namespace

TEST_CASE("images are read from written-out bytes", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("images"), two_images);
  const data::idx_array images = data::read_idx(folder.file("images"), 3);
  CHECK(images.extents == shape(2, 2, 3));
  CHECK(images.bytes == byte_string{0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255});
}

TEST_CASE("gzip images and labels are read from written-out bytes", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("images"), images_gz);
  write_bytes(folder.file("labels"), labels_gz);
  const data::idx_array images = data::read_idx(folder.file("images"), 3);
  CHECK(images.extents == shape(3, 2, 3));
  CHECK(images.bytes ==
        byte_string{0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 255, 254, 253, 128, 127, 126});
  const data::idx_array labels = data::read_idx(folder.file("labels"), 1);
  CHECK(labels.extents.rank == 1);
  CHECK(labels.extents[0] == 3);
  CHECK(labels.bytes == byte_string{7, 0, 9});
}

TEST_CASE("an extent of 0 is an array of nothing", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("none"), idx_bytes(0x803, {0, 28, 28}, {}));
  const data::idx_array none = data::read_idx(folder.file("none"), 3);
  CHECK(none.extents == shape(0, 28, 28));
  CHECK(none.bytes.empty());
  // Also where the other extents would be too much.
  write_bytes(folder.file("none"), idx_bytes(0x803, {28, 0, 28}, {}));
  CHECK(data::read_idx(folder.file("none"), 3).bytes.empty());
}

TEST_CASE("an array as large as the limit is read and one larger refused", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("images"), two_images);
  CHECK(data::read_idx(folder.file("images"), 3, 12).bytes.size() == 12);
  CHECK(refusal(two_images, 3, 11) ==
        "header states 2x2x3 bytes of data, more than the limit of 11");
}

TEST_CASE("a missing, an empty and a truncated file are told apart", "[data]") {
  const scratch_folder folder;
  const std::string missing = folder.file("missing");
  CHECK(error_of([&] { data::read_idx(missing, 3); }) == missing + ": no such file");
  CHECK(refusal({}, 3) == "is empty, expected an idx file");
  CHECK(refusal(gzip_stored({}), 3) == "is empty, expected an idx file");
  for (std::size_t length = 1; length < two_images.size(); ++length) {
    CAPTURE(length);
    const std::string found = std::to_string(length);
    const std::string data = std::to_string(length - 16);
    const std::string expected = length < 16 ? "ends within its header, expected 16 bytes, found " +
                                                   found + "; the file is truncated"
                                             : "header states 2x2x3 = 12 bytes of data, found " +
                                                   data + "; the file is truncated";
    CHECK(refusal(first_bytes(two_images, length), 3) == expected);
    CHECK(refusal(gzip_stored(first_bytes(two_images, length)), 3) == expected);
  }
}

TEST_CASE("another magic number is shown beside the one expected", "[data]") {
  CHECK(refusal(idx_labels({1, 2, 3}), 3) ==
        "wrong magic number, expected 0x00000803 (idx, unsigned bytes, rank 3), found 0x00000801");
  CHECK(refusal(two_images, 1) ==
        "wrong magic number, expected 0x00000801 (idx, unsigned bytes, rank 1), found 0x00000803");
  CHECK(refusal({0x89, 'P', 'N', 'G', 13, 10, 26, 10}, 3) ==
        "wrong magic number, expected 0x00000803 (idx, unsigned bytes, rank 3), found 0x89504e47");
  // Floats (type 0x0d) are not read as bytes.
  CHECK(refusal(idx_bytes(0xd01, {1}, {0, 0, 0, 0}), 1) ==
        "wrong magic number, expected 0x00000801 (idx, unsigned bytes, rank 1), found 0x00000d01");
}

TEST_CASE("extents that multiply beyond any file are refused before memory is taken", "[data]") {
  const std::string limit = " bytes of data, more than the limit of 1073741824";
  CHECK(refusal(idx_bytes(0x803, {60000, 28000, 28}, {}), 3) ==
        "header states 60000x28000x28" + limit);
  CHECK(refusal(idx_bytes(0x801, {0xffffffff}, {1}), 1) == "header states 4294967295" + limit);
  // 2^32 x 2^32 wraps around 64 bits to 0, 65536 x 65536 x 65536 x 65536 as well.
  CHECK(refusal(idx_bytes(0x803, {0x80000000, 0x80000000, 4}, {}), 3) ==
        "header states 2147483648x2147483648x4" + limit);
  CHECK(refusal(idx_bytes(0x804, {65536, 65536, 65536, 65536}, {}), 4) ==
        "header states 65536x65536x65536x65536" + limit);
  CHECK(refusal(idx_bytes(0x803, {0, 0xffffffff, 2}, {}), 3) ==
        "header states 0x4294967295x2" + limit);
}

TEST_CASE("a header that claims much more than there is takes no memory for it", "[data]") {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  CHECK(refusal(idx_bytes(0x803, {1 << 20, 32, 32}, {1, 2, 3, 4}), 3) ==
        "header states 1048576x32x32 = 1073741824 bytes of data, found 4; the file is truncated");
  getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 64 * 1024);  // KiB; the claim is 1 GiB
}

TEST_CASE("more data than the header states is refused", "[data]") {
  byte_string more = two_images;
  more.push_back(0);
  const std::string expected =
      "header states 2x2x3 = 12 bytes of data, found more; header and data do not belong together";
  CHECK(refusal(more, 3) == expected);
  CHECK(refusal(gzip_stored(more), 3) == expected);
}

TEST_CASE("gzip data beyond what the header states is not unpacked", "[data]") {
  byte_string much = two_images;
  much.resize(1'000'000);
  byte_string packed = gzip_stored(much);
  packed.resize(500'000);  // further unpacking would find the end missing
  CHECK(
      refusal(packed, 3) ==
      "header states 2x2x3 = 12 bytes of data, found more; header and data do not belong together");
}

TEST_CASE("damaged gzip data is refused", "[data]") {
  CHECK_THAT(refusal({0x1f, 0x8b, 'g', 'a', 'r', 'b', 'a', 'g', 'e'}, 3),
             starts_with("damaged gzip data ("));
  byte_string bytes = images_gz;
  bytes[20] ^= 0xff;
  CHECK_THAT(refusal(bytes, 3), !starts_with("(no"));
  for (std::size_t length = 2; length < images_gz.size(); ++length) {
    CAPTURE(length);
    CHECK(refusal(first_bytes(images_gz, length), 3) ==
          "gzip data ends early; the file is truncated");
  }
  bytes = images_gz;
  bytes.push_back(0);
  CHECK(refusal(bytes, 3) == "garbage after the end of the gzip data");
  bytes = images_gz;
  bytes[bytes.size() - 6] ^= 1;
  CHECK(refusal(bytes, 3) == "damaged gzip data (incorrect data check)");
}

TEST_CASE("a set like MNIST is read and scaled by its training images", "[data]") {
  const small_mnist set;
  const data::split digits = data::mnist(set.path);
  CHECK(digits.train.size() == 3);
  CHECK(digits.test.size() == 2);
  CHECK(digits.train.classes == 10);
  CHECK(digits.train.sample_shape() == shape(1, 28, 28));
  CHECK(digits.train.label(2) == 9);
  CHECK(digits.test.label(1) == 2);
  CHECK(digits.train.bytes(1)[300] == (1 + 300) % 256);
  double sum = 0, squares = 0;
  for (int image = 0; image < 3; ++image) {
    for (int i = 0; i < 784; ++i) {
      const double byte = (image + i) % 256;
      sum += byte;
      squares += byte * byte;
    }
  }
  const double mean = sum / 2352;
  const double deviation = std::sqrt(squares / 2352 - mean * mean);
  CHECK(digits.train.meaning().mean == Approx(mean).epsilon(1e-14));
  CHECK(digits.train.meaning().deviation == Approx(deviation).epsilon(1e-12));
  CHECK(digits.test.meaning() == digits.train.meaning());
  std::vector<float> values(784);
  digits.test.read(1, values.data());
  CHECK(values[783] == Approx(((1 + 783) % 256 - mean) / deviation).epsilon(1e-6));
}

TEST_CASE("names with a dot and packed files are found, images of any size are taken", "[data]") {
  const small_mnist set;
  for (const std::string part : {"train", "t10k"}) {
    set.remove(part + "-images-idx3-ubyte");
    set.remove(part + "-labels-idx1-ubyte");
  }
  set.put("train-images.idx3-ubyte", idx_images(2, 5, 7));
  set.put("train-labels-idx1-ubyte.gz", gzip_stored(idx_labels({3, 3})));
  set.put("t10k-images.idx3-ubyte.gz", gzip_stored(idx_images(1, 5, 7)));
  set.put("t10k-labels.idx1-ubyte", gzip_stored(idx_labels({8})));
  const data::split digits = data::mnist(set.path);
  CHECK(digits.train.sample_shape() == shape(1, 5, 7));
  CHECK(digits.train.size() == 2);
  CHECK(digits.test.label(0) == 8);
}

TEST_CASE("a missing folder or file is named with what was looked for", "[data]") {
  const small_mnist set;
  const std::string nowhere = set.folder.file("nowhere");
  CHECK(error_of([&] { data::mnist(nowhere); }) ==
        nowhere + ": no such folder, expected the four files of MNIST in it");
  CHECK(error_of([&] { data::mnist(set.name("train-images-idx3-ubyte")); }) ==
        set.name("train-images-idx3-ubyte") +
            ": no such folder, expected the four files of MNIST in it");
  set.remove("t10k-labels-idx1-ubyte");
  CHECK(set.refused() == set.path +
                             ": t10k-labels not found (looked for t10k-labels-idx1-ubyte, "
                             "t10k-labels-idx1-ubyte.gz, t10k-labels.idx1-ubyte, "
                             "t10k-labels.idx1-ubyte.gz)");
}

TEST_CASE("counts of images and labels that do not agree are refused", "[data]") {
  const small_mnist set;
  set.put("train-labels-idx1-ubyte", idx_labels({4, 0}));
  CHECK(set.refused() == set.name("train-labels-idx1-ubyte") +
                             ": has 2 labels, expected one for each of the 3 images of "
                             "train-images-idx3-ubyte");
}

TEST_CASE("a label over 9 is refused", "[data]") {
  const small_mnist set;
  set.put("t10k-labels-idx1-ubyte", idx_labels({9, 10}));
  CHECK(set.refused() ==
        set.name("t10k-labels-idx1-ubyte") + ": expected labels of 0 to 9, found 10 at index 1");
}

TEST_CASE("a set without images is refused", "[data]") {
  const small_mnist set;
  set.put("t10k-images-idx3-ubyte", idx_images(0, 28, 28));
  set.put("t10k-labels-idx1-ubyte", idx_labels({}));
  CHECK(set.refused() == set.name("t10k-images-idx3-ubyte") + ": holds no images (0x28x28)");
  set.put("t10k-images-idx3-ubyte", idx_images(2, 0, 28));
  set.put("t10k-labels-idx1-ubyte", idx_labels({1, 2}));
  CHECK(set.refused() == set.name("t10k-images-idx3-ubyte") + ": holds no images (2x0x28)");
}

TEST_CASE("test images of another size are refused", "[data]") {
  const small_mnist set;
  set.put("t10k-images-idx3-ubyte", idx_images(2, 28, 27));
  CHECK(set.refused() == set.path + ": training images are 28x28, test images 28x27");
}

TEST_CASE("labels and images in each other's place are refused", "[data]") {
  const small_mnist set;
  set.put("train-labels-idx1-ubyte", idx_images(3, 28, 28));
  CHECK(set.refused() ==
        set.name("train-labels-idx1-ubyte") +
            ": wrong magic number, expected 0x00000801 (idx, unsigned bytes, rank 1), "
            "found 0x00000803");
}

TEST_CASE("MNIST itself is read", "[data]") {
  const char* root = std::getenv("TESSERA_DATA");
  if (!root || !std::filesystem::is_directory(std::filesystem::path(root) / "mnist")) {
    WARN("skipped: set TESSERA_DATA to a folder that holds mnist/ to read MNIST itself");
    return;
  }
  const data::split digits = data::mnist(std::filesystem::path(root) / "mnist");
  CHECK(digits.train.size() == 60000);
  CHECK(digits.test.size() == 10000);
  CHECK(digits.train.sample_shape() == shape(1, 28, 28));
  std::vector<i32> first_train, first_test;
  for (i64 i = 0; i < 5; ++i) {
    first_train.push_back(digits.train.label(i));
    first_test.push_back(digits.test.label(i));
  }
  CHECK(first_train == std::vector<i32>{5, 0, 4, 1, 9});
  CHECK(first_test == std::vector<i32>{7, 2, 1, 0, 4});
  // As published everywhere for pixels of 0 to 1: mean 0.1307, deviation 0.3081.
  CHECK(std::abs(digits.train.meaning().mean / 255 - 0.1307) < 0.00005);
  CHECK(std::abs(digits.train.meaning().deviation / 255 - 0.3081) < 0.00005);
}
