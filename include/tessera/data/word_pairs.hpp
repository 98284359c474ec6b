#pragma once

// Pairs of sentences as numbers of words, in buckets of like length, for encoder-decoders.
//
//   bucket of 6 words          source   3 words: 17 5 9 0 0 0            read(i, 0)
//                              length   3                                read(i, 1)
//   what the decoder is told   begin 8 22 4 0 0                          read(i, 2)
//   and is to say              8 22 4 end -100 -100                      target(i, 0): what is
//                                                                        behind the end is ignored
//
// A bucket is a greatest number of words: a pair belongs to the first bucket that holds its source
// and its target with begin or end. A plan for each bucket computes less than one for the longest.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/words.hpp>

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

/// A sentence and what it means.
struct word_pair {
  std::vector<i32> source;
  std::vector<i32> target;
};

/// Pairs in buckets, as a trainer of buckets reads them. Pairs longer than the last bucket, and
/// those without a word in the source, are left out.
class bucketed_pairs {
 public:
  /// Errors   buckets that do not grow
  bucketed_pairs(std::vector<word_pair> pairs, std::vector<i32> buckets)
      : buckets_(std::move(buckets)) {
    for (std::size_t k = 0; k < buckets_.size(); ++k) {
      if (buckets_[k] <= (k == 0 ? 0 : buckets_[k - 1])) {
        throw error("bucketed_pairs: expected buckets that grow, got " +
                    std::to_string(buckets_[k]) + " as number " + std::to_string(k + 1));
      }
    }
    for (word_pair& pair : pairs) {
      const std::size_t words = std::max(pair.source.size(), pair.target.size() + 1);
      const auto fits = std::find_if(buckets_.begin(), buckets_.end(), [&](i32 most) {
        return words <= static_cast<std::size_t>(most);
      });
      if (fits == buckets_.end() || pair.source.empty()) continue;
      bucket_.push_back(static_cast<i32>(fits - buckets_.begin()));
      pairs_.push_back(std::move(pair));
    }
  }

  i64 size() const { return static_cast<i64>(pairs_.size()); }

  /// The number of a pair's bucket, and of every pair's.
  i32 bucket(i64 index) const { return bucket_[static_cast<std::size_t>(index)]; }
  std::span<const i32> buckets_of_samples() const { return bucket_; }

  const word_pair& pair(i64 index) const { return pairs_[static_cast<std::size_t>(index)]; }

  /// Input 0: words of the source, 1: their number, 2: what the decoder is told.
  void read(i64 index, i32 which, i32* out) const {
    const word_pair& p = pair(index);
    if (which == 1) {
      *out = static_cast<i32>(p.source.size());
      return;
    }
    i32* const end = out + words_of(index);
    if (which == 2) *out++ = vocabulary::begin;
    const std::vector<i32>& words = which == 0 ? p.source : p.target;
    std::fill(std::copy(words.begin(), words.end(), out), end, vocabulary::padding);
  }

  /// What the decoder is to say.
  void target(i64 index, i32, i32* out) const {
    const word_pair& p = pair(index);
    i32* const end = out + words_of(index);
    out = std::copy(p.target.begin(), p.target.end(), out);
    *out++ = vocabulary::end;
    std::fill(out, end, ignored);
  }

  static constexpr i32 ignored = -100;

 private:
  i32 words_of(i64 index) const { return buckets_[static_cast<std::size_t>(bucket(index))]; }

  std::vector<i32> buckets_;
  std::vector<word_pair> pairs_;
  std::vector<i32> bucket_;
};

/// The order in which an epoch visits samples in buckets: batches of one bucket each, the samples
/// of a bucket and then the batches shuffled. The last batch of a bucket may be smaller. The order
/// is a function of (seed, epoch) alone.
class bucket_order {
 public:
  struct batch {
    i32 bucket = 0;
    std::span<const i32> samples;
  };

  /// Errors   a batch of less than 1; a bucket below 0
  bucket_order(std::span<const i32> buckets_of_samples, i32 batch_size, u64 seed,
               bool shuffled = true)
      : seed_(seed), shuffled_(shuffled) {
    if (batch_size < 1) {
      throw error("bucket_order: expected a batch of at least 1, got " +
                  std::to_string(batch_size));
    }
    bucket_of_.assign(buckets_of_samples.begin(), buckets_of_samples.end());
    order_.resize(bucket_of_.size());
    std::vector<i64> count;
    for (const i32 bucket : bucket_of_) {
      if (bucket < 0) throw error("bucket_order: expected buckets from 0");
      const auto k = static_cast<std::size_t>(bucket);
      if (count.size() <= k) count.resize(k + 1);
      ++count[k];
    }
    i64 first = 0;
    for (std::size_t k = 0; k < count.size(); ++k) {
      bucket_begin_.push_back(first);
      for (i64 done = 0; done < count[k]; done += batch_size) {
        const i64 size = std::min<i64>(batch_size, count[k] - done);
        batches_.push_back(
            {static_cast<i32>(k),
             {&order_[static_cast<std::size_t>(first + done)], static_cast<std::size_t>(size)}});
      }
      first += count[k];
    }
    bucket_begin_.push_back(first);
    turn_.resize(batches_.size());
    start(0);
  }

  bucket_order(const bucket_order&) = delete;
  bucket_order& operator=(const bucket_order&) = delete;

  /// Goes to the first batch of epoch `epoch`. Does not allocate.
  void start(i64 epoch) {
    next_ = 0;
    std::iota(turn_.begin(), turn_.end(), 0);
    // Samples by bucket, in their order within each: a counting sort without room of its own.
    for (std::size_t k = 0; k + 1 < bucket_begin_.size(); ++k) {
      i64 at = bucket_begin_[k];
      for (std::size_t i = 0; i < bucket_of_.size(); ++i) {
        if (bucket_of_[i] == static_cast<i32>(k)) {
          order_[static_cast<std::size_t>(at++)] = static_cast<i32>(i);
        }
      }
    }
    if (!shuffled_) return;
    constexpr u64 purpose = u64{0x6275636b} << 32;
    random_stream random(seed_, purpose + static_cast<u64>(epoch));
    for (std::size_t k = 0; k + 1 < bucket_begin_.size(); ++k) {
      const auto begin = static_cast<std::size_t>(bucket_begin_[k]);
      std::span<i32> part =
          std::span(order_).subspan(begin, static_cast<std::size_t>(bucket_begin_[k + 1]) - begin);
      shuffle(part, random);
    }
    shuffle(turn_, random);
  }

  /// The next batch; without samples when the epoch is over. Valid until start().
  batch next() {
    if (next_ == batches()) return {};
    return batches_[static_cast<std::size_t>(turn_[static_cast<std::size_t>(next_++)])];
  }

  i64 batches() const { return static_cast<i64>(batches_.size()); }
  /// Number of the batch that next() returns.
  i64 position() const { return next_; }

 private:
  u64 seed_;
  bool shuffled_;
  std::vector<i32> bucket_of_;
  std::vector<i32> order_;
  std::vector<i64> bucket_begin_;
  std::vector<batch> batches_;
  std::vector<i32> turn_;
  i64 next_ = 0;
};

}  // namespace tessera::data
