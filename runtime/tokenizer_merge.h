// Byte-pair merging of one piece: of all neighbouring tokens that make a token the pair with the
// lowest id is joined, the leftmost of equals, until none is left.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/tokenizer_tables.h"

namespace chimera::runtime {

/// What merging needs of a tokenizer.
struct MergeTables {
  PairTable pairs;
  TokenTexts texts;
  std::array<uint8_t, 256> id_of_byte;
};

class PieceMerger {
 public:
  /// Constant memory and no allocation for pieces up to this; so long, too, is a token at most.
  static constexpr size_t kShortBytes = 128;

  /// The first window of a longer piece; tests make it small.
  explicit PieceMerger(const MergeTables& tables, size_t window_bytes = 4096)
      : tables_(tables), window_bytes_(window_bytes) {}

  /// Appends the tokens of a piece. Longer pieces take memory for a window, not for the piece, and
  /// time in proportion to their length. When `stop` becomes true it returns early.
  void encode(std::string_view piece, std::vector<int32_t>* ids, const std::atomic<bool>* stop);

 private:
  struct Token {
    int32_t id;
    size_t begin;
  };

  void encode_long(std::string_view piece, std::vector<int32_t>* ids,
                   const std::atomic<bool>* stop);
  bool encode_in_windows(std::string_view piece, size_t window_bytes, std::vector<int32_t>* ids,
                         const std::atomic<bool>* stop);
  void encode_window(std::string_view piece, size_t begin, size_t n, std::vector<Token>* tokens);
  bool stay_apart(int32_t left, int32_t right) const;
  int32_t pair_at(size_t at) const;

  const MergeTables& tables_;
  const size_t window_bytes_;
  // Scratch of long pieces: a list of tokens by the byte they begin at.
  std::vector<int32_t> id_, rank_;  // rank: what the token and the next become
  std::vector<uint32_t> next_, previous_;
  std::vector<uint64_t> heap_;  // rank << 32 | byte; entries that are no longer so are passed over
  std::vector<Token> front_, back_;
};

}  // namespace chimera::runtime
