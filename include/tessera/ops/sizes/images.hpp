#pragma once

// The sizes of operations on images: convolutions, pools, resizing.

#include <tessera/ir/signature.hpp>

namespace tessera {

/// conv2d, its gradients and its fused update. x (batch, in_channels, in_height, in_width),
/// weight (out_channels, in_channels / groups, kernel_height, kernel_width).
struct conv_sizes {
  i32 batch, in_channels, in_height, in_width, out_channels, out_height, out_width;
  i32 kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left;
  i32 dilation_height, dilation_width, groups;

  static constexpr conv_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1], n[2],  n[3],  n[4],  n[5],  n[6],  n[7],
            n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15]};
  }
  constexpr void write(signature& s) const {
    const i32 all[] = {batch,        in_channels,     in_height,      in_width,
                       out_channels, out_height,      out_width,      kernel_height,
                       kernel_width, stride_height,   stride_width,   pad_top,
                       pad_left,     dilation_height, dilation_width, groups};
    for (i32 i = 0; i < 16; ++i) s.n[i] = all[i];
  }
  constexpr i32 group_in() const { return in_channels / groups; }
  constexpr i32 group_out() const { return out_channels / groups; }
  constexpr i64 macs() const {
    return i64{batch} * out_channels * out_height * out_width * group_in() * kernel_height *
           kernel_width;
  }
};

/// max_pool2d, avg_pool2d and their gradients. x (batch, channels, in_height, in_width).
struct pool_sizes {
  i32 batch, channels, in_height, in_width, out_height, out_width;
  i32 kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left;
  i32 pad_bottom, pad_right, dilation_height, dilation_width;
  i32 count_include_pad;  // average pooling

  static constexpr pool_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1],  n[2],  n[3],  n[4],  n[5],  n[6],  n[7], n[8],
            n[9], n[10], n[11], n[12], n[13], n[14], n[15], n[16]};
  }
  constexpr void write(signature& s) const {
    const i32 all[] = {
        batch,         channels,     in_height,       in_width,       out_height,       out_width,
        kernel_height, kernel_width, stride_height,   stride_width,   pad_top,          pad_left,
        pad_bottom,    pad_right,    dilation_height, dilation_width, count_include_pad};
    for (i32 i = 0; i < 17; ++i) s.n[i] = all[i];
  }
};

/// Operations that give images another size, by what each position reads: adaptive pooling,
/// up-sampling and their gradients.
constexpr bool is_resize(kind what) {
  return what >= kind::adaptive_avg_pool2d && what <= kind::upsample_bilinear_gradient;
}
constexpr bool is_resize_gradient(kind what) {
  return what == kind::adaptive_avg_pool2d_gradient || what == kind::adaptive_max_pool2d_gradient ||
         what == kind::upsample_nearest_gradient || what == kind::upsample_bilinear_gradient;
}

/// x (batch, channels, in_height, in_width), y (batch, channels, out_height, out_width).
struct resize_sizes {
  i32 batch, channels, in_height, in_width, out_height, out_width;
  i32 align_corners;  // upsample_bilinear

  static constexpr resize_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
  }
  constexpr void write(signature& s) const {
    const i32 all[] = {batch, channels, in_height, in_width, out_height, out_width, align_corners};
    for (i32 i = 0; i < 7; ++i) s.n[i] = all[i];
  }
};

/// max_unpool2d and its gradient have the sizes of the pool that they undo: `in` is the unpooled
/// image. Indices are flat places in it where `kernel_height` is 0, else places in windows. The
/// flat place of the value at (p, q), -1 where it is none.
constexpr i64 unpooled_place(const pool_sizes& n, i64 p, i64 q, i64 index) {
  if (n.kernel_height == 0) {
    return index >= 0 && index < i64{n.in_height} * n.in_width ? index : -1;
  }
  const i64 h = p * n.stride_height + index / n.kernel_width * n.dilation_height - n.pad_top;
  const i64 w = q * n.stride_width + index % n.kernel_width * n.dilation_width - n.pad_left;
  return h >= 0 && h < n.in_height && w >= 0 && w < n.in_width ? h * n.in_width + w : -1;
}

constexpr bool is_unpool(kind what) {
  return what == kind::max_unpool2d || what == kind::max_unpool2d_gradient;
}

}  // namespace tessera
