#include <tessera/runtime/join.hpp>

#include <tessera/tessera.hpp>

#include <support/catch.hpp>

#include <cstring>

// Programs whose kernels do several operations in a row have the bits of those that do one.

namespace {

using namespace tessera;

/// The host without joined kernels.
struct one_by_one {
  template <signature S>
  static constexpr kernel kernel_of = host::kernel_of<S>;
};

/// What is added first lives on, so that the sum may take the bytes of the norm's input.
struct adds_to_kept {
  static constexpr value build(builder& b, value x) {
    const value normal = batch_norm::build(b, conv<4, 3, pad<1>>::build(b, x));
    const value sum = b.add(x, normal);
    return b.add(b.tanh(sum), x);
  }
};

using block = residual<conv<4, 3, pad<1>>, batch_norm, relu, conv<4, 3, pad<1>>, batch_norm>;
using net =
    network<image<3, 7, 5>, conv<4, 3, pad<1>>, batch_norm, relu, repeat<3, chain<block, relu>>,
            block, batch_norm, tessera::tanh, adds_to_kept, conv<5, 3, stride<2>>, batch_norm, relu,
            flatten, dense<9>, batch_norm, relu, dense<4>>;

template <class Job>
constexpr i32 joined_operations() {
  i32 sum = 0;
  for (const i32 n : detail::joined<typename Job::plan, host_backend>.joined) sum += n;
  return sum;
}

/// A few steps; the bytes of all weights and outputs.
template <class Job, class Backend>
std::vector<std::byte> bytes_after_steps(i32 valid) {
  const auto& g = Job::plan::step_graph;
  const auto* const at = Job::plan::locations();
  memory_block memory(Job::memory.total_bytes);
  const region_bases bases = cut_regions(memory.data(), Job::memory);
  call_sequence steps = bind<Job, Backend>(bases);
  reset_state<Job>(bases);
  const weight_list weights =
      list_weights(thaw(g), {at, static_cast<std::size_t>(Job::tensor_count)}, bases);
  initialize_weights(weights, 3);
  random_stream random(1, 1);
  const i32 x = g.inputs[0];
  for (i64 i = 0; i < g.tensors[x].dims.count(); ++i) {
    write_element(bases.at(at[x]), g.tensors[x].type, i, 2 * random.next_uniform() - 1);
  }
  step_values values;
  values.learning_rate = 0.05f;
  values.valid = valid;
  for (i32 i = 0; i < 4; ++i, ++values.step) steps.run(values);
  std::vector<std::byte> all;
  for (const weight& w : weights) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  for (const i32 y : g.outputs) {
    all.insert(all.end(), bases.at(at[y]), bases.at(at[y]) + g.tensors[y].bytes());
  }
  return all;
}

template <class Job>
void check(i32 batch) {
  for (const i32 valid : {batch, batch > 2 ? batch - 1 : batch}) {
    CHECK(bytes_after_steps<Job, host_backend>(valid) == bytes_after_steps<Job, one_by_one>(valid));
  }
}

template <i32 Batch, class Precision>
using trained = training<net, softmax_cross_entropy, momentum_sgd, batch<Batch>, Precision>;

}  // namespace

TEST_CASE("joined operations leave every bit of a training as it is", "[agreement]") {
  STATIC_REQUIRE(joined_operations<trained<16, fp32>>() >= 7);
  check<trained<16, fp32>>(16);
  check<trained<3, mixed<bf16>>>(3);
}

TEST_CASE("joined operations leave every bit of an answer as it is", "[agreement]") {
  using job = inference<net, batch<16>, pure<fp16>>;
  STATIC_REQUIRE(joined_operations<job>() >= 7);
  check<job>(16);
}

TEST_CASE("a kernel is replaced by the one that does more, and none is added", "[agreement]") {
  using job = inference<network<image<3, 6, 6>, conv<4, 3>, batch_norm, relu, conv<4, 3>,
                                batch_norm, relu, flatten, dense<3>>,
                        batch<1>>;
  constexpr const auto& runs = detail::joined<job::plan, host_backend>;
  i32 used = 0;
  i32 with_relu = 0;
  for (i32 k = 0; k < job::plan::kernel_count; ++k) {
    used += runs.used[k] ? 1 : 0;
    with_relu += runs.after[k] == kind::relu ? 1 : 0;
  }
  CHECK(with_relu == 1);
  CHECK(used == job::plan::kernel_count - 1);  // relu's own
}
