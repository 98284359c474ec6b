// The price of single operations beside what poplibs published, and how its rows are read.

#include "../../examples/support/poplibs_rows.hpp"
#include "../../examples/support/ranks.hpp"

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <tessera/io/file.hpp>
#include <tessera/machine/presets.hpp>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

std::vector<examples::benchmark_row> read(const std::string& text) {
  return examples::read_benchmark_rows(text, "t.csv");
}

std::vector<examples::benchmark_row> published() {
  std::ifstream file(std::string(TESSERA_TEST_DATA) + "/accelerator/poplibs_ipumodel_open.csv");
  return read({std::istreambuf_iterator<char>(file), {}});
}

struct figures {
  std::vector<double> predicted, published;

  std::size_t size() const { return predicted.size(); }
  double correlation() const { return examples::rank_correlation(predicted, published); }
  double geometric_mean() const {
    double sum = 0;
    for (std::size_t i = 0; i < size(); ++i) sum += std::log(predicted[i] / published[i]);
    return std::exp(sum / static_cast<double>(size()));
  }
  double within(double least, double most) const {
    double count = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      const double ratio = predicted[i] / published[i];
      count += ratio >= least && ratio <= most ? 1 : 0;
    }
    return count / static_cast<double>(size());
  }
};

template <class Wanted>
figures compare(const std::vector<examples::benchmark_row>& rows, i32 which, Wanted wanted) {
  const machine& m = which == 0 ? accelerator::ipu_mk1 : accelerator::ipu_mk2;
  figures f;
  for (const examples::benchmark_row& row : rows) {
    if (row.operations.empty() || !wanted(row)) continue;
    f.predicted.push_back(examples::predicted_cycles(row, m));
    f.published.push_back(row.published[which]);
  }
  return f;
}

std::string row_of(const std::string& kind, const std::string& params) {
  return "name,kind,params,mk1_cycles,mk2_cycles\nr," + kind + ",\"" + params + "\",10,20\n";
}

conv_sizes conv_of_row(const std::string& params) {
  return conv_sizes::of(read(row_of("conv", params))[0].operations[0].s);
}

}  // namespace

TEST_CASE("prices agree with the cycles that poplibs published", "[examples]") {
  const auto rows = published();
  REQUIRE(rows.size() == 167);
  for (const i32 which : {0, 1}) {
    CAPTURE(which);
    const figures products = compare(rows, which, [](const auto& r) { return r.kind == "gemm"; });
    REQUIRE(products.size() == 21);
    CHECK(products.correlation() >= 0.99);
    CHECK(products.geometric_mean() > 0.9);
    CHECK(products.geometric_mean() < 1.2);

    const figures plain = compare(rows, which, [&](const examples::benchmark_row& r) {
      if (r.published[which] < 23000) return false;
      if (r.kind == "fc") return true;
      const conv_sizes n = conv_sizes::of(r.operations[0].s);
      return r.kind == "conv" && n.kernel_height * n.kernel_width == 1;
    });
    REQUIRE(plain.size() > 40);
    CHECK(plain.within(0.85, 1.22) >= 0.9);

    const figures windows = compare(rows, which, [](const examples::benchmark_row& r) {
      const conv_sizes n = conv_sizes::of(r.operations[0].s);
      return r.kind == "conv" && n.kernel_height * n.kernel_width > 1 && n.groups == 1;
    });
    CHECK(windows.correlation() >= 0.95);
    CHECK(windows.geometric_mean() > 0.85);
    CHECK(windows.geometric_mean() < 1.15);

    const figures all = compare(rows, which, [](const auto&) { return true; });
    REQUIRE(all.size() > 130);
    CHECK(all.correlation() >= 0.97);
  }
}

TEST_CASE("options of a benchmark are read with poplibs' defaults", "[examples]") {
  const conv_sizes n = conv_of_row(
      "--field {35,17} --kernel-size {7,1} --padding {3,0} "
      "--input-channels 6 --output-channels=4 --conv-groups 2");
  CHECK(n.batch == 1);
  CHECK(n.in_channels == 12);
  CHECK(n.out_channels == 8);
  CHECK(n.groups == 2);
  CHECK(n.out_height == 35);
  CHECK(n.out_width == 17);
  CHECK(n.pad_top == 3);
  CHECK(n.pad_left == 0);
  const conv_sizes lower = conv_of_row(
      "--field {224,224} --kernel-size 3 --padding-lower 1 "
      "--stride 2 --input-channels 4 --output-channels 32");
  CHECK(lower.out_height == 112);
  CHECK(lower.pad_top == 1);
  CHECK(conv_of_row("--field {8,8} --kernel-size 3 --kernel-dilation 2 --padding 2 "
                    "--input-channels 1 --output-channels 1")
            .out_width == 8);

  // fwd with bias, bwd, wu with the updates of weights and bias.
  CHECK(read(row_of("fc", "--input-size 3 --output-size 5"))[0].operations.size() == 7);
  CHECK(read(row_of("fc", "--input-size 3 --output-size 5 --single-phase fwd"))[0]
            .operations.size() == 2);
  const auto gemm = read(row_of("gemm", "--m 2 --k 3 --n 4 --data-type float"))[0];
  REQUIRE(gemm.operations.size() == 2);
  CHECK(gemm.operations[0].s.input_type(1) == element::f32);
  CHECK(gemm.published[0] == 10);
  CHECK(gemm.published[1] == 20);
  const auto sum = read(row_of("reduction", "--shape=4,12,8 --dims=0,2 --type=half"))[0];
  CHECK(axes_sizes::of(sum.operations[0].s).count_of(0) == 12);
  CHECK(axes_sizes::of(sum.operations[0].s).count() == 384);
  const auto lstm = read(row_of("lstm", "--sequence-size 25 --input-size=8 --output-size=16"))[0];
  CHECK(lstm.operations[0].runs == 25);
  CHECK(read(row_of("cholesky", "--anything ${b}"))[0].operations.empty());
}

TEST_CASE("a wrong table of benchmarks is refused in one line", "[examples]") {
  const auto error = [](const std::string& text) { return error_of([&] { read(text); }); };
  CHECK(error("") == "t.csv: expected a table with a head row, got nothing");
  CHECK(error("name,kind,params\n") == "t.csv: expected a column \"mk1_cycles\"");
  CHECK(error("name,kind\na\n") == "t.csv: row 1 has 1 cells, the head has 2");
  CHECK(error("name,\"kind\n") == "t.csv: a quotation mark that is never closed");
  CHECK(error(row_of("gemm", "--m 2 --k 3")) == "t.csv: r: --n: expected a number of at least 1");
  CHECK(error(row_of("gemm", "--m 2 --k 3 --n x")) ==
        "t.csv: r: --n: expected whole numbers from 0 on, got \"x\"");
  CHECK(error(row_of("gemm", "2 --k 3")) == "t.csv: r: params: expected options, got \"2\"");
  CHECK(error(row_of("conv",
                     "--field {4,4} --kernel-size 5 --input-channels 1 "
                     "--output-channels 1")) ==
        "t.csv: r: params: a window that does not fit the field's height");
  CHECK(error(row_of("fc", "--input-size 3 --output-size 5 --data-type int")) ==
        "t.csv: r: --data-type: expected half or float, got \"int\"");
  CHECK(error("name,kind,params,mk1_cycles,mk2_cycles\nr,gemm,--m 1 --k 1 --n 1,-3,1\n") ==
        "t.csv: r: cycles: expected a number above 0, got \"-3\"");
}
