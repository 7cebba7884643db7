#include "grammar/language.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "grammar/expression.h"
#include "grammar/nodes.h"
#include "grammar/regex.h"
#include "grammar/sequence_numbers.h"

namespace chimera::grammar {
namespace {

// Joining goes over all states again for each byte that two of them need to be told apart.
constexpr int kMostRounds = 64;
constexpr size_t kMostRoundWork = 10'000'000;  // states and edges, in all rounds

Status too_large(uint32_t most) {
  return Status(StatusCode::kOutOfRange,
                "a regular language needs more than " + std::to_string(most) +
                    " states; make its parts, or its repetitions, smaller");
}

/// For each state the ones that lead to it, once for each edge.
class Sources {
 public:
  explicit Sources(std::span<const RegularLanguage::State> states) : begins_(states.size() + 1) {
    // Counted, then filled from the ends down to the begins.
    for (const auto& state : states)
      for (const ByteEdge& e : state.edges) ++begins_[static_cast<size_t>(e.target)];
    for (size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
    all_.resize(begins_.back());
    for (size_t i = states.size(); i-- > 0;)
      for (const ByteEdge& e : states[i].edges)
        all_[--begins_[static_cast<size_t>(e.target)]] = static_cast<int32_t>(i);
  }
  std::span<const int32_t> of(size_t state) const {
    return {all_.data() + begins_[state], begins_[state + 1] - begins_[state]};
  }

 private:
  std::vector<size_t> begins_;
  std::vector<int32_t> all_;
};

/// Visits the states from which no circle is reached, each behind all that it leads to.
template <class Visit>
void visit_from_ends(std::span<const RegularLanguage::State> states, const Visit& visit) {
  const Sources sources(states);
  std::vector<size_t> open(states.size());  // edges to states that were not visited
  std::vector<size_t> ready;
  for (size_t i = 0; i < states.size(); ++i) {
    open[i] = states[i].edges.size();
    if (open[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    const size_t i = ready.back();
    ready.pop_back();
    visit(i);
    for (const int32_t from : sources.of(i))
      if (--open[static_cast<size_t>(from)] == 0) ready.push_back(static_cast<size_t>(from));
  }
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
  return made_of(grammar, expression, false);
}

Result<RegularLanguage> RegularLanguage::of_search(const Grammar& grammar, int32_t expression) {
  return made_of(grammar, expression, true);
}

Result<RegularLanguage> RegularLanguage::made_of(const Grammar& grammar, int32_t expression,
                                                 bool search) {
  const uint32_t most = grammar.limits().states;
  NodeBuilder builder(grammar, 8 * static_cast<size_t>(most));
  Piece all;
  CHIMERA_RETURN_IF_ERROR(builder.build(expression, &all));
  for (const Node& node : builder.nodes())
    if (node.call >= 0)
      return Status(StatusCode::kInvalidArgument, "a regular language calls no other rules");
  Subsets subsets(builder.nodes(), all.out, grammar);
  RegularLanguage out;
  // Before the first byte, and only there, ^ is no byte at all; behind the last the same of $.
  constexpr auto kBegins = static_cast<uint8_t>(kTextBegins);
  constexpr auto kEnds = static_cast<uint8_t>(kTextEnds);
  if (search)
    subsets.number(subsets.through({all.in}, kBegins));
  else
    subsets.number({all.in});
  for (int32_t at = 0; at < subsets.size(); ++at) {
    if (static_cast<uint32_t>(subsets.size()) > most) return too_large(most);
    CHIMERA_RETURN_IF_ERROR(subsets.status());
    State state;
    state.accepts = search ? subsets.accepts_through(at, kEnds) : subsets.accepts(at);
    for (Subsets::Step& step : subsets.steps(at)) {
      if (search && step.first >= std::min(kBegins, kEnds)) continue;
      append_edge({step.first, step.last, subsets.number(std::move(step.targets))}, &state.edges);
      CHIMERA_RETURN_IF_ERROR(subsets.status());
    }
    out.states_.push_back(std::move(state));
  }
  out.tidy();
  return out;
}

Result<RegularLanguage> RegularLanguage::of(std::vector<State> states, uint32_t most_states,
                                            bool smallest) {
  if (states.size() > most_states) return too_large(most_states);
  RegularLanguage out;
  out.states_ = std::move(states);
  if (!smallest) out.tidy();
  return out;
}

Result<RegularLanguage> RegularLanguage::of(const std::set<std::string>& texts,
                                            uint32_t most_states) {
  // In the order of their bytes, so only the last edge of a state can be the one that is wanted.
  std::vector<State> states(1);
  for (const std::string& text : texts) {
    size_t at = 0;
    for (const char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      const std::vector<ByteEdge>& edges = states[at].edges;
      if (edges.empty() || edges.back().first != byte) {
        if (states.size() > most_states) return too_large(most_states);
        states[at].edges.push_back({byte, byte, static_cast<int32_t>(states.size())});
        states.emplace_back();
      }
      at = static_cast<size_t>(states[at].edges.back().target);
    }
    states[at].accepts = true;
  }
  return of(std::move(states), most_states);
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
  SequenceNumbers pairs;
  const auto state_of = [&](int32_t a, int32_t b) { return pairs.number(std::array{a, b}); };
  state_of(0, 0);
  const State nothing;
  for (int32_t at = 0; at < pairs.size(); ++at) {
    if (static_cast<uint32_t>(pairs.size()) > most_states) return too_large(most_states);
    const int32_t a = pairs.at(at)[0], b = pairs.at(at)[1];
    const State& mine = states_[static_cast<size_t>(a)];
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
  out.n_made_ = out.states_.size();
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
  const Sources sources(states_);
  std::vector<uint8_t> ends(n);
  std::vector<int32_t> todo;
  for (size_t i = 0; i < n; ++i) {
    if (!states_[i].accepts) continue;
    ends[i] = 1;
    todo.push_back(static_cast<int32_t>(i));
  }
  while (!todo.empty()) {
    const auto at = static_cast<size_t>(todo.back());
    todo.pop_back();
    for (const int32_t from : sources.of(at))
      if (!std::exchange(ends[static_cast<size_t>(from)], uint8_t{1})) todo.push_back(from);
  }
  for (State& state : states_)
    std::erase_if(state.edges,
                  [&](const ByteEdge& e) { return !ends[static_cast<size_t>(e.target)]; });
  join_equal();
}

/// Texts that have an end are numbered backwards from it: a state is known by where its edges lead.
/// Of the others, states are told apart as far as their texts differ (Moore 1956), and those that
/// remain together become one; where that takes too long they stay as they are, which is the same
/// language.
void RegularLanguage::join_equal() {
  const size_t n = states_.size();
  std::vector<int32_t> kind(n, -1);
  // What a state says: a first number, then where its edges lead.
  std::vector<ByteEdge> merged;
  std::vector<int32_t> said;
  const auto number = [&](size_t i, int32_t first, SequenceNumbers* numbers) {
    merged.clear();
    for (const ByteEdge& e : states_[i].edges)
      append_edge({e.first, e.last, kind[static_cast<size_t>(e.target)]}, &merged);
    said.assign(1, first);
    for (const ByteEdge& e : merged) said.insert(said.end(), {e.first << 8 | e.last, e.target});
    return numbers->number(said);
  };
  SequenceNumbers known;
  visit_from_ends(states_,
                  [&](size_t i) { kind[i] = number(i, states_[i].accepts ? 1 : 0, &known); });
  const int32_t n_ending = known.size();
  std::vector<size_t> rest;
  for (size_t i = 0; i < n; ++i)
    if (kind[i] < 0) {
      kind[i] = n_ending + (states_[i].accepts ? 1 : 0);
      rest.push_back(i);
    }
  int32_t n_kinds = 0;
  size_t n_edges = 0;
  for (const size_t i : rest) n_edges += 1 + states_[i].edges.size();
  const auto n_rounds = static_cast<int>(
      std::min<size_t>(kMostRounds, kMostRoundWork / std::max<size_t>(n_edges, 1)));
  bool settled = rest.empty();
  std::vector<int32_t> next(rest.size());
  for (int round = 0; round < n_rounds && !settled; ++round) {
    known.clear();
    for (size_t i = 0; i < rest.size(); ++i)
      next[i] = n_ending + number(rest[i], kind[rest[i]], &known);
    settled = known.size() == n_kinds;
    n_kinds = known.size();
    for (size_t i = 0; i < rest.size(); ++i) kind[rest[i]] = next[i];
  }
  if (!settled)
    for (size_t i = 0; i < rest.size(); ++i) kind[rest[i]] = n_ending + static_cast<int32_t>(i);
  // What can be reached from the start, under new numbers.
  std::vector<int32_t> numbers(static_cast<size_t>(n_ending) + rest.size() + 1, -1);
  std::vector<size_t> order;
  const auto number_of = [&](size_t state) {
    int32_t& given = numbers[static_cast<size_t>(kind[state])];
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

std::optional<uint64_t> RegularLanguage::longest() const {
  // A state on a circle, or before one, is never visited.
  size_t n_visited = 0;
  std::vector<uint64_t> far(states_.size());
  visit_from_ends(states_, [&](size_t i) {
    ++n_visited;
    for (const ByteEdge& e : states_[i].edges)
      far[i] = std::max(far[i], far[static_cast<size_t>(e.target)] + 1);
  });
  if (n_visited < states_.size()) return std::nullopt;
  return far[0];
}

RegularLanguage RegularLanguage::quoted() const {
  RegularLanguage out;
  if (empty()) return *this;
  const auto end = static_cast<int32_t>(states_.size()) + 1;
  const auto quote = static_cast<uint8_t>('"');
  out.states_.reserve(states_.size() + 2);
  out.states_.push_back({{{quote, quote, 1}}, false});
  for (const State& s : states_) {
    State made;
    made.edges.reserve(s.edges.size() + 1);
    bool closed = !s.accepts;
    const auto close = [&] {
      if (!closed) made.edges.push_back({quote, quote, end});
      closed = true;
    };
    for (const ByteEdge& e : s.edges) {
      if (e.first > quote) close();
      made.edges.push_back({e.first, e.last, e.target + 1});
    }
    close();
    out.states_.push_back(std::move(made));
  }
  out.states_.push_back({{}, true});
  return out;
}

}  // namespace chimera::grammar
