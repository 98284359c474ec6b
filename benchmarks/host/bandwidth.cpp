// How near is an operation without products to the pace of memory?
//
//   bench_host_bandwidth [NAME] [--json FILE]
//
// Elementwise operations, casts, normalization, softmax and pools of f32, f16 and bf16,
// with all operands together in L1 (16 KiB), L2 (512 KiB) and memory (96 MiB); NAME: only those
// that have it in their names. Bytes are those of all operands, each counted once; beside them
// stands their share of what adding two arrays up in a third does at the same size, measured right
// before. One thread; lower quartiles of 20 rounds (support/peak.hpp). bench_host_updates has the
// updates.

#include <support/numbers.hpp>
#include <support/peak.hpp>
#include <tessera/backends/host/kernels.hpp>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

namespace {

using namespace tessera;

struct level {
  const char* name;
  i64 bytes;
};
constexpr level levels[] = {{"L1", 16 << 10}, {"L2", 512 << 10}, {"memory", 96 << 20}};

/// Operands of n elements, or n times a share of them.
struct operand {
  i32 slot;  // outputs from 8 on
  element type;
  i64 part = 1;  // of n: so many
  i64 of = 1;
};

struct operation_case {
  std::string name;
  kernel run;
  bool batch_last;
  i64 unit;  // n is a multiple of it
  std::vector<operand> operands;
  void (*sizes)(i64 n, signature& s);
};

std::vector<operation_case> cases;

void flat(i64 n, signature& s) { elementwise_sizes{static_cast<i32>(n)}.write(s); }
constexpr i64 row = 256;
void rows(i64 n, signature& s) { softmax_sizes{static_cast<i32>(n / row), row, 1}.write(s); }
void norm_rows_first(i64 n, signature& s) {
  norm_sizes{static_cast<i32>(n / row), 1, row, 1}.write(s);
}
constexpr i64 batch = 32;
void norm_rows_last(i64 n, signature& s) {
  norm_sizes{batch, static_cast<i32>(n / batch / 64), 64, 1}.write(s);
}
void norm_channels(i64 n, signature& s) {
  norm_sizes{batch, 1, 8, static_cast<i32>(n / batch / 8)}.write(s);
}
void pools(i64 n, signature& s) {
  const i32 channels = static_cast<i32>(n / batch / 64);
  pool_sizes{batch, channels, 8, 8, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1}.write(s);
}

template <class T>
constexpr element type_of = sizeof(T) == 4            ? element::f32
                            : std::is_same_v<T, half> ? element::f16
                                                      : element::bf16;

template <kind What, class T, bool Last = false>
void enlist(const std::string& name, i64 unit, void (*sizes)(i64, signature&),
            std::vector<operand> operands) {
  for (operand& o : operands) {
    if (o.type == element::f64) o.type = type_of<T>;  // "as T"
  }
  const char* const type = sizeof(T) == 4 ? "f32" : std::is_same_v<T, half> ? "f16" : "bf16";
  cases.push_back({name + " " + type, host::kernel_for<What, T, Last>(), Last, unit,
                   std::move(operands), sizes});
}

constexpr element as_t = element::f64;
constexpr element f32 = element::f32;

template <class T>
void add_type() {
  using enum kind;
  const std::vector<operand> unary{{0, as_t}, {8, as_t}};
  const std::vector<operand> binary{{0, as_t}, {1, as_t}, {8, as_t}};
  enlist<relu, T>("relu", 64, flat, unary);
  enlist<kind::tanh, T>("tanh", 64, flat, unary);
  enlist<sigmoid, T>("sigmoid", 64, flat, unary);
  enlist<gelu_erf, T>("gelu", 64, flat, unary);
  enlist<kind::exp, T>("exp", 64, flat, unary);
  enlist<relu_gradient, T>("relu gradient", 64, flat, binary);
  enlist<tanh_gradient, T>("tanh gradient", 64, flat, binary);
  enlist<gelu_erf_gradient, T>("gelu gradient", 64, flat, binary);
  enlist<kind::add, T>("add", 64, flat, binary);
  enlist<multiply, T>("multiply", 64, flat, binary);
  enlist<dropout, T>("dropout", 64, flat, unary);
  enlist<softmax, T>("softmax of 256", row, rows, unary);
  enlist<log_softmax, T>("log_softmax of 256", row, rows, unary);
  enlist<softmax_gradient, T>("softmax gradient", row, rows, binary);
  const std::vector<operand> norm{{0, as_t}, {1, f32, 256, -1}, {2, f32, 256, -1},
                                  {8, as_t}, {11, f32, 1, 64},  {12, f32, 1, 64}};
  const std::vector<operand> back{{0, as_t},         {1, as_t},         {2, f32, 256, -1},
                                  {3, f32, 1, 64},   {4, f32, 1, 64},   {8, as_t},
                                  {9, f32, 256, -1}, {10, f32, 256, -1}};
  enlist<layer_norm, T>("layer norm of 256", row, norm_rows_first, norm);
  enlist<layer_norm_gradient, T>("layer norm gradient", row, norm_rows_first, back);
  enlist<layer_norm, T, true>("layer norm, samples last", 64 * batch, norm_rows_last, norm);
  enlist<layer_norm_gradient, T, true>("layer norm gradient, last", 64 * batch, norm_rows_last,
                                       back);
  enlist<rms_norm, T>("rms norm of 256", row, norm_rows_first,
                      {{0, as_t}, {1, f32, 256, -1}, {8, as_t}, {12, f32, 1, 64}});
  enlist<batch_norm, T, true>("batch norm, samples last", 8 * batch, norm_channels, norm);
  enlist<batch_norm_gradient, T, true>("batch norm gradient, last", 8 * batch, norm_channels, back);
  enlist<max_pool2d, T, true>("max pool 2x2, samples last", 64 * batch, pools,
                              {{0, as_t}, {8, as_t, 1, 4}, {9, element::uint8, 1, 4}});
  enlist<max_pool2d_gradient, T, true>("max pool gradient, last", 64 * batch, pools,
                                       {{0, as_t, 1, 4}, {1, element::uint8, 1, 4}, {8, as_t}});
  enlist<avg_pool2d, T, true>("avg pool 2x2, samples last", 64 * batch, pools,
                              {{0, as_t}, {8, as_t, 1, 4}});
  enlist<avg_pool2d_gradient, T, true>("avg pool gradient, last", 64 * batch, pools,
                                       {{0, as_t, 1, 4}, {8, as_t}});
}

/// Seconds and bytes of a case at a size.
struct measured {
  double seconds, bytes;
};

measured measure(const operation_case& c, i64 bytes) {
  double each = 0;
  for (const operand& o : c.operands) {
    if (o.of > 0)
      each += static_cast<double>(bytes_of(o.type) * o.part) / static_cast<double>(o.of);
  }
  i64 n = static_cast<i64>(static_cast<double>(bytes) / each) / c.unit * c.unit;
  if (n < c.unit) n = c.unit;
  signature s;
  c.sizes(n, s);
  s.batch_last = c.batch_last;
  attributes attr;
  attr.rate = 0.25f;
  attr.norm.epsilon = 1e-5f;
  step_values step;
  step.valid = batch;
  std::vector<bench::buffer<char>> memory;
  std::byte* in[8] = {};
  std::byte* out[8] = {};
  double total = 0;
  for (const operand& o : c.operands) {
    const i64 count = o.of > 0 ? n * o.part / o.of : o.part;
    s.set_type(o.slot, o.type);
    memory.emplace_back(count * bytes_of(o.type) + 64);
    std::byte* const at = memory.back().bytes();
    for (i64 i = 0; i < count; ++i) {
      const float x = bench::number_at(static_cast<u32>(o.slot), i);
      if (o.type == element::f32) reinterpret_cast<float*>(at)[i] = x;
      if (o.type == element::f16) reinterpret_cast<half*>(at)[i] = to_half(x);
      if (o.type == element::bf16) reinterpret_cast<bfloat16*>(at)[i] = to_bfloat16(x);
      if (o.type == element::uint8) reinterpret_cast<u8*>(at)[i] = static_cast<u8>(i % 4);
    }
    (o.slot < 8 ? in[o.slot] : out[o.slot - 8]) = at;
    total += static_cast<double>(count * bytes_of(o.type));
  }
  const call k{in, out, &s, &attr, &step};
  return {bench::time_of([&] { c.run(k); }), total};
}

}  // namespace

int main(int argc, char** argv) {
  std::string only, json;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
      json = argv[++i];
    } else {
      only = argv[i];
    }
  }
  add_type<float>();
  add_type<half>();
  add_type<bfloat16>();
  cases.push_back({"cast f32 to f16",
                   &host::cast<float, half>,
                   false,
                   64,
                   {{0, f32}, {8, element::f16}},
                   flat});
  cases.push_back({"cast f16 to f32",
                   &host::cast<half, float>,
                   false,
                   64,
                   {{0, element::f16}, {8, f32}},
                   flat});
  double memory[3];
  std::printf("%-32s", "GB/s, share of three arrays'");
  for (i32 l = 0; l < 3; ++l) {
    memory[l] = bench::triad_bandwidth(levels[l].bytes);
    std::printf(" %8s %6.1f", levels[l].name, memory[l] * 1e-9);
  }
  std::printf("\n");
  std::string lines;
  for (const operation_case& c : cases) {
    if (c.name.find(only) == std::string::npos) continue;
    std::printf("%-32s", c.name.c_str());
    for (i32 l = 0; l < 3; ++l) {
      const measured m = measure(c, levels[l].bytes);
      const double pace = m.bytes / m.seconds;
      std::printf(" %8.1f %5.0f%%", pace * 1e-9, 100 * pace / memory[l]);
      char line[256];
      std::snprintf(line, sizeof line,
                    "%s\n  {\"case\": \"%s\", \"level\": \"%s\", \"bytes\": %.0f, "
                    "\"bytes_per_second\": %.4g, \"share\": %.4f}",
                    lines.empty() ? "" : ",", c.name.c_str(), levels[l].name, m.bytes, pace,
                    pace / memory[l]);
      lines += line;
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  if (json.empty()) return 0;
  std::ofstream file(json);
  file << "[" << lines << "\n]\n";
  file.close();
  if (!file) {
    std::fprintf(stderr, "bench_host_bandwidth: cannot write %s\n", json.c_str());
    return 2;
  }
}
