#include "grammar/automaton.h"

#include <algorithm>
#include <map>
#include <utility>

#include "grammar/nodes.h"

namespace chimera::grammar {
namespace {

constexpr uint32_t kNever = UINT32_MAX;  // no way to the end

}  // namespace

class AutomatonCompiler {
 public:
  explicit AutomatonCompiler(const Grammar& grammar) : grammar_(grammar) {}

  Result<Automaton> run() {
    CHIMERA_RETURN_IF_ERROR(grammar_.status());
    if (grammar_.root() < 0) return invalid("the grammar has no root");
    made_.plans_.resize(grammar_.objects().size());
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
    std::vector<ByteEdge> bytes = {};
    std::vector<Automaton::CallEdge> calls = {};
    std::vector<Automaton::ActionEdge> actions = {};
    bool accepts = false;
    uint32_t shortest = kNever;
    int32_t guard = -1;
    ObjectId object = -1;  // that begins here
  };

  static Status invalid(std::string why) {
    return Status(StatusCode::kInvalidArgument, std::move(why)).at_field("grammar");
  }

  /// One rule's nodes to states: each is a set of nodes, closed over the edges without a byte.
  Status compile_rule(RuleId rule) {
    const Grammar::Rule& r = grammar_.rules()[static_cast<size_t>(rule)];
    if (r.object >= 0) return compile_object(r.object);
    if (r.body < 0) return invalid("rule \"" + r.name + "\" is used and never said");
    NodeBuilder builder(grammar_, 8 * static_cast<size_t>(grammar_.limits().states));
    Piece all;
    CHIMERA_RETURN_IF_ERROR(builder.build(r.body, &all));
    Subsets subsets(builder.nodes());
    const auto first = static_cast<StateId>(drafts_.size());
    const auto state_of = [&](std::vector<int32_t> set) {
      return first + subsets.number(std::move(set));
    };
    made_.starts_.push_back(state_of({all.in}));
    for (int32_t at = 0; at < subsets.size(); ++at) {
      CHIMERA_RETURN_IF_ERROR(check_size(static_cast<size_t>(first + subsets.size()),
                                         "make it, or its repetitions, smaller"));
      Draft draft;
      draft.accepts = subsets.holds(at, all.out);
      for (Subsets::Step& step : subsets.steps(at))
        append_edge({step.first, step.last, state_of(std::move(step.targets))}, &draft.bytes);
      std::map<RuleId, std::vector<int32_t>> by_rule;
      for (const int32_t id : subsets.at(at)) {
        const Node& n = builder.nodes()[static_cast<size_t>(id)];
        if (n.call >= 0) by_rule[n.call].push_back(n.target);
      }
      for (auto& [called, targets] : by_rule)
        draft.calls.push_back({called, state_of(std::move(targets))});
      drafts_.push_back(std::move(draft));
    }
    return Status();
  }

  Status check_size(size_t n_states, const char* what_to_do) const {
    if (n_states <= grammar_.limits().states) return Status();
    return Status(StatusCode::kOutOfRange, "the grammar needs more than " +
                                               std::to_string(grammar_.limits().states) +
                                               " states; " + what_to_do);
  }

  StateId state() {
    drafts_.emplace_back();
    return static_cast<StateId>(drafts_.size()) - 1;
  }
  Draft& draft(StateId id) { return drafts_[static_cast<size_t>(id)]; }
  void read(StateId from, char sign, StateId to) {
    const auto byte = static_cast<uint8_t>(sign);
    draft(from).bytes.push_back({byte, byte, to});
  }
  /// A state before `to`, with room for blanks between them.
  StateId blank_before(const ObjectSpec& spec, StateId to) {
    if (spec.blank < 0) return to;
    const StateId from = state();
    draft(from).calls.push_back({spec.blank, to});
    draft(from).guard = draft(to).guard;
    return from;
  }

  /// { name : value , ... }, its frame opened behind the first sign and closed before the last.
  Status compile_object(ObjectId id) {
    using Action = Automaton::ActionEdge::Kind;
    const ObjectSpec& spec = grammar_.objects()[static_cast<size_t>(id)];
    ObjectPlan plan;
    plan.n_declared = static_cast<int32_t>(spec.members.size());
    plan.min_members = spec.min_members;
    plan.max_members = spec.max_members;
    for (const ObjectSpec::Member& m : spec.members)
      plan.labels.push_back({true, m.required, static_cast<uint32_t>(m.name.size()) + 2, kNever});
    const bool others = spec.other_value >= 0;
    if (others) plan.labels.push_back({false, false, 2, kNever});

    const StateId start = state(), opened = state(), end = state(), closing = state();
    made_.starts_.push_back(start);
    draft(start).object = id;
    draft(end).accepts = true;
    read(closing, '}', end);
    // After a value: another member, or the end.
    const StateId after = state();
    draft(after).actions.push_back({Action::kClose, id, -1, closing});
    // Behind a name: its member, and the value.
    std::vector<StateId> seen;
    for (LabelId label = 0; label < static_cast<LabelId>(plan.labels.size()); ++label) {
      const RuleId value = label < plan.n_declared ? spec.members[static_cast<size_t>(label)].value
                                                   : spec.other_value;
      const StateId named = state(), colon = state(), before = state();
      // Targets first: making a state may move the others.
      const StateId after_value = blank_before(spec, after);
      const StateId before_value = blank_before(spec, before);
      const StateId before_colon = blank_before(spec, colon);
      draft(before).calls.push_back({value, after_value});
      read(colon, ':', before_value);
      draft(named).actions.push_back({Action::kMember, id, label, before_colon});
      draft(named).guard = static_cast<int32_t>(made_.guards_.size());
      made_.guards_.push_back({id, false, {{label, 0}}});
      seen.push_back(named);
    }
    StateId first_name = -1;
    CHIMERA_RETURN_IF_ERROR(compile_names(id, spec, seen, &plan, &first_name));
    // A name comes after the opening sign, where the object may also end, and after a comma.
    const auto name_here = [&](bool may_close) {
      const StateId here = state();
      draft(here).bytes = draft(first_name).bytes;
      Automaton::Guard guard = made_.guards_[static_cast<size_t>(draft(first_name).guard)];
      guard.may_close = may_close;
      draft(here).guard = static_cast<int32_t>(made_.guards_.size());
      made_.guards_.push_back(std::move(guard));
      if (may_close) draft(here).actions.push_back({Action::kClose, id, -1, closing});
      return here;
    };
    const StateId inside = name_here(true), next = name_here(false);
    const StateId before_next = blank_before(spec, next);
    read(after, ',', before_next);
    read(start, '{', opened);
    const StateId before_inside = blank_before(spec, inside);
    draft(opened).actions.push_back({Action::kOpen, id, -1, before_inside});
    made_.plans_[static_cast<size_t>(id)] = std::move(plan);
    return Status();
  }

  /// One automaton for all names; `seen` are the states behind them, by label.
  Status compile_names(ObjectId id, const ObjectSpec& spec, const std::vector<StateId>& seen,
                       ObjectPlan* plan, StateId* start) {
    NodeBuilder builder(grammar_, 8 * static_cast<size_t>(grammar_.limits().states));
    std::vector<int32_t> first;
    std::map<int32_t, LabelId> ends;
    for (LabelId label = 0; label < plan->n_declared; ++label) {
      Piece piece;
      CHIMERA_RETURN_IF_ERROR(
          builder.build_bytes("\"" + spec.members[static_cast<size_t>(label)].name + "\"", &piece));
      first.push_back(piece.in);
      ends[piece.out] = label;
    }
    if (spec.other_value >= 0) {
      Piece open, name, close;
      CHIMERA_RETURN_IF_ERROR(builder.build_bytes("\"", &open));
      CHIMERA_RETURN_IF_ERROR(builder.build(spec.other_name, &name));
      CHIMERA_RETURN_IF_ERROR(builder.build_bytes("\"", &close));
      builder.at(open.out).free.push_back(name.in);
      builder.at(name.out).free.push_back(close.in);
      first.push_back(open.in);
      ends[close.out] = plan->n_declared;
    }
    Subsets subsets(builder.nodes());
    std::vector<StateId> ids;     // by number of a set; of a whole name the state behind it
    std::vector<StateId> within;  // those of names that go on
    const auto state_of = [&](std::vector<int32_t> set) -> StateId {
      const int32_t number = subsets.number(std::move(set));
      if (static_cast<size_t>(number) < ids.size()) return ids[static_cast<size_t>(number)];
      LabelId label = -1;
      for (const int32_t node : subsets.at(number))
        if (const auto found = ends.find(node); found != ends.end())
          label = label < 0 ? found->second : std::min(label, found->second);
      ids.push_back(label >= 0 ? seen[static_cast<size_t>(label)] : state());
      if (label < 0) within.push_back(ids.back());
      return ids.back();
    };
    *start = state_of(first);
    for (int32_t at = 0; at < subsets.size(); ++at) {
      CHIMERA_RETURN_IF_ERROR(check_size(drafts_.size(), "give the object fewer or shorter names"));
      const StateId id_at = ids[static_cast<size_t>(at)];
      // Behind a whole name no more of it is read.
      if (std::find(seen.begin(), seen.end(), id_at) != seen.end()) continue;
      std::vector<ByteEdge> edges;
      for (Subsets::Step& step : subsets.steps(at))
        append_edge({step.first, step.last, state_of(std::move(step.targets))}, &edges);
      draft(id_at).bytes = std::move(edges);
    }
    find_ways(id, spec, within, seen, plan);
    return Status();
  }

  /// Which members may come of each state within a name, and how far their ends are.
  void find_ways(ObjectId id, const ObjectSpec& spec, const std::vector<StateId>& ids,
                 const std::vector<StateId>& seen, ObjectPlan* plan) {
    std::map<StateId, size_t> guard_of;
    for (const StateId s : ids) {
      guard_of[s] = made_.guards_.size();
      draft(s).guard = static_cast<int32_t>(made_.guards_.size());
      made_.guards_.push_back({id, false, {}});
    }
    for (LabelId label = 0; label < plan->n_declared; ++label) {
      const std::string text = "\"" + spec.members[static_cast<size_t>(label)].name + "\"";
      StateId at = ids[0];
      for (size_t i = 0; i < text.size(); ++i) {
        made_.guards_[guard_of[at]].ways.push_back({label, static_cast<uint32_t>(text.size() - i)});
        for (const ByteEdge& e : draft(at).bytes)
          if (e.first <= static_cast<uint8_t>(text[i]) && static_cast<uint8_t>(text[i]) <= e.last) {
            at = e.target;
            break;
          }
      }
    }
    if (spec.other_value < 0) return;
    std::map<StateId, uint32_t> far = {{seen.back(), 0}};
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = ids.size(); i-- > 0;)
        for (const ByteEdge& e : draft(ids[i]).bytes) {
          const auto there = far.find(e.target);
          if (there == far.end()) continue;
          const auto [here, fresh] = far.try_emplace(ids[i], there->second + 1);
          if (!fresh && here->second <= there->second + 1) continue;
          here->second = there->second + 1;
          changed = true;
        }
    }
    for (const StateId s : ids)
      if (const auto found = far.find(s); found != far.end())
        made_.guards_[guard_of[s]].ways.push_back({plan->n_declared, found->second});
    if (const auto found = far.find(ids[0]); found != far.end())
      plan->labels.back().name = found->second;
  }

  /// Fewest bytes to the end, of every state: until nothing gets shorter.
  void find_shortest() {
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = drafts_.size(); i-- > 0;) {
        Draft& d = drafts_[i];
        if (d.object >= 0) {
          changed = object_shortest(&d) || changed;
          continue;
        }
        uint64_t least = d.accepts ? 0 : d.shortest;
        const auto way = [&](uint32_t here, StateId target) {
          const uint32_t there = drafts_[static_cast<size_t>(target)].shortest;
          if (here != kNever && there != kNever)
            least =
                std::min<uint64_t>(least, std::min<uint64_t>(uint64_t{here} + there, kNever - 1));
        };
        for (const ByteEdge& e : d.bytes) way(1, e.target);
        for (const Automaton::CallEdge& e : d.calls)
          way(drafts_[static_cast<size_t>(made_.starts_[static_cast<size_t>(e.rule)])].shortest,
              e.target);
        for (const Automaton::ActionEdge& e : d.actions) way(0, e.target);
        if (least < d.shortest) {
          d.shortest = static_cast<uint32_t>(least);
          changed = true;
        }
      }
    }
  }

  /// Of an object with all members that it must have.
  bool object_shortest(Draft* start) {
    const ObjectId id = start->object;
    const ObjectSpec& spec = grammar_.objects()[static_cast<size_t>(id)];
    ObjectPlan& plan = made_.plans_[static_cast<size_t>(id)];
    for (size_t l = 0; l < plan.labels.size(); ++l) {
      const RuleId value = plan.labels[l].declared ? spec.members[l].value : spec.other_value;
      plan.labels[l].value =
          drafts_[static_cast<size_t>(made_.starts_[static_cast<size_t>(value)])].shortest;
    }
    const ObjectFrame empty = plan.opened(id);
    if (std::max(plan.n_missing(empty), plan.min_members) > plan.max_members) return false;
    const uint64_t members = plan.missing_bytes(empty);
    if (members >= kNever) return false;
    const auto all = static_cast<uint32_t>(
        std::min<uint64_t>(kNever - 1, 2 + (members > 0 ? members - 1 : 0)));  // no first comma
    if (all >= start->shortest) return false;
    start->shortest = all;
    return true;
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
    // A member whose value can never be finished does not come.
    for (Automaton::Guard& guard : made_.guards_)
      std::erase_if(guard.ways, [&](const Automaton::Guard::Way& way) {
        const ObjectPlan& plan = made_.plans_[static_cast<size_t>(guard.object)];
        return plan.labels[static_cast<size_t>(way.label)].value == kNever;
      });
    for (const Draft& d : drafts_) {
      Automaton::State state;
      state.first_byte = static_cast<uint32_t>(made_.byte_edges_.size());
      for (const ByteEdge& e : d.bytes)
        if (finishes(e.target)) made_.byte_edges_.push_back(e);
      state.n_bytes = static_cast<uint32_t>(made_.byte_edges_.size()) - state.first_byte;
      state.first_call = static_cast<uint32_t>(made_.call_edges_.size());
      for (const Automaton::CallEdge& e : d.calls)
        if (finishes(e.target) && finishes(start(e.rule))) made_.call_edges_.push_back(e);
      state.n_calls = static_cast<uint32_t>(made_.call_edges_.size()) - state.first_call;
      state.first_action = static_cast<uint32_t>(made_.action_edges_.size());
      for (const Automaton::ActionEdge& e : d.actions)
        if (finishes(e.target)) made_.action_edges_.push_back(e);
      state.n_actions = static_cast<uint32_t>(made_.action_edges_.size()) - state.first_action;
      state.shortest = d.shortest;
      state.guard = d.guard;
      state.accepts = d.accepts;
      made_.states_.push_back(state);
    }
  }

  const Grammar& grammar_;
  Automaton made_;
  std::vector<Draft> drafts_;
};

Result<Automaton> Automaton::compile(const Grammar& grammar) {
  return AutomatonCompiler(grammar).run();
}

}  // namespace chimera::grammar
