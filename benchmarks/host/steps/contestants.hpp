#pragma once

// Ours and the peers, for one network and batch.

#include <tessera/tessera.hpp>

#include <host/steps/cases.hpp>
#include <peers/eigen.hpp>
#include <peers/plain.hpp>

#include <algorithm>
#include <memory>
#include <span>

namespace steps {

namespace ts = tessera;

template <class Network, int Batch, class Precision, class Loss = ts::softmax_cross_entropy>
using job = ts::training<Network, Loss, ts::momentum_sgd, ts::batch<Batch>, Precision>;

// From a scale at which no gradient of these networks overflows, so that all take the same steps.
using mixed = ts::mixed<ts::fp16, ts::dynamic_scale<1024>>;
using mixed_bf16 = ts::mixed<ts::bf16, ts::static_scale<1>>;  // has f32's range
using mixed_by_tensor = ts::mixed<ts::fp16, ts::skip_tensor, ts::dynamic_scale<1024>>;

inline constexpr auto tanh_act = peers::activation::tanh;
inline constexpr auto relu_act = peers::activation::relu;
inline constexpr auto no_act = peers::activation::none;

/// One batch: values in [-1, 1), labels 0 to 9. Also a source of samples for our trainers.
class sample_batch {
 public:
  sample_batch(int batch, ts::shape sample)
      : sample_(sample), x_(static_cast<std::size_t>(batch * sample.count())) {
    ts::random_stream random(1, 1);
    const auto values = static_cast<std::size_t>(batch * sample.count());
    for (std::size_t i = 0; i < values; ++i) {
      x_[i] = static_cast<float>(2 * random.next_uniform() - 1);
    }
    for (int n = 0; n < batch; ++n) {
      labels_.push_back(static_cast<int>(10 * random.next_uniform()));
      indices_.push_back(n);
    }
  }
  ts::i64 size() const { return static_cast<ts::i64>(labels_.size()); }
  ts::shape sample_shape() const { return sample_; }
  void read(ts::i64 index, float* out) const {
    std::copy_n(x_.data() + index * sample_.count(), sample_.count(), out);
  }
  ts::i32 label(ts::i64 index) const { return labels_[static_cast<std::size_t>(index)]; }

  const float* x() const { return x_.data(); }
  const int* labels() const { return labels_.data(); }
  std::span<const ts::i32> indices() const { return indices_; }

 private:
  ts::shape sample_;
  peers::floats x_;
  std::vector<int> labels_;
  std::vector<ts::i32> indices_;
};

/// Our trainer of `Network` in `Precision` on `Backend`.
template <class Network, int Batch, class Precision, class Backend = ts::host_backend,
          class Loss = ts::softmax_cross_entropy, class Data>
entry ours(const std::string& name, const Data& data, double tolerance) {
  auto t = std::make_shared<ts::trainer<job<Network, Batch, Precision, Loss>, Backend>>(ts::seed{1},
                                                                                        workers);
  t->load(data, data.indices());
  entry e = make_entry(name, t, tolerance);
  e.weights = [t] {
    std::vector<std::byte> all;
    for (const ts::weight& w : t->weights()) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
    return all;
  };
  return e;
}

/// The same with what a training loop does beside the step: it copies the batch from rows of f32 to
/// where the step reads it.
template <class Network, int Batch, class Precision>
entry ours_loading(const std::string& name, std::shared_ptr<sample_batch> data, double tolerance) {
  auto t = std::make_shared<ts::trainer<job<Network, Batch, Precision>>>(ts::seed{1}, workers);
  const auto step = [t, data](float rate) {
    t->load(*data, data->indices());
    t->step(rate);
  };
  return {{name, [step] { step(timing_rate); }, [t] { return t->loss(); }}, step, tolerance};
}

/// The weights that our trainers start from.
template <class Network, int Batch, class Loss = ts::softmax_cross_entropy>
peers::weight_values first_weights() {
  const ts::trainer<job<Network, Batch, ts::fp32, Loss>> first(ts::seed{1});
  peers::weight_values all;
  for (const ts::weight& w : first.weights()) {
    if (!w.is_parameter()) continue;
    const std::vector<double> values = ts::read_tensor(w.about, w.bytes.data());
    all.emplace_back(values.begin(), values.end());
  }
  return all;
}

/// A network written by hand; keeps the batch that it reads.
template <class Network>
entry peer(const std::string& name, const peers::weight_values& weights,
           std::shared_ptr<sample_batch> data) {
  auto net = std::make_shared<Network>(weights, data->x(), data->labels());
  entry e = make_entry(name, net, f32_tolerance);
  e.keeps = data;
  return e;
}

/// What every case has: both peers of one thread, libtorch where it is, ours in both precisions.
template <class Network, int Batch, class Plain, class Eigen>
entries common_entries(std::shared_ptr<sample_batch> data, const peers::weight_values& weights,
                       const entries& torch) {
  entries all{peer<Plain>("plain loops", weights, data), peer<Eigen>("Eigen", weights, data)};
  all.insert(all.end(), torch.begin(), torch.end());
  all.push_back(ours<Network, Batch, ts::fp32>("tessera fp32", *data, f32_tolerance));
  all.push_back(ours_loading<Network, Batch, ts::fp32>("tessera fp32 + load", data, f32_tolerance));
  all.push_back(ours<Network, Batch, mixed>("tessera mixed", *data, f16_tolerance));
  return all;
}

}  // namespace steps
