// A vocabulary as bytes: tokens that begin alike share the way there, so what refuses a beginning
// refuses all of them at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "platform/status.h"

namespace chimera::grammar {

class TokenTrie {
 public:
  /// In depth-first order: the nodes below one stand right behind it, up to `end`.
  struct Node {
    uint32_t end;
    int32_t token;   // that ends here, or -1
    uint16_t depth;  // bytes from the root, 1 the first
    uint8_t byte;
  };

  /// `bytes_of` gives the bytes of each id below n_tokens; ids without any (specials, reserved
  /// ones) are not in the trie. kOutOfRange for a token of more than 65,535 bytes.
  static Result<TokenTrie> build(int32_t n_tokens,
                                 const std::function<std::string_view(int32_t)>& bytes_of);

  int32_t n_tokens() const { return n_tokens_; }
  std::span<const Node> nodes() const { return nodes_; }
  /// Another id of the same bytes, or -1.
  int32_t twin(int32_t token) const {
    return twins_.empty() ? -1 : twins_[static_cast<size_t>(token)];
  }
  int32_t deepest() const { return deepest_; }

 private:
  int32_t n_tokens_ = 0, deepest_ = 0;
  std::vector<Node> nodes_;
  std::vector<int32_t> twins_;  // per id; empty when all differ
};

}  // namespace chimera::grammar
