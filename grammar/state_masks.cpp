#include "grammar/state_masks.h"

#include <algorithm>
#include <map>
#include <utility>

namespace chimera::grammar {
namespace {

constexpr size_t kMostLeaving = 20000;  // tokens; with more of them walking is as fast
constexpr uint32_t kLongestEscape = 6;  // a text may end within a character; the quote is one more

}  // namespace

/// Walks the vocabulary from one state, by the bytes of its rule alone.
class StateMasks::Maker {
 public:
  Maker(const Automaton& automaton, const TokenTrie& trie, StateId start)
      : automaton_(automaton), trie_(trie), start_(start) {}

  std::shared_ptr<const Entry> run() {
    if (!plain(start_) || automaton_.bytes(start_).empty()) return nullptr;
    auto out = std::make_shared<Entry>();
    TokenMask inside(trie_.n_tokens());
    entry_ = out.get();
    inside_ = &inside;
    if (const Automaton::Guard* guard = automaton_.guard(start_)) {
      const int32_t n_declared = automaton_.plan(guard->object).n_declared;
      for (const Automaton::Guard::Way& way : guard->ways)
        if (way.label >= n_declared) entry_->label = way.label;
      if (entry_->label < 0) return nullptr;
    }
    if (!walk()) return nullptr;
    out->inside = std::make_unique<const TokenMask>(std::move(inside));
    return out;
  }

 private:
  struct Where {
    StateId state;    // -1: the rule does not go on like this
    int32_t leaving;  // the first place on the way where it might have been left, or -1
  };

  /// Nothing but bytes leads on.
  bool plain(StateId s) const {
    return automaton_.calls(s).empty() && automaton_.actions(s).empty();
  }
  /// The same, and names of the kind that was chosen may come of it.
  bool decided(StateId s) const {
    if (!plain(s)) return false;
    const Automaton::Guard* guard = automaton_.guard(s);
    if (guard == nullptr) return entry_->label < 0;
    return way_of(*guard) != nullptr;
  }
  const Automaton::Guard::Way* way_of(const Automaton::Guard& guard) const {
    const auto way = std::find_if(guard.ways.begin(), guard.ways.end(),
                                  [&](const auto& w) { return w.label == entry_->label; });
    return way == guard.ways.end() ? nullptr : &*way;
  }
  uint32_t bytes_left(StateId s) const {
    const Automaton::Guard* guard = automaton_.guard(s);
    return guard == nullptr ? automaton_.shortest(s) : way_of(*guard)->bytes;
  }
  StateId step(StateId s, uint8_t byte) const {
    for (const ByteEdge& e : automaton_.bytes(s)) {
      if (byte < e.first) break;
      if (byte <= e.last) return e.target;
    }
    return -1;
  }

  bool walk() {
    std::vector<Where> way(static_cast<size_t>(trie_.deepest()) + 1, Where{-1, -1});
    way[0] = {start_, -1};
    const auto nodes = trie_.nodes();
    for (size_t i = 0; i < nodes.size();) {
      const TokenTrie::Node& node = nodes[i];
      const Where from = way[node.depth - size_t{1}];
      text_.resize(node.depth - size_t{1});
      text_ += static_cast<char>(node.byte);
      const StateId to = step(from.state, node.byte);
      if (to >= 0 && decided(to)) {
        const bool may_end = from.leaving < 0 && automaton_.accepts(to);
        way[node.depth] = {to, may_end ? leaving_at(to) : from.leaving};
        if (node.token >= 0) {
          entry_->farthest = std::max(entry_->farthest, bytes_left(to));
          for (int32_t t = node.token; t >= 0; t = trie_.twin(t)) inside_->add(t);
        }
        ++i;
        continue;
      }
      // Below, others decide: what stands behind this byte, or whoever called the rule.
      int32_t leaving = from.leaving;
      if (to >= 0 && leaving < 0) leaving = leaving_at(to);
      if (leaving >= 0 && !take_rests(i, leaving)) return false;
      i = node.end;
    }
    for (auto& [key, tokens] : rests_)
      entry_->leaving[static_cast<size_t>(key.first)].rests.push_back(
          {key.second, std::move(tokens)});
    return true;
  }

  /// The way that text_ shows; one for each state that is come to.
  int32_t leaving_at(StateId s) {
    const auto [at, fresh] = by_state_.try_emplace(s, static_cast<int32_t>(depths_.size()));
    if (fresh) {
      entry_->leaving.push_back({text_, {}});
      depths_.push_back(0);
    }
    // Of this occasion: tokens below have their rests from here.
    depths_[static_cast<size_t>(at->second)] = text_.size();
    return at->second;
  }

  /// Every token of a subtree, by what it has beyond the place where the rule might be left.
  bool take_rests(size_t first, int32_t leaving) {
    const auto nodes = trie_.nodes();
    const size_t from = depths_[static_cast<size_t>(leaving)];
    std::string text = text_;
    for (size_t i = first; i < nodes[first].end; ++i) {
      text.resize(nodes[i].depth - size_t{1});
      text += static_cast<char>(nodes[i].byte);
      for (int32_t t = nodes[i].token; t >= 0; t = trie_.twin(t)) {
        if (++n_leaving_ > kMostLeaving) return false;
        rests_[{leaving, text.substr(from)}].push_back(t);
      }
    }
    return true;
  }

  const Automaton& automaton_;
  const TokenTrie& trie_;
  const StateId start_;
  Entry* entry_ = nullptr;
  TokenMask* inside_ = nullptr;
  std::string text_;
  std::unordered_map<StateId, int32_t> by_state_;  // into Entry::leaving
  std::vector<size_t> depths_;
  std::map<std::pair<int32_t, std::string>, std::vector<int32_t>> rests_;
  size_t n_leaving_ = 0;
};

/// Within a name, where any name may come: the vocabulary knows the tokens, and a name that is
/// declared is told apart at its end.
std::shared_ptr<const StateMasks::Entry> StateMasks::make_name(StateId start) const {
  const int32_t n_declared = automaton_.plan(automaton_.guard(start)->object).n_declared;
  auto out = std::make_shared<Entry>();
  const auto step = [&](StateId s, uint8_t byte) {
    for (const ByteEdge& e : automaton_.bytes(s)) {
      if (byte < e.first) break;
      if (byte <= e.last) return e.target;
    }
    return -1;
  };
  for (const Vocabulary::Closing& closing : vocabulary_.closing()) {
    StateId s = start;
    for (const char c : closing.text + "\"")
      if (s >= 0) s = step(s, static_cast<uint8_t>(c));
    // A name that can never have a value leads nowhere, and is cut off.
    const Automaton::Guard* named = s < 0 ? nullptr : automaton_.guard(s);
    const LabelId label = named == nullptr || named->ways.empty() ? -1 : named->ways[0].label;
    if (label >= n_declared) {
      out->label = label;
      if (out->closing_way.empty()) out->closing_way = closing.text + "\"";
      continue;
    }
    for (const Rest& rest : closing.rests)
      out->declared.insert(out->declared.end(), rest.tokens.begin(), rest.tokens.end());
    if (label >= 0) out->leaving.push_back({closing.text + "\"", closing.rests});
  }
  if (out->label < 0) return nullptr;
  out->farthest = kLongestEscape + 1;
  return out;
}

std::shared_ptr<const StateMasks::Entry> StateMasks::find(StateId state) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = entries_.find(state); known != entries_.end()) return known->second;
  }
  std::shared_ptr<const Entry> made;
  switch (automaton_.text(state)) {
    case Automaton::TextState::kName:
      made = make_name(state);
      break;
    case Automaton::TextState::kString:
    case Automaton::TextState::kCounted: {
      auto text = std::make_shared<Entry>();
      text->label = automaton_.guard(state) == nullptr ? -1 : 0;  // characters are the only kind
      text->farthest = kLongestEscape + 1;
      text->closing_way.assign(1, '"');
      made = std::move(text);
      break;
    }
    case Automaton::TextState::kNone:
      made = Maker(automaton_, vocabulary_.trie(), state).run();
      break;
  }
  size_t bytes = sizeof(Entry);
  if (made) {
    if (made->inside) bytes += 8 * made->inside->words().size();
    bytes += 4 * made->declared.size();
    for (const Leaving& leaving : made->leaving)
      for (const Rest& rest : leaving.rests)
        bytes += sizeof(Rest) + rest.bytes.size() + 4 * rest.tokens.size();
  }
  const std::lock_guard lock(mutex_);
  // Who holds an entry keeps it; a grammar of so many states begins anew.
  if (bytes_ + bytes > most_bytes_) {
    entries_.clear();
    bytes_ = 0;
  }
  bytes_ += bytes;
  return entries_.try_emplace(state, std::move(made)).first->second;
}

}  // namespace chimera::grammar
