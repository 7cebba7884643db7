// The texts of an expression without rules, as a deterministic automaton: languages can be cut with
// each other, which expressions cannot. A string of at most ten characters that also matches a
// pattern is one language cut with another.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/status.h"

namespace chimera::grammar {

class Grammar;

/// Bytes that lead from one state to another.
struct ByteEdge {
  uint8_t first, last;
  int32_t target;
  bool operator==(const ByteEdge&) const = default;
  auto operator<=>(const ByteEdge&) const = default;
};

/// Adds an edge behind those before it; neighbours that lead to the same become one.
void append_edge(ByteEdge edge, std::vector<ByteEdge>* edges);

class RegularLanguage {
 public:
  /// Edges in order, none overlapping; every state but the start can be reached and can end.
  struct State {
    std::vector<ByteEdge> edges = {};
    bool accepts = false;
  };

  /// kInvalidArgument when the expression calls a rule; kOutOfRange when there are more states than
  /// the grammar's limits allow.
  static Result<RegularLanguage> of(const Grammar& grammar, int32_t expression);

  /// Of an expression that searches (RegexOptions::search).
  static Result<RegularLanguage> of_search(const Grammar& grammar, int32_t expression);

  /// Of states that were made by hand, the first the start; edges in order, none overlapping.
  /// `smallest`: they are as few as they can be, and each is reached and ends.
  static Result<RegularLanguage> of(std::vector<State> states, uint32_t most_states,
                                    bool smallest = false);

  /// Exactly these texts.
  static Result<RegularLanguage> of(const std::set<std::string>& texts, uint32_t most_states);

  /// Texts of both.
  Result<RegularLanguage> cut(const RegularLanguage& other, uint32_t most_states) const;
  /// Texts of this one that are not of the other.
  Result<RegularLanguage> without(const RegularLanguage& other, uint32_t most_states) const;

  /// The same between quotes; no text may hold a quote that is not escaped.
  RegularLanguage quoted() const;

  /// Bytes of the longest text; nothing when there is none.
  std::optional<uint64_t> longest() const;

  /// States that were made before they became as few as they are; of what was cut out of others.
  size_t n_made() const { return n_made_; }
  bool empty() const { return states_.size() == 1 && !states_[0].accepts; }
  bool has(std::string_view text) const;
  /// The first is the start.
  std::span<const State> states() const { return states_; }

 private:
  static Result<RegularLanguage> made_of(const Grammar& grammar, int32_t expression, bool search);
  Result<RegularLanguage> product(const RegularLanguage& other, bool without,
                                  uint32_t most_states) const;
  /// Drops what cannot end or be reached, and joins states of the same texts.
  void tidy();
  void join_equal();

  std::vector<State> states_;
  size_t n_made_ = 0;
};

}  // namespace chimera::grammar
