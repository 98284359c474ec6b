// Runs every golden case whose operation exists, and prints how many that are.
//
// Operations are looked up by the name a case gives; nothing here knows a case or a shape.

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <catalogue/goldens/checks.hpp>

#include <cstdio>

namespace {

using namespace tessera;
using namespace tessera::testing;

/// How the cases of one operation fared.
struct tally {
  i32 run = 0;
  i32 passed = 0;
  i32 skipped = 0;
  std::string reason;  // of the first that was skipped, wholly or in part
};

void print(const std::map<std::string, tally>& by_operation) {
  tally sum;
  std::printf("%-34s %5s %7s %8s\n", "golden cases of", "run", "passed", "skipped");
  const auto row = [](const std::string& name, const tally& t) {
    std::printf("%-34s %5d %7d %8d  %s\n", name.c_str(), t.run, t.passed, t.skipped,
                t.reason.c_str());
  };
  for (const auto& [name, t] : by_operation) {
    row(name, t);
    sum.run += t.run;
    sum.passed += t.passed;
    sum.skipped += t.skipped;
  }
  row("all operations", sum);
}

TEST_CASE("every golden case whose operation exists agrees", "[goldens]") {
  const golden_folder folder(goldens_folder());
  std::map<std::string, tally> by_operation;
  for (const golden_case& c : folder.cases()) {
    tally& t = by_operation[c.op()];
    const auto known = golden_operations().find(c.op());
    if (known == golden_operations().end()) {
      ++t.skipped;
      t.reason = "the operation does not exist yet";
      continue;
    }
    findings f(c);
    try {
      known->second.check(c, f);
    } catch (const not_there_yet& why) {
      ++t.skipped;
      if (t.reason.empty()) t.reason = why.what();
      continue;
    } catch (const std::exception& wrong) {  // unknown attributes, missing tensors, bad graphs
      f.note(wrong.what());
    }
    ++t.run;
    if (t.reason.empty()) t.reason = f.left_out();
    if (f.wrong().empty()) ++t.passed;
    for (const std::string& wrong : f.wrong()) FAIL_CHECK(wrong);
  }
  print(by_operation);
  for (const auto& [name, operation] :
       golden_operations()) {  // a folder without cases must not pass
    if (by_operation.count(name) == 0) WARN("no golden case of " << name);
  }
  CHECK(!by_operation.empty());
}

TEST_CASE("gradients of golden cases agree with central differences", "[gradients]") {
  const i32 count =
      each_operation_case(golden_folder(own_goldens_folder()),
                          [](const catalogue_case& c) { check_gradients_of(c, true); });
  std::printf("gradients of %d golden cases checked by differences\n", count);
  CHECK(count > 0);
}

TEST_CASE("golden cases agree on all backends, in both layouts, in f32 and f16", "[agreement]") {
  const i32 count = each_operation_case(golden_folder(own_goldens_folder()), check_agreement_of);
  std::printf("backends compared on %d golden cases\n", count);
  CHECK(count > 0);
}

TEST_CASE("golden comparison: tolerance, exactness, infinities, NaN, equal share", "[goldens]") {
  const io::json loose{{"rtol", 0.1}, {"atol", 1.0}};
  const double nan = std::nan("");
  CHECK(disagreement(loose, {10, -10}, {12, -12}).empty());
  CHECK_FALSE(disagreement(loose, {10}, {12.01}).empty());
  CHECK(disagreement(loose, {nan, INFINITY}, {nan, INFINITY}).empty());
  CHECK_FALSE(disagreement(loose, {nan}, {1}).empty());
  CHECK_FALSE(disagreement(loose, {1}, {nan}).empty());
  CHECK_FALSE(disagreement(loose, {INFINITY}, {-INFINITY}).empty());
  CHECK_FALSE(disagreement(loose, {1}, {1, 1}).empty());
  const io::json exact{{"exact", true}};
  CHECK(disagreement(exact, {1, nan}, {1, nan}).empty());
  CHECK_FALSE(disagreement(exact, {1}, {std::nextafter(1.0, 2.0)}).empty());
  const io::json mostly{{"rtol", 0.1}, {"atol", 1.0}, {"min_equal_fraction", 0.5}};
  CHECK(disagreement(mostly, {1, 2}, {1, 2.1}).empty());
  CHECK_FALSE(disagreement(mostly, {1, 2}, {1.1, 2.1}).empty());
}

TEST_CASE("an attribute nobody asks for, or an unknown word, is an error", "[goldens]") {
  const io::json attrs{{"stride", {1, 2}}, {"reduction", "median"}};
  attribute_reader a(attrs);
  i32 stride[2];
  a.pair("stride", stride);
  CHECK(stride[1] == 2);
  CHECK_THROWS_AS(a.all_must_be_asked(), error);
  const std::map<std::string, i32> words{{"mean", 1}};
  CHECK_THROWS_AS(a.choice("reduction", words), error);
  a.all_must_be_asked();
}

}  // namespace
