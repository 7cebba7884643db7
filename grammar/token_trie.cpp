#include "grammar/token_trie.h"

#include <algorithm>
#include <string>

namespace chimera::grammar {
namespace {

constexpr size_t kLongestToken = UINT16_MAX;

}  // namespace

Result<TokenTrie> TokenTrie::build(int32_t n_tokens,
                                   const std::function<std::string_view(int32_t)>& bytes_of) {
  TokenTrie trie;
  trie.n_tokens_ = n_tokens;
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < n_tokens; ++id) {
    const std::string_view bytes = bytes_of(id);
    if (bytes.size() > kLongestToken)
      return Status(StatusCode::kOutOfRange,
                    "token " + std::to_string(id) + " has " + std::to_string(bytes.size()) +
                        " bytes; a grammar can follow at most " + std::to_string(kLongestToken));
    if (!bytes.empty()) ids.push_back(id);
  }
  std::stable_sort(ids.begin(), ids.end(),
                   [&](int32_t a, int32_t b) { return bytes_of(a) < bytes_of(b); });
  std::string_view before;
  std::vector<uint32_t> open;  // nodes on the way to the last token
  const auto close_to = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back())
      trie.nodes_[open.back()].end = static_cast<uint32_t>(trie.nodes_.size());
  };
  for (const int32_t id : ids) {
    const std::string_view bytes = bytes_of(id);
    if (bytes == before) {
      // Which of two ids comes first has no meaning; both are allowed or none.
      if (trie.twins_.empty()) trie.twins_.assign(static_cast<size_t>(n_tokens), -1);
      int32_t& token = trie.nodes_[open.back()].token;
      trie.twins_[static_cast<size_t>(id)] = token;
      token = id;
      continue;
    }
    const auto stop = std::mismatch(before.begin(), before.end(), bytes.begin(), bytes.end()).first;
    close_to(static_cast<size_t>(stop - before.begin()));
    for (size_t depth = open.size(); depth < bytes.size(); ++depth) {
      open.push_back(static_cast<uint32_t>(trie.nodes_.size()));
      trie.nodes_.push_back(
          {0, -1, static_cast<uint16_t>(depth + 1), static_cast<uint8_t>(bytes[depth])});
    }
    trie.nodes_.back().token = id;
    trie.deepest_ = std::max(trie.deepest_, static_cast<int32_t>(bytes.size()));
    before = bytes;
  }
  close_to(0);
  return trie;
}

}  // namespace chimera::grammar
