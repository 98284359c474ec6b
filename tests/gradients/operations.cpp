// Every differentiable operation: its gradients against central differences, from one table. Some
// families have their part of it in files of their own.

#include <gradients/checked_case.hpp>

#include <set>

namespace tessera::testing {

namespace {

template <kind What>
i32 build_unary(graph& g, bool last) {
  attributes attr;
  attr.rate = 0.3f;
  attr.salt = 2;
  return ops::unary(g, What, input(g, shape(3, 2, 5), last), layer, attr);
}

i32 build_conv(graph& g, bool last, const window& w, i32 in, i32 out, i32 groups, bool bias) {
  const i32 x = input(g, shape(2, in, 7, 6), last);
  const i32 weight = add_weight(g, shape(out, in / groups, w.kernel[0], w.kernel[1]));
  const i32 b = bias ? add_weight(g, shape(out), element::f32, "bias") : -1;
  return ops::conv2d(g, x, weight, b, w, groups, layer);
}

i32 build_conv_transpose(graph& g, bool last, const window& w, const i32 (&output_padding)[2],
                         i32 in, i32 out, i32 groups, bool bias) {
  const i32 x = input(g, shape(2, in, 4, 3), last);
  const i32 weight = add_weight(g, shape(in, out / groups, w.kernel[0], w.kernel[1]));
  const i32 b = bias ? add_weight(g, shape(out), element::f32, "bias") : -1;
  return ops::conv_transpose2d(g, x, weight, b, w, output_padding, groups, layer);
}

/// An input with time in front of the batch.
i32 sequence_input(graph& g, const shape& dims, bool last, bool differentiable = true) {
  const i32 x = add_tensor(g, dims, {.batch_last = last, .differentiable = differentiable});
  g.tensors[x].stack = 1;
  return x;
}

i32 sequence_target(graph& g, const shape& dims, bool last, element type) {
  const i32 t = add_tensor(g, dims, {.what = role::target, .type = type, .batch_last = last});
  g.tensors[t].stack = 1;
  return t;
}

i32 build_pool(graph& g, bool last, kind what, window w, bool ceil = false, bool pad = false) {
  w.ceil_mode = ceil;
  w.count_include_pad = pad;
  return ops::pool2d(g, what, input(g, shape(2, 3, 7, 8), last), w, layer);
}

i32 build_entropy(graph& g, bool last, const shape& logits, const shape& target, bool weighted,
                  const loss_attributes& attr) {
  const i32 z = input(g, logits, last);
  const i32 t =
      add_tensor(g, target, {.what = role::target, .type = element::int32, .batch_last = last});
  const i32 weights =
      weighted ? add_tensor(g, shape(logits[1]), {.what = role::constant, .batched = false}) : -1;
  return ops::softmax_cross_entropy(g, z, t, weights, attr);
}

i32 build_mse(graph& g, bool last, reduction reduce) {
  const i32 y = input(g, shape(3, 2, 2), last);
  const i32 target = add_tensor(g, shape(3, 2, 2),
                                {.what = role::target, .batch_last = last, .differentiable = true});
  return ops::mse(g, y, target, {.reduce = reduce, .weight = 0.7f});
}

/// One LSTM cell, or two in a row; the output is the sum of h and c, or one of them.
i32 build_lstm(graph& g, bool last, bool with_h, bool with_c, i32 steps = 1) {
  ops::lstm_outputs state{-1, input(g, shape(3, 5), last)};
  for (i32 t = 0; t < steps; ++t) {
    state = ops::lstm_cell(g, input(g, shape(3, 20), last), state.c, layer);
  }
  if (!with_h || !with_c) return with_h ? state.h : state.c;
  return ops::add(g, state.h, state.c, layer);
}

i32 build_select(graph& g, bool last, bool with_a, bool with_b) {
  const i32 lengths = add_tensor(g, shape(4), {.type = element::int32, .batch_last = last});
  const i32 a = with_a ? input(g, shape(4, 3), last) : -1;
  const i32 b = with_b ? input(g, shape(4, 3), last) : -1;
  return ops::select_by_length(g, lengths, a, b, layer);
}

i32 build_embedding(graph& g, bool last, const shape& dims, i32 padding) {
  const i32 indices = add_tensor(g, dims, {.type = element::int32, .batch_last = last});
  return ops::embedding(g, indices, add_weight(g, shape(3, 4)), padding, layer);
}

/// Normalization of (3, channels, 2, 2), with the scales that are asked for.
i32 build_norm(graph& g, bool last, kind what, bool gamma, bool beta, const norm_attributes& attr,
               const shape& scales) {
  const i32 x = input(g, shape(3, 4, 2, 2), last);
  const i32 a = gamma ? add_weight(g, scales, element::f32, "gamma") : -1;
  const i32 b = beta ? add_weight(g, scales, element::f32, "beta") : -1;
  if (what == kind::group_norm) return ops::group_norm(g, x, a, b, attr, layer);
  if (what == kind::layer_norm || what == kind::rms_norm) {
    return ops::layer_norm(g, what, x, a, b, attr, layer);
  }
  const i32 mean = ops::statistic(g, shape(4), {"test", 0, "mean"}, initializer::zeros);
  const i32 variance = ops::statistic(g, shape(4), {"test", 0, "variance"}, initializer::ones);
  const auto append = what == kind::batch_norm ? &ops::batch_norm : &ops::batch_norm_inference;
  return append(g, x, a, b, mean, variance, attr, layer);
}

const checked_case cases[] = {
    {"dense",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(3, 5), last);
       return ops::dense(g, x, add_weight(g, shape(4, 5)), add_weight(g, shape(4)), layer);
     }},
    {"dense without bias",
     [](graph& g, bool last) {
       return ops::dense(g, input(g, shape(1, 3), last), add_weight(g, shape(2, 3)), -1, layer);
     }},
    {"dense of rows that are no samples",
     [](graph& g, bool) {
       const i32 x = add_tensor(g, shape(3, 5), {.batched = false, .differentiable = true});
       return ops::dense(g, x, add_weight(g, shape(4, 5)), add_weight(g, shape(4)), layer);
     }},
    {"conv2d",
     [](graph& g, bool last) { return build_conv(g, last, make_window(3, 1, 1), 2, 3, 1, true); }},
    {"conv2d, stride 2, groups",
     [](graph& g, bool last) { return build_conv(g, last, make_window(3, 2, 0), 4, 6, 2, true); }},
    {"conv2d, dilation 2, depthwise, no bias",
     [](graph& g, bool last) {
       return build_conv(g, last, make_window(3, 1, 2, 2), 3, 3, 3, false);
     }},
    {"conv2d, 2x3, uneven padding",
     [](graph& g, bool last) {
       window w = make_window(2, 1, 0);
       w.kernel[1] = 3;
       w.pad_end[0] = 1;
       w.pad_begin[1] = 2;
       return build_conv(g, last, w, 1, 2, 1, true);
     }},
    {"dropout", build_unary<kind::dropout>},
    {"gaussian_noise", build_unary<kind::gaussian_noise>},
    {"weigh_samples",
     [](graph& g, bool last) {
       return ops::weigh_samples(g, input(g, shape(3, 2, 5), last), -0.7f, 0, layer);
     }},
    {"add",
     [](graph& g, bool last) {
       const i32 a = input(g, shape(2, 3), last);
       return ops::add(g, a, input(g, shape(2, 3), last), layer);
     }},
    {"subtract",
     [](graph& g, bool last) {
       const i32 a = input(g, shape(2, 3), last);
       return ops::subtract(g, a, input(g, shape(2, 3), last), layer);
     }},
    {"multiply",
     [](graph& g, bool last) {
       const i32 a = input(g, shape(2, 3), last);
       return ops::multiply(g, a, input(g, shape(2, 3), last), layer);
     }},
    {"a square",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 3), last);
       return ops::multiply(g, x, x, layer);
     }},
    {"copy",
     [](graph& g, bool last) { return ops::copy(g, input(g, shape(2, 3, 2), last), layer); }},
    {"concat of channels, with zeros on both sides",
     [](graph& g, bool last) {
       const ops::part parts[] = {{.zeros = 2},
                                  {input(g, shape(2, 3, 2), last)},
                                  {input(g, shape(2, 1, 2), last)},
                                  {.zeros = 1}};
       return ops::concat(g, parts, 4, 0, layer);
     }},
    {"concat of what one branch does not learn",
     [](graph& g, bool last) {
       const i32 fixed = add_tensor(g, shape(2, 3, 2), {.batch_last = last});
       const ops::part parts[] = {{fixed}, {input(g, shape(2, 3, 1), last)}};
       return ops::concat(g, parts, 2, 1, layer);
     }},
    {"split, two of three parts used",
     [](graph& g, bool last) {
       const i32 extents[] = {2, 1, 2};
       const auto parts = ops::split(g, input(g, shape(3, 5, 2), last), extents, 3, 0, layer);
       return ops::multiply(g, parts[0], parts[2], layer);
     }},
    {"split along a later axis",
     [](graph& g, bool last) {
       const i32 extents[] = {2, 2};
       const auto parts = ops::split(g, input(g, shape(2, 3, 4), last), extents, 2, 1, layer);
       return ops::subtract(g, parts[0], parts[1], layer);
     }},
    {"bias_add",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 3, 2, 2), last);
       return ops::bias_add(g, x, add_weight(g, shape(3)), layer);
     }},
    {"bias_add over time",
     [](graph& g, bool last) {
       const i32 x = sequence_input(g, shape(3, 2, 4), last);
       return ops::bias_add(g, x, add_weight(g, shape(4)), layer);
     }},
    {"channel_scale",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 3, 2, 2), last);
       return ops::channel_scale(g, x, add_weight(g, shape(3)), layer);
     }},
    {"channel_scale over time, of images",
     [](graph& g, bool last) {
       const i32 x = sequence_input(g, shape(3, 2, 4, 2), last);
       return ops::channel_scale(g, x, add_weight(g, shape(4)), layer);
     }},
    {"conv_transpose2d",
     [](graph& g, bool last) {
       return build_conv_transpose(g, last, make_window(3, 1, 0), {0, 0}, 2, 3, 1, true);
     }},
    {"conv_transpose2d, stride 2, padding, output padding, groups",
     [](graph& g, bool last) {
       return build_conv_transpose(g, last, make_window(3, 2, 1), {1, 0}, 4, 6, 2, true);
     }},
    {"conv_transpose2d, dilation 2, output padding beyond the stride, no bias",
     [](graph& g, bool last) {
       return build_conv_transpose(g, last, make_window(2, 1, 0, 2), {1, 1}, 2, 2, 1, false);
     }},
    {"concat along time",
     [](graph& g, bool last) {
       const ops::part parts[] = {{sequence_input(g, shape(2, 3, 2), last)},
                                  {.zeros = 1},
                                  {sequence_input(g, shape(1, 3, 2), last)}};
       return ops::concat(g, parts, 3, 0, layer);
     }},
    {"concat of features over time",
     [](graph& g, bool last) {
       const ops::part parts[] = {{sequence_input(g, shape(2, 3, 2), last)},
                                  {sequence_input(g, shape(2, 3, 4), last)}};
       return ops::concat(g, parts, 2, 1, layer);
     }},
    {"a tensor used twice",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 3), last);
       return ops::add(g, ops::unary(g, kind::tanh, x, layer), x, layer);
     }},
    {"a view",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 2, 1, 3), last);
       const i32 y = ops::unary(g, kind::tanh, x, layer);
       const i32 flat = ops::view(g, y, shape(2, 6));
       return ops::dense(g, flat, add_weight(g, shape(2, 6)), -1, layer);
     }},
    {"lstm_cell", [](graph& g, bool last) { return build_lstm(g, last, true, true); }},
    {"lstm_cell, h alone", [](graph& g, bool last) { return build_lstm(g, last, true, false); }},
    {"lstm_cell, c alone", [](graph& g, bool last) { return build_lstm(g, last, false, true); }},
    {"lstm_cell, two steps",
     [](graph& g, bool last) { return build_lstm(g, last, true, true, 2); }},
    {"gru_cell, two steps",
     [](graph& g, bool last) {
       i32 h = input(g, shape(3, 5), last);
       for (i32 t = 0; t < 2; ++t) {
         const i32 zx = input(g, shape(3, 15), last);
         h = ops::gru_cell(g, zx, input(g, shape(3, 15), last), h, layer);
       }
       return h;
     }},
    {"gru_cell of one tensor in all places",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(3, 5), last);
       const i32 z = ops::dense(g, x, add_weight(g, shape(15, 5)), -1, layer);
       return ops::gru_cell(g, z, z, x, layer);
     }},
    {"select_by_length", [](graph& g, bool last) { return build_select(g, last, true, true); }},
    {"select_by_length, or zeros",
     [](graph& g, bool last) { return build_select(g, last, true, false); }},
    {"select_by_length, zeros or",
     [](graph& g, bool last) { return build_select(g, last, false, true); }},
    {"embedding", [](graph& g, bool last) { return build_embedding(g, last, shape(6), -1); }},
    {"embedding of several positions",
     [](graph& g, bool last) { return build_embedding(g, last, shape(3, 4), -1); }},
    {"batch_norm",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::batch_norm, true, true, {}, shape(4));
     }},
    {"batch_norm, gamma alone",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::batch_norm, true, false, {.epsilon = 0.1f}, shape(4));
     }},
    {"batch_norm of features",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(5, 11), last);
       const i32 gamma = add_weight(g, shape(11), element::f32, "gamma");
       return ops::batch_norm(g, x, gamma, -1, -1, -1, {}, layer);
     }},
    {"batch_norm_inference",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::batch_norm_inference, true, true, {}, shape(4));
     }},
    {"batch_norm_inference, not affine",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::batch_norm_inference, false, false, {}, shape(4));
     }},
    {"group_norm",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::group_norm, true, true, {.groups = 2}, shape(4));
     }},
    {"group_norm of one group, beta alone",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::group_norm, false, true, {}, shape(4));
     }},
    {"group_norm of single channels",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::group_norm, true, true, {.groups = 4}, shape(4));
     }},
    {"group_norm of features",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(3, 12), last);
       const i32 gamma = add_weight(g, shape(12), element::f32, "gamma");
       return ops::group_norm(g, x, gamma, add_weight(g, shape(12)), {.groups = 3}, layer);
     }},
    {"layer_norm",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::layer_norm, true, true, {}, shape(4, 2, 2));
     }},
    {"layer_norm of the last two extents, gamma alone",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::layer_norm, true, false, {.extents = 2}, shape(2, 2));
     }},
    {"layer_norm over time",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 3, 5), last);
       g.tensors[x].stack = 1;
       const i32 gamma = add_weight(g, shape(5), element::f32, "gamma");
       return ops::layer_norm(g, kind::layer_norm, x, gamma, add_weight(g, shape(5)), {}, layer);
     }},
    {"rms_norm",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::rms_norm, true, false, {}, shape(4, 2, 2));
     }},
    {"rms_norm of the last two extents, not affine",
     [](graph& g, bool last) {
       return build_norm(g, last, kind::rms_norm, false, false, {.extents = 2}, shape(2, 2));
     }},
    {"local_response_norm",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 7, 2, 2), last);
       return ops::local_response_norm(g, x, {.size = 3, .alpha = 0.5f, .beta = 0.6f, .k = 1},
                                       layer);
     }},
    {"local_response_norm, an even window",
     [](graph& g, bool last) {
       const i32 x = input(g, shape(2, 5), last);
       return ops::local_response_norm(g, x, {.size = 4, .alpha = 0.9f}, layer);
     }},
    {"max_pool2d",
     [](graph& g, bool last) {
       return build_pool(g, last, kind::max_pool2d, make_window(2, 2, 0));
     }},
    {"max_pool2d, windows that overlap, padding, ceil_mode",
     [](graph& g, bool last) {
       return build_pool(g, last, kind::max_pool2d, make_window(3, 2, 1), true);
     }},
    {"max_pool2d, dilation",
     [](graph& g, bool last) {
       return build_pool(g, last, kind::max_pool2d, make_window(2, 1, 0, 3));
     }},
    {"avg_pool2d",
     [](graph& g, bool last) {
       return build_pool(g, last, kind::avg_pool2d, make_window(2, 2, 0));
     }},
    {"avg_pool2d, windows that overlap, padding counted",
     [](graph& g, bool last) {
       return build_pool(g, last, kind::avg_pool2d, make_window(3, 2, 1), true, true);
     }},
    {"avg_pool2d, padding not counted",
     [](graph& g, bool last) {
       return build_pool(g, last, kind::avg_pool2d, make_window(3, 2, 1), true, false);
     }},
    {"softmax_cross_entropy",
     [](graph& g, bool last) { return build_entropy(g, last, shape(3, 4), shape(3), false, {}); }},
    {"softmax_cross_entropy, sum, smoothing, class weights, ignored class",
     [](graph& g, bool last) {
       return build_entropy(
           g, last, shape(5, 4), shape(5), true,
           {.reduce = reduction::sum, .label_smoothing = 0.2f, .ignore_index = 1, .weight = 1.5f});
     }},
    {"softmax_cross_entropy over positions, one loss each",
     [](graph& g, bool last) {
       return build_entropy(g, last, shape(2, 3, 2, 2), shape(2, 2, 2), true,
                            {.reduce = reduction::none});
     }},
    {"softmax_cross_entropy over positions, weighted mean",
     [](graph& g, bool last) {
       return build_entropy(g, last, shape(2, 3, 4), shape(2, 4), true, {.label_smoothing = 0.1f});
     }},
    {"softmax_cross_entropy over time",
     [](graph& g, bool last) {
       const i32 z = sequence_input(g, shape(4, 3, 5), last);
       const i32 t = sequence_target(g, shape(4, 3), last, element::int32);
       return ops::softmax_cross_entropy(g, z, t, -1, {.ignore_index = 2});
     }},
    {"mse over time",
     [](graph& g, bool last) {
       const i32 y = sequence_input(g, shape(2, 3, 4), last);
       return ops::mse(g, y, sequence_target(g, shape(2, 3, 4), last, element::f32), {});
     }},
    {"mse", [](graph& g, bool last) { return build_mse(g, last, reduction::mean); }},
    {"mse, sum", [](graph& g, bool last) { return build_mse(g, last, reduction::sum); }},
    {"mse, one loss each", [](graph& g, bool last) { return build_mse(g, last, reduction::none); }},
};

TEST_CASE("gradients of every operation agree with central differences", "[gradients]") {
  for (const checked_case& c : cases) check_case(c);
}

/// The tables of all families.
std::vector<checked_case> all_cases() {
  std::vector<checked_case> all(std::begin(cases), std::end(cases));
  for (const auto& family : {attention_cases(), embedding_cases(), resize_cases(),
                             pointwise_cases(), loss_cases(), expert_cases()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

TEST_CASE("the table has every operation that can be differentiated", "[gradients]") {
  std::set<kind> seen;
  for (const checked_case& c : all_cases()) {
    graph g;
    c.build(g, false);
    for (const operation& op : g.operations) seen.insert(op.what);
  }
  for (i32 i = 0; i < static_cast<i32>(kind::count); ++i) {
    const auto what = static_cast<kind>(i);
    if (what == kind::loop || what == kind::end_loop) continue;  // by what is between them
    if (what == kind::user) continue;                            // by what the user says
    if (what == kind::route_tokens) continue;                    // whole numbers beside others
    // An operation can be differentiated if its rule appends something for it.
    graph g;
    const i32 x = add_tensor(g, shape(1, 1, 1, 1), {.differentiable = true});
    operation op;
    op.what = what;
    op.in[0] = x;
    op.in[1] = add_weight(g, shape(1, 1, 1, 1));
    op.out[0] =
        add_tensor(g, shape(1, 1, 1, 1), {.what = role::activation, .differentiable = true});
    g.add(op);
    const passes::seed seed{op.out[0], add_seed(g, op.out[0])};
    const grow<i32> gradients = passes::differentiate(g, &seed, 1);
    INFO(ops::name_of(what));
    CHECK((gradients[x] >= 0 || gradients[op.in[1]] >= 0) == (seen.count(what) > 0));
  }
}

/// Runs a kernel of the wrong kind in one place.
template <kind Instead>
void run_wrong(const call& c) {
  signature s = *c.sizes;
  s.what = Instead;
  call other = c;
  other.sizes = &s;
  reference::run(other);
}

template <kind Wrong, kind Instead>
kernel find_wrong(const signature& s) {
  return s.what == Wrong ? &run_wrong<Instead> : reference::find_kernel(s);
}

TEST_CASE("a wrong gradient is found", "[gradients]") {
  graph g;
  const i32 x = input(g, shape(2, 3), false);
  const i32 y = ops::unary(g, kind::tanh, x, layer);
  gradient_check options{.outputs = {y}};
  CHECK(check_gradients(g, options).ok());
  options.find = &find_wrong<kind::tanh_gradient, kind::sigmoid_gradient>;
  const gradient_report r = check_gradients(g, options);
  CHECK_FALSE(r.ok());
  CHECK(r.wrong.size() == 6);
  CHECK_THAT(r.message, contains("gradient of test.value[0]: expected "));
}

TEST_CASE("kinks are counted and left out", "[gradients]") {
  graph g;
  const i32 x = input(g, shape(1, 4), false);
  const i32 y = ops::unary(g, kind::relu, x, layer);
  const gradient_report r =
      check_gradients(g, {.outputs = {y}, .fill = [&](const tensor& t, std::span<double> values) {
                            if (t.differentiable) values[1] = values[2] = 0;
                          }});
  CHECK(r.kinks == 2);
  CHECK(r.checked == 2);
  CHECK(r.ok());
}

TEST_CASE("nothing to compare is not a passed check", "[gradients]") {
  graph g;
  const i32 x = add_tensor(g, shape(1, 4));
  const i32 y = ops::unary(g, kind::relu, x, layer);
  CHECK_FALSE(check_gradients(g, {.outputs = {y}}).ok());
}

}  // namespace

}  // namespace tessera::testing
