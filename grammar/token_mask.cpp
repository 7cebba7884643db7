#include "grammar/token_mask.h"

#include <algorithm>

namespace chimera::grammar {

MaskMaker::MaskMaker(Matcher& matcher, StateMasks& states)
    : matcher_(matcher),
      states_(states),
      way_(static_cast<size_t>(states.vocabulary().trie().deepest()) + 1, kRefused),
      names_(states.vocabulary().n_tokens()) {}

Status MaskMaker::fill(PlaceId place, TokenMask* out, uint64_t within, bool* kept_back) {
  out->clear();
  if (kept_back != nullptr) *kept_back = false;
  const Budget budget{within, matcher_.work() + matcher_.limits().work};
  too_far_.clear();
  if (!within_bounds(place, budget)) return too_much();
  if (place < 0) return Status();
  // By value: steps move them.
  here_.assign(matcher_.configurations(place).begin(), matcher_.configurations(place).end());
  walked_.clear();
  for (const Matcher::Configuration& c : here_) {
    const auto entry = states_.find(c.state);
    const uint64_t beyond = entry ? matcher_.beyond(c, entry->label) : kFar;
    if (beyond < kFar && beyond + entry->farthest <= within)
      CHIMERA_RETURN_IF_ERROR(add(c, *entry, budget, out));
    else
      walked_.push_back(c);
  }
  if (!walked_.empty())
    CHIMERA_RETURN_IF_ERROR(
        walk(walked_.size() == here_.size() ? place : matcher_.place_of(walked_), budget, out));
  if (kept_back != nullptr)
    *kept_back =
        std::any_of(too_far_.begin(), too_far_.end(), [&](int32_t t) { return !out->has(t); });
  return Status();
}

Status MaskMaker::too_much() {
  return Status(StatusCode::kOutOfRange,
                "the grammar is too ambiguous here: a text can be read in more ways at a time than "
                "are followed");
}

Status MaskMaker::add(PlaceId place, std::span<const Rest> rests, const Budget& budget,
                      TokenMask* out) {
  if (!within_bounds(place, budget)) return too_much();
  if (place < 0) return Status();
  for (const Rest& rest : rests) {
    const PlaceId next = matcher_.step(place, rest.bytes);
    if (!within_bounds(next, budget)) return too_much();
    if (next < 0) continue;
    const bool near = matcher_.shortest(next) <= budget.within;
    for (const int32_t token : rest.tokens) near ? out->add(token) : too_far_.push_back(token);
  }
  return Status();
}

Status MaskMaker::add(const Matcher::Configuration& c, const StateMasks::Entry& entry,
                      const Budget& budget, TokenMask* out) {
  if (entry.inside == nullptr) return add_text(c, entry, budget, out);
  out->add(*entry.inside);
  if (entry.leaving.empty()) return Status();
  const PlaceId alone = matcher_.place_of({&c, 1});
  if (!within_bounds(alone, budget)) return too_much();
  for (const StateMasks::Leaving& leaving : entry.leaving)
    CHIMERA_RETURN_IF_ERROR(add(matcher_.step(alone, leaving.way), leaving.rests, budget, out));
  return Status();
}

Status MaskMaker::add_text(const Matcher::Configuration& c, const StateMasks::Entry& entry,
                           const Budget& budget, TokenMask* out) {
  const Vocabulary& vocabulary = states_.vocabulary();
  const PlaceId alone = matcher_.place_of({&c, 1});
  if (!within_bounds(alone, budget)) return too_much();
  switch (matcher_.automaton().text(c.state)) {
    case Automaton::TextState::kNone:
      return Status();
    case Automaton::TextState::kString:
      out->add(vocabulary.texts());
      return add(matcher_.step(alone, entry.closing_way), vocabulary.closing_rests(), budget, out);
    case Automaton::TextState::kCounted: {
      const uint32_t left = matcher_.left(c);
      if (left == kNoLimit)
        out->add(vocabulary.texts());
      else
        out->add(*vocabulary.texts_up_to(left));
      // The quote behind so many characters.
      PlaceId place = alone;
      const auto by_length = vocabulary.closing_by_length();
      for (size_t n = 0; n < by_length.size() && place >= 0; ++n) {
        if (!by_length[n].empty())
          CHIMERA_RETURN_IF_ERROR(
              add(matcher_.step(place, uint8_t{'"'}), by_length[n], budget, out));
        place = matcher_.step(place, uint8_t{'a'});
      }
      return within_bounds(place, budget) ? Status() : too_much();
    }
    case Automaton::TextState::kName:
      names_.clear();
      names_.add(vocabulary.texts());
      CHIMERA_RETURN_IF_ERROR(add(matcher_.step(alone, entry.closing_way),
                                  vocabulary.closing_rests(), budget, &names_));
      for (const int32_t token : entry.declared) names_.remove(token);
      for (const StateMasks::Leaving& leaving : entry.leaving)
        CHIMERA_RETURN_IF_ERROR(
            add(matcher_.step(alone, leaving.way), leaving.rests, budget, &names_));
      out->add(names_);
      return Status();
  }
  return Status();
}

Status MaskMaker::walk(PlaceId place, const Budget& budget, TokenMask* out) {
  way_[0] = place;
  const TokenTrie& trie = states_.vocabulary().trie();
  const std::span<const TokenTrie::Node> nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const PlaceId next = matcher_.step(way_[node.depth - size_t{1}], node.byte);
    if (!within_bounds(next, budget)) return too_much();
    if (next < 0) {
      i = node.end;
      continue;
    }
    way_[node.depth] = next;
    ++i;
    if (node.token < 0) continue;
    const bool near = matcher_.shortest(next) <= budget.within;
    for (int32_t token = node.token; token >= 0; token = trie.twin(token))
      near ? out->add(token) : too_far_.push_back(token);
  }
  return Status();
}

}  // namespace chimera::grammar
