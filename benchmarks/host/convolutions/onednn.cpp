// oneDNN's convolutions, all operands in the layouts that it chooses.

#include <support/results.hpp>
#include <host/convolutions/convolutions.hpp>
#include <peers/onednn.hpp>

#include <memory>

namespace convolutions {

#ifdef TESSERA_WITH_ONEDNN

namespace {

using dnnl::memory;

constexpr auto direct = dnnl::algorithm::convolution_direct;

/// What oneDNN wants to know of a layer.
struct description {
  memory::desc x, w, y;
  memory::dims stride, dilation, pad;

  explicit description(const problem& p) {
    const layer& l = p.of();
    const auto any = [](const memory::dims& dims) {
      return memory::desc(dims, memory::data_type::f32, memory::format_tag::any);
    };
    x = any(p.dims(operand::x));
    y = any(p.dims(operand::y));
    memory::dims weights = p.dims(operand::w);
    if (l.groups > 1) {
      weights[0] /= l.groups;
      weights.insert(weights.begin(), l.groups);
    }
    w = any(weights);
    stride = {l.stride, l.stride};
    dilation = {l.dilation - 1, l.dilation - 1};
    pad = {l.pad, l.pad};
  }

  dnnl::convolution_forward::primitive_desc forward() const {
    return {{dnnl::prop_kind::forward_training, direct, x, w, y, stride, dilation, pad, pad},
            peers::dnnl_engine()};
  }
  dnnl::convolution_backward_data::primitive_desc data() const {
    return {{direct, x, w, y, stride, dilation, pad, pad}, peers::dnnl_engine(), forward()};
  }
  dnnl::convolution_backward_weights::primitive_desc weight() const {
    return {{direct, x, w, y, stride, dilation, pad, pad}, peers::dnnl_engine(), forward()};
  }
};

memory filled(const problem& p, operand o, const memory::desc& layout) {
  return peers::dnnl_filled(layout, p.make(o).data());
}

contestants contestant_of(const problem& p, const dnnl::primitive& what,
                          const peers::dnnl_arguments& operands, const memory& result) {
  const auto run =
      std::make_shared<std::pair<dnnl::primitive, peers::dnnl_arguments>>(what, operands);
  return {{.name = "oneDNN",
           .run = [run] { peers::dnnl_run(run->first, run->second); },
           .values =
               [p, result] {
                 const std::vector<float> all = peers::dnnl_values(result);
                 std::vector<double> values;
                 for (const i64 i : compared_elements(p)) {
                   values.push_back(bench::load(all[static_cast<std::size_t>(i)]));
                 }
                 return values;
               },
           .tolerance = bench::tolerance_of<float>}};
}

}  // namespace

contestants onednn(const problem& p) {
  const description d(p);
  if (p.what == pass::forward) {
    const auto about = d.forward();
    const memory y(about.dst_desc(), peers::dnnl_engine());
    return contestant_of(p, dnnl::convolution_forward(about),
                         {{DNNL_ARG_SRC, filled(p, operand::x, about.src_desc())},
                          {DNNL_ARG_WEIGHTS, filled(p, operand::w, about.weights_desc())},
                          {DNNL_ARG_DST, y}},
                         y);
  }
  if (p.what == pass::data) {
    const auto about = d.data();
    const memory dx(about.diff_src_desc(), peers::dnnl_engine());
    return contestant_of(p, dnnl::convolution_backward_data(about),
                         {{DNNL_ARG_DIFF_DST, filled(p, operand::y, about.diff_dst_desc())},
                          {DNNL_ARG_WEIGHTS, filled(p, operand::w, about.weights_desc())},
                          {DNNL_ARG_DIFF_SRC, dx}},
                         dx);
  }
  const auto about = d.weight();
  const memory dw(about.diff_weights_desc(), peers::dnnl_engine());
  return contestant_of(p, dnnl::convolution_backward_weights(about),
                       {{DNNL_ARG_SRC, filled(p, operand::x, about.src_desc())},
                        {DNNL_ARG_DIFF_DST, filled(p, operand::y, about.diff_dst_desc())},
                        {DNNL_ARG_DIFF_WEIGHTS, dw}},
                       dw);
}

std::string onednn_version() { return peers::dnnl_version(); }

#else

contestants onednn(const problem&) { return {}; }
std::string onednn_version() { return bench::not_installed; }

#endif

}  // namespace convolutions
