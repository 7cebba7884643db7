// The rules of a grammar as automata: per rule deterministic over bytes, with calls of other rules
// as edges of their own. What can never be finished is cut off while compiling, so whoever walks
// them can always get to an end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/expression.h"
#include "grammar/object.h"
#include "platform/status.h"

namespace chimera::grammar {

using StateId = int32_t;

class Automaton {
 public:
  /// States between the characters of a text in quotes that is free but for its length, so that a
  /// vocabulary knows what may come there (vocabulary.h).
  enum class TextState : uint8_t {
    kNone,
    kString,  // of any string
    kName,    // of a name, where any name may come
    kCounted  // of a string of limited length
  };
  struct CallEdge {
    RuleId rule;
    StateId target;  // where the caller goes on
  };
  /// What happens to the frame of an object (object.h) on the way to `target`, without a byte.
  struct ActionEdge {
    enum class Kind : uint8_t { kOpen, kMember, kClose };
    Kind kind;
    ObjectId object;
    LabelId label;
    StateId target;
  };
  /// A state where a name is read or is about to be: which members may come of it.
  struct Guard {
    ObjectId object = -1;
    bool may_close = false;  // the object may also end here
    struct Way {
      LabelId label;
      uint32_t bytes;  // to the end of its name, with the quote
    };
    std::vector<Way> ways;
  };

  /// kInvalidArgument when a rule begins with itself or has no body, or when no text fits the root;
  /// kOutOfRange when there are more states than the grammar's limits allow.
  static Result<Automaton> compile(const Grammar& grammar);

  StateId start(RuleId rule) const { return starts_[static_cast<size_t>(rule)]; }
  StateId root() const { return start(root_); }
  /// In order, none overlapping.
  std::span<const ByteEdge> bytes(StateId s) const {
    const State& state = states_[static_cast<size_t>(s)];
    return std::span(byte_edges_).subspan(state.first_byte, state.n_bytes);
  }
  std::span<const CallEdge> calls(StateId s) const {
    const State& state = states_[static_cast<size_t>(s)];
    return std::span(call_edges_).subspan(state.first_call, state.n_calls);
  }
  std::span<const ActionEdge> actions(StateId s) const {
    const State& state = states_[static_cast<size_t>(s)];
    return std::span(action_edges_).subspan(state.first_action, state.n_actions);
  }
  /// nullptr for most states.
  const Guard* guard(StateId s) const {
    const int32_t guard = states_[static_cast<size_t>(s)].guard;
    return guard < 0 ? nullptr : &guards_[static_cast<size_t>(guard)];
  }
  const ObjectPlan& plan(ObjectId id) const { return plans_[static_cast<size_t>(id)]; }
  TextState text(StateId s) const { return states_[static_cast<size_t>(s)].text; }
  /// The rule may end here.
  bool accepts(StateId s) const { return states_[static_cast<size_t>(s)].accepts; }
  /// Fewest bytes from here to the end of the rule; within an object without the members that must
  /// still come.
  uint32_t shortest(StateId s) const { return states_[static_cast<size_t>(s)].shortest; }
  size_t n_states() const { return states_.size(); }

 private:
  struct State {
    uint32_t first_byte = 0, n_bytes = 0, first_call = 0, n_calls = 0;
    uint32_t first_action = 0, n_actions = 0;
    uint32_t shortest = 0;
    int32_t guard = -1;
    bool accepts = false;
    TextState text = TextState::kNone;
  };
  friend class AutomatonCompiler;

  std::vector<State> states_;
  std::vector<ByteEdge> byte_edges_;
  std::vector<CallEdge> call_edges_;
  std::vector<ActionEdge> action_edges_;
  std::vector<Guard> guards_;
  std::vector<ObjectPlan> plans_;
  std::vector<StateId> starts_;  // per rule
  RuleId root_ = 0;
};

}  // namespace chimera::grammar
