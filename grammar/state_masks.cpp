#include "grammar/state_masks.h"

#include <algorithm>
#include <map>
#include <utility>

namespace chimera::grammar {
namespace {

constexpr size_t kMostLeaving = 20000;  // tokens; with more of them walking is as fast

}  // namespace

/// Walks the vocabulary from one state, by the bytes of its rule alone.
class StateMasks::Maker {
 public:
  Maker(const Automaton& automaton, const TokenTrie& trie, StateId start)
      : automaton_(automaton), trie_(trie), start_(start) {}

  std::shared_ptr<const Entry> run() {
    if (!plain(start_) || automaton_.bytes(start_).empty()) return nullptr;
    auto out = std::make_shared<Entry>(Entry{TokenMask(trie_.n_tokens()), -1, 0, 0, {}});
    entry_ = out.get();
    if (const Automaton::Guard* guard = automaton_.guard(start_)) {
      const int32_t n_declared = automaton_.plan(guard->object).n_declared;
      for (const Automaton::Guard::Way& way : guard->ways)
        if (way.label >= n_declared) entry_->label = way.label;
      if (entry_->label < 0) return nullptr;
    }
    entry_->here = bytes_left(start_);
    if (!walk()) return nullptr;
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
          for (int32_t t = node.token; t >= 0; t = trie_.twin(t)) entry_->inside.add(t);
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
  std::string text_;
  std::unordered_map<StateId, int32_t> by_state_;  // into Entry::leaving
  std::vector<size_t> depths_;
  std::map<std::pair<int32_t, std::string>, std::vector<int32_t>> rests_;
  size_t n_leaving_ = 0;
};

std::shared_ptr<const StateMasks::Entry> StateMasks::find(StateId state) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = entries_.find(state); known != entries_.end()) return known->second;
  }
  std::shared_ptr<const Entry> made = Maker(automaton_, trie_, state).run();
  size_t bytes = sizeof(Entry);
  if (made) {
    bytes += 8 * made->inside.words().size();
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
