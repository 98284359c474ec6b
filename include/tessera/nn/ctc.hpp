#pragma once

// CTC: sequences of labels whose places in time are not known (speech, handwriting).

#include <tessera/nn/loss_policy.hpp>

namespace tessera {

/// Minus the logarithm of the probability that the output, read with repeats and blanks taken out,
/// is the labels: at most `MostLabels` of them a sample. The mean divides each by its number of
/// labels. What cannot be aligned (more labels than frames) costs infinity and teaches nothing;
/// with `zero_infinity` it costs 0. Sums, other special cases: ops/ctc.hpp. Decoding:
/// runtime/ctc_decode.hpp.
///
/// Shapes   logits (time, batch, classes), one class of which is the `blank`   loss scalar, f32
/// Targets  0: labels (batch, MostLabels), of which those behind the last do not matter
///          1: number of labels (batch)   2: number of frames (batch); all i32
///          A network that puts out a bundle (logits, lengths) brings the frames along, as layers
///          with `masked` read them: then 0 and 1 alone.
/// Memory   keeps (2 MostLabels + 1) numbers for each frame
/// Errors   "ctc<20>: expected one value per class at each point in time ..."
/// Source   Graves, Fernandez, Gomez, Schmidhuber 2006
template <i32 MostLabels>
struct ctc {
  static_assert(MostLabels > 0, "ctc: expected at least 1 label");
  static constexpr reduction reduce = reduction::mean;
  static constexpr i32 blank = 0;
  static constexpr bool zero_infinity = false;

  template <class L = ctc>
  static constexpr value build(builder& b, const bundle& y) {
    constexpr loss_attributes attr = detail::loss_attributes_of<L>();
    if (!b.usable(y) || !detail::is_reduced(b, attr, "ctc")) return {};
    if (y.size < 1 || y.size > 2) {
      return b.fail({where(), "logits, or logits and lengths", spell_all<64>(y.size, " outputs"),
                     "put out one or two values"});
    }
    graph& g = b.network();
    const value logits = y.items[0];
    const tensor t = g.tensors[logits.id];
    if (t.stack != 1 || t.dims.rank != 3) {
      return b.fail({where(), "one value per class at each point in time",
                     spell_all<64>(b.sample(logits)), "end with each_step<dense<classes>>"});
    }
    if (attr.blank < 0 || attr.blank >= t.dims[2]) {
      return b.fail({where(), spell_all("a blank below ", t.dims[2], " classes"),
                     spell_all<64>(attr.blank), "name one of the classes"});
    }
    tensor like = t;
    like.stack = 0;
    like.type = element::int32;
    like.dims = shape(t.dims[1], MostLabels);
    const value labels = append_target(b, like);
    like.dims = shape(t.dims[1]);
    const value count = append_target(b, like);
    const value frames = y.size == 2 ? y.items[1] : append_target(b, like);
    if (!b.usable(bundle{labels, count, frames})) return {};
    if (g.tensors[frames.id].type != element::int32 || b.sample(frames).count() != 1) {
      return b.fail({where(), "a length for each sample, as tokens<>",
                     spell_all<64>(b.sample(frames)), "put out the lengths that the network read"});
    }
    return append_loss(b, ops::ctc(g, logits.id, labels.id, frames.id, count.id, attr));
  }

 private:
  static constexpr text<64> where() { return spell_all<64>("ctc<", MostLabels, ">"); }
};

static_assert(loss_function<ctc<5>>);

}  // namespace tessera
