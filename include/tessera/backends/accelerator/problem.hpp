#pragma once

// Problem: what is to be cut, six axes whatever the operation.
//
//   axis     g        b       h, w        o               c              (groups, batch, positions,
//            groups   batch   positions   out channels    in channels     channels of a product)
//
//   operation         one vertex computes                     reduced over, in tile order
//   forward           b x h x w positions, o channels         c
//   data gradient     b x h x w positions of x, c channels    o
//   weight gradient   o x c x kernel weights                  h, w, b
//   pooling           b x h x w positions, o channels         -
//   resizing          as pooling, windows by position             -
//   unpooling         b samples, o channels                       -
//   sums by channel   o channels                              b (samples and positions in one)
//   elementwise       b consecutive elements                  -
//   what broadcasts   b consecutive elements                  -
//   reductions        o outputs                               b (what becomes one of them)
//   amax' gradient    b outputs, with all of their elements   -
//   concat, split     b elements, as they lie in the outputs  -
//   recurrent cells   b consecutive elements of a state          -
//   embedding         b indices, o columns                        -
//   its gradient      c rows, o columns of the table              -
//   bags              b bags, o columns; weights' gradient: b     -
//   batch norm        o channels, b (samples, positions)      b, where statistics are asked for
//   row norms         o groups, b samples; b rows             b, gradients of scales
//   response norm     b (samples, positions)                  -
//   softmax           b rows                                  -
//   additive scores   b pairs; o features, their gradient     -
//   attention         b queries; heads, its gradient          -
//   losses            b rows (sample, position), elements     b, the loss; -, its gradient
//   ctc               b samples                               b, the loss; -, its gradient
//   gates             b tokens, all experts of each           -, all tokens on one tile for sums
//   rows of experts   b slots or tokens, o features           -
//
// Rows and columns of a 1x1 convolution are one axis, w. mapping.hpp cuts a problem, windows.hpp
// says what its blocks read, vertex_work.hpp what they cost.

#include <tessera/backends/accelerator/attention_cost.hpp>
#include <tessera/backends/accelerator/norm_cost.hpp>
#include <tessera/ir/user_operation.hpp>
#include <tessera/ops/loss_kinds.hpp>
#include <tessera/ops/reduce.hpp>
#include <tessera/ops/resize.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::accelerator {

enum axis : i32 { axis_g, axis_b, axis_h, axis_w, axis_o, axis_c, axis_count };

enum class family : u8 {
  forward,
  data_gradient,
  weight_gradient,
  pool,
  unpool,
  bias,
  elementwise,
  cell,
  lookup,
  scatter,
  exchange,
  norm,
  response,
  groups,
  softmax,
  additive,
  attention,
  loss,
  gate,
  tokens,
  single
};

/// Families that the matrix unit works on.
constexpr bool is_product(family what) { return what <= family::weight_gradient; }

constexpr family family_of(kind what) {
  if (is_resize(what)) return family::pool;
  if (is_unpool(what)) return family::unpool;
  if (ops::is_reduction(what)) return family::bias;
  if (is_of_loss(what)) return family::loss;
  switch (what) {
    case kind::dense:
    case kind::conv2d:
    case kind::quantized_dense:
    case kind::quantized_conv2d:
    case kind::matmul: return family::forward;
    case kind::softmax:
    case kind::log_softmax:
    case kind::masked_softmax:
    case kind::softmax_gradient:
    case kind::log_softmax_gradient: return family::softmax;
    case kind::additive_scores:
    case kind::additive_scores_gradient: return family::additive;
    case kind::attention:
    case kind::attention_gradient: return family::attention;
    case kind::dense_data_gradient:
    case kind::conv2d_data_gradient: return family::data_gradient;
    case kind::dense_weight_gradient:
    case kind::dense_weight_update:
    case kind::conv2d_weight_gradient:
    case kind::conv2d_weight_update: return family::weight_gradient;
    case kind::bias_gradient:
    case kind::channel_scale_gradient:
    case kind::prelu_slope_gradient:
    case kind::gradient_norm:
    case kind::bias_update: return family::bias;
    case kind::max_pool2d:
    case kind::max_pool2d_gradient:
    case kind::avg_pool2d:
    case kind::avg_pool2d_gradient: return family::pool;
    case kind::concat:
    case kind::permute:
    case kind::split: return family::exchange;
    case kind::lstm_cell:
    case kind::lstm_cell_gradient:
    case kind::gru_cell:
    case kind::gru_cell_gradient:
    case kind::select_by_length: return family::cell;
    case kind::embedding:
    case kind::embedding_bag:
    case kind::embedding_bag_weight_gradient: return family::lookup;
    case kind::embedding_gradient:
    case kind::embedding_update:
    case kind::embedding_overflow_test:
    case kind::embedding_bag_gradient:
    case kind::embedding_bag_update:
    case kind::embedding_bag_overflow_test: return family::scatter;
    case kind::batch_norm:
    case kind::batch_norm_gradient:
    case kind::batch_norm_inference:
    case kind::batch_norm_inference_gradient:
    case kind::group_norm:
    case kind::group_norm_gradient:
    case kind::layer_norm:
    case kind::layer_norm_gradient:
    case kind::rms_norm:
    case kind::rms_norm_gradient: return family::norm;
    case kind::local_response_norm:
    case kind::local_response_norm_gradient: return family::response;
    case kind::reduce_amax_gradient: return family::groups;
    case kind::top_k_gates:
    case kind::top_k_gates_gradient:
    case kind::gate_load:
    case kind::gate_load_gradient:
    case kind::balance_loss:
    case kind::balance_loss_gradient:
    case kind::route_tokens: return family::gate;
    case kind::gather_tokens:
    case kind::gather_tokens_gradient:
    case kind::combine_experts:
    case kind::combine_experts_gradient: return family::tokens;
    case kind::clip_factor:
    case kind::scaler_update: return family::single;
    default: return family::elementwise;
  }
}

/// Elementwise operations with operands that lack some axes.
constexpr bool is_over_axes(kind what) {
  return ops::is_broadcast(what) || what == kind::expand || what == kind::reduce_mean_gradient;
}
constexpr bool is_gate(kind what) { return what == kind::glu || what == kind::glu_gradient; }

/// What is to be cut: the extents of the six axes and the window that ties positions to cells.
struct problem {
  family what = family::elementwise;
  bool transposed = false;  // positions are cells of the input: gradients of conv2d's x, of pools
  i32 extent[axis_count] = {1, 1, 1, 1, 1, 1};
  i32 grain[axis_count] = {1, 1, 1, 1, 1, 1};  // blocks are multiples of it
  bool reduced[axis_count] = {};
  // A tile may take its block of one axis in `rounds` pieces, one after another: of the operands
  // that the axis cuts it holds a piece at a time.
  i32 serial = axis_o;
  i32 rounds = 1;
  i32 taps = 1;     // cells of a window; scatter: indices; unpool: values of a plane
  i32 classes = 1;  // losses; norms: elements of one row, channels of one position; unpool: cells
                    // scatter: rows of dy; lookup of bags: 1 where the bags are a list
  kind resized = kind::none;  // windows are those of this resizing, by position
  bool align_corners = false;
  // height and width of the window, index 0 is height
  i32 kernel[2] = {1, 1};
  i32 stride[2] = {1, 1};
  i32 pad[2] = {0, 0};
  i32 dilation[2] = {1, 1};
  i32 cells[2] = {1, 1};  // extents of the tensor that the window reads
};

/// The axis of a resizing whose gradient, where `transposed`, has positions in the place of cells.
constexpr ops::resized_axis resized_axis_of(const problem& p, i32 axis) {
  const i32 positions = p.extent[axis_h + axis];
  const i32 cells = p.cells[axis];
  return {p.resized, p.transposed ? positions : cells, p.transposed ? cells : positions,
          p.align_corners};
}

/// True for a weight gradient over a stack of slices.
constexpr bool has_slices(const signature& s) {
  const bool weights = s.what == kind::dense_weight_gradient || s.what == kind::dense_weight_update;
  return weights && dense_sizes::of(s).stack > 1;
}

/// The problem that `s` states.
constexpr problem problem_of(const signature& s) {
  problem p;
  p.what = family_of(s.what);
  switch (p.what) {
    case family::forward:
    case family::data_gradient:
    case family::weight_gradient: {
      const bool dense = s.what == kind::dense || s.what == kind::quantized_dense ||
                         s.what == kind::dense_data_gradient ||
                         s.what == kind::dense_weight_gradient ||
                         s.what == kind::dense_weight_update;
      p.transposed = p.what == family::data_gradient;
      if (s.what == kind::matmul) {
        const auto n = matmul_sizes::of(s);
        p.extent[axis_g] = n.groups();
        p.extent[axis_b] = n.rows;
        p.extent[axis_o] = n.columns;
        p.extent[axis_c] = n.depth();
      } else if (dense) {
        const auto n = dense_sizes::of(s);
        p.extent[axis_b] = n.batch;
        p.extent[axis_o] = n.out;
        p.extent[axis_c] = n.in;
        if (p.what == family::weight_gradient) p.extent[axis_h] = p.cells[0] = n.stack;
      } else {
        const auto n = conv_sizes::of(s);
        p.extent[axis_g] = n.groups;
        p.extent[axis_b] = n.batch;
        p.extent[axis_h] = p.transposed ? n.in_height : n.out_height;
        p.extent[axis_w] = p.transposed ? n.in_width : n.out_width;
        p.extent[axis_o] = n.group_out();
        p.extent[axis_c] = n.group_in();
        p.taps = n.kernel_height * n.kernel_width;
        p.kernel[0] = n.kernel_height, p.kernel[1] = n.kernel_width;
        p.stride[0] = n.stride_height, p.stride[1] = n.stride_width;
        p.pad[0] = n.pad_top, p.pad[1] = n.pad_left;
        p.dilation[0] = n.dilation_height, p.dilation[1] = n.dilation_width;
        p.cells[0] = p.transposed ? n.out_height : n.in_height;
        p.cells[1] = p.transposed ? n.out_width : n.in_width;
        const bool point = p.taps == 1 && n.stride_height == 1 && n.stride_width == 1 &&
                           n.pad_top == 0 && n.pad_left == 0 && n.out_height == n.in_height &&
                           n.out_width == n.in_width;
        if (point) {  // no window: rows and columns are one axis, and cut as one
          p.extent[axis_w] *= p.extent[axis_h];
          p.extent[axis_h] = 1;
          p.cells[1] *= p.cells[0];
          p.cells[0] = 1;
        }
      }
      // Samples that lie side by side stay together; channels fill groups of the matrix unit.
      p.grain[axis_b] = s.batch_last && s.what != kind::matmul ? 16 : 1;
      p.grain[axis_o] = 8;
      p.grain[axis_c] = p.taps >= 16 ? 1 : 16 / p.taps;
      if (p.what == family::forward) p.reduced[axis_c] = true;
      if (p.what == family::data_gradient) p.reduced[axis_o] = true;
      if (p.what == family::weight_gradient) {
        p.reduced[axis_b] = p.reduced[axis_h] = p.reduced[axis_w] = true;
      }
      break;
    }
    case family::pool: {
      if (is_resize(s.what)) {
        const auto n = resize_sizes::of(s);
        p.transposed = is_resize_gradient(s.what);
        p.extent[axis_b] = n.batch;
        p.extent[axis_h] = p.transposed ? n.in_height : n.out_height;
        p.extent[axis_w] = p.transposed ? n.in_width : n.out_width;
        p.extent[axis_o] = n.channels;
        p.cells[0] = p.transposed ? n.out_height : n.in_height;
        p.cells[1] = p.transposed ? n.out_width : n.in_width;
        p.resized = s.what;
        p.align_corners = n.align_corners != 0;
        for (i32 axis = 0; axis < 2; ++axis) {
          const ops::resized_axis along = resized_axis_of(p, axis);
          p.taps *= p.transposed ? along.most_readers() : along.most_cells();
        }
        p.grain[axis_b] = s.batch_last ? 16 : 1;
        break;
      }
      const auto n = pool_sizes::of(s);
      p.transposed = s.what == kind::max_pool2d_gradient || s.what == kind::avg_pool2d_gradient;
      p.extent[axis_b] = n.batch;
      p.extent[axis_h] = p.transposed ? n.in_height : n.out_height;
      p.extent[axis_w] = p.transposed ? n.in_width : n.out_width;
      p.extent[axis_o] = n.channels;
      p.taps = n.kernel_height * n.kernel_width;
      p.kernel[0] = n.kernel_height, p.kernel[1] = n.kernel_width;
      p.stride[0] = n.stride_height, p.stride[1] = n.stride_width;
      p.pad[0] = n.pad_top, p.pad[1] = n.pad_left;
      p.dilation[0] = n.dilation_height, p.dilation[1] = n.dilation_width;
      p.cells[0] = p.transposed ? n.out_height : n.in_height;
      p.cells[1] = p.transposed ? n.out_width : n.in_width;
      p.grain[axis_b] = s.batch_last ? 16 : 1;
      break;
    }
    case family::unpool: {
      const auto n = pool_sizes::of(s);
      p.extent[axis_b] = n.batch;
      p.extent[axis_o] = n.channels;
      p.grain[axis_b] = s.batch_last ? 16 : 1;
      p.taps = n.out_height * n.out_width;
      p.classes = n.in_height * n.in_width;
      break;
    }
    case family::bias: {
      bias_sizes n = bias_sizes::of(s);
      if (ops::is_reduction(s.what)) {
        const auto axes = axes_sizes::of(s);
        n = {static_cast<i32>(axes.times(0)), static_cast<i32>(axes.count_of(0)), 1};
      }
      p.extent[axis_o] = n.channels;
      p.extent[axis_b] = n.batch * n.inner;
      p.grain[axis_b] = 16;
      p.reduced[axis_b] = true;
      break;
    }
    case family::loss: {
      p.reduced[axis_b] = is_loss(s.what);
      if (is_element_loss(s.what)) {
        p.extent[axis_b] = element_loss_sizes::of(s).count;
        p.grain[axis_b] = 32;
        break;
      }
      if (loss_of(s.what) == kind::ctc) {  // a sample is worked on by one tile
        const auto n = ctc_sizes::of(s);
        p.extent[axis_b] = n.batch;
        p.classes = n.time * n.classes;
        break;
      }
      const auto n = loss_sizes::of(s);
      p.extent[axis_b] = n.batch * n.inner;
      p.grain[axis_b] = 8;
      p.classes = n.classes;
      break;
    }
    case family::norm: {
      const auto n = norm_sizes::of(s);
      if (is_batch_norm(s.what)) {
        p.extent[axis_o] = n.features;
        p.extent[axis_b] = n.batch * n.inner;
        p.grain[axis_b] = 16;
      } else {
        const bool groups = is_group_norm(s.what);
        p.extent[axis_o] = groups ? n.rows : 1;
        p.extent[axis_b] = n.batch * (groups ? 1 : n.rows);
        p.grain[axis_b] = s.batch_last ? 16 : 1;
        p.classes = static_cast<i32>(n.row());
      }
      p.reduced[axis_b] = sums_over_vertices(s);
      break;
    }
    case family::response: {
      const auto n = response_sizes::of(s);
      p.extent[axis_b] = n.batch * n.inner;
      p.grain[axis_b] = 16;
      p.classes = n.channels;
      break;
    }
    case family::groups: {
      const auto n = axes_sizes::of(s);
      p.extent[axis_b] = static_cast<i32>(n.count_of(0));
      p.classes = static_cast<i32>(n.times(0));
      break;
    }
    case family::softmax:
      p.extent[axis_b] = static_cast<i32>(softmax_rows(s));
      p.grain[axis_b] = 8;
      p.classes = static_cast<i32>(softmax_row(s));
      break;
    case family::additive: {
      const auto n = additive_sizes::of(s);
      const bool forward = s.what == kind::additive_scores;
      p.extent[forward ? axis_b : axis_o] = forward ? static_cast<i32>(n.pairs()) : n.features;
      p.grain[forward ? axis_b : axis_o] = 8;
      break;
    }
    case family::attention: {
      const auto n = attention_sizes::of(s);
      p.extent[axis_b] = n.samples * n.heads * (s.what == kind::attention ? n.queries : 1);
      break;
    }
    case family::cell: {
      const auto n = cell_sizes::of(s);
      p.extent[axis_b] = n.batch * n.features;
      p.grain[axis_b] = 32;
      break;
    }
    case family::lookup: {
      if (is_bag(s.what)) {
        const auto n = bag_sizes::of(s);
        const bool list = s.has_input(4);  // all of it may be in one bag
        p.extent[axis_b] = n.bags;
        p.extent[axis_o] = s.what == kind::embedding_bag ? n.width : 1;
        p.grain[axis_o] = s.what == kind::embedding_bag ? 8 : 1;
        p.taps = n.positions;
        p.classes = list ? 1 : 0;
        break;
      }
      const auto n = embedding_sizes::of(s);
      p.extent[axis_b] = n.indices();
      p.extent[axis_o] = n.width;
      p.grain[axis_o] = 8;
      break;
    }
    case family::scatter: {
      if (is_bag(s.what)) {
        const auto n = bag_sizes::of(s);
        p.extent[axis_o] = n.width;
        p.extent[axis_c] = n.rows;
        p.grain[axis_o] = 8;
        p.taps = n.entries(s);
        p.classes = n.bags;
        break;
      }
      const auto n = embedding_sizes::of(s);
      p.extent[axis_o] = n.width;
      p.extent[axis_c] = n.rows;
      p.grain[axis_o] = 8;
      p.taps = p.classes = n.indices();
      break;
    }
    case family::elementwise:
      p.extent[axis_b] =
          is_user(s.what) ? user_sizes::of(s).output : elementwise_sizes::of(s).count;
      if (is_experts(s.what)) {
        const auto n = expert_sizes::of(s);
        p.extent[axis_b] = n.tokens * n.experts;
      }
      if (is_by_channel(s.what) || is_quantization(s.what)) {
        p.extent[axis_b] = bias_sizes::of(s).count();
      }
      if (is_over_axes(s.what)) p.extent[axis_b] = static_cast<i32>(axes_sizes::of(s).count());
      if (is_gate(s.what)) p.extent[axis_b] = gate_sizes::of(s).count();
      p.grain[axis_b] = 32;  // 6 workers with a vector each; 64 bytes of halves
      break;
    case family::exchange: {
      if (s.what == kind::permute) {
        p.extent[axis_b] = static_cast<i32>(permute_sizes::of(s).count());
        p.grain[axis_b] = 32;
        break;
      }
      const auto n = move_sizes::of(s);
      i32 moved = 0;  // parts of split that nobody wants stay where they are
      for (i32 i = 0; i < move_sizes::max_parts; ++i) {
        if (s.what == kind::concat || s.has_output(i)) moved += n.outer * n.width[i];
      }
      p.extent[axis_b] = moved;
      p.grain[axis_b] = 32;
      break;
    }
    case family::gate: {  // sums and places are made by one tile
      const auto n = expert_sizes::of(s);
      const bool whole = s.what == kind::balance_loss || s.what == kind::route_tokens;
      p.extent[axis_b] = n.tokens;
      p.grain[axis_b] = whole ? n.tokens : 16;
      p.classes = s.what == kind::route_tokens ? n.k : n.experts;
      break;
    }
    case family::tokens: {
      const auto n = expert_sizes::of(s);
      const bool slots = s.what == kind::gather_tokens || s.what == kind::combine_experts_gradient;
      p.extent[axis_b] = slots ? n.experts * n.capacity : n.tokens;
      p.extent[axis_o] = n.features;
      // The gradient of a gate is the product of two whole rows.
      p.grain[axis_o] = s.what == kind::combine_experts_gradient ? n.features : 8;
      break;
    }
    case family::single: break;
  }
  return p;
}

}  // namespace tessera::accelerator
