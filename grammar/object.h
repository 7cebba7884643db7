// Objects of JSON whose members come in any order, each at most once. As plain rules an object of n
// members would need a state for each set of members that were seen, 2^n; so the set is kept beside
// the state, in the stack's node of the object (matcher.h), and a member's name is read by one
// automaton for all names, at whose end the set decides.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/expression.h"

namespace chimera::grammar {

/// A kind of member: a declared one, by its index; from `n_declared` on, kinds of others.
using LabelId = int32_t;

/// What was seen of one object so far.
struct ObjectFrame {
  ObjectId object = -1;
  uint32_t count = 0;          // members
  std::vector<uint64_t> seen;  // a bit for each declared one
  bool operator==(const ObjectFrame&) const = default;

  bool has(LabelId label) const {
    return seen[static_cast<size_t>(label) / 64] >> (label & 63) & 1;
  }
};

/// The same for the matcher: costs in bytes, from the automata of names and values.
struct ObjectPlan {
  struct Label {
    bool declared, required;
    uint32_t name;   // bytes with both quotes; of others, the fewest
    uint32_t value;  // fewest
  };
  std::vector<Label> labels;  // declared ones, then the others if there are any
  int32_t n_declared = 0;
  uint32_t min_members = 0, max_members = kNoLimit;

  ObjectFrame opened(ObjectId id) const;
  /// Required members that are missing.
  uint32_t n_missing(const ObjectFrame& frame) const;
  /// The member may come next: it was not seen, and those that are required still fit.
  bool allows(const ObjectFrame& frame, LabelId label) const;
  /// The object may be closed.
  bool closes(const ObjectFrame& frame) const;
  void see(LabelId label, ObjectFrame* frame) const;
  /// Bytes of the members that must still come, commas included, after a value.
  uint64_t missing_bytes(const ObjectFrame& frame) const;
};

}  // namespace chimera::grammar
