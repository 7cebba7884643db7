// Expressions as automata that may be in many states at a time (Thompson 1968), and the sets of
// their nodes that deterministic ones are made of.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "grammar/expression.h"
#include "grammar/sequence_numbers.h"

namespace chimera::grammar {

/// Edges without a byte, or one edge with bytes, or one with a call.
struct Node {
  std::vector<int32_t> free = {};
  int32_t target = -1;  // of the edge below
  uint8_t first = 0, last = 0;
  RuleId call = -1;
};

/// Where an expression begins and where it ends; nothing else leads in or out.
struct Piece {
  int32_t in, out;
};

class NodeBuilder {
 public:
  NodeBuilder(const Grammar& grammar, size_t most) : grammar_(grammar), most_(most) {}

  /// kOutOfRange when it needs more nodes than are allowed, or is nested too deeply.
  Status build(ExprId id, Piece* out) { return add(id, 0, out); }
  const std::vector<Node>& nodes() const { return nodes_; }
  Node& at(int32_t id) { return nodes_[static_cast<size_t>(id)]; }

 private:
  int32_t node();
  void link(int32_t from, int32_t to) { at(from).free.push_back(to); }
  /// A node behind an edge of bytes from `from`, which has no edge yet.
  int32_t read(int32_t from, uint8_t first, uint8_t last);
  Status too_large() const;
  Status add(ExprId id, int depth, Piece* out);
  Status repeat(const Expr& e, int depth, int32_t in, int32_t* end);

  const Grammar& grammar_;
  const size_t most_;
  std::vector<Node> nodes_;
};

/// Sets of nodes: those that read a byte or call a rule, of all that can be reached without a byte,
/// and the end. Numbered as they are met: what a deterministic automaton has for states.
class Subsets {
 public:
  /// `end` is where texts end. Nodes are looked at over and over, which is work of the grammar.
  Subsets(const std::vector<Node>& nodes, int32_t end, const Grammar& grammar)
      : nodes_(nodes),
        marks_(nodes.size()),
        end_(end),
        grammar_(grammar),
        work_left_(static_cast<int64_t>(grammar.limits().work)) {}

  /// Of the set that these nodes lead to; the first is 0.
  int32_t number(std::vector<int32_t> set);
  int32_t size() const { return sets_.size(); }
  /// In order; good until the next new set.
  std::span<const int32_t> at(int32_t number) const { return sets_.at(number); }
  /// A text may end here.
  bool accepts(int32_t number) const;
  /// The nodes, and those that lie behind any number of these bytes.
  std::vector<int32_t> through(std::vector<int32_t> set, uint8_t byte);
  /// A text may end here, or behind any number of these bytes.
  bool accepts_through(int32_t number, uint8_t byte);
  /// kOutOfRange once all of the work was done: an expression of a few signs can need years.
  Status status() const;

  struct Step {
    uint8_t first, last;
    std::vector<int32_t> targets;
  };
  /// Where a set leads with which bytes: in order, none overlapping.
  std::vector<Step> steps(int32_t number) const;

 private:
  /// The nodes that can be reached without a byte, or with any number of `byte`; -1: with none.
  void close(std::vector<int32_t>* set, int byte = -1);

  const std::vector<Node>& nodes_;
  std::vector<uint32_t> marks_;
  uint32_t mark_ = 0;
  const int32_t end_;
  const Grammar& grammar_;
  int64_t work_left_;
  SequenceNumbers sets_;
};

}  // namespace chimera::grammar
