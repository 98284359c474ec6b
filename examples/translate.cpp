// Translates sentences, word by word: English to German, or a made language to another.
//
// You see a line per epoch with the perplexity of a German word on sentences held out, then some
// translations, which words the network looked at while it wrote the first of them, and one line
// with perplexity and BLEU. With --data DIR (Multi30k: train, val and test_2016_flickr as .en and
// .de, gzip or not) it learns those, otherwise languages that it makes up.
//
//   translate --data DIR --epochs 12 --threads 2 --save FILE
//   translate --data DIR --epochs 0 --load FILE --attention looked_at.png
//   translate --data DIR --epochs 0 --load FILE --say "A man is riding a red bicycle."
//
//   English words -> embedding -> GRU in both directions -> memory: a vector for each word
//   for each German word: attention over the memory, by the decoder's state -> context
//                         last word, context -> GRU -> scores of all words
//
// Training tells the decoder the right last word (teacher forcing). Sentences lie in three buckets
// by length; each has its own plan, over one set of weights. Writing is two networks more, with a
// copy of the weights: the encoder, and one step of the decoder, which a beam search asks about
// many beginnings at once. What it writes as unknown becomes the word it looked at most.
// Text is lower case and split into words as data/words.hpp says, for BLEU too.
// Source: Bahdanau, Cho, Bengio 2015; Press, Wolf 2017 (one table of German words for in and out).

#include <tessera/data.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>
#include <tessera/runtime/beam_search.hpp>
#include <tessera/runtime/bleu.hpp>
#include <tessera/train/bucket_trainer.hpp>
#include <tessera/train/copy_weights.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/image.hpp"
#include "support/options.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 100_MiB
using ts::i32;
using ts::i64;

namespace size {
constexpr i32 vocabulary = 5000;  // words of either language
constexpr i32 word = 128;         // numbers of a word's vector
constexpr i32 state = 192;
constexpr i32 attention = 128;
constexpr i32 batch = 64;
constexpr i32 buckets[] = {12, 16, 26};  // words of a sentence, the end counted
constexpr i32 most_words = 40;           // that are read to be translated
constexpr i32 rows = 16;                 // that a decoder goes on with at once
}  // namespace size

using attention = ts::additive_attention<size::attention, ts::key_lengths, ts::with_weights>;

/// The layers at every point in time, or on single samples.
template <class Layer>
constexpr ts::value at_each(ts::builder& b, ts::value x) {
  if (!b.usable(x)) return {};
  if (b.network().tensors[x.id].stack > 0) return ts::each_step<Layer>::build(b, x);
  return Layer::build(b, x);
}

/// Words and their number -> memory, its keys for the attention, the first state of a decoder.
struct encoder {
  static constexpr ts::bundle build(ts::builder& b, const ts::bundle& in) {
    const i32 around = b.begin_scope("encoder");
    const ts::value words =
        ts::named<"words", ts::embedding<size::vocabulary, size::word,
                                         ts::initialized_by<ts::initializer::normal_with, 1, 10>>>::
            build(b, in.items[0]);
    using reader = ts::bidirectional<ts::gru<size::state, ts::masked, ts::with_states>>;
    const ts::bundle read =
        reader::build(b, {ts::dropout<30>::build(b, words), in.items[1]});  // memory, two states
    const ts::value keys = attention::keys(b, read.items[0]);
    // What the backward direction ends with has seen the whole sentence, its beginning last.
    const ts::value state =
        b.tanh(ts::named<"state", ts::dense<size::state>>::build(b, read.items[2]));
    b.end_scope(around);
    return {read.items[0], keys, state};
  }
};

/// What the decoder is told: vectors of German words.
constexpr ts::value embed_target(ts::builder& b, ts::value words) {
  using table = ts::embedding<size::vocabulary, size::word,
                              ts::initialized_by<ts::initializer::normal_with, 1, 10>>;
  return ts::shared<"target_words", ts::named<"target_words", table>>::build(b, words);
}

/// One step of the decoder.
struct decoder_step {
  ts::value state;
  ts::value context;
  ts::value looked_at;  // weights of the attention

  constexpr decoder_step(ts::builder& b, ts::value word, ts::value last_state, ts::value memory,
                         ts::value keys, ts::value lengths) {
    const ts::bundle seen = attention::attend(b, last_state, keys, memory, lengths);
    if (!b.usable(seen)) return;
    const ts::gated_cell<ts::gru_equations> cell{size::state};
    context = seen.items[0];
    looked_at = seen.items[1];
    state = cell.step(b, b.concat({word, context}), last_state, b.begin_layer("gru")).items[0];
  }
};

/// Scores of all words, of one step or of a sequence of them.
constexpr ts::value score_words(ts::builder& b, ts::value state, ts::value context,
                                ts::value word) {
  const ts::value all = b.concat({state, context, word});
  const ts::value narrow = b.tanh(at_each<ts::named<"readout", ts::dense<size::word>>>(b, all));
  return ts::tied_dense<"target_words">::build(b, ts::dropout<30>::build(b, narrow));
}

/// Words, their number, what the decoder is told -> scores of what it is to say.
struct translator {
  static constexpr ts::value build(ts::builder& b, const ts::bundle& in) {
    const ts::bundle e = encoder::build(b, in);
    const ts::value words = ts::dropout<30>::build(b, embed_target(b, in.items[2]));
    if (!b.usable(e) || !b.usable(words)) return {};
    ts::graph& g = b.network();
    const i32 around = b.begin_scope("decoder");
    ts::ops::loop_options o;
    o.trips = g.tensors[words.id].dims[0];
    o.stacked = b.differentiates();
    ts::ops::loop_writer loop(g, o, {"decoder"});
    const i32 state = loop.carry(e.items[2].id);
    loop.begin();
    const ts::value word{loop.scan(words.id)};
    const decoder_step step(b, word, {loop.in(state)}, e.items[0], e.items[1], in.items[1]);
    if (!b.usable(step.state)) return {};
    loop.next(state, step.state.id);
    const i32 states = loop.output(step.state.id);
    const i32 contexts = loop.output(step.context.id);
    loop.end();
    const ts::value y = score_words(b, {loop.outer(states)}, {loop.outer(contexts)}, words);
    b.end_scope(around);
    return y;
  }
};

/// The last word, the last state, memory, keys, number of words -> scores, state, weights.
struct decoder {
  static constexpr ts::bundle build(ts::builder& b, const ts::bundle& in) {
    const ts::value word = embed_target(b, in.items[0]);
    const i32 around = b.begin_scope("decoder");
    const decoder_step step(b, word, in.items[1], in.items[2], in.items[3], in.items[4]);
    const ts::value scores = score_words(b, step.state, step.context, word);
    b.end_scope(around);
    return {scores, step.state, step.looked_at};
  }
};

template <i32 Words>
using network =
    ts::network<ts::inputs<ts::tokens<Words>, ts::tokens<>, ts::tokens<Words>>, translator>;
template <i32 Words>
using job = ts::training<network<Words>, ts::softmax_cross_entropy, ts::adam,
                         ts::batch<size::batch>, ts::clip_norm<1>>;
using first_job = job<size::buckets[0]>;
using trainer_of_all = ts::bucket_trainer<first_job, job<size::buckets[1]>, job<size::buckets[2]>>;

// Weights and what Adam keeps of them once, the arena of the longest sentences.
static_assert(trainer_of_all::memory_bytes() < 100_MiB);

using encoder_network =
    ts::network<ts::inputs<ts::tokens<size::most_words>, ts::tokens<>>, encoder>;
using decoder_network =
    ts::network<ts::inputs<ts::tokens<>, ts::input<size::state>,
                           ts::sequence<size::most_words, 2 * size::state>,
                           ts::sequence<size::most_words, size::attention>, ts::tokens<>>,
                decoder>;

/// A sentence that was written, and for each of its words how much each word read counted.
struct translation {
  std::vector<std::string> words;
  std::vector<std::vector<float>> looked_at;
};

/// The networks that write, and the search for what they like best.
class writer {
 public:
  writer(const ts::weight_list& weights, const ts::data::vocabulary& source,
         const ts::data::vocabulary& target, i32 beam, i32 threads)
      : encoder_(std::make_unique<encoder_type>(threads)),
        decoder_(std::make_unique<decoder_type>(threads)),
        source_(source),
        target_(target),
        beam_(beam) {
    ts::copy_weights(weights, encoder_->weights(), {.partial = true});
    ts::copy_weights(weights, decoder_->weights(), {.partial = true});
  }

  /// Translations of sentences in words; of the first `most_words` words of longer ones.
  std::vector<translation> write(const std::vector<std::vector<std::string>>& sentences) {
    std::vector<std::size_t> order(sentences.size());  // alike lengths side by side
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return sentences[a].size() < sentences[b].size();
    });
    std::vector<translation> all(sentences.size());
    const auto group = static_cast<std::size_t>(size::rows / beam_);
    for (std::size_t first = 0; first < order.size(); first += size::rows) {
      const std::size_t count = std::min<std::size_t>(size::rows, order.size() - first);
      read({order.data() + first, count}, sentences);
      for (std::size_t k = 0; k < count; k += group) {
        search(k, {order.data() + first + k, std::min(group, count - k)}, sentences, all);
      }
    }
    return all;
  }

 private:
  using encoder_type = ts::predictor<ts::inference<encoder_network, ts::batch<size::rows>>>;
  using decoder_type = ts::predictor<ts::inference<decoder_network, ts::batch<size::rows>>>;
  static constexpr std::size_t memory_values = std::size_t{size::most_words} * 2 * size::state;
  static constexpr std::size_t key_values = std::size_t{size::most_words} * size::attention;

  void read(std::span<const std::size_t> which,
            const std::vector<std::vector<std::string>>& sentences) {
    std::fill(words_.begin(), words_.end(), ts::data::vocabulary::padding);
    for (std::size_t n = 0; n < which.size(); ++n) {
      std::vector<i32> numbers = source_.encode(sentences[which[n]]);
      if (numbers.empty()) numbers.push_back(ts::data::vocabulary::unknown);
      numbers.resize(std::min<std::size_t>(numbers.size(), size::most_words));
      std::copy(numbers.begin(), numbers.end(), words_.begin() + n * size::most_words);
      lengths_[n] = static_cast<i32>(numbers.size());
    }
    const std::size_t n = which.size();
    encoder_->run(
        {std::span<const i32>(words_).first(n * size::most_words),
         std::span<const i32>(lengths_).first(n)},
        {std::span(memory_).first(n * memory_values), std::span(keys_).first(n * key_values),
         std::span(first_states_).first(n * size::state)});
  }

  /// Writes the sentences `which`, number `begin` on of those that were read last.
  void search(std::size_t begin, std::span<const std::size_t> which,
              const std::vector<std::vector<std::string>>& sentences,
              std::vector<translation>& all) {
    std::vector<ts::beam_search> searches;
    std::vector<std::vector<std::vector<float>>> states(which.size());             // by row
    std::vector<std::vector<std::vector<std::vector<float>>>> seen(which.size());  // by step, row
    for (std::size_t s = 0; s < which.size(); ++s) {
      const i32 words = lengths_[begin + s];
      searches.emplace_back(
          ts::beam_options{.width = beam_,
                           .most_words = std::min(2 * words + 8, 2 * size::most_words),
                           .end = ts::data::vocabulary::end,
                           .alpha = 1,
                           .early = true});
      const float* const state = first_states_.data() + (begin + s) * size::state;
      states[s].assign(1, std::vector<float>(state, state + size::state));
    }
    for (;;) {
      std::size_t n = 0;
      for (std::size_t s = 0; s < which.size(); ++s) {
        for (const ts::beam_row& row : searches[s].rows()) {
          step_words_[n] = row.word < 0 ? ts::data::vocabulary::begin : row.word;
          step_lengths_[n] = lengths_[begin + s];
          std::copy_n(states[s][static_cast<std::size_t>(row.parent)].begin(), size::state,
                      step_states_.begin() + n * size::state);
          std::copy_n(memory_.begin() + (begin + s) * memory_values, memory_values,
                      step_memory_.begin() + n * memory_values);
          std::copy_n(keys_.begin() + (begin + s) * key_values, key_values,
                      step_keys_.begin() + n * key_values);
          ++n;
        }
      }
      if (n == 0) break;
      decoder_->run({std::span<const i32>(step_words_).first(n),
                     std::span<const float>(step_states_).first(n * size::state),
                     std::span<const float>(step_memory_).first(n * memory_values),
                     std::span<const float>(step_keys_).first(n * key_values),
                     std::span<const i32>(step_lengths_).first(n)},
                    {std::span(scores_).first(n * size::vocabulary),
                     std::span(next_states_).first(n * size::state),
                     std::span(weights_).first(n * size::most_words)});
      n = 0;
      for (std::size_t s = 0; s < which.size(); ++s) {
        if (searches[s].over()) continue;
        const std::size_t count = searches[s].rows().size();
        states[s].clear();
        seen[s].emplace_back();
        for (std::size_t r = n; r < n + count; ++r) {
          const auto state = next_states_.begin() + r * size::state;
          states[s].emplace_back(state, state + size::state);
          const auto weights = weights_.begin() + r * size::most_words;
          seen[s].back().emplace_back(weights, weights + lengths_[begin + s]);
          // Nobody says what stands for nothing.
          for (const i32 never : {ts::data::vocabulary::padding, ts::data::vocabulary::begin}) {
            scores_[r * size::vocabulary + never] = -1e30f;
          }
          for (i32 word = target_.size(); word < size::vocabulary; ++word) {
            scores_[r * size::vocabulary + word] = -1e30f;
          }
        }
        searches[s].advance(std::span<const float>(scores_).subspan(n * size::vocabulary,
                                                                    count * size::vocabulary));
        n += count;
      }
    }
    for (std::size_t s = 0; s < which.size(); ++s) {
      if (searches[s].results().empty()) continue;
      const ts::beam_result& best = searches[s].results()[0];
      translation& to = all[which[s]];
      for (std::size_t t = 0; t < best.words.size(); ++t) {
        to.looked_at.push_back(seen[s][t][static_cast<std::size_t>(best.path[t])]);
        const auto most = std::max_element(to.looked_at[t].begin(), to.looked_at[t].end());
        const auto place = static_cast<std::size_t>(most - to.looked_at[t].begin());
        const bool copied =
            best.words[t] == ts::data::vocabulary::unknown && place < sentences[which[s]].size();
        to.words.push_back(copied ? sentences[which[s]][place] : target_.word(best.words[t]));
      }
    }
  }

  std::unique_ptr<encoder_type> encoder_;
  std::unique_ptr<decoder_type> decoder_;
  const ts::data::vocabulary& source_;
  const ts::data::vocabulary& target_;
  i32 beam_;
  // What was read, and what a step takes and gives.
  std::vector<i32> words_ = std::vector<i32>(size::rows * size::most_words);
  std::vector<i32> lengths_ = std::vector<i32>(size::rows);
  std::vector<float> memory_ = std::vector<float>(size::rows * memory_values);
  std::vector<float> keys_ = std::vector<float>(size::rows * key_values);
  std::vector<float> first_states_ = std::vector<float>(size::rows * size::state);
  std::vector<i32> step_words_ = std::vector<i32>(size::rows);
  std::vector<i32> step_lengths_ = std::vector<i32>(size::rows);
  std::vector<float> step_states_ = std::vector<float>(size::rows * size::state);
  std::vector<float> step_memory_ = std::vector<float>(size::rows * memory_values);
  std::vector<float> step_keys_ = std::vector<float>(size::rows * key_values);
  std::vector<float> scores_ = std::vector<float>(size::rows * size::vocabulary);
  std::vector<float> next_states_ = std::vector<float>(size::rows * size::state);
  std::vector<float> weights_ = std::vector<float>(size::rows * size::most_words);
};

/// One part of the data, in words.
struct sentences {
  std::vector<std::vector<std::string>> source;
  std::vector<std::vector<std::string>> target;
};

sentences split(const ts::data::parallel_text& text) {
  sentences s;
  for (const std::string& line : text.source) s.source.push_back(ts::data::split_words(line));
  for (const std::string& line : text.target) s.target.push_back(ts::data::split_words(line));
  return s;
}

/// What the example learns from.
struct languages {
  sentences train, held_out, test;
  ts::data::vocabulary source, target;

  ts::data::bucketed_pairs pairs(const sentences& s) const {
    std::vector<ts::data::word_pair> all;
    for (std::size_t i = 0; i < s.source.size(); ++i) {
      all.push_back({source.encode(s.source[i]), target.encode(s.target[i])});
    }
    return {std::move(all), {std::begin(size::buckets), std::end(size::buckets)}};
  }
};

languages read(const examples::options& o, i64 samples) {
  const auto part = [&](const std::string& name, i64 first, i64 count) {
    if (o.data.empty())
      return split(ts::data::made_translations(first, std::min(count, samples), 1));
    const auto file = [&](const char* language) {
      const std::string plain = o.data + "/" + name + language;
      return std::filesystem::exists(plain) ? plain : plain + ".gz";
    };
    return split(ts::data::read_parallel_text(file(".en"), file(".de")).first(samples));
  };
  languages all;
  all.train = part("train", 0, 8000);
  all.held_out = part("val", 8000, 300);
  all.test = part("test_2016_flickr", 9000, 300);
  all.source = ts::data::vocabulary(all.train.source, size::vocabulary, 2);
  all.target = ts::data::vocabulary(all.train.target, size::vocabulary, 2);
  examples::say_data(o, "made languages", "Multi30k", static_cast<i64>(all.train.source.size()),
                     static_cast<i64>(all.test.source.size()));
  std::cout << all.source.size() << " and " << all.target.size() << " words known\n";
  return all;
}

/// Rows: words written, columns: words read; white where the network looked.
examples::image picture(const translation& t) {
  constexpr i32 cell = 16;
  const auto height = static_cast<i32>(t.looked_at.size());
  const auto columns = static_cast<i32>(t.looked_at.empty() ? 0 : t.looked_at[0].size());
  examples::image all(std::max(1, columns) * cell, std::max(1, height) * cell, 1);
  for (i32 y = 0; y < height * cell; ++y) {
    for (i32 x = 0; x < columns * cell; ++x) {
      const float weight =
          t.looked_at[static_cast<std::size_t>(y / cell)][static_cast<std::size_t>(x / cell)];
      all.at(y, x) = static_cast<ts::u8>(255 * std::clamp(weight, 0.0f, 1.0f) + 0.5f);
    }
  }
  return all;
}

/// What only this example is told.
struct writing {
  i32 beam = 4;
  std::string attention;  // where its picture goes
  std::string say;
};

void run(const languages& known, const writing& w, const examples::options& o) {
  const auto trainer = std::make_unique<trainer_of_all>(ts::seed{o.seed}, ts::threads{o.threads});
  std::cout << first_job::parameter_count << " parameters, " << trainer_of_all::memory_bytes()
            << " bytes for whole training steps of " << size::batch << " sentences of up to "
            << size::buckets[0] << ", " << size::buckets[1] << " or " << size::buckets[2]
            << " words" << std::endl;
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  const ts::data::bucketed_pairs train = known.pairs(known.train);
  const ts::data::bucketed_pairs held_out = known.pairs(known.held_out);
  const ts::data::bucketed_pairs test = known.pairs(known.test);
  const auto loss_of = [&](const ts::data::bucketed_pairs& pairs) {
    ts::data::bucket_order order(pairs.buckets_of_samples(), size::batch, 1, false);
    return trainer->evaluate(pairs, order);
  };

  // examples::train calls fit(source, options): here with the order of buckets.
  struct in_buckets {
    trainer_of_all& trainer;
    ts::data::bucket_order order;
    void fit(const ts::data::bucketed_pairs& pairs, const ts::fit_options& options) {
      trainer.fit(pairs, order, options);
    }
  };
  examples::figures f;
  if (o.epochs > 0) {
    in_buckets fitted{*trainer, {train.buckets_of_samples(), size::batch, o.seed}};
    f = examples::train(fitted, train, o, ts::cosine_rate(2e-3, 0, 100),
                        [&](const ts::progress& p, const examples::figures& so_far) {
                          if (p.epoch == 1)
                            std::cout << "epoch  train perplexity   held out   sentences/s\n";
                          std::printf("%5d %17.2f %10.2f %13.0f\n", p.epoch, std::exp(p.loss),
                                      std::exp(loss_of(held_out)), so_far.samples_per_second());
                          if (!o.save.empty()) ts::save(o.save, trainer->weights());
                        });
  }
  const double test_loss = loss_of(test);
  if (!o.save.empty()) ts::save(o.save, trainer->weights());

  writer out(trainer->weights(), known.source, known.target, w.beam, o.threads);
  const std::vector<translation> written = out.write(known.test.source);
  ts::bleu score;
  for (std::size_t i = 0; i < written.size(); ++i) {
    score.add(written[i].words, known.test.target[i]);
    if (i >= 3) continue;
    std::cout << "read      " << ts::data::join_words(known.test.source[i]) << "\nwritten   "
              << ts::data::join_words(written[i].words) << "\nwanted    "
              << ts::data::join_words(known.test.target[i]) << "\n";
  }
  const translation* shown = written.data();
  std::vector<translation> said;
  if (!w.say.empty()) {
    said = out.write({ts::data::split_words(w.say)});
    shown = said.data();
    std::cout << "said      " << ts::data::join_words(said[0].words) << "\n";
  }
  if (!w.attention.empty()) examples::save_image(w.attention, picture(*shown));

  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<first_job>("translate", o, f);
    j["all_buckets_bytes"] = trainer_of_all::memory_bytes();
    j["test_loss"] = test_loss;
    j["test_perplexity"] = std::exp(test_loss);
    j["test_bleu"] = 100 * score.score();
    j["test_brevity_penalty"] = score.brevity_penalty();
    ts::io::write_json(o.report, j);
  }
  char metric[120];
  std::snprintf(metric, sizeof(metric), "BLEU %.2f (brevity penalty %.3f), perplexity %.2f",
                100 * score.score(), score.brevity_penalty(), std::exp(test_loss));
  examples::say_results<first_job>("translate", o, f, metric);
}

int main(int argc, char** argv) {
  return examples::run("translate", [&] {
    examples::options o;
    o.epochs = 12;
    writing w;
    i64 samples = examples::all_samples;
    o = examples::parse(
        argc, argv, o, "multi30k",
        {examples::samples_option(samples),
         {"--beam", "N", "beginnings that the search keeps, 1 to 16; 1 takes the likeliest word",
          [&](const std::string& v) {
            w.beam = examples::parse_number<i32>("--beam", v, 1);
            if (w.beam > size::rows) throw ts::error("--beam: expected at most 16, got " + v);
          }},
         {"--attention", "FILE", "where to put the picture of what was looked at, .pgm or .png",
          [&](const std::string& v) {
            examples::check_folder("--attention", v);
            w.attention = v;
          }},
         {"--say", "TEXT", "a sentence to translate at the end",
          [&](const std::string& v) { w.say = v; }}});
    examples::check_job(o, {"fp32"}, {});
    run(read(o, samples), w, o);
  });
}
