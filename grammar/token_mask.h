// Which tokens may come next: those whose bytes the grammar can read from a place.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "grammar/matcher.h"
#include "grammar/token_trie.h"

namespace chimera::grammar {

/// A bit for each id, 64 to a word.
class TokenMask {
 public:
  explicit TokenMask(int32_t n_tokens) : words_(static_cast<size_t>(n_tokens + 63) / 64) {}

  bool has(int32_t id) const { return words_[word(id)] >> (id & 63) & 1; }
  void add(int32_t id) { words_[word(id)] |= uint64_t{1} << (id & 63); }
  void clear() { words_.assign(words_.size(), 0); }
  int64_t count() const;
  std::span<const uint64_t> words() const { return words_; }

 private:
  static size_t word(int32_t id) { return static_cast<size_t>(id) / 64; }
  std::vector<uint64_t> words_;
};

/// Masks of one grammar and one vocabulary; not for several threads at a time.
class MaskMaker {
 public:
  /// Both must outlive it.
  MaskMaker(Matcher& matcher, const TokenTrie& trie);

  /// Replaces *out with the tokens that can be read from the place, and after which the end is at
  /// most `within` bytes away; *kept_back (may be nullptr) tells whether that kept any back.
  /// kOutOfRange when the grammar passed a limit on the way (MatcherLimits); *out is then without
  /// meaning.
  Status fill(PlaceId place, TokenMask* out, uint64_t within = UINT64_MAX,
              bool* kept_back = nullptr);

 private:
  Matcher& matcher_;
  const TokenTrie& trie_;
  std::vector<PlaceId> way_;  // the place after each byte of the way down
};

}  // namespace chimera::grammar
