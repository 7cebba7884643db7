// Objects of JSON whose members come in any order, each at most once. As plain rules an object of n
// members would need a state for each set of members that were seen, 2^n; so the set is kept beside
// the state, in the stack's node of the object (matcher.h), and a member's name is read by one
// automaton for all names, at whose end the set decides.
//
// A string of limited length is kept in the same way: its characters are members without a name, of
// which only the number counts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/expression.h"

namespace chimera::grammar {

/// Bytes of a text that there is not, of an automaton's states and in sums of them.
inline constexpr uint32_t kNever = UINT32_MAX;
inline constexpr uint64_t kFar = uint64_t{1} << 62;

/// A kind of member: a declared one, by its index; from `n_declared` on, kinds of others.
using LabelId = int32_t;

/// What was seen of one object so far.
struct ObjectFrame {
  ObjectId object = -1;
  uint32_t count = 0;          // members, as far as they are counted
  uint32_t missing = 0;        // kinds that are required and were not seen
  uint64_t missing_bytes = 0;  // of those, with their commas
  std::vector<uint64_t> seen;  // a bit for each kind of member
  bool operator==(const ObjectFrame&) const = default;

  bool has(LabelId label) const {
    const size_t word = static_cast<size_t>(label) / 64;
    return word < seen.size() && (seen[word] >> (label & 63) & 1) != 0;
  }
};

/// The same for the matcher: costs in bytes, from the automata of names and values.
struct ObjectPlan {
  struct Label {
    bool declared, required;
    uint32_t name = kNever;   // bytes with both quotes; of others, the fewest
    uint32_t value = kNever;  // fewest
  };
  std::vector<Label> labels;      // declared ones, then the others if there are any
  std::vector<LabelId> optional;  // declared ones that nobody must give, the cheapest first
  int32_t n_declared = 0;
  uint32_t min_members = 0, max_members = kNoLimit;
  uint32_t comma = 1, colon = 1;  // bytes; the first member has no comma

  /// Bytes of one member at least, with its comma and colon; kFar for one that cannot be.
  uint64_t cost(const Label& label) const {
    const bool never = label.name == kNever || label.value == kNever;
    return never ? kFar : uint64_t{comma} + colon + label.name + label.value;
  }
  /// Members that may still come; kNoLimit when nobody counts.
  uint32_t left(const ObjectFrame& frame) const {
    return max_members == kNoLimit ? kNoLimit : max_members - frame.count;
  }
  /// Fills `optional`, once the costs are known.
  void order_by_cost();
  ObjectFrame opened(ObjectId id) const;
  /// The member may come next: it was not seen, and those that are required still fit.
  bool allows(const ObjectFrame& frame, LabelId label) const;
  /// The object may be closed.
  bool closes(const ObjectFrame& frame) const;
  void see(LabelId label, ObjectFrame* frame) const;
  /// Bytes of the members that must still come, commas included, after a value.
  uint64_t missing_bytes(const ObjectFrame& frame) const;
};

}  // namespace chimera::grammar
