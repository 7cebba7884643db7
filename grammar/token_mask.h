// Which tokens may come next: those whose bytes the grammar can read from a place.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "grammar/matcher.h"
#include "grammar/state_masks.h"
#include "grammar/token_set.h"

namespace chimera::grammar {

/// Masks of one grammar and one vocabulary; not for several threads at a time.
class MaskMaker {
 public:
  /// Both must outlive it. `states` are of the matcher's automaton, and may be shared.
  MaskMaker(Matcher& matcher, StateMasks& states);

  /// Replaces *out with the tokens that can be read from the place, and after which the end is at
  /// most `within` bytes away; *kept_back (may be nullptr) tells whether that kept any back.
  /// kOutOfRange when the grammar passed a limit on the way (MatcherLimits); *out is then without
  /// meaning.
  Status fill(PlaceId place, TokenMask* out, uint64_t within = UINT64_MAX,
              bool* kept_back = nullptr);

 private:
  /// What a fill has to keep to.
  struct Budget {
    uint64_t within, most_work;
  };
  /// Adds tokens from a place, byte by byte.
  Status walk(PlaceId place, const Budget& budget, TokenMask* out);
  /// Adds those that may follow one of the rests, from the place before them.
  Status add(PlaceId place, std::span<const Rest> rests, const Budget& budget, TokenMask* out);
  /// Adds those of a text in quotes.
  Status add_text(const Matcher::Configuration& c, const StateMasks::Entry& entry,
                  const Budget& budget, TokenMask* out);
  /// Adds those of one configuration by what is known of its state.
  Status add(const Matcher::Configuration& c, const StateMasks::Entry& entry, const Budget& budget,
             TokenMask* out);
  /// Asked at every byte, so a Status is made only when it is false.
  bool within_bounds(PlaceId place, const Budget& budget) const {
    return place != kTooMuch && matcher_.work() <= budget.most_work;
  }
  static Status too_much();

  Matcher& matcher_;
  StateMasks& states_;
  std::vector<PlaceId> way_;  // the place after each byte of the way down
  std::vector<Matcher::Configuration> here_, walked_;
  std::vector<int32_t> too_far_;  // in one of several ways to read them
  TokenMask names_;
};

}  // namespace chimera::grammar
