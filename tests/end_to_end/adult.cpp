// Whole trainings on tables: on a made census in a moment, on Adult in seconds, as
// examples/adult_embeddings.cpp does.

#include <tessera/data.hpp>
#include <tessera/tessera.hpp>

#include <support/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace ts = tessera;

namespace {

template <int Rows, int Width>
using table = ts::embedding<Rows, Width>;

using earner =
    ts::network<ts::inputs<ts::codes<8>, ts::input<5>>,
                ts::parallel<ts::by_column<table<9, 4>, table<16, 6>, table<7, 4>, table<15, 8>,
                                           table<6, 4>, table<5, 3>, table<2, 2>, table<42, 8>>,
                             ts::chain<>>,
                ts::join_concat, ts::dense<64>, ts::relu, ts::dropout<20>, ts::dense<32>, ts::relu,
                ts::dense<2>>;

using job = ts::training<earner, ts::softmax_cross_entropy, ts::adam, ts::batch<64>, ts::fp32>;

double train(const ts::data::table_split& census, ts::i32 epochs, ts::u64 seed) {
  ts::trainer<job> t{ts::seed{seed}};
  t.fit(census.train, {.epochs = epochs, .learning_rate = ts::cosine_rate(2e-3, 0, 200)});
  return t.evaluate(census.test).accuracy;
}

}  // namespace

TEST_CASE("a made census teaches far more than which income is the more frequent one",
          "[end_to_end]") {
  const ts::data::table_split census = ts::data::made_adult(10'000, 2'000, 1);
  const double accuracy = train(census, 3, 1);
  CAPTURE(accuracy);
  CHECK(accuracy > 0.90);  // 0.83 have the smaller income
}

TEST_CASE("twelve epochs of Adult reach 85 %", "[end_to_end][slow]") {
  const char* const data = std::getenv("TESSERA_DATA");
  const std::string folder = std::string(data != nullptr ? data : "") + "/tabular";
  if (data == nullptr || !std::filesystem::is_directory(folder)) {
    WARN("skipped: TESSERA_DATA names no folder with tabular in it");
    return;
  }
  const ts::data::table_split adult = ts::data::adult(folder);
  for (const ts::u64 seed : {1, 2, 3}) {
    const double accuracy = train(adult, 12, seed);
    CAPTURE(seed, accuracy);
    CHECK(accuracy >= 0.85);  // ridge regression 0.843, the larger class 0.764
  }
}
