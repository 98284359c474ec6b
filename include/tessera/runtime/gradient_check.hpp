#pragma once

// Gradient check: are a graph's gradients the derivatives of what it computes?
//
//   analytic   the backward pass of the graph, as `passes::differentiate` appends it
//   numeric    (f(x + step) - f(x - step)) / (2 step) for one element x after the other
//
// Everything runs in f64 on the reference backend, where a central difference with step 1e-6 is
// good to about 1e-9 of the function's size. Where the two one-sided differences disagree, the
// function has a kink within one step (relu at 0, a tie in a max pool); such elements are counted
// and not compared, and other values (another seed) avoid them.
// Cost: two forward passes per element.

#include <tessera/backends/reference.hpp>
#include <tessera/network/make.hpp>
#include <tessera/passes/differentiate.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/runtime/draw_values.hpp>
#include <tessera/runtime/interpreter.hpp>
#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tessera {

struct gradient_check {
  double step = 1e-6;
  double rtol = 1e-3;
  double atol = 1e-5;
  u64 seed = 1;             // of values, incoming gradients and dropout masks
  i32 valid = 0;            // samples that count; 0: all
  i64 most_per_tensor = 0;  // check at most so many elements of a tensor, evenly spread; 0: all
  std::vector<i32> outputs =
      {};  // check the gradient of <random numbers, these>; none: of the losses
  /// Changes the values that are drawn for a tensor: (id, tensor, values in batch-first order).
  std::function<void(i32, const tensor&, std::span<double>)> fill = {};
  kernel_finder find = &reference::find_kernel;
};

/// One element whose gradients differ.
struct gradient_mismatch {
  i32 tensor = -1;
  i64 element = 0;
  double analytic = 0;
  double numeric = 0;
};

struct gradient_report {
  i64 checked = 0;
  i64 kinks = 0;           // elements left out
  double worst_error = 0;  // largest |analytic - numeric|
  std::vector<gradient_mismatch> wrong;
  std::string message;  // of the first mismatch, with the tensor's name

  /// Something was compared and everything agreed.
  bool ok() const { return checked > 0 && wrong.empty(); }
};

namespace detail {

/// A graph with its backward pass in f64, ready to be asked for its objective.
class gradient_checker {
 public:
  gradient_checker(const graph& forward, const gradient_check& options)
      : options_(options),
        forward_operations_(forward.operations.size()),
        forward_tensors_(forward.tensors.size()),
        net_(complete(forward), options.find),
        batch_(0) {
    random_stream random(options.seed);
    for (i32 id = 0; id < net_.network().tensors.size(); ++id) {
      const tensor& t = net_.network().tensors[id];
      if (!filled_by_caller(t)) continue;
      std::vector<double> values = draw_values(net_.network(), id, random);
      if (options_.fill) options_.fill(id, t, values);
      net_.write(id, values);
      if (t.batched && batch_ == 0) batch_ = t.batch();
    }
  }

  gradient_report run() {
    gradient_report report;
    step_ = {.seed = options_.seed, .valid = options_.valid > 0 ? options_.valid : batch_};
    net_.run(step_);
    const double here = objective();
    std::vector<std::vector<double>> analytic(static_cast<std::size_t>(forward_tensors_));
    for (i32 id = 0; id < forward_tensors_; ++id) {
      if (checks(id)) analytic[static_cast<std::size_t>(id)] = net_.read(gradients_[id]);
    }
    for (i32 id = 0; id < forward_tensors_; ++id) {
      if (checks(id)) compare(id, analytic[static_cast<std::size_t>(id)], here, report);
    }
    return report;
  }

 private:
  static void keep(graph& g, i32 id) {
    if (id >= 0 && in_arena(g.tensors[id].what)) g.tensors[id].what = role::result;
  }

  graph complete(graph g) {
    std::vector<passes::seed> seeds;
    for (const i32 id : options_.outputs) {
      tensor t = g.tensors[id];
      t.what = role::input;
      t.of = -1;
      t.differentiable = false;
      seeds.push_back({id, g.add(t)});
      seeds_.push_back(seeds.back().gradient);
      keep(g, id);
    }
    for (const operation& op : g.operations) {
      if (is_loss(op.what) || op.what == kind::balance_loss) losses_.push_back(op.out[0]);
    }
    gradients_ = passes::differentiate(g, seeds.data(), static_cast<i32>(seeds.size()));
    for (const i32 id : gradients_) keep(g, id);
    passes::assign_precision(
        g, {.storage = element::f64, .master = element::f64, .loss = element::f64, .scaling = {}});
    return g;
  }

  bool checks(i32 id) const {
    const tensor& t = net_.network().tensors[id];
    return filled_by_caller(t) && t.differentiable && gradients_[id] >= 0;
  }

  double objective() {
    double sum = 0;
    for (std::size_t i = 0; i < options_.outputs.size(); ++i) {
      const std::vector<double> y = net_.read(options_.outputs[i]);
      const std::vector<double> seed = net_.read(seeds_[i]);
      for (std::size_t k = 0; k < y.size(); ++k) sum += seed[k] * y[k];
    }
    if (options_.outputs.empty()) {
      for (const i32 loss : losses_) {
        for (const double v : net_.read(loss)) sum += v;
      }
    }
    return sum;
  }

  double objective_with(i32 id, std::vector<double>& values, std::size_t element, double value) {
    const double old = std::exchange(values[element], value);
    net_.write(id, values);
    net_.run(0, forward_operations_, step_);
    const double f = objective();
    values[element] = old;
    return f;
  }

  void compare(i32 id, const std::vector<double>& analytic, double here, gradient_report& report) {
    std::vector<double> values = net_.read(id);
    const auto count = static_cast<i64>(values.size());
    const bool sample = options_.most_per_tensor > 0 && count > options_.most_per_tensor;
    const i64 checked = sample ? options_.most_per_tensor : count;
    for (i64 k = 0; k < checked; ++k) {
      const i64 element = sample ? k * count / checked : k;
      const auto e = static_cast<std::size_t>(element);
      const double right = objective_with(id, values, e, values[e] + options_.step);
      const double left = objective_with(id, values, e, values[e] - options_.step);
      const double after = (right - here) / options_.step;
      const double before = (here - left) / options_.step;
      if (std::abs(after - before) > 1e-2 * (std::abs(after) + std::abs(before)) + 1e-4) {
        ++report.kinks;
        continue;
      }
      ++report.checked;
      note(id, element, analytic[e], (right - left) / (2 * options_.step), report);
    }
    net_.write(id, values);
  }

  void note(i32 id, i64 element, double analytic, double numeric, gradient_report& report) const {
    const double off = std::abs(analytic - numeric);
    if (off > report.worst_error) report.worst_error = off;
    if (off <= options_.atol + options_.rtol * std::abs(numeric)) return;
    if (report.wrong.empty()) {
      report.message = "gradient of " + std::string(spell(net_.network().tensors[id].name)) + "[" +
                       std::to_string(element) + "]: expected " + std::to_string(numeric) +
                       ", got " + std::to_string(analytic);
    }
    report.wrong.push_back({id, element, analytic, numeric});
  }

  const gradient_check& options_;
  i32 forward_operations_;
  i32 forward_tensors_;
  std::vector<i32> seeds_;
  std::vector<i32> losses_;
  grow<i32> gradients_;
  interpreter net_;
  i32 batch_;
  step_values step_;
};

}  // namespace detail

/// Compares the gradients of all inputs, targets and parameters that are marked differentiable with
/// central differences. `forward` is a graph without its backward pass.
/// Errors   throws `error` with the graph's own diagnostic
inline gradient_report check_gradients(const graph& forward, const gradient_check& options = {}) {
  return detail::gradient_checker(forward, options).run();
}

/// The same for the parameters of a network type: check_gradients<lenet, softmax_cross_entropy>(4).
template <network_type Network, loss_function Loss>
gradient_report check_gradients(i32 batch, const gradient_check& options = {}) {
  return check_gradients(make_forward<Network, Loss>(batch, purpose::training), options);
}

}  // namespace tessera
