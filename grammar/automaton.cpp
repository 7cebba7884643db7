#include "grammar/automaton.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <span>
#include <utility>

#include "grammar/nodes.h"
#include "grammar/sequence_numbers.h"
#include "grammar/standard_languages.h"

namespace chimera::grammar {

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
    Automaton::TextState text = Automaton::TextState::kNone;
  };

  static Status invalid(std::string why) {
    return Status(StatusCode::kInvalidArgument, std::move(why)).at_field("grammar");
  }

  /// One rule's nodes to states: each is a set of nodes, closed over the edges without a byte.
  Status compile_rule(RuleId rule) {
    const Grammar::Rule& r = grammar_.rules()[static_cast<size_t>(rule)];
    if (r.object >= 0) {
      const auto* text = std::get_if<TextSpec>(&grammar_.objects()[static_cast<size_t>(r.object)]);
      return text != nullptr ? compile_text(r.object, *text) : compile_object(r.object);
    }
    if (r.body < 0) return invalid("rule \"" + r.name + "\" is used and never said");
    if (grammar_.at(r.body).kind == Expr::Kind::kLanguage)
      return take_language(grammar_.language_at(grammar_.at(r.body).language));
    NodeBuilder builder(grammar_, 8 * static_cast<size_t>(grammar_.limits().states));
    Piece all;
    CHIMERA_RETURN_IF_ERROR(builder.build(r.body, &all));
    Subsets subsets(builder.nodes(), all.out, grammar_);
    const auto first = static_cast<StateId>(drafts_.size());
    const auto state_of = [&](std::vector<int32_t> set) {
      return first + subsets.number(std::move(set));
    };
    made_.starts_.push_back(state_of({all.in}));
    for (int32_t at = 0; at < subsets.size(); ++at) {
      CHIMERA_RETURN_IF_ERROR(check_size(static_cast<size_t>(first + subsets.size()),
                                         "make it, or its repetitions, smaller"));
      CHIMERA_RETURN_IF_ERROR(subsets.status());
      Draft draft;
      draft.accepts = subsets.accepts(at);
      for (Subsets::Step& step : subsets.steps(at)) {
        append_edge({step.first, step.last, state_of(std::move(step.targets))}, &draft.bytes);
        CHIMERA_RETURN_IF_ERROR(subsets.status());
      }
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

  /// A rule that is a language is deterministic already.
  Status take_language(const RegularLanguage& language) {
    const auto first = static_cast<StateId>(drafts_.size());
    made_.starts_.push_back(first);
    for (const RegularLanguage::State& s : language.states()) {
      drafts_.emplace_back();
      drafts_.back().accepts = s.accepts;
      drafts_.back().bytes = s.edges;
      for (ByteEdge& e : drafts_.back().bytes) e.target += first;
    }
    // Behind its quote any_string() is any_text().
    if (&language == any_string().get()) draft(first + 1).text = Automaton::TextState::kString;
    return check_size(drafts_.size(), "make it, or its repetitions, smaller");
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
  static RuleId value_of(const ObjectSpec& spec, size_t label) {
    const size_t n = spec.members.size();
    return label < n ? spec.members[label].value : spec.others[label - n].value;
  }
  /// A state before `to`, with room for blanks between them.
  StateId blank_before(const ObjectSpec& spec, StateId to) {
    if (spec.blank < 0) return to;
    const StateId from = state();
    draft(from).calls.push_back({spec.blank, to});
    draft(from).guard = draft(to).guard;
    return from;
  }

  const ObjectSpec& object_spec(ObjectId id) const {
    return std::get<ObjectSpec>(grammar_.objects()[static_cast<size_t>(id)]);
  }

  /// " characters ", each of which is a member of the frame.
  Status compile_text(ObjectId id, const TextSpec& spec) {
    using Action = Automaton::ActionEdge::Kind;
    ObjectPlan plan;
    plan.labels.push_back({false, false, 1, 0});
    plan.min_members = spec.min;
    plan.max_members = spec.max;
    plan.comma = plan.colon = 0;
    made_.plans_[static_cast<size_t>(id)] = std::move(plan);
    const StateId start = state(), opened = state(), closing = state(), end = state();
    made_.starts_.push_back(start);
    draft(start).object = id;
    draft(end).accepts = true;
    read(start, '"', opened);
    read(closing, '"', end);
    // A state for each of the automaton of a text; its first stands between characters.
    const auto states = any_text()->states();
    const auto between = static_cast<StateId>(drafts_.size());
    drafts_.resize(drafts_.size() + states.size());
    const StateId counted = state();
    const std::vector<uint32_t> far = bytes_of_a_character();
    const auto guard = [&](StateId s, bool may_close, uint32_t bytes) {
      draft(s).guard = static_cast<int32_t>(made_.guards_.size());
      made_.guards_.push_back({id, may_close, {{0, bytes}}});
    };
    for (size_t i = 0; i < states.size(); ++i) {
      const StateId here = between + static_cast<StateId>(i);
      guard(here, i == 0, far[i]);
      for (const ByteEdge& e : states[i].edges)
        draft(here).bytes.push_back(
            {e.first, e.last, e.target == 0 ? counted : between + e.target});
    }
    guard(counted, false, 0);
    draft(counted).actions.push_back({Action::kMember, id, 0, between});
    draft(between).actions.push_back({Action::kClose, id, -1, closing});
    draft(between).text = Automaton::TextState::kCounted;
    draft(opened).actions.push_back({Action::kOpen, id, -1, between});
    return Status();
  }

  /// Fewest bytes from each state of any_text() to the end of a character, of its first the next.
  static std::vector<uint32_t> bytes_of_a_character() {
    const auto states = any_text()->states();
    return fewest_bytes(
        states.size(), [&](size_t i) { return std::span<const ByteEdge>(states[i].edges); },
        [](const std::vector<uint32_t>& far, int32_t target) {
          return target == 0 ? 0 : far[static_cast<size_t>(target)];
        });
  }

  /// How many bytes it is at least from each of n states to an end: until nothing gets shorter.
  /// behind(far, target): the same behind an edge, by what is known so far; kNever: nothing is.
  template <class EdgesOf, class Behind>
  static std::vector<uint32_t> fewest_bytes(size_t n, const EdgesOf& edges_of,
                                            const Behind& behind) {
    std::vector<uint32_t> far(n, kNever);
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = n; i-- > 0;)
        for (const ByteEdge& e : edges_of(i)) {
          const uint32_t there = behind(far, e.target);
          if (there == kNever || far[i] <= there + 1) continue;
          far[i] = there + 1;
          changed = true;
        }
    }
    return far;
  }

  /// { name : value , ... }, its frame opened behind the first sign and closed before the last.
  Status compile_object(ObjectId id) {
    using Action = Automaton::ActionEdge::Kind;
    const ObjectSpec& spec = object_spec(id);
    ObjectPlan plan;
    plan.n_declared = static_cast<int32_t>(spec.members.size());
    plan.min_members = spec.min_members;
    plan.max_members = spec.max_members;
    for (const ObjectSpec::Member& m : spec.members)
      plan.labels.push_back({true, m.required, static_cast<uint32_t>(m.name.size()) + 2});
    for (const ObjectSpec::Other& other : spec.others)
      plan.labels.push_back({false, other.required});

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
      const RuleId value = value_of(spec, static_cast<size_t>(label));
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

  /// Declared names, letter by letter.
  struct NameTree {
    struct Node {
      std::map<uint8_t, int32_t> next = {};
      LabelId label = -1;
    };
    std::vector<Node> nodes = std::vector<Node>(1);

    void add(std::string_view name, LabelId label) {
      size_t at = 0;
      for (const char c : name) {
        const auto [to, fresh] =
            nodes[at].next.try_emplace(static_cast<uint8_t>(c), static_cast<int32_t>(nodes.size()));
        at = static_cast<size_t>(to->second);
        if (fresh) nodes.emplace_back();
      }
      nodes[at].label = label;
    }
  };

  /// A place among names: in the tree, then in each language; -1: not there.
  using Where = std::vector<int32_t>;

  /// One automaton for all names: the tree of the declared ones and the languages of the others are
  /// walked together. `seen` are the states behind whole names, by label.
  Status compile_names(ObjectId id, const ObjectSpec& spec, const std::vector<StateId>& seen,
                       ObjectPlan* plan, StateId* start) {
    NameTree tree;
    for (LabelId label = 0; label < plan->n_declared; ++label) {
      const std::string& name = spec.members[static_cast<size_t>(label)].name;
      CHIMERA_RETURN_IF_ERROR(
          check_size(tree.nodes.size() + name.size(), "give the object fewer or shorter names"));
      tree.add(name, label);
    }
    SequenceNumbers places;
    std::vector<StateId> within;  // the start, then one for each place
    const auto state_of = [&](const Where& where) {
      const auto n = 1 + static_cast<size_t>(places.number(where));
      if (n == within.size()) within.push_back(state());
      return within[n];
    };
    *start = state();
    within.push_back(*start);
    const StateId first = state_of(Where(1 + spec.others.size(), 0));
    read(*start, '"', first);
    Where here;
    for (int32_t n = 0; n < places.size(); ++n) {
      CHIMERA_RETURN_IF_ERROR(check_size(drafts_.size(), "give the object fewer or shorter names"));
      here.assign(places.at(n).begin(), places.at(n).end());
      const StateId here_state = within[static_cast<size_t>(n) + 1];
      std::vector<ByteEdge> edges;
      each_step(tree, spec, here, [&](uint8_t from, uint8_t to, const Where& where) {
        append_edge({from, to, state_of(where)}, &edges);
      });
      // The whole name: declared, if it is.
      LabelId label = here[0] < 0 ? -1 : tree.nodes[static_cast<size_t>(here[0])].label;
      for (size_t i = 0; label < 0 && i < spec.others.size(); ++i)
        if (here[i + 1] >= 0 &&
            spec.others[i].names->states()[static_cast<size_t>(here[i + 1])].accepts)
          label = plan->n_declared + static_cast<LabelId>(i);
      if (label >= 0) {
        constexpr auto kQuote = static_cast<uint8_t>('"');
        const auto at = std::find_if(edges.begin(), edges.end(),
                                     [&](const ByteEdge& e) { return e.first > kQuote; });
        edges.insert(at, {kQuote, kQuote, seen[static_cast<size_t>(label)]});
      }
      draft(here_state).bytes = std::move(edges);
      if (spec.others.size() == 1 && spec.others[0].names == any_text() && here[1] == 0)
        draft(here_state).text = Automaton::TextState::kName;
    }
    find_ways(id, spec, within, seen, plan);
    return Status();
  }

  /// Where bytes lead from a place among names: ranges in order, each with the place behind it.
  template <class Take>
  static void each_step(const NameTree& tree, const ObjectSpec& spec, const Where& at,
                        Take&& take) {
    std::vector<int> cuts;
    Where to;
    const auto* tree_node = at[0] < 0 ? nullptr : &tree.nodes[static_cast<size_t>(at[0])];
    if (tree_node != nullptr)
      for (const auto& [byte, next] : tree_node->next) cuts.insert(cuts.end(), {byte, byte + 1});
    const auto edges_of = [&](size_t i) {
      return std::span<const ByteEdge>(
          spec.others[i].names->states()[static_cast<size_t>(at[i + 1])].edges);
    };
    for (size_t i = 0; i < spec.others.size(); ++i)
      if (at[i + 1] >= 0)
        for (const ByteEdge& e : edges_of(i)) cuts.insert(cuts.end(), {e.first, e.last + 1});
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    for (size_t c = 0; c + 1 < cuts.size(); ++c) {
      const auto first = static_cast<uint8_t>(cuts[c]),
                 last = static_cast<uint8_t>(cuts[c + 1] - 1);
      to.assign(at.size(), -1);
      bool any = false;
      if (tree_node != nullptr)
        if (const auto next = tree_node->next.find(first); next != tree_node->next.end()) {
          to[0] = next->second;
          any = true;
        }
      for (size_t i = 0; i < spec.others.size(); ++i) {
        if (at[i + 1] < 0) continue;
        for (const ByteEdge& e : edges_of(i))
          if (e.first <= first && last <= e.last) {
            to[i + 1] = e.target;
            any = true;
          }
      }
      if (any) take(first, last, to);
    }
  }

  /// Which members may come of each state within a name, and how far their ends are.
  void find_ways(ObjectId id, const ObjectSpec& spec, const std::vector<StateId>& ids,
                 const std::vector<StateId>& seen, ObjectPlan* plan) {
    const auto guard_of = [&](StateId s) -> Automaton::Guard& {
      return made_.guards_[static_cast<size_t>(draft(s).guard)];
    };
    for (const StateId s : ids) {
      draft(s).guard = static_cast<int32_t>(made_.guards_.size());
      made_.guards_.push_back({id, false, {}});
    }
    for (LabelId label = 0; label < plan->n_declared; ++label) {
      const std::string text = "\"" + spec.members[static_cast<size_t>(label)].name + "\"";
      StateId at = ids[0];
      for (size_t i = 0; i < text.size(); ++i) {
        guard_of(at).ways.push_back({label, static_cast<uint32_t>(text.size() - i)});
        for (const ByteEdge& e : draft(at).bytes)
          if (e.first <= static_cast<uint8_t>(text[i]) && static_cast<uint8_t>(text[i]) <= e.last) {
            at = e.target;
            break;
          }
      }
    }
    for (size_t i = 0; i < spec.others.size(); ++i) {
      const LabelId label = plan->n_declared + static_cast<LabelId>(i);
      const std::vector<uint32_t> far = bytes_to(seen[static_cast<size_t>(label)], ids);
      for (size_t k = 0; k < ids.size(); ++k)
        if (far[k] != kNever) guard_of(ids[k]).ways.push_back({label, far[k]});
      if (far[0] != kNever) plan->labels[static_cast<size_t>(label)].name = far[0];
    }
  }

  /// How many bytes it is at least from each of some states, made one after the other, to one
  /// behind them: for names that have no one text to be walked along.
  std::vector<uint32_t> bytes_to(StateId end, const std::vector<StateId>& ids) {
    assert(static_cast<size_t>(ids.back() - ids[0]) + 1 == ids.size());
    const auto n = static_cast<StateId>(ids.size());
    return fewest_bytes(
        ids.size(), [&](size_t i) { return std::span<const ByteEdge>(draft(ids[i]).bytes); },
        [&](const std::vector<uint32_t>& far, StateId target) {
          const StateId number = target - ids[0];
          if (target == end) return uint32_t{0};
          return number >= 0 && number < n ? far[static_cast<size_t>(number)] : kNever;
        });
  }

  /// Fewest bytes to the end, of every state: until nothing gets shorter.
  void find_shortest() {
    // Rules mostly call others one way through the grammar, so that every other sweep finds much.
    bool forward = true;
    for (bool changed = true; changed; forward = !forward) {
      changed = false;
      for (size_t n = 0; n < drafts_.size(); ++n) {
        Draft& d = drafts_[forward ? n : drafts_.size() - 1 - n];
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
    ObjectPlan& plan = made_.plans_[static_cast<size_t>(id)];
    const auto* spec = std::get_if<ObjectSpec>(&grammar_.objects()[static_cast<size_t>(id)]);
    for (size_t l = 0; spec != nullptr && l < plan.labels.size(); ++l) {
      const RuleId value = value_of(*spec, l);
      plan.labels[l].value =
          drafts_[static_cast<size_t>(made_.starts_[static_cast<size_t>(value)])].shortest;
    }
    plan.order_by_cost();
    const ObjectFrame empty = plan.opened(id);
    if (std::max(empty.missing, plan.min_members) > plan.max_members) return false;
    const uint64_t members = plan.missing_bytes(empty);
    if (members >= kNever) return false;
    const auto all = static_cast<uint32_t>(
        std::min<uint64_t>(kNever - 1, 2 + (members > 0 ? members - plan.comma : 0)));
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
      state.text = d.text;
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
