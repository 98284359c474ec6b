// oneDNN: a chain of primitives that were made ahead of time.

#include <support/results.hpp>
#include <host/inference/inference.hpp>
#include <peers/onednn.hpp>

#include <memory>

namespace inference {

#ifdef TESSERA_WITH_ONEDNN

namespace {

using dnnl::memory;
using tag = memory::format_tag;

constexpr auto f32 = memory::data_type::f32;
constexpr auto forward = dnnl::prop_kind::forward_inference;

/// Layers after each other; each takes the next weight and bias of a list.
class chain {
 public:
  chain(const weights& w, const std::vector<float>& x, const memory::desc& input)
      : weights_(w), x_(peers::dnnl_filled(input, x.data())), last_(x_) {}

  void dense(memory::dim in, memory::dim out, bool then_relu) {
    const dnnl::inner_product_forward::primitive_desc about(
        {forward, last_.get_desc(), any({out, in}), {{out}, f32, tag::x}, {{1, out}, f32, tag::nc}},
        followed_by(then_relu), peers::dnnl_engine());
    add(dnnl::inner_product_forward(about), about);
  }

  void conv(memory::dim in, memory::dim out, memory::dim size, memory::dim kernel,
            memory::dim pad) {
    const memory::dim to = size + 2 * pad - kernel + 1;
    const dnnl::convolution_forward::primitive_desc about({forward,
                                                           dnnl::algorithm::convolution_direct,
                                                           any({1, in, size, size}),
                                                           any({out, in, kernel, kernel}),
                                                           {{out}, f32, tag::x},
                                                           any({1, out, to, to}),
                                                           {1, 1},
                                                           {pad, pad},
                                                           {pad, pad}},
                                                          followed_by(true), peers::dnnl_engine());
    relayout(about.src_desc());
    add(dnnl::convolution_forward(about), about);
  }

  void max_pool(memory::dim channels, memory::dim size) {
    const dnnl::pooling_forward::primitive_desc about({forward,
                                                       dnnl::algorithm::pooling_max,
                                                       last_.get_desc(),
                                                       any({1, channels, size / 2, size / 2}),
                                                       {2, 2},
                                                       {2, 2},
                                                       {0, 0},
                                                       {0, 0}},
                                                      peers::dnnl_engine());
    const memory y(about.dst_desc(), peers::dnnl_engine());
    steps_.push_back({dnnl::pooling_forward(about), {{DNNL_ARG_SRC, last_}, {DNNL_ARG_DST, y}}});
    last_ = y;
  }

  /// The image as one row.
  void flatten(memory::dim channels, memory::dim size) {
    relayout({{1, channels, size, size}, f32, tag::nchw});
    image_ = last_;
    last_ = memory({{1, channels * size * size}, f32, tag::nc}, peers::dnnl_engine(),
                   image_.get_data_handle());
  }

  void run() const {
    for (const auto& [what, operands] : steps_) what.execute(peers::dnnl_stream(), operands);
    peers::dnnl_stream().wait();
  }
  std::vector<double> values() const {
    const std::vector<float> y = peers::dnnl_values(last_);
    return {y.begin(), y.end()};
  }

 private:
  static memory::desc any(const memory::dims& dims) { return {dims, f32, tag::any}; }

  static dnnl::primitive_attr followed_by(bool then_relu) {
    dnnl::primitive_attr attributes;
    if (then_relu) {
      dnnl::post_ops after;
      after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
      attributes.set_post_ops(after);
    }
    return attributes;
  }

  void relayout(const memory::desc& to) {
    if (last_.get_desc() == to) return;
    const memory y(to, peers::dnnl_engine());
    steps_.push_back({dnnl::reorder(last_, y), {{DNNL_ARG_FROM, last_}, {DNNL_ARG_TO, y}}});
    last_ = y;
  }

  template <class About>
  void add(const dnnl::primitive& what, const About& about) {
    const memory w = peers::dnnl_filled(about.weights_desc(), weights_.at(next_++).data());
    const memory b = peers::dnnl_filled(about.bias_desc(), weights_.at(next_++).data());
    const memory y(about.dst_desc(), peers::dnnl_engine());
    steps_.push_back(
        {what,
         {{DNNL_ARG_SRC, last_}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, b}, {DNNL_ARG_DST, y}}});
    last_ = y;
  }

  weights weights_;
  std::size_t next_ = 0;
  std::vector<std::pair<dnnl::primitive, peers::dnnl_arguments>> steps_;
  memory x_, last_, image_;
};

}  // namespace

contestants onednn(network what, const weights& w, const std::vector<float>& x) {
  std::shared_ptr<chain> c;
  if (what == network::mlp) {
    c = std::make_shared<chain>(w, x, memory::desc{{1, 784}, f32, tag::nc});
    c->dense(784, 500, true);
    c->dense(500, 250, true);
    c->dense(250, 10, false);
  } else {
    c = std::make_shared<chain>(w, x, memory::desc{{1, 1, 28, 28}, f32, tag::nchw});
    c->conv(1, 6, 28, 5, 2);
    c->max_pool(6, 28);
    c->conv(6, 16, 14, 5, 0);
    c->max_pool(16, 10);
    c->flatten(16, 5);
    c->dense(400, 120, true);
    c->dense(120, 84, true);
    c->dense(84, 10, false);
  }
  return {{.name = "oneDNN",
           .run = [c] { c->run(); },
           .values = [c] { return c->values(); },
           .tolerance = 1e-5}};
}

std::string onednn_version() { return peers::dnnl_version(); }

#else

contestants onednn(network, const weights&, const std::vector<float>&) { return {}; }
std::string onednn_version() { return bench::not_installed; }

#endif

}  // namespace inference
