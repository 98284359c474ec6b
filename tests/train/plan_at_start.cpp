// Memory planned when the program starts: the same plan, the same bits.

#include <support/catch.hpp>

#include <tessera/report/plan.hpp>
#include <tessera/tessera.hpp>

#include <support/plan_validator.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace tessera;

/// Noise of four kinds.
template <i32... Dims>
struct noise {
  i64 size() const { return 40; }
  shape sample_shape() const { return shape(Dims...); }
  void read(i64 index, float* out) const {
    random_stream random(6, static_cast<u64>(index));
    for (i64 i = 0; i < sample_shape().count(); ++i) {
      out[i] = random.next_normal() + static_cast<float>(label(index)) * 0.3f;
    }
  }
  i32 label(i64 index) const { return static_cast<i32>(index * 5 % 4); }
};

template <class Job, class Backend, class Source>
std::vector<std::byte> train(const Source& source) {
  const auto t = std::make_unique<trainer<Job, Backend>>(seed{4});
  t->fit(source, {.epochs = 2, .learning_rate = 0.05f});
  CHECK(t->evaluate(source).samples == source.size());
  std::vector<std::byte> all;
  for (const weight& w : t->weights()) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  return all;
}

using cnn = network<image<2, 8, 8>, conv<8, 3, pad<1>>, batch_norm, relu,
                    residual<conv<8, 3, pad<1>>, batch_norm, relu, conv<8, 3, pad<1>>, batch_norm>,
                    relu, dropout<30>, max_pool<2>, flatten, dense<4>>;
using reader = network<sequence<7, 6>, lstm<8, last_output>, dense<4>>;

template <class Network, class... Options>
using at_once = training<Network, softmax_cross_entropy, adam, batch<16>, Options...>;
template <class Network, class... Options>
using later = training<Network, softmax_cross_entropy, adam, batch<16>, plan_at_start, Options...>;

/// The job planned at start-up has the plan of the one planned while compiling.
template <class Constant, class Later>
void check_plan() {
  STATIC_REQUIRE(Constant::tensor_count == Later::tensor_count);
  STATIC_REQUIRE(Constant::parameter_count == Later::parameter_count);
  const memory_summary& m = Later::memory();
  CHECK(m.arena_bytes == Constant::memory.arena_bytes);
  CHECK(m.lower_bound_bytes == Constant::memory.lower_bound_bytes);
  CHECK(m.total_bytes == Constant::memory.total_bytes);
  CHECK(&memory_of<Later>() == &m);
  STATIC_REQUIRE(memory_of<Constant>().total_bytes == Constant::memory.total_bytes);
  for (i32 id = 0; id < Later::tensor_count; ++id) {
    const placed_tensor a = Constant::placement(id);
    const placed_tensor b = Later::placement(id);
    CHECK(a.at.where == b.at.where);
    CHECK(a.at.offset == b.at.offset);
    CHECK(a.born == b.born);
    CHECK(a.dies == b.dies);
    CHECK(a.own_bytes == b.own_bytes);
  }
  CHECK(list_plan<Later>().size() == list_plan<Constant>().size());
}

template <class Network, class Source, class... Options>
void check(const Source& source) {
  using constant = at_once<Network, Options...>;
  using planned_later = later<Network, Options...>;
  check_plan<constant, planned_later>();
  check_plan<typename constant::evaluation_job, typename planned_later::evaluation_job>();
  CHECK(train<constant, host_backend>(source) == train<planned_later, host_backend>(source));
}

/// 140 layers, each added to its input: more operations than are planned while compiling.
struct deep {
  static constexpr value build(builder& b, const bundle& x) {
    value y = x.items[0];
    for (int i = 0; i < 140; ++i) y = b.add(y, b.tanh(dense<8>::build(b, y)));
    return y;
  }
};
using deep_net = network<input<8>, deep, dense<4>>;

}  // namespace

TEST_CASE("A plan made at start-up is the constant one, and so are the bits", "[train]") {
  check<cnn>(noise<2, 8, 8>{});
  check<cnn, noise<2, 8, 8>, mixed<fp16>, clip_norm<1>>(noise<2, 8, 8>{});
  check<reader>(noise<7, 6>{});
}

TEST_CASE("The accelerator model runs what is planned at start-up", "[train]") {
  using machine = on<accelerator::ipu_mk1>;
  using half = mixed<fp16, skip_tensor>;
  CHECK(train<at_once<reader, half>, machine>(noise<7, 6>{}) ==
        train<later<reader, half>, machine>(noise<7, 6>{}));
  STATIC_REQUIRE_FALSE(fits<later<reader, half>, accelerator::ipu_mk1>);  // who knows
  STATIC_REQUIRE(cost<later<reader, half>, accelerator::ipu_mk1>.cycles() ==
                 cost<at_once<reader, half>, accelerator::ipu_mk1>.cycles());
}

TEST_CASE("Predictions of a plan made at start-up are the same", "[train]") {
  predictor<inference<cnn, batch<3>>> constant;
  predictor<inference<cnn, batch<3>, plan_at_start>> later;
  initialize_weights(constant.weights(), 8);
  initialize_weights(later.weights(), 8);
  std::vector<float> samples(3 * 128);
  noise<2, 8, 8> source;
  for (i64 i = 0; i < 3; ++i) source.read(i, samples.data() + i * 128);
  std::vector<float> a(12), b(12);
  constant.run(samples, a);
  later.run(samples, b);
  CHECK(a == b);
}

TEST_CASE("A budget is kept at start-up or refused", "[train]") {
  using least = at_once<cnn, least_memory>;
  constexpr i64 bytes = least::memory.arena_bytes;
  CHECK(later<cnn, budget<bytes>>::memory().arena_bytes == bytes);
  CHECK(train<later<cnn, budget<bytes>>, host_backend>(noise<2, 8, 8>{}) ==
        train<at_once<cnn>, host_backend>(noise<2, 8, 8>{}));
  std::string said;
  try {
    trainer<later<cnn, budget<1000>>> t;
  } catch (const error& wrong) {
    said = wrong.what();
  }
  CHECK(said ==
        "budget<1000>: expected at least " + std::to_string(bytes) +
            " bytes, what the arena takes with recomputation, got 1000; raise it, or take a "
            "smaller batch or type");
}

TEST_CASE("A network too large for constants trains", "[train]") {
  using job = later<deep_net>;
  // The graph, made in stages, is the one that is made in one go at run time; its plan is sound.
  const graph g = make_training<job::network, job::loss>(job::options, job::update);
  const passes::step_plan plan = passes::plan_step(g);
  REQUIRE(g.tensors.size() == job::tensor_count);
  REQUIRE(g.operations.size() == job::operation_count);
  for (i32 i = 0; i < job::operation_count; ++i) {
    const operation& op = job::plan::step_graph.operations[i];
    REQUIRE(op.what == g.operations[i].what);
    for (i32 k = 0; k < operation::max_inputs; ++k) REQUIRE(op.in[k] == g.operations[i].in[k]);
    for (i32 k = 0; k < operation::max_outputs; ++k) REQUIRE(op.out[k] == g.operations[i].out[k]);
  }
  for (i32 id = 0; id < job::tensor_count; ++id) {
    REQUIRE(plan.locations[id].where == job::placement(id).at.where);
    REQUIRE(plan.locations[id].offset == job::placement(id).at.offset);
  }
  CHECK(testing::fault_of(g, job::plan::locations(), job::memory()).empty());
  CHECK(job::memory().arena_bytes == job::memory().lower_bound_bytes);

  const auto t = std::make_unique<trainer<job>>(seed{2});
  const noise<8> source;
  const double before = t->evaluate(source).loss;
  t->fit(source, {.epochs = 4, .learning_rate = 1e-3f});
  CHECK(t->evaluate(source).loss < before);
}
