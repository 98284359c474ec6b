// Recurrent cells, selection by length, embedding and dropout in loops, on every backend: against
// plain loops written here, with calls put together by hand where the point in time matters.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <tessera/backends/accelerator.hpp>
#include <tessera/core/random.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/runtime/gradient_check.hpp>

#include <cmath>
#include <cstring>
#include <string_view>

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"test", 0, ""};

using values = std::vector<double>;

values random_values(i64 count, u64 seed) {
  random_stream random(seed);
  values all(static_cast<std::size_t>(count));
  for (double& v : all) v = 2 * static_cast<double>(random.next_uniform()) - 1;
  return all;
}

std::size_t at(i64 row, i64 width, i64 column) {
  return static_cast<std::size_t>(row * width + column);
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// A recurrent network as PyTorch computes it: all gates by one product of x and one of h.
struct plain_network {
  i32 batch, in, hidden, gates;
  values w, u, b, c;  // w (gates H, in), u (gates H, H), b and c (gates H)

  plain_network(i32 samples, i32 features, i32 state, i32 gate_count)
      : batch(samples),
        in(features),
        hidden(state),
        gates(gate_count),
        w(random_values(i64{gates} * hidden * in, 1)),
        u(random_values(i64{gates} * hidden * hidden, 2)),
        b(random_values(i64{gates} * hidden, 3)),
        c(random_values(i64{gates} * hidden, 4)) {}

  /// Row `gate` of weights times a sample, and the bias.
  static double product(const values& weight, const values& bias, const values& x, i32 width,
                        i32 sample, i32 gate) {
    double sum = bias[static_cast<std::size_t>(gate)];
    for (i32 i = 0; i < width; ++i) sum += weight[at(gate, width, i)] * x[at(sample, width, i)];
    return sum;
  }
  double from_x(const values& x, i32 n, i32 gate) const { return product(w, b, x, in, n, gate); }
  double from_h(const values& h, i32 n, i32 gate) const {
    return product(u, c, h, hidden, n, gate);
  }

  void lstm_step(const values& x, values& h, values& cell) const {
    const values before = h;
    for (i32 n = 0; n < batch; ++n) {
      for (i32 k = 0; k < hidden; ++k) {
        const auto gate = [&](i32 which) {
          return from_x(x, n, which * hidden + k) + from_h(before, n, which * hidden + k);
        };
        double& state = cell[at(n, hidden, k)];
        state = sigmoid(gate(1)) * state + sigmoid(gate(0)) * std::tanh(gate(2));
        h[at(n, hidden, k)] = sigmoid(gate(3)) * std::tanh(state);
      }
    }
  }

  void gru_step(const values& x, values& h) const {
    const values before = h;
    for (i32 n = 0; n < batch; ++n) {
      for (i32 k = 0; k < hidden; ++k) {
        const double r = sigmoid(from_x(x, n, k) + from_h(before, n, k));
        const double z = sigmoid(from_x(x, n, hidden + k) + from_h(before, n, hidden + k));
        const double candidate =
            std::tanh(from_x(x, n, 2 * hidden + k) + r * from_h(before, n, 2 * hidden + k));
        double& state = h[at(n, hidden, k)];
        state = (1 - z) * candidate + z * state;
      }
    }
  }
};

/// The same network as a graph, its steps written out.
struct unrolled {
  graph g;
  i32 w, u, b, c, h0, c0 = -1;
  std::vector<i32> x;
  i32 h, cell = -1;

  unrolled(const plain_network& p, i32 steps, bool last) {
    w = add_weight(g, shape(p.gates * p.hidden, p.in));
    u = add_weight(g, shape(p.gates * p.hidden, p.hidden), element::f32, "recurrent");
    b = add_weight(g, shape(p.gates * p.hidden), element::f32, "bias");
    c = add_weight(g, shape(p.gates * p.hidden), element::f32, "recurrent_bias");
    const tensor_options state{.batch_last = last, .differentiable = true};
    h = h0 = add_tensor(g, shape(p.batch, p.hidden), state);
    if (p.gates == 4) cell = c0 = add_tensor(g, shape(p.batch, p.hidden), state);
    for (i32 t = 0; t < steps; ++t) {
      x.push_back(add_tensor(g, shape(p.batch, p.in), state));
      const i32 zx = ops::dense(g, x.back(), w, b, layer);
      const i32 zh = ops::dense(g, h, u, c, layer);
      if (p.gates == 4) {
        const ops::lstm_outputs next = ops::lstm_cell(g, ops::add(g, zx, zh, layer), cell, layer);
        h = next.h;
        cell = next.c;
      } else {
        h = ops::gru_cell(g, zx, zh, h, layer);
      }
    }
  }
};

double worst_difference(const values& a, const values& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST_CASE("an LSTM and a GRU over time agree with plain loops", "[agreement]") {
  constexpr i32 steps = 7;
  for (const i32 gates : {4, 3}) {
    for (const i32 batch : {3, 16}) {
      const plain_network p(batch, 5, 11, gates);
      values h = random_values(i64{batch} * p.hidden, 5);
      values cell = random_values(i64{batch} * p.hidden, 6);
      const values h0 = h, c0 = cell;
      std::vector<values> x;
      for (i32 t = 0; t < steps; ++t) {
        x.push_back(random_values(i64{batch} * p.in, static_cast<u64>(10 + t)));
        if (gates == 4) {
          p.lstm_step(x.back(), h, cell);
        } else {
          p.gru_step(x.back(), h);
        }
      }
      for (const graph_backend& backend : backends()) {
        for (const bool last : layouts(backend, batch)) {
          INFO(gates << " gates, batch " << batch << (last ? ", samples innermost, " : ", ")
                     << backend.name);
          unrolled net(p, steps, last);
          keep(net.g, net.h);
          if (net.cell >= 0) keep(net.g, net.cell);
          interpreter run(net.g, backend.find);
          run.write(net.w, p.w);
          run.write(net.u, p.u);
          run.write(net.b, p.b);
          run.write(net.c, p.c);
          run.write(net.h0, h0);
          if (net.c0 >= 0) run.write(net.c0, c0);
          for (i32 t = 0; t < steps; ++t) {
            run.write(net.x[static_cast<std::size_t>(t)], x[static_cast<std::size_t>(t)]);
          }
          run.run(step_values{.valid = batch, .threads = 2});
          // Sums of 16 terms of size 1 in f32, through gates whose slope is at most 1, seven times.
          CHECK(worst_difference(run.read(net.h), h) < 1e-5);
          if (net.cell >= 0) CHECK(worst_difference(run.read(net.cell), cell) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("gradients through steps that share their weights agree with differences",
          "[gradients]") {
  for (const i32 gates : {4, 3}) {
    for (const bool last : {false, true}) {
      const plain_network p(2, 2, 3, gates);
      const unrolled net(p, 3, last);
      std::vector<i32> outputs{net.h};
      if (net.cell >= 0) outputs.push_back(net.cell);
      const gradient_report r = check_gradients(net.g, {.outputs = outputs});
      INFO(r.message);
      CHECK(r.ok());
    }
  }
}

/// A call put together by hand; operands lie as they are given.
struct hand_call {
  signature s;
  attributes attr;
  step_values step;
  i32 index = 0;
  i32 trip = 0;
  std::vector<std::byte> in[3];
  std::vector<std::byte> out;
  bool over_a = false;  // the output lies in input 1

  template <class T>
  static std::vector<std::byte> stored(const std::vector<T>& from) {
    std::vector<std::byte> bytes(from.size() * sizeof(T));
    std::memcpy(bytes.data(), from.data(), bytes.size());
    return bytes;
  }
  static std::vector<std::byte> stored(const values& from, element type) {
    std::vector<std::byte> bytes(from.size() * static_cast<std::size_t>(bytes_of(type)));
    for (std::size_t i = 0; i < from.size(); ++i) {
      write_element(bytes.data(), type, static_cast<i64>(i), from[i]);
    }
    return bytes;
  }
  void give(i32 slot, std::vector<std::byte> bytes, element type) {
    s.set_type(slot, type);
    in[slot] = std::move(bytes);
  }
  void want(i64 count, element type) {
    s.set_type(8, type);
    out.assign(static_cast<std::size_t>(count * bytes_of(type)), std::byte{77});
  }

  values run(kernel_finder find) {
    const kernel k = find(s);
    REQUIRE(k != nullptr);
    std::byte* inputs[8] = {};
    std::byte* outputs[8] = {};
    for (i32 slot = 0; slot < 3; ++slot)
      inputs[slot] = s.has_input(slot) ? in[slot].data() : nullptr;
    outputs[0] = over_a ? in[1].data() : out.data();
    k(call{inputs, outputs, &s, &attr, &step, index, trip});
    const element type = s.output_type(0);
    values got(out.size() / static_cast<std::size_t>(bytes_of(type)));
    for (std::size_t i = 0; i < got.size(); ++i) {
      got[i] = read_element(outputs[0], type, static_cast<i64>(i));
    }
    return got;
  }
};

TEST_CASE("select_by_length chooses by the point in time, sample by sample", "[agreement]") {
  constexpr i32 batch = 16, features = 5;
  std::vector<i32> lengths(batch);
  for (i32 n = 0; n < batch; ++n) lengths[static_cast<std::size_t>(n)] = n % 4;
  const i32 count = batch * features;
  values a(static_cast<std::size_t>(count)), b(a);
  for (i32 i = 0; i < count; ++i) {
    a[static_cast<std::size_t>(i)] = 1 + i;
    b[static_cast<std::size_t>(i)] = -1 - i;
  }
  for (const graph_backend& backend : backends()) {
    for (const element type : {element::f32, element::f16}) {
      for (const bool last : {false, true}) {
        for (const i32 index : {0, 1, 3}) {
          for (const i32 present : {1, 2, 3}) {  // a, b, both
            for (const bool over_a : {false, true}) {
              if (over_a && present == 2) continue;
              INFO(backend.name << ", index " << index << ", operands " << present);
              hand_call c;
              c.s.what = kind::select_by_length;
              c.s.batch_last = last;
              cell_sizes{batch, features}.write(c.s);
              c.index = index;
              c.over_a = over_a;
              c.step.threads = 2;
              c.give(0, hand_call::stored(lengths), element::int32);
              if (present != 2) c.give(1, hand_call::stored(a, type), type);
              if (present != 1) c.give(2, hand_call::stored(b, type), type);
              c.want(count, type);
              values wanted(a.size());
              for (i32 i = 0; i < count; ++i) {
                const i32 n = last ? i % batch : i / features;
                const bool runs = index < n % 4;
                const auto e = static_cast<std::size_t>(i);
                wanted[e] = runs ? (present == 2 ? 0 : a[e]) : (present == 1 ? 0 : b[e]);
              }
              CHECK(c.run(backend.find) == wanted);
            }
          }
        }
      }
    }
  }
}

hand_call embedding_call(kind what, const embedding_sizes& n, bool last, element type,
                         const std::vector<i32>& indices, const values& other) {
  hand_call c;
  c.s.what = what;
  c.s.batch_last = last;
  n.write(c.s);
  c.give(0, hand_call::stored(indices), element::int32);
  c.give(1, hand_call::stored(other, type), type);
  c.want(what == kind::embedding ? i64{n.indices()} * n.width : i64{n.rows} * n.width, type);
  return c;
}

TEST_CASE("embedding reads rows; an index that is none gives zeros", "[agreement]") {
  const embedding_sizes n{1, 6, 3, 2};
  const std::vector<i32> indices{2, 0, 2, -1, 3, -2147483647 - 1};
  const values table{1, 2, 3, 4, 5, 6};
  for (const graph_backend& backend : backends()) {
    for (const element type : {element::f32, element::f16}) {
      INFO(backend.name);
      hand_call first = embedding_call(kind::embedding, n, false, type, indices, table);
      first.attr.padding_index = 0;  // its row is read like any other
      CHECK(first.run(backend.find) == values{5, 6, 1, 2, 5, 6, 0, 0, 0, 0, 0, 0});
      hand_call last = embedding_call(kind::embedding, n, true, type, indices, table);
      CHECK(last.run(backend.find) == values{5, 1, 5, 0, 0, 0, 6, 2, 6, 0, 0, 0});
    }
  }
}

TEST_CASE("the gradient of embedding adds up repeated indices and skips padding", "[agreement]") {
  const embedding_sizes n{2, 4, 4, 2};
  const std::vector<i32> indices{2, 0, 2, -1, 4, 2, 1, 2147483647};
  const values by_index{1, 10, 2, 20, 4, 40, 8, 80, 16, 160, 32, 320, 64, 640, 128, 1280};
  values side_by_side(by_index.size());  // (2, width, 4)
  for (std::size_t i = 0; i < 8; ++i) {
    for (std::size_t w = 0; w < 2; ++w) {
      side_by_side[i / 4 * 8 + w * 4 + i % 4] = by_index[2 * i + w];
    }
  }
  for (const graph_backend& backend : backends()) {
    for (const element type : {element::f32, element::f16}) {
      for (const bool last : {false, true}) {
        INFO(backend.name << (last ? ", samples innermost" : ""));
        hand_call c = embedding_call(kind::embedding_gradient, n, last, type, indices,
                                     last ? side_by_side : by_index);
        CHECK(c.run(backend.find) == values{2, 20, 64, 640, 37, 370, 0, 0});
        c.attr.padding_index = 2;
        CHECK(c.run(backend.find) == values{2, 20, 64, 640, 0, 0, 0, 0});
      }
    }
  }
}

TEST_CASE("the gradient of embedding sums halves in f32", "[agreement]") {
  // In halves 2048 + 1 is 2048.
  const embedding_sizes n{1, 4096, 2, 1};
  for (const graph_backend& backend : backends()) {
    INFO(backend.name);
    hand_call c = embedding_call(kind::embedding_gradient, n, false, element::f16,
                                 std::vector<i32>(4096, 1), values(4096, 1.0));
    CHECK(c.run(backend.find) == values{0, 4096});
  }
}

TEST_CASE("dropout draws another mask in every trip, the documented one", "[agreement]") {
  constexpr i32 count = 300;
  constexpr float rate = 0.5f;
  const values ones(count, 1.0);
  for (const graph_backend& backend : backends()) {
    std::vector<values> masks;
    for (const i32 trip : {0, 1, 70000}) {
      INFO(backend.name << ", trip " << trip);
      hand_call c;
      c.s.what = kind::dropout;
      elementwise_sizes{count}.write(c.s);
      c.attr.rate = rate;
      c.attr.salt = 3;
      c.step.seed = 42;
      c.step.step = 7;
      c.trip = trip;
      c.give(0, hand_call::stored(ones, element::f32), element::f32);
      c.want(count, element::f32);
      const philox generator{42, u64{3} + (static_cast<u64>(trip) << 32)};
      values wanted(count);
      for (i32 i = 0; i < count; ++i) {
        const u32 word = generator((u64{7} << 32) + static_cast<u64>(i / 4))[i % 4];
        wanted[static_cast<std::size_t>(i)] = uniform(word) < rate ? 0 : 2;
      }
      masks.push_back(c.run(backend.find));
      CHECK(masks.back() == wanted);
    }
    CHECK(masks[0] != masks[1]);
    CHECK(masks[1] != masks[2]);
  }
}

/// Runs a graph with counters; what was spent and what the operations were priced.
template <machine M>
void check_price(const graph& g) {
  accelerator::operation_price priced;
  for (const operation& op : g.operations) priced += accelerator::price(M, ops::sign(g, op));
  for (const i32 threads : {1, 3}) {
    accelerator::counters spent;
    interpreter net(g, [](const signature& s) -> kernel {
      for (const graph_backend& b : backends()) {
        if (std::string_view(b.name) == M.name) return b.find(s);
      }
      return nullptr;
    });
    net.run(step_values{.valid = 1, .threads = threads, .backend = &spent});
    CHECK(spent.total == priced);
  }
}

TEST_CASE("recurrent cells and embedding cost what was priced", "[agreement]") {
  for (const i32 batch : {1, 7, 48}) {
    for (const i32 hidden : {1, 37, 200}) {
      for (const element type : {element::f32, element::f16}) {
        INFO("batch " << batch << ", hidden " << hidden << ", " << name_of(type));
        graph g;
        const bool last = ops::batch_goes_last(batch);
        const tensor_options given{.batch_last = last, .differentiable = true};
        const i32 indices =
            add_tensor(g, shape(batch), {.type = element::int32, .batch_last = last});
        const i32 table = add_weight(g, shape(50, hidden));
        const i32 x = ops::embedding(g, indices, table, -1, layer);
        const i32 z = add_tensor(g, shape(batch, 4 * hidden), given);
        const ops::lstm_outputs state = ops::lstm_cell(g, z, x, layer);
        const i32 zx = add_tensor(g, shape(batch, 3 * hidden), given);
        const i32 zh = add_tensor(g, shape(batch, 3 * hidden), given);
        const i32 h = ops::gru_cell(g, zx, zh, state.h, layer);
        const i32 y = ops::select_by_length(g, indices, h, state.c, layer);
        differentiate_from(g, {y});
        passes::assign_precision(
            g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
        check_price<accelerator::ipu_mk1>(g);
        check_price<accelerator::small_array>(g);
      }
    }
  }
}

TEST_CASE("misfits are refused in a sentence", "[ops]") {
  graph g;
  const i32 z = add_tensor(g, shape(2, 12));
  const i32 c = add_tensor(g, shape(2, 4));
  ops::lstm_cell(g, z, c, layer);
  CHECK(spell(g.wrong) ==
        "test: expected pre-activations of 4 times the state's features, got 2x12 for a state of "
        "2x4; make the products as wide as all gates together");
  graph lengths;
  const i32 a = add_tensor(lengths, shape(3, 4));
  ops::select_by_length(lengths, add_tensor(lengths, shape(2), {.type = element::int32}), a, -1,
                        layer);
  CHECK(spell(lengths.wrong) ==
        "test: expected whole-number lengths, one a sample, got 2 for values of 3x4; give the "
        "lengths of the batch's sequences");
  graph words;
  ops::embedding(words, add_tensor(words, shape(3)), add_weight(words, shape(5, 2)), -1, layer);
  CHECK(spell(words.wrong) ==
        "test: expected whole numbers that choose rows of a table, got 3 of f32 for a table of "
        "5x2; give the network an input of tokens");
}

}  // namespace
