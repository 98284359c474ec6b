#include <tessera/runtime/interpreter.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/network/make.hpp>
#include <tessera/runtime/batch_writer.hpp>
#include <tessera/runtime/weights.hpp>

#include <set>
#include <string>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::testing;

using values = std::vector<double>;

kernel no_kernel(const signature&) { return nullptr; }

TEST_CASE("A wrong graph is refused with the words the compiler would use", "[runtime]") {
  using wrong = network<image<1, 28, 28>, dense<10>>;
  const graph g = make_forward<wrong, void>(4, purpose::inference);
  CHECK_THROWS_WITH(interpreter(g, reference::find_kernel),
                    "dense<10>: expected a rank-1 input, got 1x28x28; put flatten before it");
}

TEST_CASE("An operation without a kernel is named", "[runtime]") {
  graph g;
  const i32 x = add_tensor(g, shape(2, 3));
  keep(g, ops::unary(g, kind::sigmoid, x, {"a", 1, ""}));
  CHECK_THROWS_WITH(interpreter(g, no_kernel), starts_with("sigmoid: "));
}

TEST_CASE("Tensors are read and written batch first, whatever their layout", "[runtime]") {
  graph g;
  const i32 first = add_tensor(g, shape(2, 3));
  const i32 last = add_tensor(g, shape(2, 3), {.batch_last = true});
  interpreter net(g, reference::find_kernel);
  const values wanted{1, 2, 3, 4, 5, 6};
  net.write(first, wanted);
  net.write(last, wanted);
  CHECK(net.read(first) == wanted);
  CHECK(net.read(last) == wanted);
  const auto* const raw = reinterpret_cast<const float*>(net.data(last));
  CHECK(std::vector<float>(raw, raw + 6) == std::vector<float>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("A part of the operations can be run", "[runtime]") {
  graph g;
  const i32 x = add_tensor(g, shape(1, 2));
  const i32 a = ops::unary(g, kind::relu, x, {"a", 1, ""});
  const i32 b = ops::unary(g, kind::relu, x, {"b", 1, ""});
  keep(g, a);
  keep(g, b);
  interpreter net(g, reference::find_kernel);
  net.write(x, values{3, -1});
  net.run(0, 1, {.valid = 1});
  CHECK(net.read(a) == values{3, 0});
  CHECK(net.read(b) == values{0, 0});
  net.run(1, 2, {.valid = 1});
  CHECK(net.read(b) == values{3, 0});
}

TEST_CASE("State begins at its fill, and begins again", "[runtime]") {
  graph g;
  loss_scaling scaling;
  scaling.skip = skip_rule::step;
  scaling.initial = 4096;
  passes::append_scaler(g, scaling);
  interpreter net(g, reference::find_kernel);
  CHECK(net.read(g.scaler) == values{4096, 0, 0, 0});
  net.write(g.scaler, values{1, 2, 3, 4});
  net.reset_state();
  CHECK(net.read(g.scaler) == values{4096, 0, 0, 0});
}

TEST_CASE("Numbers are rounded once to the tensor's type", "[runtime]") {
  std::byte bytes[8] = {};
  write_element(bytes, element::f16, 0, 1.0 / 3);
  CHECK(read_element(bytes, element::f16, 0) == 0.333251953125);
  write_element(bytes, element::bf16, 1, 1.0 / 3);
  CHECK(read_element(bytes, element::bf16, 1) == 0.333984375);
  write_element(bytes, element::f32, 1, 1.0 / 3);
  CHECK(read_element(bytes, element::f32, 1) == static_cast<double>(1.0f / 3.0f));
  write_element(bytes, element::f64, 0, 1.0 / 3);
  CHECK(read_element(bytes, element::f64, 0) == 1.0 / 3);
  write_element(bytes, element::int32, 1, -7);
  CHECK(read_element(bytes, element::int32, 1) == -7);
  write_element(bytes, element::uint8, 3, 200);
  CHECK(read_element(bytes, element::uint8, 3) == 200);
}

TEST_CASE("A batch is written in the input's layout, missing samples as zeros", "[runtime]") {
  tensor input;
  input.dims = shape(3, 2);
  for (const bool last : {false, true}) {
    input.batch_last = last;
    input.type = last ? element::f16 : element::f32;
    batch_writer writer(input);
    CHECK(writer.features() == 2);
    for (i32 n = 0; n < 3; ++n) {
      writer.row(n)[0] = static_cast<float>(10 * n + 1);
      writer.row(n)[1] = static_cast<float>(10 * n + 2);
    }
    std::byte bytes[24];
    writer.write(2, bytes);
    CHECK(read_tensor(input, bytes) == values{1, 2, 11, 12, 0, 0});
    CHECK(read_element(bytes, input.type, 1) == (last ? 11 : 2));
  }
}

TEST_CASE("Regions are cut out of one block without overlap", "[runtime]") {
  memory_summary m;
  m.parameter_bytes = 640;
  m.working_bytes = 320;
  m.state_bytes = 64;
  m.input_bytes = 128;
  m.target_bytes = 192;
  m.constant_bytes = 256;
  m.arena_bytes = 1024;
  m.total_bytes = 640 + 320 + 64 + 128 + 192 + 256 + 1024;
  memory_block block(m.total_bytes);
  const region_bases bases = cut_regions(block.data(), m);
  std::set<std::byte*> starts;
  for (const region r : {region::parameters, region::working, region::state, region::input,
                         region::target, region::constant, region::arena}) {
    std::byte* const start = bases.at({r, 0});
    CHECK(start >= block.data());
    CHECK(start < block.data() + block.size());
    CHECK(reinterpret_cast<std::uintptr_t>(start) % 64 == 0);
    starts.insert(start);
  }
  CHECK(starts.size() == 7);
  CHECK(bases.at({region::arena, 1024}) == block.data() + block.size());
  CHECK(bases.at({region::none, 0}) == nullptr);
  for (i64 i = 0; i < block.size(); ++i) REQUIRE(block.data()[i] == std::byte{0});
}

TEST_CASE("A block of memory moves, and may be empty", "[runtime]") {
  memory_block a(128);
  std::byte* const data = a.data();
  memory_block b(std::move(a));
  CHECK(b.data() == data);
  memory_block c;
  c = std::move(b);
  CHECK(c.data() == data);
  CHECK(c.size() == 128);
  CHECK(memory_block(0).data() == nullptr);
}

TEST_CASE("Weights are listed by name and start by their initializers", "[runtime]") {
  using net = network<input<30>, dense<40>, relu, dense<20, initialized_by<initializer::ones>>>;
  interpreter run(make_forward<net, void>(1, purpose::inference), reference::find_kernel);
  region_bases bases;
  bases[region::parameters] = run.data(1);
  const graph& g = run.network();
  const auto count = static_cast<std::size_t>(g.tensors.size());
  const weight_list list = list_weights(g, {run.plan().locations.data(), count}, bases);
  REQUIRE(list.size() == 4);
  CHECK(list[0].name == "dense1.weight");
  CHECK(list[1].name == "dense1.bias");
  CHECK(list[2].name == "dense2.weight");
  CHECK(list[3].name == "dense2.bias");
  CHECK(list[0].bytes.size() == 4800);
  initialize_weights(list, 7);
  const values first = run.read(1);
  const double bound = std::sqrt(6.0 / 70);
  for (const double v : first) CHECK(std::abs(v) <= bound);
  CHECK(*std::max_element(first.begin(), first.end()) > 0.9 * bound);
  CHECK(run.read(2) == values(40, 0.0));
  initialize_weights(list, 7);
  CHECK(run.read(1) == first);
  initialize_weights(list, 8);
  CHECK(run.read(1) != first);
}

}  // namespace
