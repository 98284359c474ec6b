// The character LSTM: 65 characters, 64 features each, 128 units, 64 characters back, batch 32.

#include <host/steps/contestants.hpp>

namespace steps {

namespace {

constexpr text_sizes n{64, 32, 65, 64, 128};

using char_lstm =
    ts::network<ts::tokens<n.time>, ts::embedding<n.characters, n.width>, ts::lstm<n.hidden>,
                ts::each_step<ts::dense<n.characters>>>;

/// Characters drawn at random, and those that come next. In libtorch's order, time first.
class text_batch {
 public:
  text_batch() {
    ts::random_stream random(1, 1);
    const auto draw = [&] {
      return static_cast<int>(random.next_below(static_cast<ts::u32>(n.characters)));
    };
    for (int i = 0; i < n.time * n.batch; ++i) {
      x_.push_back(draw());
      labels_.push_back(draw());
    }
    for (int i = 0; i < n.batch; ++i) indices_.push_back(i);
  }
  ts::i64 size() const { return n.batch; }
  ts::shape sample_shape() const { return ts::shape(n.time); }
  void read(ts::i64 index, ts::i32* out) const { copy(x_, index, out); }
  void targets(ts::i64 index, ts::i32* out) const { copy(labels_, index, out); }

  const int* x() const { return x_.data(); }
  const int* labels() const { return labels_.data(); }
  std::span<const ts::i32> indices() const { return indices_; }

 private:
  static void copy(const std::vector<int>& from, ts::i64 index, ts::i32* out) {
    for (int t = 0; t < n.time; ++t) {
      out[t] = from[static_cast<std::size_t>(t * n.batch + index)];
    }
  }

  std::vector<int> x_;
  std::vector<int> labels_;
  std::vector<ts::i32> indices_;
};

}  // namespace

entries char_lstm_b32() {
  const text_batch data;
  const peers::weight_values weights = first_weights<char_lstm, n.batch>();
  entries all = torch_char_lstm(weights, n, data.x(), data.labels());
  all.push_back(ours<char_lstm, n.batch, ts::fp32>("tessera fp32", data, f32_tolerance));
  all.push_back(ours<char_lstm, n.batch, mixed>("tessera mixed", data, f16_tolerance));
  return all;
}

}  // namespace steps
