#include <tessera/runtime/stream.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>

#include <tessera/runtime/interpreter.hpp>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

// Streams frame by frame against the reference backend in double precision on the whole sequence.

namespace {

using namespace tessera;
namespace ts = tessera;  // ts::tanh is a layer

/// Numbers from -1 to 1, the same in every run.
class made_numbers {
 public:
  float next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state_ >> 40) * 0x1p-23f - 1;
  }

 private:
  u64 state_ = 7;
};

/// Weights with biases and statistics that are not zero.
template <class Network>
void fill(const weight_store<Network>& store) {
  made_numbers numbers;
  for (const weight& w : store.weights()) {
    const i64 count = w.about.dims.count();
    const bool spread = w.name.find("var") != std::string::npos;
    const i32 fan = w.about.dims.rank > 1 ? static_cast<i32>(count / w.about.dims[0]) : 4;
    for (i64 i = 0; i < count; ++i) {
      const double x = static_cast<double>(numbers.next()) / std::sqrt(fan / 2.0);
      write_element(w.bytes.data(), w.about.type, i, spread ? 1 + x : x);
    }
  }
}

/// What the reference puts out for one sample.
template <class Network>
std::vector<double> reference_run(const weight_store<Network>& store,
                                  const std::vector<double>& sample) {
  job_options options;
  options.precision = fp64::policy;
  interpreter net(make_inference<Network, void>(options), &reference::find_kernel);
  const graph& g = net.network();
  const graph named = make_forward<Network, void>(1, purpose::inference);
  for (i32 id = 0; id < named.tensors.size(); ++id) {
    const tensor& t = named.tensors[id];
    if ((t.what != role::parameter && t.what != role::statistic) || t.of >= 0) continue;
    std::vector<double> values(static_cast<std::size_t>(t.dims.count()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<double>(store.values(id)[i]);
    }
    net.write(id, values);
  }
  net.write(g.inputs[0], sample);
  step_values step;
  step.valid = 1;
  net.run(step);
  return net.read(g.outputs[0]);
}

/// Frame `t` of so many numbers of a sample: time first, or behind the channels.
std::vector<double> frame_of(const std::vector<double>& sample, i32 numbers, i32 t, i32 time,
                             bool time_last) {
  std::vector<double> frame;
  for (i32 k = 0; k < numbers; ++k) {
    frame.push_back(sample[static_cast<std::size_t>(time_last ? k * time + t : t * numbers + k)]);
  }
  return frame;
}

template <class Stream>
std::vector<double> run_step(Stream& s, const std::vector<double>& frame) {
  std::vector<float> x(frame.begin(), frame.end());
  const auto list = [](auto y) {
    if constexpr (Stream::outputs == 1) {
      return std::vector<double>{static_cast<double>(y)};
    } else {
      return std::vector<double>(y.begin(), y.end());
    }
  };
  if constexpr (Stream::takes_tokens) {
    return list(s.step(static_cast<i32>(frame[0])));
  } else if constexpr (Stream::inputs == 1) {
    return list(s.step(x[0]));
  } else {
    return list(s.step(std::span<const float, Stream::inputs>(x)));
  }
}

/// The largest difference from the reference, after a reset as before.
template <class Network, i32 Time, class Functions = exact_functions>
double worst_difference(bool time_last = false) {
  using streamed = stream<Network, Functions>;
  weight_store<Network> store;
  fill(store);
  made_numbers numbers;
  std::vector<double> sample(static_cast<std::size_t>(streamed::inputs * Time));
  for (double& x : sample) {
    x = static_cast<double>(numbers.next());
    if (streamed::takes_tokens) x = std::floor((x + 1) * 2.5);
  }
  const std::vector<double> wanted = reference_run(store, sample);
  const bool only_last = wanted.size() == static_cast<std::size_t>(streamed::outputs) && Time > 1;
  const auto s = std::make_unique<streamed>(store.weights());
  double worst = 0;
  for (i32 pass = 0; pass < 2; ++pass) {
    for (i32 t = 0; t < Time; ++t) {
      const auto got = run_step(*s, frame_of(sample, streamed::inputs, t, Time, time_last));
      if (only_last && t + 1 < Time) continue;
      const auto want =
          only_last ? wanted : frame_of(wanted, streamed::outputs, t, Time, time_last);
      for (std::size_t k = 0; k < got.size(); ++k) {
        const double difference = std::abs(got[k] - want[k]);
        worst = difference <= worst ? worst : difference;  // NaN shows
      }
    }
    s->reset();
  }
  return worst;
}

// Values are of size 1 and some hundred roundings of 6e-8 went into each.
constexpr double bound = 1e-5;
constexpr i32 time = 24;

template <class... Layers>
double of_sequence() {
  return worst_difference<network<sequence<time, 3>, Layers...>, time>();
}
template <i32 Channels, class... Layers>
double of_signal() {
  return worst_difference<network<signal<Channels, time>, Layers...>, time>(true);
}

TEST_CASE("a stream of an LSTM gives what the sequence gives, at any size", "[runtime]") {
  CHECK(of_sequence<lstm<1>>() < bound);
  CHECK(of_sequence<lstm<3>>() < bound);
  CHECK(of_sequence<lstm<8>>() < bound);
  CHECK(of_sequence<lstm<13>>() < bound);
  CHECK(of_sequence<lstm<32>>() < bound);
  CHECK(of_sequence<lstm<90>>() < bound);
  CHECK(of_sequence<lstm<6, layers<2>>>() < bound);
}

TEST_CASE("a stream of a GRU gives what the sequence gives, at any size", "[runtime]") {
  CHECK(of_sequence<gru<1>>() < bound);
  CHECK(of_sequence<gru<4>>() < bound);
  CHECK(of_sequence<gru<7>>() < bound);
  CHECK(of_sequence<gru<16>>() < bound);
  CHECK(of_sequence<gru<33>>() < bound);
  CHECK(of_sequence<gru<70>>() < bound);
}

TEST_CASE("other recurrences stream: plain ones, the last output, pieces, kept states",
          "[runtime]") {
  CHECK(of_sequence<rnn<9>>() < bound);
  CHECK(of_sequence<lstm<5, last_output>, dense<2>>() < bound);
  CHECK(of_sequence<lstm<5, ts::truncate<6>>>() < bound);
  CHECK(of_sequence<lstm<5, stateful>, each_step<dense<4>, ts::sigmoid>>() < bound);
  CHECK(of_sequence<concat<lstm<5>, gru<4>>, each_step<dense<1>>>() < bound);
  CHECK(of_sequence<repeat<2, residual<lstm<3>>>>() < bound);
}

TEST_CASE("dense layers and activations stream", "[runtime]") {
  CHECK(worst_difference<network<input<32>, dense<32>, ts::tanh, dense<32>, ts::tanh, dense<1>>,
                         1>() < bound);
  CHECK(worst_difference<network<input<5>, dense<150>, relu, dense<17>, gelu, dense<2>>, 1>() <
        bound);
  CHECK(worst_difference<
            network<input<1>, dense<20>, ts::sigmoid, residual<dense<20>>, dense<3>, leaky_relu>,
            1>() < bound);
}

TEST_CASE("convolutions along time stream with rings of past frames", "[runtime]") {
  using ts::dilation;
  CHECK(of_signal<1, conv1d<8, 3, pad_ends<2, 0>>, ts::tanh,
                  conv1d<8, 3, pad_ends<4, 0>, dilation<2>>, ts::tanh,
                  conv1d<8, 3, pad_ends<8, 0>, dilation<4>>, ts::tanh, conv1d<1, 1>>() < bound);
  CHECK(of_signal<2, conv1d<20, 4, pad_ends<3, 0>>, relu,
                  conv1d<2, 5, pad_ends<12, 0>, dilation<3>>>() < bound);
  CHECK(of_signal<6, conv1d<6, 3, pad_ends<2, 0>, groups<6>>,
                  conv1d<4, 2, pad_ends<1, 0>, groups<2>>, conv1d<3, 1, no_bias>>() < bound);
  CHECK(of_signal<4, repeat<3, residual<conv1d<4, 3, pad_ends<2, 0>>, batch_norm, prelu>>>() <
        bound);
  CHECK(of_signal<18, conv1d<1, 3, pad_ends<2, 0>>>() < bound);
}

TEST_CASE("tokens stream through an embedding", "[runtime]") {
  CHECK(worst_difference<network<tokens<time>, embedding<5, 6>, lstm<8>, each_step<dense<5>>>,
                         time>() < bound);
}

TEST_CASE("fast functions stay near the exact ones", "[runtime]") {
  CHECK(worst_difference<network<sequence<time, 3>, lstm<8>>, time, fast_math>() < bound);
  CHECK(worst_difference<network<sequence<time, 3>, gru<20>>, time, fast_math>() < bound);
}

TEST_CASE("a stream says which weight is missing", "[runtime]") {
  using net = network<sequence<time, 1>, lstm<8>>;
  weight_store<net> store;
  fill(store);
  weight_list weights = store.weights();
  const auto s = std::make_unique<stream<net>>(weights);
  const float before = s->step(0.5f)[3];
  const std::string name = weights.back().name;
  weights.pop_back();
  CHECK_THROWS_WITH(s->load(weights), "stream: \"" + name + "\" is missing");
  s->reset();
  CHECK(s->step(0.5f)[3] == before);  // nothing has changed
  weight_store<network<sequence<time, 1>, lstm<9>>> other;
  CHECK_THROWS_WITH(s->load(other.weights()), ts::testing::contains("has another shape"));
}

template <class Network>
inline constexpr auto refusal = ts::detail::framed<Network>::about.wrong;

TEST_CASE("what cannot run frame by frame is refused with a reason", "[runtime]") {
  STATIC_REQUIRE(refusal<network<signal<1, 64>, conv1d<8, 3, pad<1>>>>.view() ==
                 "conv1d1: expected a window that ends at its own frame and moves by one, got "
                 "padding of 1 before and 1 behind, stride 1; use pad_ends<2, 0> without stride");
  STATIC_REQUIRE(refusal<network<sequence<16, 3>, bidirectional<lstm<8>>>>.view() ==
                 "lstm1: expected loops that run forwards in time, got one that starts at the end; "
                 "leave out reversed and both_directions");
  STATIC_REQUIRE(
      refusal<network<signal<8, 64>, flatten, dense<3>>>.view() ==
      "dense1: expected layers that work on each frame by itself, got dense; run the network on "
      "whole sequences: predictor<inference<...>>");
  STATIC_REQUIRE(refusal<network<image<1, 8, 8>, conv<2, 3>>>.view() ==
                 "stream: expected a sequence, a signal or samples of one extent, got 1x8x8; start "
                 "from sequence<...>, signal<...> or input<n>");
}

}  // namespace
