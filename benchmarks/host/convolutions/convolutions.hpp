#pragma once

// The convolutions that are measured: layers of networks, their passes and operands.

#include <support/numbers.hpp>
#include <support/rounds.hpp>

#include <tessera/ops/sizes.hpp>

#include <string>
#include <vector>

namespace convolutions {

using tessera::i32;
using tessera::i64;

/// A square image, a square filter.
struct layer {
  const char* name;
  i32 in, out;  // channels
  i32 size, kernel, stride, pad;
  i32 groups = 1;
  i32 dilation = 1;

  constexpr i32 out_size() const {
    return (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  }
  constexpr tessera::conv_sizes sizes(i32 batch) const {
    return {batch,  in,     size,   size, out, out_size(), out_size(), kernel,
            kernel, stride, stride, pad,  pad, dilation,   dilation,   groups};
  }
};

inline constexpr layer layers[] = {
    {"lenet5.c1", 1, 6, 28, 5, 1, 2},
    {"lenet5.c2", 6, 16, 14, 5, 1, 0},
    // ResNet-20 on 32x32
    {"resnet20.stem", 3, 16, 32, 3, 1, 1},
    {"resnet20.stage1", 16, 16, 32, 3, 1, 1},
    {"resnet20.down2", 16, 32, 32, 3, 2, 1},
    {"resnet20.stage2", 32, 32, 16, 3, 1, 1},
    {"resnet20.stage3", 64, 64, 8, 3, 1, 1},
    // ResNet-18 on 32x32
    {"resnet18.stage1", 64, 64, 32, 3, 1, 1},
    {"resnet18.stage2", 128, 128, 16, 3, 1, 1},
    {"resnet18.stage3", 256, 256, 8, 3, 1, 1},
    {"resnet18.stage4", 512, 512, 4, 3, 1, 1},
    // ResNet-50 on 224x224
    {"resnet50.stem", 3, 64, 224, 7, 2, 3},
    {"resnet50.stage1.1x1", 64, 256, 56, 1, 1, 0},
    {"resnet50.stage1.3x3", 64, 64, 56, 3, 1, 1},
    {"resnet50.stage2.3x3", 128, 128, 28, 3, 1, 1},
    {"resnet50.stage2.down", 256, 512, 56, 1, 2, 0},
    {"resnet50.stage3.3x3", 256, 256, 14, 3, 1, 1},
    {"resnet50.stage4.3x3", 512, 512, 7, 3, 1, 1},
    {"resnet50.stage4.1x1", 512, 2048, 7, 1, 1, 0},
    // MobileNet's, each channel by itself
    {"depthwise.112", 32, 32, 112, 3, 1, 1, 32},
    {"depthwise.14", 512, 512, 14, 3, 1, 1, 512},
    // nothing is even; two groups; a filter with holes
    {"odd", 19, 37, 23, 3, 2, 1},
    {"groups2", 48, 80, 20, 3, 1, 1, 2},
    {"dilated", 32, 32, 28, 3, 1, 2, 1, 2},
};
inline constexpr std::size_t layer_count = std::size(layers);
inline constexpr i32 batches[] = {1, 32};

enum class pass { forward, data, weight };
struct named_pass {
  const char* name;
  pass what;
};
inline constexpr named_pass passes[] = {
    {"forward", pass::forward}, {"data", pass::data}, {"weight", pass::weight}};

/// x (batch, channels, height, width), w (out, in / groups, height, width), y as x.
enum class operand : tessera::u32 { x = 1, w, y };

struct problem {
  std::size_t number;  // of the layer in the table
  i32 batch;
  pass what;

  const layer& of() const { return layers[number]; }
  tessera::conv_sizes sizes() const { return of().sizes(batch); }
  double flops() const { return 2.0 * static_cast<double>(sizes().macs()); }
  operand result() const {
    return what == pass::forward ? operand::y : what == pass::data ? operand::x : operand::w;
  }
  std::vector<i64> dims(operand o) const {
    const tessera::conv_sizes n = sizes();
    if (o == operand::x) return {n.batch, n.in_channels, n.in_height, n.in_width};
    if (o == operand::y) return {n.batch, n.out_channels, n.out_height, n.out_width};
    return {n.out_channels, n.group_in(), n.kernel_height, n.kernel_width};
  }
  i64 count(operand o) const {
    i64 product = 1;
    for (const i64 n : dims(o)) product *= n;
    return product;
  }
  /// Element `i` of an operand that is no result, row-major.
  static float at(operand o, i64 i) { return bench::number_at(static_cast<tessera::u32>(o), i); }
  /// All of them.
  bench::buffer<float> make(operand o) const {
    bench::buffer<float> to(count(o));
    for (i64 i = 0; i < count(o); ++i) to[i] = at(o, i);
    return to;
  }
};

/// Some elements of the result, by their row-major numbers: spread over all of it, the first and
/// the last among them.
inline std::vector<i64> compared_elements(const problem& p) {
  const i64 count = p.count(p.result());
  std::vector<i64> all{0, count - 1};
  for (i64 i = 1; i < 40; ++i) all.push_back(i * 7919 * 31 % count);
  return all;
}
/// What stands there.
std::vector<double> expected_values(const problem& p);

using contestants = std::vector<bench::contestant>;

// Who computes it; nobody where a peer was not found. One translation unit each.
contestants ours(const problem& p, int threads);
contestants onednn(const problem& p);
contestants torch(const problem& p, int threads);

/// Versions, for the record.
std::string onednn_version();
std::string torch_name();

}  // namespace convolutions
