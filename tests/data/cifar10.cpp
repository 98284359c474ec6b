#include <tessera/data/cifar10.hpp>

#include <support/catch.hpp>
#include <support/data_sets.hpp>
#include <support/idx_files.hpp>  // write_bytes, gzip_stored, error_of
#include <support/paths.hpp>

#include <filesystem>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

// Records with these labels; byte i of record k is (first + k + i) mod 251.
byte_string records(const std::vector<u8>& labels, std::size_t first = 0) {
  byte_string bytes;
  for (std::size_t k = 0; k < labels.size(); ++k) {
    bytes.push_back(labels[k]);
    for (std::size_t i = 0; i < 3072; ++i) bytes.push_back(static_cast<u8>((first + k + i) % 251));
  }
  return bytes;
}

std::string refused(const scratch_folder& folder) {
  return error_of([&] { data::cifar10(std::filesystem::path(folder.file("x")).parent_path()); });
}

std::filesystem::path path_of(const scratch_folder& folder) {
  return std::filesystem::path(folder.file("x")).parent_path();
}

}  // namespace

TEST_CASE("CIFAR-10 is read from as many files as there are, plain or packed", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("data_batch_2.bin"), gzip_stored(records({7, 9}, 30)));
  write_bytes(folder.file("data_batch_1.bin.gz"), gzip_stored(records({6, 0, 1})));
  write_bytes(folder.file("test_batch_first2.bin"), records({3, 8}, 100));
  write_bytes(folder.file("batches.meta.txt"), {1, 2, 3});
  const data::split set = data::cifar10(path_of(folder));
  REQUIRE(set.train.size() == 5);
  REQUIRE(set.test.size() == 2);
  CHECK(set.train.classes == 10);
  CHECK(set.train.sample_shape() == shape(3, 32, 32));
  const i32 expected[]{6, 0, 1, 7, 9};
  for (i64 i = 0; i < 5; ++i) CHECK(set.train.label(i) == expected[i]);
  CHECK(set.test.label(1) == 8);
  CHECK(set.train.bytes(1)[0] == 1);
  CHECK(set.train.bytes(3)[3071] == (30 + 3071) % 251);
  std::vector<float> values(3072);
  set.test.read(0, values.data());
  CHECK(values[0] == static_cast<float>(100 / 255.0));
}

TEST_CASE("a file beside its packed form is read once", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("data_batch_1.bin"), records({1, 2}));
  write_bytes(folder.file("data_batch_1.bin.gz"), gzip_stored(records({1, 2})));
  write_bytes(folder.file("test_batch.bin.gz"), gzip_stored(records({4})));
  CHECK(data::cifar10(path_of(folder)).train.size() == 2);
}

TEST_CASE("the archive's own folder is found in the folder", "[data]") {
  const scratch_folder folder;
  std::filesystem::create_directory(folder.file("cifar-10-batches-bin"));
  write_bytes(folder.file("cifar-10-batches-bin/data_batch_1.bin"), records({1, 2}));
  write_bytes(folder.file("cifar-10-batches-bin/test_batch.bin"), records({4}));
  CHECK(data::cifar10(path_of(folder)).train.size() == 2);
}

TEST_CASE("files of CIFAR-10 under any names are read in their order", "[data]") {
  const scratch_folder folder;
  write_bytes(folder.file("b"), records({1, 2}));
  write_bytes(folder.file("a"), gzip_stored(records({4})));
  const std::vector<std::filesystem::path> files{folder.file("b"), folder.file("a")};
  const data::dataset set = data::cifar10_files(files);
  REQUIRE(set.size() == 3);
  CHECK(set.label(2) == 4);
  CHECK(error_of([] { data::cifar10_files({}); }) ==
        "cifar10_files: expected at least one file, got none");
}

TEST_CASE("what is wrong with a file of CIFAR-10 is said in one line", "[data]") {
  const scratch_folder folder;
  const std::string name = folder.file("data_batch_1.bin");
  CHECK(error_of([&] { data::cifar10(folder.file("nowhere")); }) ==
        folder.file("nowhere") + ": no such folder, expected CIFAR-10's binary files in it");
  CHECK(refused(folder) ==
        path_of(folder).string() + ": no file data_batch*.bin or data_batch*.bin.gz in it");
  write_bytes(name, records({1}));
  CHECK(refused(folder) ==
        path_of(folder).string() + ": no file test_batch*.bin or test_batch*.bin.gz in it");
  write_bytes(folder.file("test_batch.bin"), records({1}));
  CHECK(refused(folder) == "(no error)");

  byte_string bytes = records({1, 2, 3});
  bytes.resize(bytes.size() - 1);
  write_bytes(name, bytes);
  const std::string truncated =
      name +
      ": ends within record 2, expected 3073 bytes, found 3072; the file is truncated or holds "
      "something else";
  CHECK(refused(folder) == truncated);
  write_bytes(name, gzip_stored(bytes));
  CHECK(refused(folder) == truncated);
  bytes = gzip_stored(records({1, 2, 3}));
  bytes.resize(bytes.size() / 2);
  write_bytes(name, bytes);
  CHECK(refused(folder) == name + ": gzip data ends early; the file is truncated");
  write_bytes(name, {});
  CHECK(refused(folder) == name + ": is empty, expected records of 3073 bytes");
  write_bytes(name, records({9, 10}));
  CHECK(refused(folder) == name + ": expected labels of 0 to 9, found 10 in record 1");
}

TEST_CASE("CIFAR-10 itself is read", "[data]") {
  const auto folder = data_set("cifar-10");
  if (folder.empty()) return;
  const data::split set = data::cifar10(folder);
  REQUIRE(set.train.size() >= 10'000);
  REQUIRE(set.test.size() >= 1'000);
  // As counted in data_batch_1 alone; its first pictures are a frog and a truck.
  const data::dataset first = set.train.subset(0, 10'000);
  std::vector<i32> count(10);
  for (i64 i = 0; i < first.size(); ++i) ++count[static_cast<std::size_t>(first.label(i))];
  CHECK(count == std::vector<i32>{1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981});
  CHECK(data::cifar10_names[static_cast<std::size_t>(first.label(0))] == "frog");
  CHECK(data::cifar10_names[static_cast<std::size_t>(first.label(1))] == "truck");
  CHECK(first.bytes(0)[0] == 59);
  CHECK(first.bytes(0)[1] == 43);
  CHECK(first.bytes(0)[1024] == 62);
  CHECK(first.bytes(0)[2048] == 63);
  // The test set begins: cat, ship, ship, airplane, frog.
  const i32 expected[]{3, 8, 8, 0, 6};
  for (i64 i = 0; i < 5; ++i) CHECK(set.test.label(i) == expected[i]);
}
