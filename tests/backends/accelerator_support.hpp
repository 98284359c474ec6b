#pragma once

// One operation on the accelerator model: operands with random values, run, compared.

#include <support/kernel_finders.hpp>
#include <support/reference_kernels.hpp>
#include <tessera/backends/accelerator.hpp>
#include <tessera/backends/reference.hpp>
#include <tessera/ops/ops.hpp>
#include <cstring>
#include <random>
#include <vector>

namespace tessera::testing {

/// An operation with operands of its own.
struct model_case {
  signature sizes;
  attributes attr;
  step_values step;
  i32 trip = 0;
  i32 number = 0;
  std::vector<std::vector<std::byte>> in = std::vector<std::vector<std::byte>>(8);
  std::vector<std::vector<std::byte>> out =
      std::vector<std::vector<std::byte>>(operation::max_outputs);

  template <class T>
  T* input(i32 slot) {
    return reinterpret_cast<T*>(in[static_cast<std::size_t>(slot)].data());
  }
  template <class T>
  T* output(i32 slot) {
    return reinterpret_cast<T*>(out[static_cast<std::size_t>(slot)].data());
  }

  /// Runs `run` on these operands; outputs change in place.
  void operator()(kernel run) {
    std::byte* inputs[8];
    std::byte* outputs[operation::max_outputs];
    for (std::size_t i = 0; i < 8; ++i) inputs[i] = in[i].empty() ? nullptr : in[i].data();
    for (std::size_t i = 0; i < operation::max_outputs; ++i) {
      outputs[i] = out[i].empty() ? nullptr : out[i].data();
    }
    run(call{inputs, outputs, &sizes, &attr, &step, 0, trip, number});
  }

  void give_input(i32 slot, i64 count, element type) {
    sizes.set_type(slot, type);
    in[static_cast<std::size_t>(slot)].resize(static_cast<std::size_t>(count * bytes_of(type)));
  }
  void give_output(i32 slot, i64 count, element type) {
    sizes.set_type(8 + slot, type);
    out[static_cast<std::size_t>(slot)].resize(static_cast<std::size_t>(count * bytes_of(type)));
  }

  i64 output_count(i32 slot) const {
    return static_cast<i64>(out[static_cast<std::size_t>(slot)].size()) /
           bytes_of(sizes.output_type(slot));
  }
  double output_value(i32 slot, i64 i) {
    switch (sizes.output_type(slot)) {
      case element::f16: return to_float(output<half>(slot)[i]);
      case element::f32: return output<float>(slot)[i];
      case element::uint8: return output<u8>(slot)[i];
      default: return output<i32>(slot)[i];
    }
  }
};

class random_values {
 public:
  explicit random_values(u32 seed) : engine_(seed) {}

  float uniform(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(engine_);
  }
  i32 whole(i32 low, i32 high) { return std::uniform_int_distribution<i32>(low, high)(engine_); }

  /// Fills floating operands with values in [low, high].
  void fill(std::vector<std::byte>& bytes, element type, float low = -1, float high = 1) {
    if (type == element::f16) {
      for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
        const half h = to_half(uniform(low, high));
        std::memcpy(bytes.data() + 2 * i, &h, 2);
      }
    } else if (type == element::f32) {
      for (std::size_t i = 0; i < bytes.size() / 4; ++i) {
        const float f = uniform(low, high);
        std::memcpy(bytes.data() + 4 * i, &f, 4);
      }
    }
  }
  void fill_inputs(model_case& m) {
    for (i32 slot = 0; slot < 8; ++slot) {
      if (m.sizes.has_input(slot))
        fill(m.in[static_cast<std::size_t>(slot)], m.sizes.input_type(slot));
    }
  }

 private:
  std::mt19937 engine_;
};

inline model_case dense_case(kind what, dense_sizes n, element type, bool batch_last, bool bias) {
  model_case m;
  m.sizes.what = what;
  m.sizes.batch_last = batch_last;
  n.write(m.sizes);
  const i64 x = i64{n.batch} * n.in;
  const i64 y = i64{n.batch} * n.out;
  const i64 w = i64{n.in} * n.out;
  m.give_input(0, what == kind::dense_data_gradient ? y : x, type);
  m.give_input(1, what == kind::dense_weight_gradient ? y : w, type);
  if (bias && what == kind::dense) m.give_input(2, n.out, type);
  m.give_output(0, what == kind::dense ? y : what == kind::dense_data_gradient ? x : w, type);
  return m;
}

inline model_case conv_case(kind what, conv_sizes n, element type, bool batch_last, bool bias) {
  model_case m;
  m.sizes.what = what;
  m.sizes.batch_last = batch_last;
  n.write(m.sizes);
  m.attr.groups = n.groups;
  const i64 x = i64{n.batch} * n.in_channels * n.in_height * n.in_width;
  const i64 y = i64{n.batch} * n.out_channels * n.out_height * n.out_width;
  const i64 w = i64{n.out_channels} * n.group_in() * n.kernel_height * n.kernel_width;
  m.give_input(0, what == kind::conv2d_data_gradient ? y : x, type);
  m.give_input(1, what == kind::conv2d_weight_gradient ? y : w, type);
  if (bias && what == kind::conv2d) m.give_input(2, n.out_channels, type);
  m.give_output(0, what == kind::conv2d ? y : what == kind::conv2d_data_gradient ? x : w, type);
  return m;
}

/// y's extents from the others.
inline conv_sizes conv_of(i32 batch, i32 in, i32 height, i32 width, i32 out, i32 kernel_h,
                          i32 kernel_w, i32 stride, i32 pad, i32 dilation, i32 groups) {
  const auto count = [&](i32 cells, i32 kernel) {
    return (cells + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
  };
  return {batch,
          in,
          height,
          width,
          out,
          count(height, kernel_h),
          count(width, kernel_w),
          kernel_h,
          kernel_w,
          stride,
          stride,
          pad,
          pad,
          dilation,
          dilation,
          groups};
}

inline model_case pool_case(kind what, pool_sizes n, element type, bool batch_last) {
  model_case m;
  m.sizes.what = what;
  m.sizes.batch_last = batch_last;
  n.write(m.sizes);
  const i64 x = i64{n.batch} * n.channels * n.in_height * n.in_width;
  const i64 y = i64{n.batch} * n.channels * n.out_height * n.out_width;
  const element index = n.kernel_height * n.kernel_width <= 256 ? element::uint8 : element::int32;
  const bool forward = what == kind::max_pool2d || what == kind::avg_pool2d;
  const bool largest = what == kind::max_pool2d || what == kind::max_pool2d_gradient;
  m.give_input(0, forward ? x : y, type);
  m.give_output(0, forward ? y : x, type);
  if (largest && forward) m.give_output(1, y, index);
  if (largest && !forward) m.give_input(1, y, index);
  return m;
}

inline model_case elementwise_case(kind what, i32 count, element type, i32 inputs) {
  model_case m;
  m.sizes.what = what;
  elementwise_sizes{count}.write(m.sizes);
  for (i32 i = 0; i < inputs; ++i) m.give_input(i, count, type);
  m.give_output(0, count, type);
  return m;
}

/// An update with or without a scaler: gradient in slot 0 (plain) or x and dy (fused).
inline void give_update(model_case& m, i64 parameters, const update_rule& rule,
                        const loss_scaling& scaling) {
  m.attr.update = rule;
  m.attr.scaling = scaling;
  m.step.learning_rate = 0.01f;
  m.give_output(0, parameters, element::f32);
  for (i32 i = 0; i < rule.states(); ++i) m.give_output(1 + i, parameters, element::f32);
  m.give_output(4, 1, element::int32);
  if (ops::carries_number(rule.what)) m.give_output(5, 1, element::f32);
  if (scaling.used()) {
    m.give_input(2, 4, element::f32);
    m.input<float>(2)[0] = scaling.initial;
  }
}

/// The counters of a run, and its outputs.
template <machine M>
accelerator::counters run_on_model(model_case& m, i32 threads = 1) {
  accelerator::counters counted;
  m.step.backend = &counted;
  m.step.threads = threads;
  m(accelerator::find_kernel<M>(m.sizes));
  m.step.backend = nullptr;
  return counted;
}

/// The same operation in double, rounded once.
inline void run_in_double(model_case& m) { m(&reference::run_in<double>); }

}  // namespace tessera::testing
