// A transformer's block: 64 features, 4 heads, 256 hidden units, 64 points in time, batch 32.

#include <host/steps/contestants.hpp>

namespace steps {

namespace {

constexpr block_sizes n{64, 32, 64, 4, 256};
constexpr int sample_values = n.time * n.width;

using block = ts::network<ts::sequence<n.time, n.width>,
                          ts::transformer_encoder_layer<n.heads, n.hidden, ts::norm_first>>;

/// Sequences and targets drawn at random, (batch, time, width).
class sequence_batch {
 public:
  sequence_batch() {
    ts::random_stream random(1, 1);
    for (int i = 0; i < n.batch * sample_values; ++i) {
      x_.push_back(static_cast<float>(2 * random.next_uniform() - 1));
      targets_.push_back(static_cast<float>(2 * random.next_uniform() - 1));
    }
    for (int i = 0; i < n.batch; ++i) indices_.push_back(i);
  }
  ts::i64 size() const { return n.batch; }
  ts::shape sample_shape() const { return ts::shape(n.time, n.width); }
  void read(ts::i64 index, float* out) const { copy(x_, index, out); }
  void target(ts::i64 index, float* out) const { copy(targets_, index, out); }

  const float* x() const { return x_.data(); }
  const float* goal() const { return targets_.data(); }
  std::span<const ts::i32> indices() const { return indices_; }

 private:
  static void copy(const std::vector<float>& from, ts::i64 index, float* out) {
    std::copy_n(from.data() + index * sample_values, sample_values, out);
  }

  std::vector<float> x_;
  std::vector<float> targets_;
  std::vector<ts::i32> indices_;
};

template <class Precision>
entry ours_block(const std::string& name, const sequence_batch& data, double tolerance) {
  return ours<block, n.batch, Precision, ts::host_backend, ts::mse>(name, data, tolerance);
}

}  // namespace

entries block_b32() {
  const sequence_batch data;
  const peers::weight_values weights = first_weights<block, n.batch, ts::mse>();
  entries all = torch_block(weights, n, data.x(), data.goal());
  all.push_back(ours_block<ts::fp32>("tessera fp32", data, f32_tolerance));
  all.push_back(ours_block<mixed>("tessera mixed", data, f16_tolerance));
  return all;
}

}  // namespace steps
