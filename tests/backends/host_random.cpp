#include <tessera/backends/host/random.hpp>

#include <support/catch.hpp>

#include <vector>

namespace {

using namespace tessera;

TEST_CASE("Uniform numbers in bulk are those one after another", "[host]") {
  attributes attr;
  attr.salt = 0x7fffffff;
  for (const u64 step : {u64{0}, u64{5}, u64{0xfffffffe}}) {
    step_values values{.seed = 0xfedcba9876543210, .step = step};
    call c{nullptr, nullptr, nullptr, &attr, &values, 0, 3};
    ops::dropout_words words(c);
    for (const u64 offset : {u64{0}, u64{0xfffffff0}, u64{0xfffffffd}}) {  // the low half overflows
      words.first = (step << 32) + offset;
      for (const i64 first : {i64{0}, i64{4}, i64{64}, i64{4000}}) {
        for (const i32 count : {1, 31, 64}) {
          std::vector<float> got(64);
          host::fill_uniform(words, first, count, got.data());
          i32 wrong = 0;
          for (i32 i = 0; i < count; ++i) {
            const float want = uniform(words((first + i) / 4)[i % 4]);
            wrong += got[static_cast<std::size_t>(i)] == want ? 0 : 1;
          }
          CHECK(wrong == 0);
        }
      }
    }
  }
}

}  // namespace
