// Tells from a row of a census whether somebody earns more than 50,000 dollars a year.
//
// You see a line per epoch, the confusion table over the test rows, and one line of results. With
// --data DIR (adult-train.csv and adult-test.csv of UCI's Adult) it trains on those, otherwise on a
// census that it makes up.
//
//   adult_embeddings --data DIR --epochs 12           85.0 % or better (ridge regression 84.3 %)
//   adult_embeddings --data DIR --hold-out 5000       to choose settings by
//
//   8 columns of categories -> a learned vector for each category -+
//                                                                  +-> 44 features -> 64 -> 32 -> 2
//   5 columns of numbers, standardized ----------------------------+
//
// Categories, means and deviations are those of the training rows; a category that only test rows
// have is all zeros. A missing value ("?") is a category of its own.
// Source: Guo, Berkhahn 2016, Entity Embeddings of Categorical Variables.

#include <tessera/data.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "support/options.hpp"
#include "support/picture.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 300_KiB

/// How many categories each column may have, in the order of the columns.
constexpr std::array<ts::i32, 8> known_categories{9, 16, 7, 15, 6, 5, 2, 42};

template <ts::i32 Column, ts::i32 Width>
using categories = ts::embedding<known_categories[Column], Width>;

using earner = ts::network<
    ts::inputs<ts::codes<8>, ts::input<5>>,
    ts::parallel<
        ts::by_column<
            ts::named<"workclass", categories<0, 4>>, ts::named<"education", categories<1, 6>>,
            ts::named<"marital_status", categories<2, 4>>,
            ts::named<"occupation", categories<3, 8>>, ts::named<"relationship", categories<4, 4>>,
            ts::named<"race", categories<5, 3>>, ts::named<"sex", categories<6, 2>>,
            ts::named<"country", categories<7, 8>>>,
        ts::chain<>>,
    ts::join_concat,  //
    ts::dense<64>, ts::relu, ts::dropout<20>, ts::dense<32>, ts::relu, ts::dense<2>>;

template <class Precision>
using job = ts::training<earner, ts::softmax_cross_entropy, ts::adam, ts::batch<64>, Precision>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;

static_assert(job<ts::fp32>::memory.total_bytes < 300_KiB);
static_assert(ts::fits<job<mixed>, ts::accelerator::ipu_mk1>);

/// The accuracy of always saying what most rows are.
double majority(const ts::data::table_samples& rows) {
  ts::i64 ones = 0;
  for (ts::i64 i = 0; i < rows.size(); ++i) ones += rows.label(i);
  return static_cast<double>(std::max(ones, rows.size() - ones)) / static_cast<double>(rows.size());
}

template <class Job, class Backend>
void run(const ts::data::table_split& census, const std::string& picture,
         const examples::options& o) {
  const auto trainer =
      std::make_unique<ts::trainer<Job, Backend>>(ts::seed{o.seed}, ts::threads{o.threads});
  examples::say_size<Job>();
  examples::show_network<Job>(picture);
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  examples::figures f;
  if (o.epochs > 0) {
    f = examples::train(*trainer, census.train, o, ts::cosine_rate(2e-3, 0, 200),
                        examples::accuracy_table(*trainer, census.test));
  }
  const ts::metrics test = trainer->evaluate(census.test);
  ts::report(std::cout, test);
  if (!o.save.empty()) ts::save(o.save, trainer->weights());
  const double most = majority(census.test);
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<Job>("adult_embeddings", o, f);
    j["test_loss"] = test.loss;
    j["test_accuracy"] = test.accuracy;
    j["majority_accuracy"] = most;
    examples::add_price<Job>(j, o);
    ts::io::write_json(o.report, j);
  }
  std::printf("the larger class: %.2f %%\n", 100 * most);
  examples::say_results<Job>("adult_embeddings", o, f, examples::spell_accuracy(test));
}

/// The rows, with all categories known to the network.
ts::data::table_split read(const std::string& folder, ts::i64 samples) {
  ts::data::table_split census =
      folder.empty() ? ts::data::made_adult(std::clamp<ts::i64>(samples, 200, 20000),
                                            std::min<ts::i64>(5000, samples), 1)
                     : ts::data::adult(folder);
  for (ts::i32 c = 0; c < 8; ++c) {
    const auto found = census.encoding.categories(c).size();
    const auto known = static_cast<std::size_t>(known_categories[static_cast<std::size_t>(c)]);
    if (found <= known) continue;
    throw ts::error(folder + ": expected at most " + std::to_string(known) +
                    " categories in column of categories " + std::to_string(c + 1) + ", got " +
                    std::to_string(found));
  }
  if (census.encoding.labels().size() != 2) {
    throw ts::error(folder + ": expected 2 different labels, got " +
                    std::to_string(census.encoding.labels().size()));
  }
  census.train = census.train.subset(0, std::min(samples, census.train.size()));
  census.test = census.test.subset(0, std::min(samples, census.test.size()));
  return census;
}

int main(int argc, char** argv) {
  return examples::run("adult_embeddings", [&] {
    examples::options o;
    o.epochs = 12;
    ts::i64 hold_out = 0;
    std::string picture;
    ts::i64 samples = examples::all_samples;
    o = examples::parse(argc, argv, o, "tabular",
                        {examples::samples_option(samples),
                         examples::picture_option(picture),
                         {"--hold-out", "N", "judge by the last N training rows instead",
                          [&](const std::string& value) {
                            hold_out = examples::parse_number<ts::i64>("--hold-out", value, 0);
                          }}});
    examples::check_job(o, {"fp32", "fp16"}, {"fp16"});
    ts::data::table_split census = read(o.data, samples);
    if (hold_out > 0) {
      const ts::i64 count = census.train.size();
      if (hold_out >= count) {
        throw ts::error("--hold-out: expected less than the " + std::to_string(count) +
                        " training rows, got " + std::to_string(hold_out));
      }
      census.test = census.train.subset(count - hold_out, count);
      census.train = census.train.subset(0, count - hold_out);
    }
    examples::say_data(o, "a made census", "Adult", census.train.size(), census.test.size());
    if (o.backend == "model") {
      run<job<mixed>, ts::on<ts::accelerator::ipu_mk1>>(census, picture, o);
    } else if (o.precision == "fp16") {
      run<job<mixed>, ts::host_backend>(census, picture, o);
    } else {
      run<job<ts::fp32>, ts::host_backend>(census, picture, o);
    }
  });
}
