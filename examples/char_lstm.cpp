// Trains an LSTM to write like Shakespeare, one character after another.
//
// You see a line per epoch with the bits per character on text that it has not read, then a page
// that it writes itself and one line of results. With --data DIR (the folder of Tiny Shakespeare's
// input.txt) it reads that, otherwise a play that it makes up.
//
//   char_lstm --data DIR --epochs 10                 2.22 bits per character
//   char_lstm --epochs 0 --load FILE --length 5000   only evaluates and writes
//   char_lstm --temperature 0.5 --prompt "ROMEO:"    more careful; goes on from there
//
// The network knows 65 characters, as many as Tiny Shakespeare has; a text may have fewer. Training
// reads the text in 32 places at once and remembers from step to step; gradients go back 64
// characters. The last tenth of the text is only tested on, read in 32 places too. What writes is
// the same network for one character at a time, with a copy of the weights.

#include <tessera/data.hpp>
#include <tessera/models/char_lstm.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "support/options.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 10_MiB

constexpr ts::i32 known_characters = 65;
constexpr ts::i32 streams = 32;          // places in the text that a step reads from
constexpr ts::i32 step_characters = 64;  // from each of them

/// `Time` characters in; for each of them a score of every character that may come next.
template <ts::i32 Time>
using char_lstm = ts::network<ts::tokens<Time>,
                              ts::models::char_lstm<known_characters, 64, 128, 1, ts::stateful>>;

template <class Precision>
using job = ts::training<char_lstm<step_characters>, ts::softmax_cross_entropy, ts::adam,
                         ts::batch<streams>, Precision>;

using writer = ts::predictor<ts::inference<char_lstm<1>, ts::batch<1>>>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;
using brain = ts::mixed<ts::bf16, ts::skip_tensor, ts::static_scale<1>>;  // has f32's range

static_assert(job<ts::fp32>::memory.arena_bytes < 10_MiB);
static_assert(job<mixed>::memory.arena_bytes < 5_MiB);
static_assert(ts::fits<job<mixed>, ts::accelerator::ipu_mk1>);

/// What only this example is told.
struct writing {
  ts::i64 length = 500;  // characters to write
  double temperature = 0.8;
  std::string prompt;  // empty: the first character of the alphabet, the end of a line
};

double bits(double loss) { return loss / std::numbers::ln2; }

/// A code with a probability in proportion to exp(score / temperature).
ts::i32 draw(std::span<const float> scores, double temperature, ts::random_stream& random) {
  const float highest = *std::max_element(scores.begin(), scores.end());
  std::vector<double> sums;  // up to and with each code
  double sum = 0;
  for (const float score : scores) {
    sum += std::exp((score - highest) / temperature);
    sums.push_back(sum);
  }
  const double at = sum * random.next_uniform();
  const auto found = std::upper_bound(sums.begin(), sums.end(), at);
  return static_cast<ts::i32>(std::min(found, sums.end() - 1) - sums.begin());
}

/// What a network with these weights writes after the prompt.
std::string write(const ts::weight_list& weights, const ts::data::alphabet& letters,
                  const writing& w, ts::u64 seed) {
  const auto network = std::make_unique<writer>();
  const ts::weight_list copies = network->weights();
  for (std::size_t i = 0; i < copies.size(); ++i) {
    std::copy(weights[i].bytes.begin(), weights[i].bytes.end(), copies[i].bytes.begin());
  }
  constexpr ts::u64 purpose = ts::u64{0x77726974} << 32;
  ts::random_stream random(seed, purpose);
  float scores[known_characters] = {};
  const std::span of_letters(scores, static_cast<std::size_t>(letters.size()));
  std::string text = w.prompt;
  for (const ts::i32 code : letters.encode(w.prompt)) network->run({&code, 1}, scores);
  for (ts::i64 i = 0; i < w.length; ++i) {
    const ts::i32 next = draw(of_letters, w.temperature, random);
    text += letters.letter(next);
    network->run({&next, 1}, scores);
  }
  return text;
}

template <class Job, class Backend>
void run(const ts::data::text_corpus& all, ts::i64 samples, const examples::options& o,
         const writing& w) {
  ts::data::text_split parts = ts::data::split_text(all);
  for (ts::data::text_corpus* const part : {&parts.train, &parts.test}) {
    *part = part->part(0, std::min(samples * step_characters + 1, part->size()));
  }
  const ts::data::text_streams text(parts.train, streams, step_characters);
  const ts::data::text_streams test(parts.test, streams, step_characters);
  const auto trainer =
      std::make_unique<ts::trainer<Job, Backend>>(ts::seed{o.seed}, ts::threads{o.threads});
  std::cout << Job::parameter_count << " parameters, " << Job::memory.total_bytes
            << " bytes for a whole training step of " << streams << " x " << step_characters
            << " characters" << std::endl;
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  examples::figures f;
  if (o.epochs > 0) {
    f = examples::train(*trainer, text, o, ts::cosine_rate(1.6e-2, 0, 100),
                        [&](const ts::progress& p, const examples::figures& so_far) {
                          const double test_bits = bits(trainer->evaluate(test).loss);
                          if (p.epoch == 1)
                            std::cout << "epoch  train bits   test bits   characters/s\n";
                          std::printf("%5d %11.4f %11.4f %14.0f\n", p.epoch, bits(p.loss),
                                      test_bits, step_characters * so_far.samples_per_second());
                        });
  }
  const double test_loss = trainer->evaluate(test).loss;
  if (!o.save.empty()) ts::save(o.save, trainer->weights());
  if (w.length > 0) std::cout << write(trainer->weights(), all.letters(), w, o.seed) << "\n\n";
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<Job>("char_lstm", o, f);
    j["test_loss"] = test_loss;
    j["test_bits_per_character"] = bits(test_loss);
    if (o.backend == "model") {
      j["step_cycles"] = ts::cost<Job, ts::accelerator::ipu_mk1>.cycles();
      j["step_energy_fJ"] = ts::cost<Job, ts::accelerator::ipu_mk1>.energy_fJ;
    }
    ts::io::write_json(o.report, j);
  }
  std::printf("char_lstm %s %s: %.4f bits per character, %.0f characters/s, arena %lld bytes\n",
              o.backend.c_str(), o.precision.c_str(), bits(test_loss),
              step_characters * f.samples_per_second(),
              static_cast<long long>(Job::memory.arena_bytes));
}

/// The text to read and its characters.
ts::data::text_corpus read(const std::string& folder) {
  const ts::data::text_corpus all(folder.empty() ? ts::data::made_text(1'000'000, 1)
                                                 : ts::data::read_text(folder + "/input.txt"));
  if (all.letters().size() > known_characters) {
    throw ts::error(folder + "/input.txt: expected at most " + std::to_string(known_characters) +
                    " different characters, got " + std::to_string(all.letters().size()));
  }
  std::cout << (folder.empty() ? std::string("a made play") : "the text in " + folder) << ": "
            << all.size() << " characters, " << all.letters().size() << " different ones\n";
  return all;
}

int main(int argc, char** argv) {
  return examples::run("char_lstm", [&] {
    examples::options o;
    o.epochs = 10;
    ts::i64 samples = examples::all_samples;  // of step_characters each
    writing w;
    o = examples::parse(
        argc, argv, o, "tinyshakespeare",
        {examples::samples_option(samples),
         {"--length", "N", "characters to write at the end; 0: none",
          [&](const std::string& v) {
            w.length = examples::parse_number<ts::i64>("--length", v, 0);
          }},
         {"--temperature", "T", "below 1 it writes with more care, above with more daring",
          [&](const std::string& v) {
            w.temperature = examples::parse_number("--temperature", v, 0.01);
          }},
         {"--prompt", "TEXT", "what it goes on from",
          [&](const std::string& v) { w.prompt = v; }}});
    examples::check_job(o, {"fp32", "fp16", "bf16"}, {"fp16"});
    const ts::data::text_corpus text = read(o.data);
    if (w.prompt.empty()) w.prompt = text.letters().letter(0);
    static_cast<void>(text.letters().encode(w.prompt));  // refuses it before hours of training
    if (o.backend == "model") {
      run<job<mixed>, ts::on<ts::accelerator::ipu_mk1>>(text, samples, o, w);
    } else if (o.precision == "fp16") {
      run<job<mixed>, ts::host_backend>(text, samples, o, w);
    } else if (o.precision == "bf16") {
      run<job<brain>, ts::host_backend>(text, samples, o, w);
    } else {
      run<job<ts::fp32>, ts::host_backend>(text, samples, o, w);
    }
  });
}
