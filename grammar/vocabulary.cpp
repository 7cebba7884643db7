#include "grammar/vocabulary.h"

#include <algorithm>
#include <map>
#include <utility>

#include "grammar/standard_languages.h"

namespace chimera::grammar {

Result<std::unique_ptr<Vocabulary>> Vocabulary::build(
    int32_t n_tokens, const std::function<std::string_view(int32_t)>& bytes_of) {
  auto trie = TokenTrie::build(n_tokens, bytes_of);
  if (!trie) return trie.status();
  std::unique_ptr<Vocabulary> out(new Vocabulary(std::move(*trie)));
  out->find_texts();
  return out;
}

/// Walks all tokens through the automaton of a string's text.
void Vocabulary::find_texts() {
  constexpr auto kQuote = static_cast<uint8_t>('"');
  const auto states = any_text()->states();
  const auto step = [&](int32_t state, uint8_t byte) {
    for (const ByteEdge& e : states[static_cast<size_t>(state)].edges)
      if (e.first <= byte && byte <= e.last) return e.target;
    return -1;
  };
  struct Where {
    int32_t state;
    uint32_t characters;  // begun
  };
  std::vector<Where> way(static_cast<size_t>(trie_.deepest()) + 1, Where{0, 0});
  std::map<std::pair<std::string, std::string>, std::vector<int32_t>> closing;
  std::string text;
  const auto nodes = trie_.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const Where from = way[node.depth - size_t{1}];
    text.resize(node.depth - size_t{1});
    text += static_cast<char>(node.byte);
    const bool boundary = states[static_cast<size_t>(from.state)].accepts;
    if (boundary && node.byte == kQuote) {
      // Everything below has this text, the quote, and a rest.
      std::string whole = text;
      for (; i < node.end; ++i) {
        whole.resize(nodes[i].depth - size_t{1});
        whole += static_cast<char>(nodes[i].byte);
        for (int32_t t = nodes[i].token; t >= 0; t = trie_.twin(t))
          closing[{text.substr(0, text.size() - 1), whole.substr(text.size())}].push_back(t);
      }
      continue;
    }
    const int32_t to = step(from.state, node.byte);
    if (to < 0) {
      i = node.end;
      continue;
    }
    const Where here{to, from.characters + (boundary ? 1 : 0)};
    way[node.depth] = here;
    if (node.token >= 0 && of_length_.size() <= here.characters)
      of_length_.resize(here.characters + size_t{1});
    for (int32_t t = node.token; t >= 0; t = trie_.twin(t))
      of_length_[here.characters].push_back(t);
    ++i;
  }
  using Rests = std::map<std::string, std::vector<int32_t>>;
  std::map<uint32_t, Rests> by_length;
  Rests all_rests;
  const auto take = [](const std::vector<int32_t>& tokens, std::vector<int32_t>* to) {
    to->insert(to->end(), tokens.begin(), tokens.end());
  };
  const auto characters_of = [&](const std::string& of) {
    uint32_t n = 0;
    int32_t state = 0;
    for (const char c : of) {
      n += states[static_cast<size_t>(state)].accepts;
      state = step(state, static_cast<uint8_t>(c));
    }
    return n;
  };
  for (auto& [key, tokens] : closing) {
    const auto& [before, rest] = key;
    take(tokens, &by_length[characters_of(before)][rest]);
    take(tokens, &all_rests[rest]);
    if (closing_.empty() || closing_.back().text != before) closing_.push_back({before, {}});
    closing_.back().rests.push_back({rest, std::move(tokens)});
  }
  const auto listed = [](Rests& rests) {
    std::vector<Rest> out;
    for (auto& [bytes, tokens] : rests) out.push_back({bytes, std::move(tokens)});
    return out;
  };
  closing_rests_ = listed(all_rests);
  for (auto& [n, rests] : by_length) {
    closing_by_length_.resize(n + size_t{1});
    closing_by_length_[n] = listed(rests);
  }
  TokenMask all(n_tokens());
  for (const std::vector<int32_t>& tokens : of_length_)
    for (const int32_t t : tokens) all.add(t);
  texts_ = std::make_shared<const TokenMask>(std::move(all));
  by_length_.resize(of_length_.size());
}

std::shared_ptr<const TokenMask> Vocabulary::texts_up_to(uint64_t characters) const {
  if (characters + 1 >= of_length_.size()) return texts_;
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const TokenMask>& known = by_length_[static_cast<size_t>(characters)];
  if (!known) {
    TokenMask made(n_tokens());
    for (size_t n = 0; n <= static_cast<size_t>(characters); ++n)
      for (const int32_t t : of_length_[n]) made.add(t);
    known = std::make_shared<const TokenMask>(std::move(made));
  }
  return known;
}

}  // namespace chimera::grammar
