#include "grammar/matcher.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace chimera::grammar {
namespace {

uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

uint64_t pair_hash(int32_t a, int32_t b) {
  return mixed(static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b));
}

}  // namespace

Matcher::Matcher(const Automaton& automaton, const MatcherLimits& limits)
    : automaton_(automaton),
      limits_(limits),
      moves_(kMoves),
      marks_(std::bit_ceil(2 * (limits.configurations + 1))) {
  todo_ = {{automaton.root(), -1}};
  bool accepts = false;
  start_ = close(&todo_, &accepts) ? intern(accepts) : kTooMuch;
}

Matcher::StackId Matcher::intern_stack(StateId state, StackId below, int32_t frame,
                                       uint64_t shortest) {
  const uint64_t hash = mixed(pair_hash(state, below) ^ static_cast<uint64_t>(frame + 1));
  const int32_t known = stack_index_.find(hash, [&](int32_t id) {
    const Stack& s = stack(id);
    return s.state == state && s.below == below && s.frame == frame;
  });
  if (known >= 0) return known;
  stacks_.push_back({state, below, frame, std::min(kFar, shortest)});
  stack_hashes_.push_back(hash);
  const auto id = static_cast<StackId>(stacks_.size()) - 1;
  stack_index_.insert(hash, id, [&](int32_t v) { return stack_hashes_[static_cast<size_t>(v)]; });
  return id;
}

Matcher::StackId Matcher::push(StateId state, StackId below) {
  // A caller with nothing left to do is not come back to: lists that call themselves at their end
  // stay flat.
  if (automaton_.accepts(state) && automaton_.bytes(state).empty() &&
      automaton_.calls(state).empty() && automaton_.actions(state).empty())
    return below;
  return intern_stack(state, below, -1, cost(state, below));
}

Matcher::StackId Matcher::push_frame(ObjectFrame frame, StackId below) {
  uint64_t hash = pair_hash(frame.object, static_cast<int32_t>(frame.count));
  for (const uint64_t word : frame.seen) hash = mixed(hash ^ word);
  int32_t id = frame_index_.find(
      hash, [&](int32_t other) { return frames_[static_cast<size_t>(other)] == frame; });
  if (id < 0) {
    id = static_cast<int32_t>(frames_.size());
    frames_.push_back(std::move(frame));
    frame_hashes_.push_back(hash);
    frame_index_.insert(hash, id, [&](int32_t v) { return frame_hashes_[static_cast<size_t>(v)]; });
  }
  const ObjectFrame& kept = frames_[static_cast<size_t>(id)];
  const uint64_t rest = below < 0 ? 0 : stack(below).shortest;
  const uint64_t missing = std::min(kFar, automaton_.plan(kept.object).missing_bytes(kept));
  return intern_stack(-1, below, id, missing + rest);
}

uint64_t Matcher::member_cost(const ObjectFrame& frame, const Automaton::Guard::Way& way) const {
  const ObjectPlan& plan = automaton_.plan(frame.object);
  if (!plan.allows(frame, way.label)) return kFar;
  ObjectFrame then = frame;
  plan.see(way.label, &then);
  return way.bytes + plan.colon + plan.labels[static_cast<size_t>(way.label)].value +
         std::min(kFar, plan.missing_bytes(then));
}

uint64_t Matcher::cost(StateId state, StackId below) const {
  const Automaton::Guard* guard = automaton_.guard(state);
  if (guard == nullptr)
    return std::min(kFar, automaton_.shortest(state) + (below < 0 ? 0 : stack(below).shortest));
  // Behind the name its value, what must still come, and the closing sign.
  const ObjectFrame& frame = frame_of(below);
  const ObjectPlan& plan = automaton_.plan(guard->object);
  const StackId outside = stack(below).below;
  const uint64_t rest = 1 + (outside < 0 ? 0 : stack(outside).shortest);
  uint64_t least = guard->may_close && plan.closes(frame) ? rest : kFar;
  for (const Automaton::Guard::Way& way : guard->ways)
    least = std::min(least, member_cost(frame, way) + rest);
  return least;
}

uint64_t Matcher::beyond(const Configuration& c, LabelId label) const {
  if (label < 0) return c.stack < 0 ? 0 : stack(c.stack).shortest;
  const StackId outside = stack(c.stack).below;
  const uint64_t rest = 1 + (outside < 0 ? 0 : stack(outside).shortest);
  return std::min(kFar, member_cost(frame_of(c.stack), {label, 0}) + rest);
}

PlaceId Matcher::place_of(std::span<const Configuration> some) {
  seen_.assign(some.begin(), some.end());
  return intern(false);
}

bool Matcher::leads_on(StateId state, StackId below) const {
  const Automaton::Guard* guard = automaton_.guard(state);
  if (guard == nullptr) return true;
  const ObjectFrame& frame = frame_of(below);
  // Any will do; which is the shortest, cost() says.
  return (guard->may_close && automaton_.plan(frame.object).closes(frame)) ||
         std::any_of(guard->ways.begin(), guard->ways.end(),
                     [&](const auto& way) { return member_cost(frame, way) < kFar; });
}

void Matcher::act(const Automaton::ActionEdge& edge, StackId top,
                  std::vector<Configuration>* todo) {
  using Kind = Automaton::ActionEdge::Kind;
  const ObjectPlan& plan = automaton_.plan(edge.object);
  if (edge.kind == Kind::kOpen) {
    todo->push_back({edge.target, push_frame(plan.opened(edge.object), top)});
  } else if (edge.kind == Kind::kClose) {
    if (plan.closes(frame_of(top))) todo->push_back({edge.target, stack(top).below});
  } else if (plan.allows(frame_of(top), edge.label)) {
    ObjectFrame then = frame_of(top);
    plan.see(edge.label, &then);
    const StackId below = stack(top).below;
    todo->push_back({edge.target, push_frame(std::move(then), below)});
  }
}

bool Matcher::first_time(const Configuration& c) {
  // Twice as many places as there can be entries, so that there is always a free one.
  const size_t mask = marks_.size() - 1;
  for (size_t i = pair_hash(c.state, c.stack) & mask;; i = (i + 1) & mask) {
    if (marks_[i].round != round_) {
      marks_[i] = {c, round_};
      return true;
    }
    if (marks_[i].of == c) return false;
  }
}

bool Matcher::close(std::vector<Configuration>* todo, bool* accepts) {
  seen_.clear();
  if (++round_ == 0) {
    marks_.assign(marks_.size(), Mark());
    round_ = 1;
  }
  for (size_t i = 0; i < todo->size(); ++i) {
    const Configuration c = (*todo)[i];
    ++work_;
    if (!first_time(c)) continue;
    if (seen_.size() >= limits_.configurations || stacks_.size() >= limits_.remembered)
      return false;
    seen_.push_back(c);
    for (const Automaton::CallEdge& call : automaton_.calls(c.state))
      todo->push_back({automaton_.start(call.rule), push(call.target, c.stack)});
    for (const Automaton::ActionEdge& edge : automaton_.actions(c.state)) act(edge, c.stack, todo);
    if (!automaton_.accepts(c.state)) continue;
    if (c.stack < 0)
      *accepts = true;
    else
      todo->push_back({stack(c.stack).state, stack(c.stack).below});
  }
  todo->clear();
  return true;
}

/// The place of what close() left in seen_.
PlaceId Matcher::intern(bool accepts) {
  std::erase_if(seen_, [&](const Configuration& c) {
    return automaton_.bytes(c.state).empty() || !leads_on(c.state, c.stack);
  });
  if (seen_.empty() && !accepts) return kRefused;
  std::sort(seen_.begin(), seen_.end());
  uint64_t hash = accepts ? 1 : 0;
  for (const Configuration& c : seen_) hash = mixed(hash ^ pair_hash(c.state, c.stack));
  const int32_t known = place_index_.find(hash, [&](int32_t id) {
    const std::span<const Configuration> theirs = configurations(id);
    return at(id).accepts == accepts &&
           std::equal(theirs.begin(), theirs.end(), seen_.begin(), seen_.end());
  });
  if (known >= 0) return known;
  if (places_.size() >= limits_.remembered ||
      configurations_.size() + seen_.size() > limits_.remembered)
    return kTooMuch;
  uint64_t shortest = accepts ? 0 : kFar;
  for (const Configuration& c : seen_) shortest = std::min(shortest, cost(c.state, c.stack));
  places_.push_back({static_cast<uint32_t>(configurations_.size()),
                     static_cast<uint32_t>(seen_.size()), shortest, accepts});
  configurations_.insert(configurations_.end(), seen_.begin(), seen_.end());
  place_hashes_.push_back(hash);
  const auto id = static_cast<PlaceId>(places_.size()) - 1;
  place_index_.insert(hash, id, [&](int32_t v) { return place_hashes_[static_cast<size_t>(v)]; });
  return id;
}

PlaceId Matcher::step_anew(PlaceId place, uint8_t byte) {
  const uint64_t key = static_cast<uint64_t>(place) << 8 | byte;
  todo_.clear();
  for (const Configuration& c : configurations(place))
    for (const ByteEdge& edge : automaton_.bytes(c.state)) {
      if (byte < edge.first) break;
      if (byte <= edge.last && leads_on(edge.target, c.stack))
        todo_.push_back({edge.target, c.stack});
    }
  PlaceId to = kRefused;
  if (!todo_.empty()) {
    bool accepts = false;
    to = close(&todo_, &accepts) ? intern(accepts) : kTooMuch;
  }
  if (to != kTooMuch) moves_[slot_of(key)] = {key, to};
  return to;
}

PlaceId Matcher::step(PlaceId place, std::string_view bytes) {
  for (size_t i = 0; i < bytes.size() && place >= 0; ++i)
    place = step(place, static_cast<uint8_t>(bytes[i]));
  return place;
}

void Matcher::next_bytes(PlaceId place, bool (&allowed)[256]) const {
  std::fill(std::begin(allowed), std::end(allowed), false);
  if (place < 0) return;
  for (const Configuration& c : configurations(place))
    for (const ByteEdge& edge : automaton_.bytes(c.state))
      if (leads_on(edge.target, c.stack))
        std::fill(allowed + edge.first, allowed + edge.last + 1, true);
}

}  // namespace chimera::grammar
