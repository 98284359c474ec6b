#pragma once

// Connectionist temporal classification: the loss of a sequence of labels whose places in time are
// not known.
//
//   -log of the sum, over all ways to write the labels into the frames, of the product of softmax
//   (logits) at each frame. A way repeats labels and puts blanks between them; two equal labels in
//   a row have a blank between them.
//
//   states     0 blank   1 label 0   2 blank   3 label 1   ...   2 U blank        (U labels)
//   alpha_t(s) the sum over all ways that are in state s at frame t, of frames 0 to t
//   beta_t(s)  the same from s on, of the frames after t
//   slope      softmax(z)[c] - sum over states of class c of the share alpha_t(s) beta_t(s) has
//
// All sums are in logarithms. What is stored of alpha is relative to the largest of its frame, so
// that f32 keeps its digits over any number of frames; the shares of a frame are divided by their
// own sum. Impossible is -1e30.
//
// Operands, beside those of all losses (ops/loss.hpp):
//   0 logits (time, batch, classes)   1 labels (batch, most), i32   3 frames (batch), i32
//   5 number of labels (batch), i32   backward: 6 alpha, 7 sums
// Outputs: loss; alpha (batch, time, states) and sums (time + 1, batch): log sum exp of each frame,
// then the losses, saved for the way back. Backward: slopes; room for beta and a frame's sums.
//
// loss_n by reduction   mean: loss_n / max(1, labels of n) / samples that count
//                       batch_mean: over samples that count   sum, none: as they are
// What is behind a sample's frames has no slope. Where there is no way (more labels, with the
// blanks between equal ones, than frames) the loss is infinite, or 0 with `zero_infinity`, and the
// slope 0 either way. No labels: all blanks. No frames: loss 0 without labels. A label that is the
// blank or no class, numbers of frames or labels out of range, NaN within the frames: loss and
// slopes of the sample are NaN.
//
// Source: Graves, Fernandez, Gomez, Schmidhuber 2006.

#include <tessera/ops/loss.hpp>

namespace tessera::ops {

/// logits (time, batch, classes), labels (batch, most) i32, frames and counts (batch) i32.
constexpr i32 ctc(graph& g, i32 logits, i32 labels, i32 frames, i32 counts,
                  const loss_attributes& attr) {
  const tensor t = g.tensors[logits];
  if (t.stack != 1 || t.dims.rank != 3) {
    refuse(g, {"ctc", "one value per class at each point in time", spell_all<64>(t.sample()),
               "end with each_step<dense<classes>>"});
    return logits;
  }
  operation op;
  op.what = kind::ctc;
  op.in[0] = logits;
  op.in[1] = labels;
  op.in[3] = frames;
  op.in[5] = counts;
  op.layer = {"loss", 0, ""};
  op.attr.loss = attr;
  const ctc_sizes n{t.dims[0], t.dims[1], t.dims[2], g.tensors[labels].dims[1]};
  op.out[0] = append_loss(
      g, frames, attr.reduce == reduction::none ? g.tensors[frames].dims : shape{}, op.layer);
  g.tensors[op.out[0]].differentiable = t.differentiable;
  const auto save = [&](const shape& dims, const char* part) {
    tensor saved;
    saved.dims = dims;
    saved.what = role::saved;
    saved.body = g.body;
    saved.name = part_of(op.layer, part);
    return g.add(saved);
  };
  op.out[1] = save(shape(n.batch, n.time, n.state_row()), "alpha");
  op.out[2] = save(shape(n.time + 1, n.batch), "sums");
  g.add(op);
  return op.out[0];
}

constexpr void differentiate_ctc(graph& g, const operation& forward, adjoints& a) {
  if (!a.wanted(forward.in[0])) return;
  operation op = backward_of_loss(g, forward, a);
  op.in[6] = forward.out[1];
  op.in[7] = forward.out[2];
  op.out[0] = a.make(forward.in[0], forward.layer);
  const tensor& alpha = g.tensors[forward.out[1]];
  const shape& logits = g.tensors[forward.in[0]].dims;
  tensor room = alpha;
  room.body = g.body;
  room.of = -1;
  room.dims = shape(
      logits[1],
      ctc_sizes{logits[0], logits[1], logits[2], g.tensors[forward.in[1]].dims[1]}.room_row());
  room.name = part_of(forward.layer, "beta");
  op.out[1] = g.add(room);
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

constexpr ctc_sizes sizes_of_ctc(const graph& g, const operation& op) {
  const shape& z = g.tensors[op.in[0]].dims;
  return {z[0], z[1], z[2], g.tensors[op.in[1]].dims[1]};
}

/// What the operands of whole numbers take, so that all samples can be aligned where there are
/// frames for it: any but the blank, at most one frame less than there are, any number of labels.
constexpr whole_values whole_values_of_ctc(const ctc_sizes& n, i32 slot, i32 blank) {
  if (slot == 1) return {0, n.classes, blank};
  if (slot == 3) return {n.time - 1, 2};
  return {0, n.labels + 1};
}

}  // namespace tessera::ops
