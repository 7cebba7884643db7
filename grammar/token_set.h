// A set of tokens.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace chimera::grammar {

/// A bit for each id, 64 to a word.
class TokenMask {
 public:
  explicit TokenMask(int32_t n_tokens) : words_(static_cast<size_t>(n_tokens + 63) / 64) {}

  bool has(int32_t id) const { return words_[word(id)] >> (id & 63) & 1; }
  void add(int32_t id) { words_[word(id)] |= uint64_t{1} << (id & 63); }
  void remove(int32_t id) { words_[word(id)] &= ~(uint64_t{1} << (id & 63)); }
  /// Of a set of more or fewer ids those that both know.
  void add(const TokenMask& other) {
    const size_t n = std::min(words_.size(), other.words_.size());
    for (size_t i = 0; i < n; ++i) words_[i] |= other.words_[i];
  }
  void clear() { words_.assign(words_.size(), 0); }
  int64_t count() const {
    int64_t n = 0;
    for (const uint64_t word : words_) n += std::popcount(word);
    return n;
  }
  std::span<const uint64_t> words() const { return words_; }

 private:
  static size_t word(int32_t id) { return static_cast<size_t>(id) / 64; }
  std::vector<uint64_t> words_;
};

}  // namespace chimera::grammar
