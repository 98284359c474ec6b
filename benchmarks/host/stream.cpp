// How long is one frame of a stream, in cycles of the core, and how far is that from Eigen by hand?
//
//   bench_host_stream [--rounds N] [--json FILE]
//
// One step of LSTMs and GRUs (1 number in; 8, 16 and 32 units), of a dense network 32-32-32-1 and
// of a convolution along time 1-8-8-8-1, each frame after the other through the same object. The
// peer is the same in Eigen's matrices of fixed size. "fast" is ts::fast_math. What RTNeural's best
// backend needs (g++ 12, AVX-512, a Zen 5 at 3.54 GHz) stands beside, measured once and not in this
// run; how exact its tanh and sigmoid are was not compared.
//
// A cycle is what one addition of a chain takes, measured in every round. Figures are medians of
// the rounds, in which contestants take turns (support/rounds.hpp).

#include <support/rounds.hpp>
#include <tessera/io/json.hpp>
#include <tessera/runtime/stream.hpp>

#include <Eigen/Dense>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

using namespace tessera;
namespace ts = tessera;

constexpr int frames = 1024;  // of a run

/// Frames that a run reads: numbers from -1 to 1.
template <int Numbers>
const float (&made_frames())[frames][Numbers] {
  static float x[frames][Numbers];
  u32 state = 1;
  for (auto& frame : x) {
    for (float& v : frame) {
      state = state * 1664525u + 1013904223u;
      v = static_cast<float>(state >> 8) * 0x1p-23f - 1;
    }
  }
  return x;
}

template <class Network>
weight_store<Network> made_weights() {
  weight_store<Network> store;
  initialize_weights(store.weights(), 7);
  return store;
}

const float* values_of(const weight_list& weights, const char* part) {
  for (const weight& w : weights) {
    if (w.name.find(part) != std::string::npos)
      return reinterpret_cast<const float*>(w.bytes.data());
  }
  std::abort();
}

template <int Rows, int Columns>
using matrix = Eigen::Matrix<float, Rows, Columns>;  // column-major
template <int Rows>
using column = Eigen::Matrix<float, Rows, 1>;

/// A weight (rows x columns, row-major) as Eigen reads it best.
template <int Rows, int Columns>
matrix<Rows, Columns> matrix_of(const float* values) {
  return Eigen::Map<
      const Eigen::Matrix<float, Rows, Columns, Columns == 1 ? Eigen::ColMajor : Eigen::RowMajor>>(
      values);
}

template <class Array>
auto sigmoid_of(const Array& x) {
  return (1 + (-x).exp()).inverse();
}

template <int Hidden>
struct eigen_lstm {
  static constexpr int numbers = 1;
  matrix<4 * Hidden, 1> w;
  matrix<4 * Hidden, Hidden> u;
  column<4 * Hidden> b;
  column<Hidden> h = column<Hidden>::Zero();
  column<Hidden> c = column<Hidden>::Zero();

  explicit eigen_lstm(const weight_list& weights)
      : w(matrix_of<4 * Hidden, 1>(values_of(weights, "weight_ih"))),
        u(matrix_of<4 * Hidden, Hidden>(values_of(weights, "weight_hh"))),
        b(matrix_of<4 * Hidden, 1>(values_of(weights, "bias_ih")) +
          matrix_of<4 * Hidden, 1>(values_of(weights, "bias_hh"))) {}

  float step(const float* x) {
    column<4 * Hidden> z = b + w * x[0];
    z.noalias() += u * h;
    const auto gate = [&](int k) { return z.template segment<Hidden>(k * Hidden).array(); };
    c = (sigmoid_of(gate(1)) * c.array() + sigmoid_of(gate(0)) * gate(2).tanh()).matrix();
    h = (sigmoid_of(gate(3)) * c.array().tanh()).matrix();
    return h[0];
  }
};

template <int Hidden>
struct eigen_gru {
  static constexpr int numbers = 1;
  matrix<3 * Hidden, 1> w;
  matrix<3 * Hidden, Hidden> u;
  column<3 * Hidden> w_bias;
  column<3 * Hidden> u_bias;
  column<Hidden> h = column<Hidden>::Zero();

  explicit eigen_gru(const weight_list& weights)
      : w(matrix_of<3 * Hidden, 1>(values_of(weights, "weight_ih"))),
        u(matrix_of<3 * Hidden, Hidden>(values_of(weights, "weight_hh"))),
        w_bias(matrix_of<3 * Hidden, 1>(values_of(weights, "bias_ih"))),
        u_bias(matrix_of<3 * Hidden, 1>(values_of(weights, "bias_hh"))) {}

  float step(const float* x) {
    const column<3 * Hidden> zx = w_bias + w * x[0];
    column<3 * Hidden> zh = u_bias;
    zh.noalias() += u * h;
    const auto a = [&](int k) { return zx.template segment<Hidden>(k * Hidden).array(); };
    const auto b = [&](int k) { return zh.template segment<Hidden>(k * Hidden).array(); };
    const Eigen::Array<float, Hidden, 1> r = sigmoid_of(a(0) + b(0));
    const Eigen::Array<float, Hidden, 1> z = sigmoid_of(a(1) + b(1));
    const Eigen::Array<float, Hidden, 1> n = (a(2) + r * b(2)).tanh();
    h = ((1 - z) * n + z * h.array()).matrix();
    return h[0];
  }
};

struct eigen_dense {
  static constexpr int numbers = 32;
  matrix<32, 32> w1, w2;
  column<32> b1, b2;
  matrix<1, 32> w3;
  float b3;

  explicit eigen_dense(const weight_list& weights)
      : w1(matrix_of<32, 32>(values_of(weights, "dense1.weight"))),
        w2(matrix_of<32, 32>(values_of(weights, "dense2.weight"))),
        b1(matrix_of<32, 1>(values_of(weights, "dense1.bias"))),
        b2(matrix_of<32, 1>(values_of(weights, "dense2.bias"))),
        w3(matrix_of<1, 32>(values_of(weights, "dense3.weight"))),
        b3(values_of(weights, "dense3.bias")[0]) {}

  float step(const float* x) {
    column<32> y = b1;
    y.noalias() += w1 * Eigen::Map<const column<32>>(x);
    y = y.array().tanh().matrix();
    column<32> z = b2;
    z.noalias() += w2 * y;
    z = z.array().tanh().matrix();
    return w3.dot(z) + b3;
  }
};

/// One layer of the convolution: taps of past frames in a ring.
template <int In, int Out, int Taps, int Dilation>
struct eigen_conv {
  static constexpr int past = (Taps - 1) * Dilation + 1;
  matrix<Out, In> w[Taps];
  column<Out> b;
  column<In> ring[past];
  int at = 0;

  eigen_conv(const float* weight, const float* bias) : b(matrix_of<Out, 1>(bias)) {
    for (int t = 0; t < Taps; ++t) {
      for (int o = 0; o < Out; ++o) {
        for (int i = 0; i < In; ++i) w[t](o, i) = weight[(o * In + i) * Taps + t];
      }
    }
    for (auto& frame : ring) frame.setZero();
  }
  column<Out> step(const column<In>& x) {
    ring[at] = x;
    column<Out> y = b;
    for (int t = 0; t < Taps; ++t) {
      int from = at - (Taps - 1 - t) * Dilation;
      if (from < 0) from += past;
      y.noalias() += w[t] * ring[from];
    }
    at = at + 1 == past ? 0 : at + 1;
    return y;
  }
};

struct eigen_conv_net {
  static constexpr int numbers = 1;
  eigen_conv<1, 8, 3, 1> first;
  eigen_conv<8, 8, 3, 2> second;
  eigen_conv<8, 8, 3, 4> third;
  eigen_conv<8, 1, 1, 1> last;

  explicit eigen_conv_net(const weight_list& w)
      : first(values_of(w, "conv1d1.weight"), values_of(w, "conv1d1.bias")),
        second(values_of(w, "conv1d2.weight"), values_of(w, "conv1d2.bias")),
        third(values_of(w, "conv1d3.weight"), values_of(w, "conv1d3.bias")),
        last(values_of(w, "conv1d4.weight"), values_of(w, "conv1d4.bias")) {}

  float step(const float* x) {
    const column<1> in(x[0]);
    const column<8> a = first.step(in).array().tanh().matrix();
    const column<8> b = second.step(a).array().tanh().matrix();
    const column<8> c = third.step(b).array().tanh().matrix();
    return last.step(c)[0];
  }
};

template <class Stream>
float first_of(Stream& s, const float* x) {
  const auto y = [&] {
    if constexpr (Stream::inputs == 1) {
      return s.step(x[0]);
    } else {
      return s.step(std::span<const float, Stream::inputs>(x, Stream::inputs));
    }
  }();
  if constexpr (Stream::outputs == 1) {
    return y;
  } else {
    return y[0];
  }
}

struct row {
  std::string name;
  double cycles[3] = {};  // tessera, fast, Eigen
  double nanoseconds[3] = {};
  double ratio = 0;  // Eigen by tessera
};

struct options {
  int rounds = 25;
  std::string json;
};

template <class Network, class Peer>
row compare(const char* name, const options& o) {
  const auto store = made_weights<Network>();
  const auto ours = std::make_unique<stream<Network>>(store.weights());
  const auto fast = std::make_unique<stream<Network, fast_math>>(store.weights());
  const auto peer = std::make_unique<Peer>(store.weights());
  const auto& x = made_frames<Peer::numbers>();
  float sums[3] = {};
  for (int i = 0; i < frames; ++i) {  // all three compute the same
    const float a = first_of(*ours, x[i]);
    if (std::abs(a - peer->step(x[i])) > 1e-4f || std::abs(a - first_of(*fast, x[i])) > 1e-4f) {
      std::fprintf(stderr, "bench_host_stream: %s: results differ in frame %d\n", name, i);
      std::exit(1);
    }
  }
  const auto run = [&](auto& what, float& sum) {
    return [&] {
      for (const auto& frame : x) sum += first_of(what, frame);
    };
  };
  u64 chain = 1;
  const std::vector<bench::contestant> all{
      {"tessera", run(*ours, sums[0]), [&] { return static_cast<double>(sums[0]); }},
      {"fast", run(*fast, sums[1]), [&] { return static_cast<double>(sums[1]); }},
      {"Eigen",
       [&] {
         for (const auto& frame : x) sums[2] += peer->step(frame);
       },
       [&] { return static_cast<double>(sums[2]); }},
      {"additions",
       [&] {
         u64 sum = chain;
         for (int i = 0; i < 10 * frames; i += 4) {
           TESSERA_UNROLL
           for (int k = 0; k < 4; ++k) {
             asm volatile("" : "+r"(sum));  // one by one
             ++sum;
           }
         }
         chain = sum;
       },
       [&] { return static_cast<double>(chain); }}};
  const auto timings = bench::run_rounds(all, {o.rounds, 0.004, bench::clock_kind::wall});
  row r{name, {}, {}, bench::median(bench::ratios(timings[0], timings[2]))};
  const double cycle = bench::median(timings[3].seconds) / (10 * frames);
  for (std::size_t k = 0; k < 3; ++k) {
    const double seconds = bench::median(timings[k].seconds) / frames;
    r.cycles[k] = seconds / cycle;
    r.nanoseconds[k] = 1e9 * seconds;
  }
  return r;
}

template <i32 Hidden>
using lstm_net = network<sequence<16, 1>, lstm<Hidden>>;
template <i32 Hidden>
using gru_net = network<sequence<16, 1>, gru<Hidden>>;
using dense_net = network<ts::input<32>, dense<32>, ts::tanh, dense<32>, ts::tanh, dense<1>>;
using conv_net = network<signal<1, 64>, conv1d<8, 3, pad_ends<2, 0>>, ts::tanh,
                         conv1d<8, 3, pad_ends<4, 0>, ts::dilation<2>>, ts::tanh,
                         conv1d<8, 3, pad_ends<8, 0>, ts::dilation<4>>, ts::tanh, conv1d<1, 1>>;

}  // namespace

int main(int count, char** words) {
  options o;
  for (int i = 1; i + 1 < count; i += 2) {
    if (std::strcmp(words[i], "--rounds") == 0) o.rounds = std::atoi(words[i + 1]);
    if (std::strcmp(words[i], "--json") == 0) o.json = words[i + 1];
  }
  const row rows[] = {compare<lstm_net<8>, eigen_lstm<8>>("lstm 1-8", o),
                      compare<lstm_net<16>, eigen_lstm<16>>("lstm 1-16", o),
                      compare<lstm_net<32>, eigen_lstm<32>>("lstm 1-32", o),
                      compare<gru_net<8>, eigen_gru<8>>("gru 1-8", o),
                      compare<gru_net<16>, eigen_gru<16>>("gru 1-16", o),
                      compare<gru_net<32>, eigen_gru<32>>("gru 1-32", o),
                      compare<dense_net, eigen_dense>("dense 32-32-32-1", o),
                      compare<conv_net, eigen_conv_net>("conv1d 1-8-8-8-1", o)};
  const int rtneural[] = {162, 212, 329, 142, 166, 321, 382, 340};  // cycles of that Zen 5
  std::printf("%-18s %8s %8s %8s %8s %8s %10s %9s\n", "cycles a frame", "tessera", "fast", "Eigen",
              "ns", "ns fast", "x Eigen", "RTNeural");
  io::json cases = io::json::array();
  int i = 0;
  for (const row& r : rows) {
    std::printf("%-18s %8.0f %8.0f %8.0f %8.1f %8.1f %10.2f %9d\n", r.name.c_str(), r.cycles[0],
                r.cycles[1], r.cycles[2], r.nanoseconds[0], r.nanoseconds[1], r.ratio, rtneural[i]);
    cases.push_back({{"case", r.name},
                     {"cycles", r.cycles[0]},
                     {"cycles_fast", r.cycles[1]},
                     {"cycles_eigen", r.cycles[2]},
                     {"nanoseconds", r.nanoseconds[0]},
                     {"times_eigen", r.ratio},
                     {"cycles_rtneural_zen5", rtneural[i++]}});
  }
  if (!o.json.empty()) io::write_json(o.json, {{"cases", cases}});
}
