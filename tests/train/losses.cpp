// Losses as training meets them: constants of the user's, bundles, sums, sequences of labels.

#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>

#include <tessera/network.hpp>
#include <tessera/runtime/ctc_decode.hpp>
#include <tessera/runtime/edit_distance.hpp>
#include <tessera/runtime/predictor.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using namespace tessera;

/// Points of 3 classes around corners, with the class as label.
struct corners {
  i64 count = 60;
  i32 only = -1;  // one class alone
  i64 size() const { return count; }
  shape sample_shape() const { return shape(3); }
  i32 label(i64 index) const { return only >= 0 ? only : static_cast<i32>(index % 3); }
  void read(i64 index, float* out) const {
    random_stream random(5, static_cast<u64>(index));
    for (i32 i = 0; i < 3; ++i) {
      out[i] = (i == label(index) ? 1.0f : 0.0f) + 0.2f * random.next_normal();
    }
  }
};

using net = network<input<3>, dense<3>>;

struct weighted_classes : softmax_cross_entropy {
  static constexpr float class_weights[] = {1, 5, 0.5f};
};
struct summed : softmax_cross_entropy {
  static constexpr reduction reduce = reduction::sum;
};
struct smooth : softmax_cross_entropy {
  static constexpr float label_smoothing = 0.2f;
};

template <class Loss, class... Options>
using job = training<net, Loss, sgd, batch<16>, Options...>;

TEST_CASE("Class weights reach the kernels and divide the mean", "[train]") {
  trainer<job<softmax_cross_entropy>> plain{seed{2}};
  trainer<job<weighted_classes>> weighed{seed{2}};
  // Where all labels are of one class its weight cancels; where not, it does not.
  const double one = plain.evaluate(corners{32, 1}).loss;
  CHECK(weighed.evaluate(corners{32, 1}).loss == Approx(one).epsilon(1e-6));
  const double all = plain.evaluate(corners{48}).loss;
  CHECK(std::abs(weighed.evaluate(corners{48}).loss - all) > 1e-3);
  double sum = 0;  // 5 of 6.5 parts are class 1
  const double weights[] = {1, 5, 0.5};
  for (i32 c = 0; c < 3; ++c) sum += weights[c] * plain.evaluate(corners{1, c}).loss;
  // In mixed precision too: the weights stay f32.
  trainer<job<weighted_classes, mixed<fp16>>> narrow{seed{2}};
  CHECK(narrow.evaluate(corners{48}).loss ==
        Approx(weighed.evaluate(corners{48}).loss).epsilon(1e-2));
  CHECK(sum > 0);
}

TEST_CASE("Losses that are sums are reported by sample", "[train]") {
  trainer<job<softmax_cross_entropy>> mean{seed{2}};
  trainer<job<summed>> sum{seed{2}};
  const metrics a = mean.evaluate(corners{37});
  const metrics b = sum.evaluate(corners{37});
  CHECK(a.loss == Approx(b.loss).epsilon(1e-6));
  CHECK(a.accuracy == b.accuracy);
  CHECK(sum.fit(corners{37}, {.learning_rate = 0}) == Approx(a.loss).epsilon(1e-6));
}

TEST_CASE("Other losses over classes learn, and know their accuracy", "[train]") {
  const auto learns = [](auto& t) {
    t.fit(corners{}, {.epochs = 30, .learning_rate = 0.5});
    const metrics m = t.evaluate(corners{});
    CHECK(m.accuracy > 0.95);
    CHECK(m.matrix.classes() == 3);
  };
  trainer<job<smooth>> smoothed{seed{1}};
  learns(smoothed);
  trainer<job<multiclass_hinge>> hinged{seed{1}};
  learns(hinged);
  trainer<job<bce_with_logits>> binary{seed{1}};  // targets: a one at the label
  learns(binary);
}

/// Anchors with a near one of the same class and a far one of another.
struct triples {
  i64 size() const { return 64; }
  shape sample_shape(i32) const { return shape(4); }
  void read(i64 index, i32 which, float* out) const {
    random_stream random(3, static_cast<u64>(index * 3 + which));
    const i64 kind = which == 2 ? index + 1 : index;
    for (i32 i = 0; i < 4; ++i) {
      out[i] = (i == kind % 2 ? 1.0f : 0.0f) + 0.3f * random.next_normal();
    }
  }
};

TEST_CASE("Triplets are learned without a target", "[train]") {
  using triple_net = network<inputs<input<4>, input<4>, input<4>>, each<dense<2>>>;
  trainer<training<triple_net, triplet, sgd, batch<16>>> t{seed{4}};
  const metrics before = t.evaluate(triples{});
  CHECK(before.matrix.classes() == 0);  // nothing to be right about
  t.fit(triples{}, {.epochs = 40, .learning_rate = 0.1});
  CHECK(t.evaluate(triples{}).loss < 0.5 * before.loss);
}

/// Strings of 3 symbols: each shows for 2 to 3 frames, with gaps between.
struct strings {
  static constexpr i32 frames = 20;
  i64 size() const { return 96; }
  shape sample_shape() const { return {frames, 4}; }
  std::vector<i32> labels(i64 index) const {
    random_stream random(17, static_cast<u64>(index));
    std::vector<i32> all(1 + random.next_below(4));
    for (i32& label : all) label = static_cast<i32>(1 + random.next_below(3));
    return all;
  }
  void read(i64 index, float* out) const {
    random_stream random(18, static_cast<u64>(index));
    for (i32 i = 0; i < frames * 4; ++i) out[i] = 0.1f * random.next_normal();
    i32 t = 1;
    for (const i32 label : labels(index)) {
      const i32 end = t + 2 + static_cast<i32>(random.next_below(2));
      for (; t < end; ++t) out[t * 4 + label] += 1;
      ++t;
    }
  }
  void target(i64 index, i32 which, i32* out) const {
    const std::vector<i32> all = labels(index);
    if (which == 0) {
      for (std::size_t u = 0; u < all.size(); ++u) out[u] = all[u];
      for (std::size_t u = all.size(); u < 4; ++u) out[u] = 0;
    } else {
      *out = which == 1 ? static_cast<i32>(all.size()) : frames;
    }
  }
};

TEST_CASE("CTC learns where symbols stand from strings alone", "[train]") {
  using reader =
      network<sequence<strings::frames, 4>, each_step<dense<8>, tessera::tanh, dense<4>>>;
  trainer<training<reader, ctc<4>, adam, batch<16>>> t{seed{6}};
  const double before = t.evaluate(strings{}).loss;
  t.fit(strings{}, {.epochs = 60, .learning_rate = 0.02});
  const metrics after = t.evaluate(strings{});
  CHECK(after.loss < 0.05 * before);
  CHECK(after.matrix.classes() == 0);
  predictor<inference<reader, batch<1>>> p;
  const weight_list from = t.weights();
  const weight_list to = p.weights();
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::copy(from[i].bytes.begin(), from[i].bytes.end(), to[i].bytes.begin());
  }
  label_errors greedy;
  label_errors beam;
  for (i64 i = 0; i < 32; ++i) {
    std::vector<float> x(strings::frames * 4);
    strings{}.read(i, x.data());
    std::vector<float> logits(strings::frames * 4);
    p.run(x, logits);
    greedy.add(strings{}.labels(i), ctc_greedy(logits, 4));
    beam.add(strings{}.labels(i), ctc_beam_search(logits, 4)[0].labels);
  }
  CHECK(greedy.rate() < 0.05);
  CHECK(beam.rate() < 0.05);
}

}  // namespace
