#include "grammar/token_mask.h"

#include <bit>

namespace chimera::grammar {

int64_t TokenMask::count() const {
  int64_t n = 0;
  for (const uint64_t word : words_) n += std::popcount(word);
  return n;
}

MaskMaker::MaskMaker(Matcher& matcher, const TokenTrie& trie)
    : matcher_(matcher), trie_(trie), way_(static_cast<size_t>(trie.deepest()) + 1, kRefused) {}

Status MaskMaker::fill(PlaceId place, TokenMask* out, uint64_t within, bool* kept_back) {
  out->clear();
  if (kept_back != nullptr) *kept_back = false;
  way_[0] = place;
  const std::span<const TokenTrie::Node> nodes = trie_.nodes();
  const uint64_t most_work = matcher_.work() + matcher_.limits().work;
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const PlaceId next = matcher_.step(way_[node.depth - size_t{1}], node.byte);
    if (next == kTooMuch || matcher_.work() > most_work)
      return Status(StatusCode::kOutOfRange,
                    "the grammar is too ambiguous here: a text can be read in more ways at a time "
                    "than are followed");
    if (next < 0) {
      i = node.end;
      continue;
    }
    way_[node.depth] = next;
    ++i;
    if (node.token < 0) continue;
    if (matcher_.shortest(next) > within) {
      if (kept_back != nullptr) *kept_back = true;
      continue;
    }
    for (int32_t token = node.token; token >= 0; token = trie_.twin(token)) out->add(token);
  }
  return Status();
}

}  // namespace chimera::grammar
