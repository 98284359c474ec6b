// How fast is each kernel of a LeNet-5 training step on this machine, and how far from its peak?
//
// Every operation of the step (tanh, max pooling, SGD with momentum, fused updates) at batch 32 and
// of an MLP 64-64-10 at batch 1, in f32 and f16, one thread: the lower quartile of 20
// rounds of a millisecond, since neighbours only ever slow them. GFLOP/s count 2 operations a
// multiply-add; the peak is measured first, with 12 independent chains of fused multiply-adds in
// registers.

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <support/peak.hpp>
#include <tessera/backends/host.hpp>

namespace {

using namespace tessera;

using bench::peak_flops;
using bench::time_of;

/// An operation with operands of its own.
class operation_run {
 public:
  operation_run(std::string name, kind what, bool batch_last, double macs)
      : name_(std::move(name)), macs_(macs) {
    s.what = what;
    s.batch_last = batch_last;
    attr.update = {.what = optimizer_kind::sgd, .momentum = 0.9f};
    step.learning_rate = 1e-6f;
  }

  signature s;
  attributes attr;
  step_values step;

  operation_run& in(i32 slot, i64 count, element type) {
    s.set_type(slot, type);
    in_[slot] = make(count, type);
    return *this;
  }
  operation_run& out(i32 slot, i64 count, element type) {
    s.set_type(8 + slot, type);
    out_[slot] = make(count, type);
    return *this;
  }
  template <class Sizes>
  operation_run& sizes(const Sizes& n) {
    n.write(s);
    return *this;
  }
  /// Parameter, velocity, counter.
  operation_run& parameter(i64 count) {
    return out(0, count, element::f32).out(1, count, element::f32).out(4, 1, element::int32);
  }

  double measure(double peak) {
    const kernel k = host::find_kernel(s);
    if (k == nullptr) {
      std::printf("%-28s no kernel\n", name_.c_str());
      return 0;
    }
    const call c{in_, out_, &s, &attr, &step};
    const double time = time_of([&] { k(c); });
    std::printf("%-28s %10.2f us", name_.c_str(), time * 1e6);
    if (macs_ > 0) {
      std::printf(" %8.1f GFLOP/s %5.0f %%", 2 * macs_ / time * 1e-9,
                  100 * 2 * macs_ / time / peak);
    }
    std::printf("\n");
    return time;
  }

 private:
  std::byte* make(i64 count, element type) {
    const std::size_t bytes = static_cast<std::size_t>(count * bytes_of(type)) + 64;
    memory_.push_back(std::make_unique<std::byte[]>(bytes + 64));
    std::byte* p = memory_.back().get();
    p += (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64;
    for (i64 i = 0; i < count; ++i) {
      const float x = static_cast<float>((i * 37 + 11) % 64 - 32) / 64;
      if (type == element::f32) reinterpret_cast<float*>(p)[i] = x;
      if (type == element::f16) reinterpret_cast<half*>(p)[i] = to_half(x);
      if (type == element::int32) reinterpret_cast<i32*>(p)[i] = static_cast<i32>(i % 10);
      if (type == element::uint8) reinterpret_cast<u8*>(p)[i] = static_cast<u8>(i % 4);
    }
    return p;
  }

  std::string name_;
  double macs_;
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::byte* in_[8] = {};
  std::byte* out_[6] = {};
};

struct step_builder {
  std::vector<operation_run> all;
  element type;
  i32 batch;
  bool last;

  operation_run& add(std::string name, kind what, double macs = 0) {
    all.emplace_back(std::move(name), what, last, macs);
    operation_run& op = all.back();
    op.step.valid = batch;
    return op;
  }

  void dense_layer(const std::string& name, i32 in, i32 out, bool first) {
    const dense_sizes n{batch, in, out};
    const double macs = static_cast<double>(n.macs());
    const i64 x = i64{batch} * in;
    const i64 y = i64{batch} * out;
    const i64 w = i64{in} * out;
    add(name, kind::dense, macs)
        .sizes(n)
        .in(0, x, type)
        .in(1, w, type)
        .in(2, out, type)
        .out(0, y, type);
    if (!first) {
      add(name + " data", kind::dense_data_gradient, macs)
          .sizes(n)
          .in(0, y, type)
          .in(1, w, type)
          .out(0, x, type);
    }
    add(name + " update", kind::dense_weight_update, macs)
        .sizes(n)
        .in(0, x, type)
        .in(1, y, type)
        .parameter(w);
    add(name + " bias", kind::bias_update)
        .sizes(bias_sizes{batch, out, 1})
        .in(1, y, type)
        .parameter(out);
  }

  void conv_layer(const std::string& name, const conv_sizes& n, bool first) {
    const double macs = static_cast<double>(n.macs());
    const i64 x = i64{batch} * n.in_channels * n.in_height * n.in_width;
    const i64 y = i64{batch} * n.out_channels * n.out_height * n.out_width;
    const i64 w = i64{n.out_channels} * n.in_channels * n.kernel_height * n.kernel_width;
    add(name, kind::conv2d, macs)
        .sizes(n)
        .in(0, x, type)
        .in(1, w, type)
        .in(2, n.out_channels, type)
        .out(0, y, type);
    if (!first) {
      add(name + " data", kind::conv2d_data_gradient, macs)
          .sizes(n)
          .in(0, y, type)
          .in(1, w, type)
          .out(0, x, type);
    }
    add(name + " update", kind::conv2d_weight_update, macs)
        .sizes(n)
        .in(0, x, type)
        .in(1, y, type)
        .parameter(w);
    add(name + " bias", kind::bias_update)
        .sizes(bias_sizes{batch, n.out_channels, n.out_height * n.out_width})
        .in(1, y, type)
        .parameter(n.out_channels);
  }

  void activation(const std::string& name, kind forward, kind backward, i32 size) {
    const elementwise_sizes n{batch * size};
    add(name, forward).sizes(n).in(0, n.count, type).out(0, n.count, type);
    add(name + " gradient", backward)
        .sizes(n)
        .in(0, n.count, type)
        .in(1, n.count, type)
        .out(0, n.count, type);
  }

  void pool(const std::string& name, i32 channels, i32 size) {
    const pool_sizes n{batch, channels, size, size, size / 2, size / 2, 2, 2, 2,
                       2,     0,        0,    0,    0,        1,        1, 0};
    const i64 x = i64{batch} * channels * size * size;
    add(name, kind::max_pool2d)
        .sizes(n)
        .in(0, x, type)
        .out(0, x / 4, type)
        .out(1, x / 4, element::uint8);
    add(name + " gradient", kind::max_pool2d_gradient)
        .sizes(n)
        .in(0, x / 4, type)
        .in(1, x / 4, element::uint8)
        .out(0, x, type);
  }

  void loss(i32 classes) {
    const loss_sizes n{batch, classes, 1};
    const i64 z = i64{batch} * classes;
    add("loss", kind::softmax_cross_entropy)
        .sizes(n)
        .in(0, z, type)
        .in(1, batch, element::int32)
        .out(0, 1, element::f32);
    add("loss gradient", kind::softmax_cross_entropy_gradient)
        .sizes(n)
        .in(0, z, type)
        .in(1, batch, element::int32)
        .out(0, z, type);
  }

  void casts(i64 parameters) {
    if (type == element::f32) return;
    add("working copies", kind::cast)
        .sizes(elementwise_sizes{static_cast<i32>(parameters)})
        .in(0, parameters, element::f32)
        .out(0, parameters, element::f16);
  }
};

void measure(const char* title, step_builder& step, double peak) {
  std::printf("\n%s\n", title);
  double total = 0;
  for (operation_run& op : step.all) total += op.measure(peak);
  std::printf("%-28s %10.2f us\n", "all", total * 1e6);
}

}  // namespace

int main() {
  const double peak = peak_flops();
  std::printf("%d lanes, peak %.1f GFLOP/s\n", host::simd::lanes, peak * 1e-9);
  for (const element type : {element::f32, element::f16}) {
    step_builder lenet{{}, type, 32, true};
    lenet.casts(61706);
    lenet.conv_layer("conv1", {32, 1, 28, 28, 6, 28, 28, 5, 5, 1, 1, 2, 2, 1, 1, 1}, true);
    lenet.activation("tanh1", kind::tanh, kind::tanh_gradient, 6 * 28 * 28);
    lenet.pool("pool1", 6, 28);
    lenet.conv_layer("conv2", {32, 6, 14, 14, 16, 10, 10, 5, 5, 1, 1, 0, 0, 1, 1, 1}, false);
    lenet.activation("tanh2", kind::tanh, kind::tanh_gradient, 16 * 10 * 10);
    lenet.pool("pool2", 16, 10);
    lenet.dense_layer("dense1", 400, 120, false);
    lenet.activation("tanh3", kind::tanh, kind::tanh_gradient, 120);
    lenet.dense_layer("dense2", 120, 84, false);
    lenet.activation("tanh4", kind::tanh, kind::tanh_gradient, 84);
    lenet.dense_layer("dense3", 84, 10, false);
    lenet.loss(10);
    measure(type == element::f32 ? "LeNet-5, batch 32, f32" : "LeNet-5, batch 32, f16", lenet,
            peak);
  }
  for (const element type : {element::f32, element::f16}) {
    step_builder mlp{{}, type, 1, false};
    mlp.casts(4810);
    mlp.dense_layer("dense1", 64, 64, true);
    mlp.activation("relu", kind::relu, kind::relu_gradient, 64);
    mlp.dense_layer("dense2", 64, 10, false);
    mlp.loss(10);
    measure(type == element::f32 ? "MLP 64-64-10, batch 1, f32" : "MLP 64-64-10, batch 1, f16", mlp,
            peak);
  }
}
