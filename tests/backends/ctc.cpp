// CTC against all ways written down, what cannot be aligned and what makes no sense, on every
// backend and in both layouts.

#include <tessera/backends/accelerator.hpp>
#include <tessera/backends/host.hpp>
#include <tessera/backends/reference.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/runtime/ctc_decode.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/kernel_finders.hpp>

#include <cmath>
#include <random>

namespace {

using namespace tessera;
using namespace tessera::testing;

struct ctc_case {
  i32 time, batch, classes, labels;
  std::vector<double> logits;  // (time, batch, classes)
  std::vector<double> label;   // (batch, labels)
  std::vector<double> frames, counts;
  loss_attributes attr{.reduce = reduction::none};
  i32 valid = -1;
};

struct ctc_result {
  std::vector<double> loss;
  std::vector<double> gradient;
};

ctc_result run(const ctc_case& k, kernel_finder find, bool last, element type = element::f32) {
  graph g;
  const auto whole = [&](const shape& dims) {
    return add_tensor(g, dims, {.what = role::target, .type = element::int32, .batch_last = last});
  };
  const i32 z = add_tensor(g, shape(k.time, k.batch, k.classes),
                           {.batch_last = last, .differentiable = true});
  g.tensors[z].stack = 1;
  const i32 label = whole(shape(k.batch, k.labels));
  const i32 frames = whole(shape(k.batch));
  const i32 counts = whole(shape(k.batch));
  const i32 loss = ops::ctc(g, z, label, frames, counts, k.attr);
  const differentiated d = differentiate_from(g, {});
  passes::assign_precision(g, {.storage = type,
                               .master = type == element::f64 ? type : element::f32,
                               .loss = type == element::f64 ? type : element::f32,
                               .scaling = {}});
  interpreter net(std::move(g), find);
  net.write(z, k.logits);
  net.write(label, k.label);
  net.write(frames, k.frames);
  net.write(counts, k.counts);
  net.run({.valid = k.valid < 0 ? k.batch : k.valid, .threads = 2});
  return {net.read(loss), net.read(d.gradients[z])};
}

/// check(finder, samples innermost)
template <class Check>
void on_all(i32 batch, const Check& check) {
  struct named {
    const char* name;
    kernel_finder find;
  };
  for (const named& b :
       {named{"reference", &reference::find_kernel}, named{"host", &host::find_kernel<>},
        named{"model", &accelerator::find_kernel<accelerator::ipu_mk1>}}) {
    for (const bool last : {false, true}) {
      if (last && batch % 16 != 0) continue;
      INFO(b.name << (last ? ", samples innermost" : ""));
      check(b.find, last);
    }
  }
}

std::vector<double> random_logits(std::size_t count, u32 seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw(0, 1.5f);
  std::vector<double> z(count);
  for (double& one : z) one = static_cast<double>(draw(random));
  return z;
}

/// A sample of `classes` logits a frame, all batch the same.
ctc_case repeated(i32 time, i32 batch, i32 classes, i32 most, const std::vector<i32>& labels,
                  i32 frames) {
  ctc_case k{time, batch, classes, most, {}, {}, {}, {}};
  const auto one =
      random_logits(static_cast<std::size_t>(time) * static_cast<std::size_t>(classes), 3);
  for (i32 t = 0; t < time; ++t) {
    for (i32 n = 0; n < batch; ++n) {
      for (i32 c = 0; c < classes; ++c) {
        k.logits.push_back(one[static_cast<std::size_t>(t * classes + c)]);
      }
    }
  }
  for (i32 n = 0; n < batch; ++n) {
    for (i32 u = 0; u < most; ++u) {
      const auto at = static_cast<std::size_t>(u);
      k.label.push_back(at < labels.size() ? labels[at] : 777);  // behind the last: anything
    }
    k.frames.push_back(frames);
    k.counts.push_back(static_cast<double>(labels.size()));
  }
  return k;
}

/// -log of the sum over all ways of `frames` frames that read as `labels`.
double brute_force(const ctc_case& k, const std::vector<i32>& labels, i32 frames) {
  std::vector<i32> way(static_cast<std::size_t>(frames));
  double all = 0;
  for (;;) {
    double p = 1;
    for (i32 t = 0; t < frames; ++t) {
      double sum = 0;
      const auto logit = [&](i32 c) {
        return k.logits[static_cast<std::size_t>(t * k.batch * k.classes + c)];
      };
      for (i32 c = 0; c < k.classes; ++c) sum += std::exp(logit(c));
      p *= std::exp(logit(way[static_cast<std::size_t>(t)])) / sum;
    }
    if (ctc_collapse(way, k.attr.blank) == labels) all += p;
    std::size_t t = 0;
    while (t < way.size() && ++way[t] == k.classes) way[t++] = 0;
    if (t == way.size()) return -std::log(all);
  }
}

TEST_CASE("ctc is minus the logarithm of all ways together", "[backends]") {
  const std::vector<i32> all_labels[] = {{}, {1}, {2, 1}, {1, 1}, {1, 2, 1}, {2, 2, 2}};
  for (const i32 batch : {1, 16}) {
    for (const i32 frames : {1, 3, 5, 6}) {
      for (const std::vector<i32>& labels : all_labels) {
        const ctc_case k = repeated(6, batch, 3, 4, labels, frames);
        const double want = brute_force(k, labels, frames);
        INFO(frames << " frames, " << labels.size() << " labels");
        on_all(batch, [&](kernel_finder find, bool last) {
          const ctc_result got = run(k, find, last);
          for (const double loss : got.loss) {
            if (std::isinf(want)) CHECK(std::isinf(loss));
            if (!std::isinf(want)) CHECK(loss == Approx(want).epsilon(2e-6));
          }
          // Frames behind the last have no slope; nor has what cannot be aligned.
          for (std::size_t i = 0; i < got.gradient.size(); ++i) {
            const auto t = static_cast<i32>(i) / (batch * 3);
            if (t >= frames || std::isinf(want)) CHECK(got.gradient[i] == 0);
            CHECK(std::isfinite(got.gradient[i]));
          }
        });
      }
    }
  }
}

TEST_CASE("ctc reduces by the numbers of labels, over samples that count", "[backends]") {
  ctc_case k = repeated(6, 16, 3, 4, {1, 2, 1}, 6);
  for (std::size_t n = 0; n < 16; n += 2) k.counts[n] = 0;  // every other sample has none
  k.valid = 10;
  const double three = brute_force(k, {1, 2, 1}, 6);
  const double none = brute_force(k, {}, 6);
  const double wanted[] = {5 * none / 10 + 5 * three / 3 / 10, 5 * none + 5 * three,
                           (5 * none + 5 * three) / 10};
  const reduction kinds[] = {reduction::mean, reduction::sum, reduction::batch_mean};
  for (int i = 0; i < 3; ++i) {
    k.attr.reduce = kinds[i];
    on_all(16, [&](kernel_finder find, bool last) {
      const ctc_result got = run(k, find, last);
      CHECK(got.loss[0] == Approx(wanted[i]).epsilon(2e-6));
      for (std::size_t e = 0; e < got.gradient.size(); ++e) {
        if (e / 3 % 16 >= 10) CHECK(got.gradient[e] == 0);
      }
    });
  }
}

TEST_CASE("what cannot be aligned is infinite, or nothing, and teaches nothing", "[backends]") {
  for (const bool zero : {false, true}) {
    ctc_case k = repeated(4, 1, 3, 4, {1, 1, 2}, 3);  // needs 4: a blank between the ones
    k.attr.zero_infinity = zero;
    for (const reduction reduce : {reduction::none, reduction::mean}) {
      k.attr.reduce = reduce;
      on_all(1, [&](kernel_finder find, bool last) {
        const ctc_result got = run(k, find, last);
        CHECK(got.loss[0] == (zero ? 0 : INFINITY));
        for (const double g : got.gradient) CHECK(g == 0);
      });
    }
  }
  ctc_case nothing = repeated(4, 1, 3, 4, {}, 0);  // no frames, no labels: certain
  on_all(1, [&](kernel_finder find, bool last) { CHECK(run(nothing, find, last).loss[0] == 0); });
}

TEST_CASE("senseless labels, lengths and NaN make a sample's loss NaN", "[backends]") {
  const auto check = [](const ctc_case& k, bool all_frames) {
    on_all(16, [&](kernel_finder find, bool last) {
      const ctc_result got = run(k, find, last);
      CHECK(std::isnan(got.loss[3]));
      CHECK(std::isfinite(got.loss[2]));
      for (std::size_t e = 0; e < got.gradient.size(); ++e) {
        const std::size_t n = e / 3 % 16;
        if (n != 3) CHECK(std::isfinite(got.gradient[e]));
        if (n == 3 && (all_frames || e / 48 < 5)) CHECK(std::isnan(got.gradient[e]));
      }
    });
  };
  const ctc_case good = repeated(6, 16, 3, 4, {1, 2}, 5);
  for (const double label : {0.0, -1.0, 3.0}) {  // the blank, and two that are no class
    ctc_case k = good;
    k.label[3 * 4 + 1] = label;
    check(k, true);
  }
  for (const double frames : {-1.0, 7.0}) {
    ctc_case k = good;
    k.frames[3] = frames;
    check(k, true);
  }
  for (const double counts : {-1.0, 5.0}) {
    ctc_case k = good;
    k.counts[3] = counts;
    check(k, true);
  }
  ctc_case k = good;
  k.logits[static_cast<std::size_t>((2 * 16 + 3) * 3 + 1)] = NAN;
  check(k, false);
  k = good;  // NaN behind the frames is not read
  k.logits[static_cast<std::size_t>((5 * 16 + 3) * 3 + 1)] = NAN;
  on_all(16,
         [&](kernel_finder find, bool last) { CHECK(std::isfinite(run(k, find, last).loss[3])); });
}

TEST_CASE("f32 keeps its digits over hundreds of frames", "[backends]") {
  ctc_case k{500, 16, 29, 60, random_logits(500 * 16 * 29, 8), {}, {}, {}};
  std::mt19937 random(2);
  for (i32 n = 0; n < 16; ++n) {
    for (i32 u = 0; u < 60; ++u) k.label.push_back(1 + static_cast<double>(random() % 28));
    k.frames.push_back(500 - 3 * n);
    k.counts.push_back(60 - n);
  }
  const ctc_result want = run(k, &reference::find_kernel, false, element::f64);
  on_all(16, [&](kernel_finder find, bool last) {
    const ctc_result got = run(k, find, last);
    double worst_loss = 0;
    double worst = 0;
    for (std::size_t n = 0; n < 16; ++n) {
      worst_loss = std::max(worst_loss, std::abs(got.loss[n] / want.loss[n] - 1));
    }
    for (std::size_t e = 0; e < want.gradient.size(); ++e) {
      worst = std::max(worst, std::abs(got.gradient[e] - want.gradient[e]));
    }
    CHECK(worst_loss < 1e-6);  // of losses of about 1500
    // Logarithms of unlikely states are a few hundred, of which f32 keeps 2^-16.
    CHECK(worst < 1e-4);  // of slopes of up to 1
  });
}

TEST_CASE("more labels than a kernel keeps at hand are looked up", "[backends]") {
  ctc_case k{540, 1, 4, 520, random_logits(540 * 4, 8), {}, {540}, {515}};
  for (i32 u = 0; u < 520; ++u) k.label.push_back(1 + u % 3);
  const ctc_result want = run(k, &reference::find_kernel, false);
  const ctc_result got = run(k, &host::find_kernel<>, false);
  CHECK(got.loss[0] == Approx(want.loss[0]).epsilon(1e-6));
  for (std::size_t e = 0; e < want.gradient.size(); ++e) {
    CHECK(std::abs(got.gradient[e] - want.gradient[e]) < 1e-3);
  }
}

}  // namespace
