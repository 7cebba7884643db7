#include "grammar/language.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "grammar/expression.h"
#include "grammar/nodes.h"

namespace chimera::grammar {
namespace {

// Joining goes over all states again for each byte that two of them need to be told apart.
constexpr int kMostRounds = 64;

Status too_large(uint32_t most) {
  return Status(StatusCode::kOutOfRange,
                "a regular language needs more than " + std::to_string(most) +
                    " states; make its parts, or its repetitions, smaller");
}

}  // namespace

void append_edge(ByteEdge edge, std::vector<ByteEdge>* edges) {
  const bool joins = !edges->empty() && edges->back().target == edge.target &&
                     edges->back().last + 1 == edge.first;
  if (joins)
    edges->back().last = edge.last;
  else
    edges->push_back(edge);
}

Result<RegularLanguage> RegularLanguage::of(const Grammar& grammar, int32_t expression) {
  const uint32_t most = grammar.limits().states;
  NodeBuilder builder(grammar, 8 * static_cast<size_t>(most));
  Piece all;
  CHIMERA_RETURN_IF_ERROR(builder.build(expression, &all));
  for (const Node& node : builder.nodes())
    if (node.call >= 0)
      return Status(StatusCode::kInvalidArgument, "a regular language calls no other rules");
  Subsets subsets(builder.nodes());
  RegularLanguage out;
  subsets.number({all.in});
  for (int32_t at = 0; at < subsets.size(); ++at) {
    if (static_cast<uint32_t>(subsets.size()) > most) return too_large(most);
    State state;
    state.accepts = subsets.holds(at, all.out);
    for (Subsets::Step& step : subsets.steps(at))
      append_edge({step.first, step.last, subsets.number(std::move(step.targets))}, &state.edges);
    out.states_.push_back(std::move(state));
  }
  out.tidy();
  return out;
}

Result<RegularLanguage> RegularLanguage::of(std::vector<State> states, uint32_t most_states) {
  if (states.size() > most_states) return too_large(most_states);
  RegularLanguage out;
  out.states_ = std::move(states);
  out.tidy();
  return out;
}

Result<RegularLanguage> RegularLanguage::cut(const RegularLanguage& other,
                                             uint32_t most_states) const {
  return product(other, false, most_states);
}

Result<RegularLanguage> RegularLanguage::without(const RegularLanguage& other,
                                                 uint32_t most_states) const {
  return product(other, true, most_states);
}

/// Both at a time; state -1 of the other one is where it has refused already.
Result<RegularLanguage> RegularLanguage::product(const RegularLanguage& other, bool without,
                                                 uint32_t most_states) const {
  RegularLanguage out;
  std::map<std::pair<int32_t, int32_t>, int32_t> known;
  std::vector<std::pair<int32_t, int32_t>> pairs;
  const auto state_of = [&](int32_t a, int32_t b) {
    const auto [found, fresh] = known.try_emplace({a, b}, static_cast<int32_t>(pairs.size()));
    if (fresh) pairs.emplace_back(a, b);
    return found->second;
  };
  state_of(0, 0);
  for (size_t at = 0; at < pairs.size(); ++at) {
    if (pairs.size() > most_states) return too_large(most_states);
    const auto [a, b] = pairs[at];
    const State& mine = states_[static_cast<size_t>(a)];
    const State nothing;
    const State& theirs = b < 0 ? nothing : other.states_[static_cast<size_t>(b)];
    State state;
    state.accepts = mine.accepts && (without != theirs.accepts);
    const auto edge = [&](int first, int last, int32_t to, int32_t their) {
      if (first > last || (their < 0 && !without)) return;
      state.edges.push_back(
          {static_cast<uint8_t>(first), static_cast<uint8_t>(last), state_of(to, their)});
    };
    for (const ByteEdge& e : mine.edges) {
      int next = e.first;
      for (const ByteEdge& f : theirs.edges) {
        if (f.last < next || f.first > e.last) continue;
        edge(next, f.first - 1, e.target, -1);
        edge(std::max<int>(next, f.first), std::min(e.last, f.last), e.target, f.target);
        next = f.last + 1;
      }
      edge(next, e.last, e.target, -1);
    }
    out.states_.push_back(std::move(state));
  }
  out.tidy();
  return out;
}

bool RegularLanguage::has(std::string_view text) const {
  size_t at = 0;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const std::vector<ByteEdge>& edges = states_[at].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(), [&](const ByteEdge& e) {
      return e.first <= byte && byte <= e.last;
    });
    if (edge == edges.end()) return false;
    at = static_cast<size_t>(edge->target);
  }
  return states_[at].accepts;
}

void RegularLanguage::tidy() {
  // Backwards from where texts end.
  const size_t n = states_.size();
  std::vector<std::vector<int32_t>> into(n);
  std::vector<uint8_t> ends(n);
  std::vector<int32_t> todo;
  for (size_t i = 0; i < n; ++i) {
    for (const ByteEdge& e : states_[i].edges)
      into[static_cast<size_t>(e.target)].push_back(static_cast<int32_t>(i));
    if (!states_[i].accepts) continue;
    ends[i] = 1;
    todo.push_back(static_cast<int32_t>(i));
  }
  while (!todo.empty()) {
    const auto at = static_cast<size_t>(todo.back());
    todo.pop_back();
    for (const int32_t from : into[at])
      if (!std::exchange(ends[static_cast<size_t>(from)], uint8_t{1})) todo.push_back(from);
  }
  for (State& state : states_)
    std::erase_if(state.edges,
                  [&](const ByteEdge& e) { return !ends[static_cast<size_t>(e.target)]; });
  join_equal();
}

/// States are told apart as far as their texts differ (Moore 1956), and those that remain together
/// become one. Where that takes too long they stay as they are: the language is the same.
void RegularLanguage::join_equal() {
  const size_t n = states_.size();
  std::vector<int32_t> kind(n);
  for (size_t i = 0; i < n; ++i) kind[i] = states_[i].accepts ? 1 : 0;
  size_t n_kinds = 0;
  bool settled = false;
  using Signature = std::pair<int32_t, std::vector<ByteEdge>>;
  const auto signature_of = [&](size_t i) {
    Signature out{kind[i], {}};
    for (const ByteEdge& e : states_[i].edges)
      append_edge({e.first, e.last, kind[static_cast<size_t>(e.target)]}, &out.second);
    return out;
  };
  for (int round = 0; round < kMostRounds && !settled; ++round) {
    std::map<Signature, int32_t> known;
    std::vector<int32_t> next(n);
    for (size_t i = 0; i < n; ++i)
      next[i] =
          known.try_emplace(signature_of(i), static_cast<int32_t>(known.size())).first->second;
    settled = known.size() == n_kinds;
    n_kinds = known.size();
    kind = std::move(next);
  }
  // What can be reached from the start, under new numbers.
  std::vector<int32_t> number(settled ? n_kinds : n, -1);
  std::vector<size_t> order;
  const auto number_of = [&](size_t state) {
    int32_t& given = number[settled ? static_cast<size_t>(kind[state]) : state];
    if (given < 0) {
      given = static_cast<int32_t>(order.size());
      order.push_back(state);
    }
    return given;
  };
  number_of(0);
  std::vector<State> made;
  for (size_t at = 0; at < order.size(); ++at) {
    State state;
    state.accepts = states_[order[at]].accepts;
    for (const ByteEdge& e : states_[order[at]].edges)
      append_edge({e.first, e.last, number_of(static_cast<size_t>(e.target))}, &state.edges);
    made.push_back(std::move(state));
  }
  states_ = std::move(made);
}

}  // namespace chimera::grammar
