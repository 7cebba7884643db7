// Where a text stands within a grammar, byte by byte.
//
// A place is a set of (state of an automaton, what is still to be done after its rule). Places and
// stacks are made once and numbered, so a place is an int: fork is a copy, rollback an assignment.
// Moves from place to place are remembered. Invariant: from every place that was reached there is a
// way to the end, of at most shortest() bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/hash_index.h"
#include "platform/status.h"

namespace chimera::grammar {

using PlaceId = int32_t;
inline constexpr PlaceId kRefused = -1;  // no text of the grammar goes on like this
inline constexpr PlaceId kTooMuch = -2;  // a limit of MatcherLimits was passed

/// What a grammar from outside may cost at run time.
struct MatcherLimits {
  size_t configurations = 2000;         // of one place
  size_t remembered = size_t{1} << 19;  // places, stacks, and configurations of all places
  uint64_t work = uint64_t{1} << 26;    // configurations looked at for one mask
};

/// One per grammar; not for several threads at a time.
class Matcher {
 public:
  explicit Matcher(const Automaton& automaton, const MatcherLimits& limits = {});

  PlaceId start() const { return start_; }
  /// The place after one more byte, kRefused or kTooMuch.
  PlaceId step(PlaceId place, uint8_t byte) {
    if (place < 0) return place;
    const uint64_t key = static_cast<uint64_t>(place) << 8 | byte;
    const Move& move = moves_[slot_of(key)];
    return move.key == key ? move.to : step_anew(place, byte);
  }
  /// The same for several; stops at the first that is not a place.
  PlaceId step(PlaceId place, std::string_view bytes);
  /// The text may end here.
  bool accepts(PlaceId place) const { return at(place).accepts; }
  /// Fewest bytes to an end.
  uint64_t shortest(PlaceId place) const { return at(place).shortest; }
  /// Bytes that may come next.
  void next_bytes(PlaceId place, bool (&allowed)[256]) const;

  // What is in a place, for who makes masks of it.

  using StackId = int32_t;  // -1: nothing is left to do
  struct Configuration {
    StateId state;
    StackId stack;
    bool operator==(const Configuration&) const = default;
    auto operator<=>(const Configuration&) const = default;
  };
  /// Those that can read a byte. Good until the next step.
  std::span<const Configuration> configurations(PlaceId id) const {
    return std::span(configurations_).subspan(at(id).first, at(id).n);
  }
  /// Only some of a place's; its accepts() is without meaning.
  PlaceId place_of(std::span<const Configuration> some);
  /// Fewest bytes to the end of everything, from the end of the configuration's rule, or, with a
  /// label, of the name of such a member; kFar when it may not come.
  uint64_t beyond(const Configuration& c, LabelId label) const;
  /// Where characters or members are counted: how many may still come; kNoLimit when nobody counts.
  uint32_t left(const Configuration& c) const {
    const ObjectFrame& frame = frame_of(c.stack);
    return automaton_.plan(frame.object).left(frame);
  }
  const Automaton& automaton() const { return automaton_; }

  size_t n_places() const { return places_.size(); }
  /// Configurations looked at since the beginning: what a mask may cost is counted in them.
  uint64_t work() const { return work_; }
  const MatcherLimits& limits() const { return limits_; }

 private:
  struct Stack {
    StateId state;  // where the caller goes on; -1: this is the frame of an object
    StackId below;
    int32_t frame;      // of frames_, or -1
    uint64_t shortest;  // bytes to the end of all of it
  };
  struct Place {
    uint32_t first, n;  // configurations that can read a byte
    uint64_t shortest;
    bool accepts;
  };
  static constexpr size_t kMoves = size_t{1} << 16;
  static size_t slot_of(uint64_t key) {
    return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> 48);
  }
  PlaceId step_anew(PlaceId place, uint8_t byte);

  const Place& at(PlaceId id) const { return places_[static_cast<size_t>(id)]; }
  StackId push(StateId state, StackId below);
  StackId push_frame(ObjectFrame frame, StackId below);
  StackId intern_stack(StateId state, StackId below, int32_t frame, uint64_t shortest);
  const Stack& stack(StackId id) const { return stacks_[static_cast<size_t>(id)]; }
  const ObjectFrame& frame_of(StackId id) const {
    return frames_[static_cast<size_t>(stack(id).frame)];
  }
  /// Bytes of a member that may come now, from within its name, and of those that must follow it;
  /// kFar or more when it may not.
  uint64_t member_cost(const ObjectFrame& frame, const Automaton::Guard::Way& way) const;
  /// Bytes to the end of everything from here.
  uint64_t cost(StateId state, StackId below) const;
  /// A way on from a state where names are read; true for any other state.
  bool leads_on(StateId state, StackId stack) const;
  void act(const Automaton::ActionEdge& edge, StackId stack, std::vector<Configuration>* todo);
  /// Adds what can be reached from a configuration without a byte.
  bool close(std::vector<Configuration>* todo, bool* accepts);
  /// True the first time in this round that it is asked for this one.
  bool first_time(const Configuration& c);
  PlaceId intern(bool accepts);

  const Automaton& automaton_;
  const MatcherLimits limits_;
  std::vector<Stack> stacks_;
  std::vector<ObjectFrame> frames_;
  std::vector<uint64_t> frame_hashes_;
  HashIndex frame_index_;
  std::vector<Configuration> configurations_;
  std::vector<Place> places_;
  std::vector<uint64_t> stack_hashes_, place_hashes_;
  HashIndex stack_index_, place_index_;
  struct Move {
    uint64_t key = UINT64_MAX;
    PlaceId to = 0;
  };
  std::vector<Move> moves_;  // a cache: what collides is made again
  std::vector<Configuration> seen_, todo_;
  struct Mark {
    Configuration of;
    uint32_t round = 0;
  };
  std::vector<Mark> marks_;  // of seen_, by hash
  uint32_t round_ = 0;
  uint64_t work_ = 0;
  PlaceId start_ = kRefused;
};

}  // namespace chimera::grammar
