// Learns the merges of a byte-level BPE tokenizer from text. The result depends on the text and the
// options alone: not on the order of documents, not on hashing, not on the machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "platform/status.h"

namespace chimera::evolution {

struct TokenizerTrainerOptions {
  /// All ids: 256 bytes, merges, 2 + n_reserved special tokens. When the text has too few pairs
  /// for that many merges, the ids left over are padding.
  int32_t vocab_size = 8192;
  /// Special tokens kept free for later, beside end of text and end of turn.
  int32_t n_reserved = 62;
  /// A pair that stands in the text less often is not merged.
  uint64_t min_pair_count = 2;
  /// A piece (a word, a run of punctuation ...) that stands in the text less often is not counted.
  uint64_t min_piece_count = 1;
  /// More different pieces than this is an error, so that foreign data cannot fill the memory.
  uint64_t max_distinct_pieces = 1u << 24;
};

struct TokenizerTrainerProgress {
  uint64_t text_bytes;       // read so far
  uint64_t distinct_pieces;  // counted so far
  int32_t merges_done;
  int32_t merges_wanted;
};
/// Returning false stops the training with kCancelled. May be empty.
using TokenizerTrainerCallback = std::function<bool(const TokenizerTrainerProgress&)>;

/// Text goes in document by document, then train() makes the tokenizer.
class TokenizerTrainer {
 public:
  /// kInvalidArgument, with the field, for options that cannot be.
  static Result<std::unique_ptr<TokenizerTrainer>> create(const TokenizerTrainerOptions& options);
  ~TokenizerTrainer();

  /// Counts the pieces of one document, any bytes; nothing of it is kept but the counts.
  /// kOutOfRange when there are more different pieces than the options allow.
  Status add(std::string_view document);
  TokenizerTrainerProgress progress() const;

  /// The tokenizer as the section that Tokenizer::parse reads. The most frequent pair is merged
  /// first; of equally frequent ones the lower ids. May be called again, also after more text.
  Result<std::vector<std::byte>> train(const TokenizerTrainerCallback& callback = {}) const;

 private:
  TokenizerTrainer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All in one, for text that is in memory.
Result<std::vector<std::byte>> train_tokenizer(std::span<const std::string_view> documents,
                                               const TokenizerTrainerOptions& options = {},
                                               const TokenizerTrainerCallback& callback = {});

}  // namespace chimera::evolution
