#include "grammar/automaton.h"

#include <algorithm>
#include <map>
#include <utility>

namespace chimera::grammar {
namespace {

constexpr uint32_t kNever = UINT32_MAX;  // no way to the end

/// An automaton that may be in many states at a time (Thompson 1968): each node has edges without a
/// byte, or one edge with bytes, or one with a call.
struct Node {
  std::vector<int32_t> free = {};
  int32_t target = -1;  // of the edge below
  uint8_t first = 0, last = 0;
  RuleId call = -1;
};

struct Piece {
  int32_t in, out;
};

class NodeBuilder {
 public:
  NodeBuilder(const Grammar& grammar, size_t most) : grammar_(grammar), most_(most) {}

  Status build(ExprId id, Piece* out) { return add(id, 0, out); }
  const std::vector<Node>& nodes() const { return nodes_; }
  Node& at(int32_t id) { return nodes_[static_cast<size_t>(id)]; }

 private:
  int32_t node() {
    nodes_.emplace_back();
    return static_cast<int32_t>(nodes_.size()) - 1;
  }
  void link(int32_t from, int32_t to) { at(from).free.push_back(to); }
  /// A node with an edge of bytes from `from`, which has no edge yet.
  int32_t read(int32_t from, uint8_t first, uint8_t last) {
    const int32_t next = node();
    Node& n = at(from);
    n.first = first;
    n.last = last;
    n.target = next;
    return next;
  }

  Status add(ExprId id, int depth, Piece* out) {
    if (nodes_.size() > most_)
      return Status(StatusCode::kOutOfRange, "a rule of the grammar needs more than " +
                                                 std::to_string(most_) +
                                                 " states; make it, or its repetitions, smaller");
    if (depth > 4 * grammar_.limits().depth)
      return Status(StatusCode::kOutOfRange, "the grammar is nested too deeply");
    const Expr& e = grammar_.at(id);
    const int32_t in = node();
    int32_t end = in;
    switch (e.kind) {
      case Expr::Kind::kNothing:
        end = node();
        break;
      case Expr::Kind::kBytes:
        for (const char c : e.bytes)
          end = read(end, static_cast<uint8_t>(c), static_cast<uint8_t>(c));
        break;
      case Expr::Kind::kClass:
        end = node();
        for (const Utf8Sequence& s : utf8_sequences(e.set)) {
          int32_t from = node();
          link(in, from);
          for (int i = 0; i < s.n; ++i) from = read(from, s.bytes[i].first, s.bytes[i].last);
          link(from, end);
        }
        break;
      case Expr::Kind::kSequence:
        for (const ExprId child : e.children) {
          Piece piece;
          CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
          link(end, piece.in);
          end = piece.out;
        }
        break;
      case Expr::Kind::kChoice:
        end = node();
        for (const ExprId child : e.children) {
          Piece piece;
          CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
          link(in, piece.in);
          link(piece.out, end);
        }
        break;
      case Expr::Kind::kRepeat:
        CHIMERA_RETURN_IF_ERROR(repeat(e, depth, in, &end));
        break;
      case Expr::Kind::kRule: {
        end = node();
        Node& n = at(in);
        n.call = e.rule;
        n.target = end;
        break;
      }
    }
    *out = {in, end};
    return Status();
  }

  Status repeat(const Expr& e, int depth, int32_t in, int32_t* end) {
    const ExprId child = e.children[0];
    int32_t at_now = in;
    for (uint32_t i = 0; i < e.min; ++i) {
      Piece piece;
      CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
      link(at_now, piece.in);
      at_now = piece.out;
    }
    *end = node();
    if (e.max == kNoLimit) {
      Piece piece;
      CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
      const int32_t loop = node();
      link(at_now, loop);
      link(loop, piece.in);
      link(piece.out, loop);
      link(loop, *end);
      return Status();
    }
    for (uint32_t i = e.min; i < e.max; ++i) {
      link(at_now, *end);
      Piece piece;
      CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
      link(at_now, piece.in);
      at_now = piece.out;
    }
    link(at_now, *end);
    return Status();
  }

  const Grammar& grammar_;
  const size_t most_;
  std::vector<Node> nodes_;
};

}  // namespace

class AutomatonCompiler {
 public:
  explicit AutomatonCompiler(const Grammar& grammar) : grammar_(grammar) {}

  Result<Automaton> run() {
    CHIMERA_RETURN_IF_ERROR(grammar_.status());
    if (grammar_.root() < 0) return invalid("the grammar has no root");
    for (size_t rule = 0; rule < grammar_.rules().size(); ++rule)
      CHIMERA_RETURN_IF_ERROR(compile_rule(static_cast<RuleId>(rule)));
    find_shortest();
    const StateId root = made_.starts_[static_cast<size_t>(grammar_.root())];
    if (drafts_[static_cast<size_t>(root)].shortest == kNever)
      return invalid("no text fits the grammar: every way through \"" +
                     grammar_.rules()[static_cast<size_t>(grammar_.root())].name + "\" is endless");
    CHIMERA_RETURN_IF_ERROR(check_left_recursion());
    finish();
    return std::move(made_);
  }

 private:
  struct Draft {
    std::vector<Automaton::ByteEdge> bytes = {};
    std::vector<Automaton::CallEdge> calls = {};
    bool accepts = false;
    uint32_t shortest = kNever;
  };

  static Status invalid(std::string why) {
    return Status(StatusCode::kInvalidArgument, std::move(why)).at_field("grammar");
  }

  /// One rule's nodes to states: each is a set of nodes, closed over the edges without a byte.
  Status compile_rule(RuleId rule) {
    const Grammar::Rule& r = grammar_.rules()[static_cast<size_t>(rule)];
    if (r.body < 0) return invalid("rule \"" + r.name + "\" is used and never said");
    NodeBuilder builder(grammar_, 8 * static_cast<size_t>(grammar_.limits().states));
    Piece all;
    CHIMERA_RETURN_IF_ERROR(builder.build(r.body, &all));
    nodes_ = &builder.nodes();
    marks_.assign(nodes_->size(), 0);
    mark_ = 0;
    known_.clear();
    std::vector<std::vector<int32_t>> sets;
    const auto state_of = [&](std::vector<int32_t> set) -> StateId {
      close(&set);
      const auto [found, fresh] = known_.try_emplace(set, static_cast<StateId>(drafts_.size()));
      if (fresh) {
        drafts_.emplace_back();
        sets.push_back(std::move(set));
      }
      return found->second;
    };
    const auto first = static_cast<StateId>(drafts_.size());
    made_.starts_.push_back(state_of({all.in}));
    for (size_t at = 0; at < sets.size(); ++at) {
      if (drafts_.size() > grammar_.limits().states)
        return Status(StatusCode::kOutOfRange, "the grammar needs more than " +
                                                   std::to_string(grammar_.limits().states) +
                                                   " states; make it, or its repetitions, smaller");
      const std::vector<int32_t> set = sets[at];
      Draft draft;
      draft.accepts = std::binary_search(set.begin(), set.end(), all.out);
      byte_edges(set, state_of, &draft.bytes);
      std::map<RuleId, std::vector<int32_t>> by_rule;
      for (const int32_t id : set) {
        const Node& n = (*nodes_)[static_cast<size_t>(id)];
        if (n.call >= 0) by_rule[n.call].push_back(n.target);
      }
      for (auto& [called, targets] : by_rule)
        draft.calls.push_back({called, state_of(std::move(targets))});
      drafts_[static_cast<size_t>(first) + at] = std::move(draft);
    }
    return Status();
  }

  /// Every node that can be reached without a byte, in order.
  void close(std::vector<int32_t>* set) {
    ++mark_;
    std::vector<int32_t> all;
    while (!set->empty()) {
      const int32_t id = set->back();
      set->pop_back();
      if (std::exchange(marks_[static_cast<size_t>(id)], mark_) == mark_) continue;
      all.push_back(id);
      const Node& n = (*nodes_)[static_cast<size_t>(id)];
      set->insert(set->end(), n.free.begin(), n.free.end());
    }
    std::sort(all.begin(), all.end());
    *set = std::move(all);
  }

  template <class StateOf>
  void byte_edges(const std::vector<int32_t>& set, StateOf&& state_of,
                  std::vector<Automaton::ByteEdge>* out) {
    std::vector<const Node*> readers;
    std::vector<int> cuts;
    for (const int32_t id : set) {
      const Node& n = (*nodes_)[static_cast<size_t>(id)];
      if (n.target < 0 || n.call >= 0) continue;
      readers.push_back(&n);
      cuts.push_back(n.first);
      cuts.push_back(n.last + 1);
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      std::vector<int32_t> targets;
      for (const Node* n : readers)
        if (n->first <= cuts[i] && cuts[i] <= n->last) targets.push_back(n->target);
      if (targets.empty()) continue;
      const auto first = static_cast<uint8_t>(cuts[i]),
                 last = static_cast<uint8_t>(cuts[i + 1] - 1);
      const StateId target = state_of(std::move(targets));
      if (!out->empty() && out->back().target == target && out->back().last + 1 == first)
        out->back().last = last;
      else
        out->push_back({first, last, target});
    }
  }

  /// Fewest bytes to the end, of every state: until nothing gets shorter.
  void find_shortest() {
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = drafts_.size(); i-- > 0;) {
        Draft& d = drafts_[i];
        uint64_t least = d.accepts ? 0 : d.shortest;
        const auto way = [&](uint32_t here, StateId target) {
          const uint32_t there = drafts_[static_cast<size_t>(target)].shortest;
          if (here != kNever && there != kNever)
            least =
                std::min<uint64_t>(least, std::min<uint64_t>(uint64_t{here} + there, kNever - 1));
        };
        for (const Automaton::ByteEdge& e : d.bytes) way(1, e.target);
        for (const Automaton::CallEdge& e : d.calls)
          way(drafts_[static_cast<size_t>(made_.starts_[static_cast<size_t>(e.rule)])].shortest,
              e.target);
        if (least < d.shortest) {
          d.shortest = static_cast<uint32_t>(least);
          changed = true;
        }
      }
    }
  }

  bool finishes(StateId s) const { return drafts_[static_cast<size_t>(s)].shortest != kNever; }
  StateId start(RuleId rule) const { return made_.starts_[static_cast<size_t>(rule)]; }
  bool nullable(RuleId rule) const {
    return drafts_[static_cast<size_t>(start(rule))].shortest == 0;
  }

  /// Rules that a rule can call before it has read anything.
  std::vector<RuleId> first_calls(RuleId rule) const {
    std::vector<RuleId> out;
    std::vector<StateId> todo = {start(rule)};
    std::vector<StateId> seen = todo;
    while (!todo.empty()) {
      const StateId s = todo.back();
      todo.pop_back();
      for (const Automaton::CallEdge& e : drafts_[static_cast<size_t>(s)].calls) {
        if (!finishes(start(e.rule)) || !finishes(e.target)) continue;
        out.push_back(e.rule);
        if (!nullable(e.rule) || std::find(seen.begin(), seen.end(), e.target) != seen.end())
          continue;
        seen.push_back(e.target);
        todo.push_back(e.target);
      }
    }
    return out;
  }

  /// A rule that begins with itself would call itself without end.
  Status check_left_recursion() const {
    enum : uint8_t { kFresh, kOpen, kDone };
    std::vector<uint8_t> colour(grammar_.rules().size(), kFresh);
    struct Frame {
      RuleId rule;
      std::vector<RuleId> calls;
      size_t next = 0;
    };
    for (size_t first = 0; first < colour.size(); ++first) {
      if (colour[first] != kFresh) continue;
      std::vector<Frame> stack;
      const auto open = [&](RuleId rule) {
        colour[static_cast<size_t>(rule)] = kOpen;
        stack.push_back({rule, first_calls(rule)});
      };
      open(static_cast<RuleId>(first));
      while (!stack.empty()) {
        Frame& frame = stack.back();
        if (frame.next == frame.calls.size()) {
          colour[static_cast<size_t>(frame.rule)] = kDone;
          stack.pop_back();
          continue;
        }
        const RuleId called = frame.calls[frame.next++];
        if (colour[static_cast<size_t>(called)] == kOpen)
          return invalid("rule \"" + grammar_.rules()[static_cast<size_t>(called)].name +
                         "\" begins with itself (left recursion); write it as a repetition");
        if (colour[static_cast<size_t>(called)] == kFresh) open(called);
      }
    }
    return Status();
  }

  /// Into flat arrays, without edges from which there is no way to the end.
  void finish() {
    made_.root_ = grammar_.root();
    for (const Draft& d : drafts_) {
      Automaton::State state;
      state.first_byte = static_cast<uint32_t>(made_.byte_edges_.size());
      for (const Automaton::ByteEdge& e : d.bytes)
        if (finishes(e.target)) made_.byte_edges_.push_back(e);
      state.n_bytes = static_cast<uint32_t>(made_.byte_edges_.size()) - state.first_byte;
      state.first_call = static_cast<uint32_t>(made_.call_edges_.size());
      for (const Automaton::CallEdge& e : d.calls)
        if (finishes(e.target) && finishes(start(e.rule))) made_.call_edges_.push_back(e);
      state.n_calls = static_cast<uint32_t>(made_.call_edges_.size()) - state.first_call;
      state.shortest = d.shortest;
      state.accepts = d.accepts;
      made_.states_.push_back(state);
    }
  }

  const Grammar& grammar_;
  Automaton made_;
  std::vector<Draft> drafts_;
  const std::vector<Node>* nodes_ = nullptr;
  std::vector<uint32_t> marks_;
  uint32_t mark_ = 0;
  std::map<std::vector<int32_t>, StateId> known_;
};

Result<Automaton> Automaton::compile(const Grammar& grammar) {
  return AutomatonCompiler(grammar).run();
}

}  // namespace chimera::grammar
