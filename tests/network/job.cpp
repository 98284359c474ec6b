#include <tessera/network/job.hpp>

#include <support/catch.hpp>
#include <support/plan_validator.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;

using lenet = network<image<1, 28, 28>, conv<6, 5, pad<2>>, tessera::tanh, max_pool<2>, conv<16, 5>,
                      tessera::tanh, max_pool<2>, flatten, dense<120>, tessera::tanh, dense<84>,
                      tessera::tanh, dense<10>>;

template <class... Options>
using lenet_job = training<lenet, softmax_cross_entropy, sgd, batch<32>, Options...>;

using in_f32 = lenet_job<>;
using in_tensor = lenet_job<mixed<fp16, skip_tensor>>;
using in_step = lenet_job<mixed<fp16, skip_step>>;

TEST_CASE("The memory of a LeNet-5 training step is a constant", "[network]") {
  STATIC_REQUIRE(in_f32::memory.arena_bytes == 1'392'448);
  STATIC_REQUIRE(in_f32::memory.lower_bound_bytes == 1'392'448);
  STATIC_REQUIRE(in_tensor::memory.arena_bytes == 715'072);
  STATIC_REQUIRE(in_tensor::memory.lower_bound_bytes == 715'072);
  STATIC_REQUIRE(in_step::memory.arena_bytes == 838'336);
  STATIC_REQUIRE(in_step::memory.lower_bound_bytes == 838'336);
}

TEST_CASE("The regions of a plan add up to what a trainer allocates", "[network]") {
  constexpr memory_summary m = in_f32::memory;
  // 5 weights and 5 biases in f32, each from a multiple of 64 bytes on.
  STATIC_REQUIRE(m.parameter_bytes ==
                 640 + 64 + 9600 + 64 + 192'000 + 512 + 40'320 + 384 + 3392 + 64);
  STATIC_REQUIRE(m.input_bytes == 32 * 28 * 28 * 4);
  STATIC_REQUIRE(m.target_bytes == 128);
  STATIC_REQUIRE(m.working_bytes == 0);
  STATIC_REQUIRE(m.state_bytes == 10 * 64);  // how many updates each parameter has had
  STATIC_REQUIRE(m.total_bytes == m.arena_bytes + m.parameter_bytes + m.state_bytes +
                                      m.input_bytes + m.target_bytes);
  STATIC_REQUIRE(m.no_reuse_bytes > 2 * m.arena_bytes);
  // In 16 bits the batch takes half; masters stay, working copies and the loss scale come on top.
  STATIC_REQUIRE(in_tensor::memory.input_bytes == m.input_bytes / 2);
  STATIC_REQUIRE(in_tensor::memory.parameter_bytes == m.parameter_bytes);
  STATIC_REQUIRE(in_tensor::memory.working_bytes > 61'706 * 2);
  STATIC_REQUIRE(in_tensor::memory.state_bytes == m.state_bytes + 64);
}

TEST_CASE("Adam doubles the state that momentum needs", "[network]") {
  using with_momentum = training<lenet, softmax_cross_entropy, momentum_sgd, batch<32>>;
  using with_adam = training<lenet, softmax_cross_entropy, adam, batch<32>>;
  constexpr i64 counters = in_f32::memory.state_bytes;
  constexpr i64 parameters = in_f32::memory.parameter_bytes;
  STATIC_REQUIRE(with_momentum::memory.state_bytes == counters + parameters);
  STATIC_REQUIRE(with_adam::memory.state_bytes == counters + 2 * parameters);
  STATIC_REQUIRE(with_adam::memory.arena_bytes == in_f32::memory.arena_bytes);
}

TEST_CASE("LeNet-5 has 61,706 parameters", "[network]") {
  STATIC_REQUIRE(in_f32::parameter_count == 61'706);
  STATIC_REQUIRE(in_tensor::parameter_count == 61'706);
  STATIC_REQUIRE(inference<lenet, batch<1>>::parameter_count == 61'706);
}

template <class Job>
constexpr i32 tensors_of(role what, element type) {
  i32 n = 0;
  for (i32 id = 0; id < Job::tensor_count; ++id) {
    const placed_tensor t = Job::placement(id);
    n += t.what == what && t.type == type ? 1 : 0;
  }
  return n;
}

TEST_CASE("The element type of every tensor is a constant", "[network]") {
  STATIC_REQUIRE(tensors_of<in_f32>(role::activation, element::f16) == 0);
  STATIC_REQUIRE(tensors_of<in_tensor>(role::activation, element::f32) == 0);
  STATIC_REQUIRE(tensors_of<in_tensor>(role::gradient, element::f32) == 0);
  STATIC_REQUIRE(tensors_of<in_tensor>(role::parameter, element::f32) == 10);
  STATIC_REQUIRE(tensors_of<in_tensor>(role::working, element::f16) == 10);
  STATIC_REQUIRE(tensors_of<in_tensor>(role::saved, element::uint8) == 2);
  STATIC_REQUIRE(tensors_of<in_tensor>(role::result, element::f32) == 1);
}

TEST_CASE("A plan's rows say what, where and when", "[network]") {
  constexpr placed_tensor input = in_f32::placement(0);
  STATIC_REQUIRE(spell(input.name) == "input");
  STATIC_REQUIRE(input.at.where == region::input);
  STATIC_REQUIRE(input.dims == shape(32, 1, 28, 28));
  constexpr placed_tensor weight = in_f32::placement(1);
  STATIC_REQUIRE(spell(weight.name) == "conv1.weight");
  STATIC_REQUIRE(weight.dims == shape(6, 1, 5, 5));
  STATIC_REQUIRE(weight.at.where == region::parameters);
  constexpr placed_tensor first = in_f32::placement(3);
  STATIC_REQUIRE(spell(first.name) == "conv1.out");
  STATIC_REQUIRE(first.dims == shape(32, 6, 28, 28));
  STATIC_REQUIRE(first.born == 0);
  STATIC_REQUIRE(first.own_bytes);
  constexpr placed_tensor second = in_f32::placement(4);
  STATIC_REQUIRE(spell(second.name) == "tanh1.out");
  STATIC_REQUIRE_FALSE(second.own_bytes);
  STATIC_REQUIRE(second.at.offset == first.at.offset);
}

/// The plan of a type, tensor by tensor, against the one made at run time, and replayed.
template <class Job>
void check_plan(const graph& g) {
  const passes::step_plan plan = passes::plan_step(g);
  REQUIRE(g.tensors.size() == Job::tensor_count);
  REQUIRE(g.operations.size() == Job::operation_count);
  for (i32 id = 0; id < Job::tensor_count; ++id) {
    CHECK(plan.locations[id].where == Job::placement(id).at.where);
    CHECK(plan.locations[id].offset == Job::placement(id).at.offset);
  }
  CHECK(plan.memory.arena_bytes == Job::memory.arena_bytes);
  CHECK(plan.memory.total_bytes == Job::memory.total_bytes);
  CHECK(fault_of(g, Job::plan::where.locations.data(), Job::memory).empty());
}

template <class Job>
void check_training() {
  check_plan<Job>(
      make_training<typename Job::network, typename Job::loss>(Job::options, Job::update));
}

TEST_CASE("Constant and run-time plans are the same, and replay without a fault", "[network]") {
  using mlp = network<input<64>, dense<64>, relu, dropout<20>, dense<10>>;
  check_training<in_f32>();
  check_training<in_tensor>();
  check_training<in_step>();
  check_training<training<mlp, softmax_cross_entropy, adam, batch<1>>>();
  check_training<training<mlp, mse, nesterov_sgd, batch<48>, mixed<fp16>>>();
  using predicts = inference<lenet, batch<1>, mixed<fp16>>;
  check_plan<predicts>(make_inference<lenet, void>(predicts::options));
}

TEST_CASE("Training, evaluation and inference agree on where the weights are", "[network]") {
  constexpr auto parameters = []<class Job>(Job) {
    i64 sum = 0;
    i32 n = 0;
    for (i32 id = 0; id < Job::tensor_count; ++id) {
      const placed_tensor t = Job::placement(id);
      if (t.what == role::parameter) sum += ++n * t.at.offset;
    }
    return sum;
  };
  STATIC_REQUIRE(parameters(in_f32{}) == parameters(in_f32::evaluation_job{}));
  STATIC_REQUIRE(parameters(in_f32{}) == parameters(inference<lenet, batch<1>>{}));
  STATIC_REQUIRE(parameters(in_step{}) == parameters(inference<lenet, batch<5>, mixed<fp16>>{}));
}

TEST_CASE("Options come in any order", "[network]") {
  constexpr job_options a = read_job_options<batch<8>, mixed<fp16, skip_tensor>>();
  constexpr job_options b = read_job_options<mixed<fp16, static_scale<128>>, batch<8>>();
  STATIC_REQUIRE(a.batch == 8);
  STATIC_REQUIRE(b.batch == 8);
  STATIC_REQUIRE(a.precision.scaling.skip == skip_rule::tensor);
  STATIC_REQUIRE(a.precision.scaling.dynamic);
  STATIC_REQUIRE(a.precision.scaling.initial == 65536.0f);
  STATIC_REQUIRE(b.precision.scaling.skip == skip_rule::step);
  STATIC_REQUIRE_FALSE(b.precision.scaling.dynamic);
  STATIC_REQUIRE(b.precision.scaling.initial == 128.0f);
  STATIC_REQUIRE(read_job_options<>().batch == 1);
  STATIC_REQUIRE(read_job_options<fp64>().precision.storage == element::f64);
}

TEST_CASE("Equal operations share a kernel, large tables fall back to run-time sizes",
          "[network]") {
  using twins = network<input<16>, dense<16>, relu, dense<16>, relu, dense<16>, relu, dense<4>>;
  using job = training<twins, softmax_cross_entropy, sgd, batch<16>>;
  // dense 16x16 three times: forward, data gradient (twice) and update are one kernel each.
  STATIC_REQUIRE(job::plan::kernel_count < job::operation_count);
  constexpr i32 fixed = [] {
    i32 n = 0;
    for (const signature& s : job::plan::kernels) n += s.fixed ? 1 : 0;
    return n;
  }();
  STATIC_REQUIRE(fixed == 6);
  for (i32 i = 0; i < job::operation_count; ++i) {
    const signature& k = job::plan::kernels[job::plan::signatures.kernel_of[i]];
    const signature& s = job::plan::signatures.of_operation[i];
    CHECK(k.what == s.what);
    CHECK(k.types == s.types);
    if (k.fixed) CHECK(dense_sizes::of(k).in == dense_sizes::of(s).in);
  }
}

TEST_CASE("An inference plan keeps nothing for a way back", "[network]") {
  using forward = inference<lenet, batch<32>>;
  for (i32 id = 0; id < forward::tensor_count; ++id) {
    const placed_tensor t = forward::placement(id);
    if (t.what == role::saved) CHECK(t.at.where == region::none);
  }
  // At its fullest, pooling: what conv1 put out, and a quarter of it beside.
  STATIC_REQUIRE(forward::memory.arena_bytes == 602112 + 150528);
  STATIC_REQUIRE(forward::memory.arena_bytes == forward::memory.lower_bound_bytes);
}

}  // namespace
