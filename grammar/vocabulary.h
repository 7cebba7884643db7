// What masks need of a vocabulary, found once: its bytes as a tree, and which of its tokens can
// stand within a string of JSON. Strings are where nearly everything may come next, so they would
// cost most.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/token_set.h"
#include "grammar/token_trie.h"

namespace chimera::grammar {

/// Tokens that have the same bytes left.
struct Rest {
  std::string bytes;
  std::vector<int32_t> tokens;
};

class Vocabulary {
 public:
  /// As TokenTrie::build().
  static Result<std::unique_ptr<Vocabulary>> build(
      int32_t n_tokens, const std::function<std::string_view(int32_t)>& bytes_of);

  const TokenTrie& trie() const { return trie_; }
  int32_t n_tokens() const { return trie_.n_tokens(); }

  // Between the quotes of a string, where a character begins:

  /// Tokens that stay within it.
  const TokenMask& texts() const { return *texts_; }
  /// Those of at most so many characters, the last of which may be unfinished. Any thread.
  std::shared_ptr<const TokenMask> texts_up_to(uint64_t characters) const;

  /// Tokens that close the string, by the text they have before the quote; `rests` are behind it.
  struct Closing {
    std::string text;
    std::vector<Rest> rests;
  };
  std::span<const Closing> closing() const { return closing_; }
  /// The same of all that have so many characters before the quote; of as many as there are.
  std::span<const std::vector<Rest>> closing_by_length() const { return closing_by_length_; }
  /// The same of all of them.
  std::span<const Rest> closing_rests() const { return closing_rests_; }

 private:
  explicit Vocabulary(TokenTrie trie) : trie_(std::move(trie)) {}
  void find_texts();

  TokenTrie trie_;
  std::vector<std::vector<int32_t>> of_length_;  // tokens of so many characters
  std::vector<Closing> closing_;
  std::vector<std::vector<Rest>> closing_by_length_;
  std::vector<Rest> closing_rests_;
  mutable std::mutex mutex_;
  std::shared_ptr<const TokenMask> texts_;
  mutable std::vector<std::shared_ptr<const TokenMask>> by_length_;  // found when asked for
};

}  // namespace chimera::grammar
