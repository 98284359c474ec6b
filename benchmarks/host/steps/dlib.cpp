// dlib's contestant, alone because of what its headers cost to compile.

#include <support/results.hpp>
#include <host/steps/cases.hpp>

#ifdef TESSERA_WITH_DLIB
#include <dlib/dnn.h>
#include <dlib/revision.h>
#include <algorithm>
#endif

namespace steps {

#ifdef TESSERA_WITH_DLIB

namespace {

using input = dlib::input<dlib::matrix<float>>;
using small_mlp = dlib::loss_multiclass_log<dlib::fc<10, dlib::relu<dlib::fc<64, input>>>>;

/// A network with its solvers, one batch that is a tensor already, and its labels.
class dlib_trainer {
 public:
  dlib_trainer(peers::weight_span weights, int batch, int features, const float* x,
               const int* labels)
      : labels_(labels, labels + batch),
        solvers_(small_mlp::num_computational_layers, dlib::sgd(0, peers::momentum)) {
    const std::vector<dlib::matrix<float>> samples(
        static_cast<std::size_t>(batch), dlib::zeros_matrix<float>(1, features));
    net_.to_tensor(samples.begin(), samples.end(), x_);
    std::copy_n(x, x_.size(), x_.host());
    net_.forward(x_);  // parameters have their sizes from here on
    load(dlib::layer<3>(net_).layer_details(), weights, features, 64);
    load(dlib::layer<1>(net_).layer_details(), weights, 64, 10);
  }

  void step(float rate) {
    loss_ = net_.compute_parameter_gradients(x_, labels_.begin());
    net_.update_parameters(solvers_, static_cast<double>(rate));
  }
  double loss() const { return loss_; }

 private:
  /// (in, out) and then the bias.
  template <class Layer>
  static void load(Layer& layer, peers::weight_span& weights, int in, int out) {
    float* const to = layer.get_layer_params().host();
    const std::vector<float>& w = peers::take(weights, static_cast<std::size_t>(in * out));
    for (int i = 0; i < in; ++i) {
      for (int o = 0; o < out; ++o) to[i * out + o] = w[static_cast<std::size_t>(o * in + i)];
    }
    const std::vector<float>& b = peers::take(weights, static_cast<std::size_t>(out));
    std::copy(b.begin(), b.end(), to + in * out);
  }

  small_mlp net_;
  dlib::resizable_tensor x_;
  std::vector<unsigned long> labels_;
  std::vector<dlib::sgd> solvers_;
  double loss_ = 0;
};

}  // namespace

entries dlib_small_mlp(const peers::weight_values& weights, int batch, const float* x,
                       const int* labels) {
  const int features = static_cast<int>(weights.front().size()) / 64;
  auto t = std::make_shared<dlib_trainer>(weights, batch, features, x, labels);
  return {make_entry("dlib", t, f32_tolerance)};
}

std::string dlib_name() {
  return std::to_string(DLIB_MAJOR_VERSION) + '.' + std::to_string(DLIB_MINOR_VERSION);
}

#else

entries dlib_small_mlp(const peers::weight_values&, int, const float*, const int*) { return {}; }
std::string dlib_name() { return bench::not_installed; }

#endif

}  // namespace steps
