// Our predictors.

#include <host/inference/inference.hpp>

#include <tessera/network.hpp>
#include <tessera/nn.hpp>
#include <tessera/runtime.hpp>

#include <memory>

namespace inference {

namespace {

namespace ts = tessera;

using lenet5 = ts::network<ts::image<1, 28, 28>,
                           ts::conv<6, 5, ts::pad<2>>, ts::relu, ts::max_pool<2>,
                           ts::conv<16, 5>, ts::relu, ts::max_pool<2>,
                           ts::flatten, ts::dense<120>, ts::relu, ts::dense<84>, ts::relu,
                           ts::dense<10>>;
using mlp = ts::network<ts::input<784>, ts::dense<500>, ts::relu, ts::dense<250>, ts::relu,
                        ts::dense<10>>;

template <class Network, class Precision>
using predictor = ts::predictor<ts::inference<Network, ts::batch<1>, Precision>>;

/// A predictor, what it reads and what it says.
template <class Predictor>
struct answering {
  explicit answering(int threads) : net(ts::threads{threads}) {}

  Predictor net;
  std::vector<float> x;
  std::vector<float> y = std::vector<float>(outputs);
};

template <class Network, class Precision>
bench::contestant one(const std::string& name, const weights& w, const std::vector<float>& x,
                      int threads, double tolerance) {
  const auto a = std::make_shared<answering<predictor<Network, Precision>>>(threads);
  a->x = x;
  std::size_t next = 0;
  for (const ts::weight& to : a->net.weights()) {
    if (!to.is_parameter()) continue;
    const std::vector<float>& from = w.at(next++);
    ts::write_tensor(to.about, to.bytes.data(), std::vector<double>(from.begin(), from.end()));
  }
  return {.name = name,
          .run = [a] { a->net.run(a->x, a->y); },
          .values = [a] { return std::vector<double>(a->y.begin(), a->y.end()); },
          .tolerance = tolerance};
}

template <class Network>
weights first() {
  predictor<Network, ts::fp32> net;
  const ts::weight_list all = net.weights();
  ts::initialize_weights(all, 1);
  weights values;
  for (const ts::weight& w : all) {
    if (!w.is_parameter()) continue;
    const std::vector<double> from = ts::read_tensor(w.about, w.bytes.data());
    values.emplace_back(from.begin(), from.end());
  }
  return values;
}

template <class Network>
contestants all_of(const weights& w, const std::vector<float>& x, int threads) {
  return {one<Network, ts::fp32>("tessera", w, x, threads, 1e-5),
          one<Network, ts::pure<ts::fp16>>("tessera f16", w, x, threads, 5e-3)};
}

}  // namespace

weights first_weights(network what) {
  return what == network::lenet5 ? first<lenet5>() : first<mlp>();
}

contestants ours(network what, const weights& w, const std::vector<float>& x, int threads) {
  return what == network::lenet5 ? all_of<lenet5>(w, x, threads) : all_of<mlp>(w, x, threads);
}

}  // namespace inference
