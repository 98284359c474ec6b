#pragma once

// Text as a run of characters, for models that predict the next one.
//
//   text       "to be or"                        alphabet " beort"   (what occurs, in byte order)
//   codes       5 3 0 1 2 0 3 4                  one byte each
//   sample      read(0): 5 3 0 1                 length 4
//               targets(0): 3 0 1 2              the same, one character on
//
// Two ways through a text. `text_windows` cuts it into samples that may come in any order; with a
// seed, the cuts lie elsewhere in every epoch. `text_streams` reads it from several places at once,
// so that what a recurrent network remembers of stream k after one batch is what comes before
// stream k of the next:
//
//   text       |-------- stream 0 --------|-------- stream 1 --------|  rest
//   batch      0     1     2     3          0     1     2     3
//   samples    0     2     4     6          1     3     5     7
//
// A character is a byte; text in UTF-8 is learned byte by byte.
// Cost: 1 byte per character, shared by parts and samples; reading allocates nothing.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/gzip.hpp>  // byte_file

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::data {

/// Most bytes that a text may have.
constexpr i64 text_limit_bytes = i64{1} << 30;

/// A file's text, unpacked where it is gzip.
///
/// Errors   those of byte_file; an empty file; more than `limit_bytes`
inline std::string read_text(const std::filesystem::path& path,
                             i64 limit_bytes = text_limit_bytes) {
  byte_file file(path);
  std::string text;
  for (;;) {
    constexpr i64 part = 1 << 20;
    const std::size_t have = text.size();
    text.resize(have + part);
    const i64 got = file.read(reinterpret_cast<u8*>(text.data()) + have, part);
    text.resize(have + static_cast<std::size_t>(got));
    if (static_cast<i64>(text.size()) > limit_bytes) {
      throw error(file.name() + ": holds more than the limit of " + std::to_string(limit_bytes) +
                  " bytes");
    }
    if (got < part) break;
  }
  if (text.empty()) throw error(file.name() + ": is empty, expected a text");
  return text;
}

/// The characters that a model knows, numbered in the order of their bytes.
class alphabet {
 public:
  alphabet() { code_.fill(-1); }

  /// The characters that occur in `text`.
  explicit alphabet(std::string_view text) : alphabet() {
    std::array<bool, 256> occurs{};
    for (const char letter : text) occurs[static_cast<u8>(letter)] = true;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      if (!occurs[byte]) continue;
      code_[byte] = static_cast<i32>(letters_.size());
      letters_ += static_cast<char>(byte);
    }
  }

  i32 size() const { return static_cast<i32>(letters_.size()); }

  /// All characters; the code of each is its place.
  const std::string& letters() const { return letters_; }

  /// The code of a character; -1 for one that is not in the alphabet.
  i32 code(char letter) const { return code_[static_cast<u8>(letter)]; }

  /// The character of a code. `code` is not checked.
  char letter(i32 code) const { return letters_[static_cast<std::size_t>(code)]; }

  /// The codes of a text, as for the beginning that a model is to go on from.
  ///
  /// Errors   a character that is not in the alphabet
  std::vector<i32> encode(std::string_view text) const {
    std::vector<i32> codes;
    for (const char each : text) {
      if (code(each) < 0) {
        throw error("alphabet: character " + std::to_string(static_cast<u8>(each)) + " at " +
                    std::to_string(codes.size()) + " does not occur in the text it was made of");
      }
      codes.push_back(code(each));
    }
    return codes;
  }

  /// The text of some codes, which are not checked.
  std::string decode(std::span<const i32> codes) const {
    std::string text;
    for (const i32 each : codes) text += letter(each);
    return text;
  }

 private:
  std::array<i32, 256> code_{};
  std::string letters_;
};

/// A text in codes. Copies and parts share it.
class text_corpus {
 public:
  text_corpus() = default;

  /// The text and its own alphabet.
  explicit text_corpus(std::string_view text) : text_corpus(text, alphabet(text)) {}

  /// The text in an alphabet made elsewhere, as a trained model's.
  ///
  /// Errors   a character that is not in the alphabet
  text_corpus(std::string_view text, const alphabet& letters) : letters_(letters) {
    const std::vector<i32> codes = letters.encode(text);
    codes_ = std::make_shared<const std::vector<u8>>(codes.begin(), codes.end());
    size_ = static_cast<i64>(codes.size());
  }

  /// Number of characters.
  i64 size() const { return size_; }

  const alphabet& letters() const { return letters_; }

  /// The code of character `index`, which is not checked.
  i32 code(i64 index) const { return codes()[index]; }

  /// The codes from the first to the last; valid as long as a copy of the corpus lives.
  const u8* codes() const { return codes_ ? codes_->data() + first_ : nullptr; }

  /// Characters [begin, end), in the same alphabet.
  ///
  /// Errors   a range that does not lie in [0, size()]
  text_corpus part(i64 begin, i64 end) const {
    if (begin < 0 || begin > end || end > size_) {
      throw error("text_corpus: expected a range within 0 to " + std::to_string(size_) + ", got " +
                  std::to_string(begin) + " to " + std::to_string(end));
    }
    text_corpus result = *this;
    result.first_ = first_ + begin;
    result.size_ = end - begin;
    return result;
  }

 private:
  alphabet letters_;
  std::shared_ptr<const std::vector<u8>> codes_;
  i64 first_ = 0;
  i64 size_ = 0;
};

/// What a model learns from, and the text after it that it is judged by.
struct text_split {
  text_corpus train;
  text_corpus test;
};

/// Cuts a text in two: the first `train_percent` of a hundred, and the rest.
inline text_split split_text(const text_corpus& all, i32 train_percent = 90) {
  const i64 cut = all.size() * train_percent / 100;
  return {all.part(0, cut), all.part(cut, all.size())};
}

namespace detail {

/// What windows and streams share: samples of `length` characters of a text.
class text_samples {
 public:
  i64 size() const { return count_; }

  /// One code per place in the sequence.
  shape sample_shape() const { return shape(length_); }

  const text_corpus& text() const { return text_; }

 protected:
  text_samples(text_corpus text, i32 length) : text_(std::move(text)), length_(length) {}

  // `length` codes from `start` on.
  template <class T>
  void copy(i64 start, T* out) const {
    const u8* const from = text_.codes() + start;
    for (i32 i = 0; i < length_; ++i) out[i] = static_cast<T>(from[i]);
  }

  text_corpus text_;
  i32 length_;
  i64 count_ = 0;
};

}  // namespace detail

/// How `text_windows` cuts a text.
struct window_options {
  i32 length = 64;      // characters of a sample
  i32 stride = 0;       // from the start of a sample to that of the next; 0: length
  bool moving = false;  // cuts lie elsewhere in every epoch, by up to stride - 1 characters
  u64 seed = 1;         // of the moves
};

/// Samples of a text that may come in any order.
///
/// Errors   a length or stride below 1; a text too short for one sample
class text_windows : public detail::text_samples {
 public:
  text_windows(text_corpus text, const window_options& options)
      : text_samples(std::move(text), options.length),
        stride_(options.stride == 0 ? options.length : options.stride),
        moving_(options.moving),
        seed_(options.seed) {
    if (length_ < 1 || stride_ < 1) {
      throw error("text_windows: expected a length and a stride of at least 1, got " +
                  std::to_string(length_) + " and " + std::to_string(stride_));
    }
    // A sample needs the character after it, and room to move.
    const i64 needed = i64{length_} + 1 + (moving_ ? stride_ - 1 : 0);
    if (text_.size() < needed) {
      throw error("text_windows: expected a text of at least " + std::to_string(needed) +
                  " characters, got " + std::to_string(text_.size()));
    }
    count_ = (text_.size() - needed) / stride_ + 1;
  }

  /// Moves the cuts to where they lie in epoch `epoch`.
  void start_epoch(i64 epoch) const {
    if (!moving_) return;
    constexpr u64 purpose = u64{0x74657874} << 32;
    random_stream random(seed_, purpose + static_cast<u64>(epoch));
    move_ = random.next_below(static_cast<u32>(stride_));
  }

  /// The place in the text of sample `index`.
  i64 start(i64 index) const { return index * stride_ + move_; }

  /// Stores the codes of sample `index`. `index` is not checked.
  void read(i64 index, float* out) const { copy(start(index), out); }
  void read(i64 index, i32* out) const { copy(start(index), out); }

  /// Stores, for each place of sample `index`, the code that follows.
  void targets(i64 index, i32* out) const { copy(start(index) + 1, out); }

  /// The code after the last of sample `index`.
  i32 label(i64 index) const { return text_.code(start(index) + length_); }

 private:
  i32 stride_;
  bool moving_;
  u64 seed_;
  // A source is read as a constant; where its cuts lie is the reader's place in it.
  mutable i64 move_ = 0;
};

/// A text read from `streams` places at once. Sample s x streams + k is step s of stream k: batches
/// of `streams` samples, in order, are the steps.
///
/// Errors   fewer than 1 stream or character a step; a text too short for one step
class text_streams : public detail::text_samples {
 public:
  /// Samples are to be read in their order: no shuffling.
  static constexpr bool in_order = true;

  text_streams(text_corpus text, i32 streams, i32 length)
      : text_samples(std::move(text), length), streams_(streams) {
    if (streams < 1 || length < 1) {
      throw error("text_streams: expected at least 1 stream and a length of at least 1, got " +
                  std::to_string(streams) + " and " + std::to_string(length));
    }
    // The last character is only ever predicted.
    steps_ = (text_.size() - 1) / streams / length;
    if (text_.size() < 1 || steps_ < 1) {
      throw error("text_streams: expected a text of at least " +
                  std::to_string(i64{streams} * length + 1) + " characters, got " +
                  std::to_string(text_.size()));
    }
    count_ = steps_ * streams_;
  }

  i32 streams() const { return streams_; }

  /// Batches of an epoch. Before the first of them a network remembers nothing.
  i64 steps() const { return steps_; }

  /// The place in the text of sample `index`.
  i64 start(i64 index) const { return (index % streams_ * steps_ + index / streams_) * length_; }

  /// Stores the codes of sample `index`. `index` is not checked.
  void read(i64 index, float* out) const { copy(start(index), out); }
  void read(i64 index, i32* out) const { copy(start(index), out); }

  /// Stores, for each place of sample `index`, the code that follows.
  void targets(i64 index, i32* out) const { copy(start(index) + 1, out); }

  /// The code after the last of sample `index`.
  i32 label(i64 index) const { return text_.code(start(index) + length_); }

 private:
  i32 streams_;
  i64 steps_ = 0;
};

}  // namespace tessera::data
